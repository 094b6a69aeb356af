"""STOP against START, in every order in which we hear of them: what happened counts, not when we
were told. A START lifts only what it saw, and a tie goes to the STOP.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from notifyq.domain.consent import SKEW
from notifyq.store import db, ledger
from tests.races.hearing import STOP, hears, text
from tests.races.interleave import END, Go, Session, in_each, merges, run, some_fail
from tests.races.test_heard import agrees
from tests.store import helpers as h

SKEW_S = SKEW.total_seconds()
ORDERS = merges([len(STOP), len(STOP)])
# By the providers' clocks: how long after the STOP the START was written, and whether it lifts it.
APART = {-60.0: False, 0.0: False, SKEW_S: False, SKEW_S + 1: True, 60.0: True}


async def blocked(url: str, order: Sequence[int], *, apart_s: float, before: bool = False) -> bool:
    """Return whether they are blocked. before: a STOP stood already."""
    async with (
        await db.connect(url) as first,
        await db.connect(url) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        stopped_at = h.database_now() - timedelta(seconds=100)
        if before:
            long_ago = stopped_at - timedelta(hours=1)
            await hears(shop, text("STOP", phone, long_ago))(first)
        start = text("START", phone, stopped_at + timedelta(seconds=apart_s))
        one = Session("stop", first, hears(shop, text("STOP", phone, stopped_at)))
        two = Session("start", second, hears(shop, start, provider="sinch"))
        await run(order, [(one, STOP), (two, STOP)], look)
        assert (one.error, two.error) == (None, None)
        blocks = await agrees(look, shop)
        (at,) = await h.accepted(first, h.make_ask(shop, to=phone, body="hello"))
        begun = {ready.due.delivery_id for ready in (await h.begin(first, h.post_of(shop))).ready}
        assert (at in begun) is (blocks == 0)
        return bool(blocks)


@pytest.mark.parametrize("apart_s", sorted(APART))
@in_each(ORDERS, "OI")
async def test_the_later_word_counts_and_a_tie_is_the_stop_s(
    shared_url: str, order: tuple[int, ...], apart_s: float
) -> None:
    found = await blocked(shared_url, order, apart_s=apart_s)
    assert found is not APART[apart_s]


@pytest.mark.parametrize("apart_s", [-60.0, 60.0])
@in_each(ORDERS, "OI")
async def test_a_start_lifts_what_it_saw_and_leaves_what_came_after(
    shared_url: str, order: tuple[int, ...], apart_s: float
) -> None:
    """A STOP of an hour before stood; a START lifts it, and the one beside it if that is older."""
    found = await blocked(shared_url, order, apart_s=apart_s, before=True)
    assert found is not APART[apart_s]


async def test_without_the_ledger_s_lock_one_of_the_two_is_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = h.mutated(ledger.LOCK, ("   FOR NO KEY UPDATE\n", ""))
    monkeypatch.setattr(ledger, "LOCK", unlocked)

    async def claim(order: tuple[int, ...]) -> bool:
        return await blocked(database_url, order, apart_s=-60.0, before=True)

    assert await some_fail(ORDERS[::4], claim)


# -------------------------------------------------------------------- beside a begin, too

EACH: list[Go] = [4, END]  # to the lock; the rest


@in_each(merges([2, 2, 2]), "OIB")
async def test_a_begin_between_them_heeds_what_was_committed_before_it(
    shared_url: str, order: tuple[int, ...]
) -> None:
    """The STOP is the later word; in between, the START may have let one through, rightly."""
    async with (
        await db.connect(shared_url) as first,
        await db.connect(shared_url) as second,
        await db.connect(shared_url) as third,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (at,) = await h.accepted(first, h.make_ask(shop, to=phone))
        now = h.database_now()
        stop = hears(shop, text("STOP", phone, now))
        start = hears(shop, text("START", phone, now - timedelta(seconds=30)))

        async def begin(conn: Any) -> Any:
            return await h.begin(conn, h.post_of(shop))

        sessions = [
            Session("stop", first, stop),
            Session("start", second, start),
            Session("begin", third, begin),
        ]
        trace = await run(order, [(one, EACH) for one in sessions], look)
        assert [one.error for one in sessions] == [None] * 3
        begun = bool((await h.standing(look, at)).outcomes)
        assert begun is (trace.index("begin committed") < trace.index("stop committed"))
        assert await agrees(look, shop) == 1
        assert await h.faults(look) == []
