"""P8: a stale epoch begins nothing, and what it had claimed is still there."""

import pytest

from notifyq.errors import FenceLost
from notifyq.services import deliver
from notifyq.store import db
from notifyq.store.db import Conn, transact
from tests.races.interleave import END, ONE, Session, merges, named, run
from tests.store import helpers as h

BEGIN_STEPS = [ONE, ONE, ONE, ONE, ONE, END]  # claim, facts, meet, lock, begin, commit
BUMP_STEPS = [ONE, END]
ORDERS = merges([len(BEGIN_STEPS), len(BUMP_STEPS)])
# Transactions that were open, here, when the bump had committed: the bump waits for these.
_LAGGARDS = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity s USING (pid)
 WHERE l.locktype = 'virtualxid' AND l.granted AND s.datname = current_database()
   AND s.pid = %(pid)s
"""


async def bump(conn: Conn) -> None:
    async def work(conn: Conn) -> None:
        await conn.execute("UPDATE fence SET epoch = epoch + 1 WHERE cell = 0")

    await transact(conn, work)


@pytest.mark.parametrize("order", ORDERS, ids=[named("BF", order) for order in ORDERS])
async def test_a_stale_epoch_begins_nothing(shared_url: str, order: tuple[int, ...]) -> None:
    async with (
        await db.connect(shared_url, hot=True) as sender,
        await db.connect(shared_url) as operator,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        epoch = await h.one(look, "SELECT epoch FROM fence")
        (delivery_id,) = await h.accepted(sender, h.make_ask(shop, to=phone))
        seen: list[int] = []

        async def begin(conn: Conn) -> deliver.Turn:
            return await h.begin(conn, h.post_of(shop, epoch=epoch))

        async def bump_and_look(conn: Conn) -> None:
            await bump(conn)
            seen.append(await h.one(look, _LAGGARDS, pid=one.pid))

        one = Session("begin", sender, begin)
        two = Session("bump", operator, bump_and_look)
        trace = await run(order, [(one, BEGIN_STEPS), (two, BUMP_STEPS)], look)
        calls = [step for step in trace if step != "bump call"]
        compared = [n for n, step in enumerate(calls) if step == "begin call"][4]
        fenced_off = calls.index("bump committed") < compared
        after = await h.standing(look, delivery_id)
        if fenced_off:
            assert isinstance(one.error, FenceLost)
            assert (after.outcomes, after.jobs) == ((), 1)
        else:
            assert one.error is None
            assert (after.outcomes, after.jobs) == (("open",), 0)
            # What begins past a bump's commit was an open transaction then: the drain sees it.
            late = calls.index("bump committed") < calls.index("begin committed")
            assert seen == [1 if late else 0]
        assert await h.faults(look) == []


async def test_what_a_stale_epoch_had_claimed_is_begun_at_the_new_one(database_url: str) -> None:
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        (delivery_id,) = await h.accepted(conn, h.make_ask(shop))
        await bump(conn)
        with pytest.raises(FenceLost):
            await h.begin(conn, h.post_of(shop, epoch=1))
        turn = await h.begin(conn, h.post_of(shop, epoch=2))
        assert [r.due.delivery_id for r in turn.ready] == [delivery_id]


@pytest.mark.parametrize("change", ["phase = 'draining'", "phase = 'closed'", "region = 'other'"])
@pytest.mark.parametrize("what", ["begin", "end", "wait"])
async def test_a_fence_that_is_not_open_for_us_lets_nothing_begin_end_or_wait(
    database_url: str, change: str, what: str
) -> None:
    """Each alone: in one batch the guard of one would cover for another's."""
    async with await db.connect(database_url, hot=True) as conn, h.looking(database_url) as look:
        shop = await h.open_shop(look)
        (delivery_id,) = await h.accepted(conn, h.make_ask(shop))
        if what == "end":
            await h.opt_out(conn, shop)
        if what == "wait":
            await look.execute("UPDATE delivery SET not_before = now() + interval '1 min'")
        await look.execute(f"UPDATE fence SET {change}".encode())
        with pytest.raises(FenceLost):
            await h.begin(conn, h.post_of(shop))
        after = await h.standing(look, delivery_id)
        assert (after.state, after.jobs, after.outcomes) == ("pending", 1, ())
