"""P5: an opt-out whose commit comes first wins, in every order of the two transactions."""

import pytest

from notifyq.services import deliver
from notifyq.store import db
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, TO_COMMIT, Session, merges, named, run
from tests.store import helpers as h

BEGIN_STEPS = [ONE, ONE, ONE, ONE, ONE, END]  # claim, facts, meet, lock, begin or end, commit
STOP_STEPS = [3, TO_COMMIT, END]  # key, meet, lock; events and what they add up to; commit
ORDERS = merges([len(BEGIN_STEPS), len(STOP_STEPS)])


async def race(url: str, order: tuple[int, ...], *, first_contact: bool) -> tuple[bool, bool, str]:
    """Return (the opt-out committed before the begin, an attempt exists, the delivery's state)."""
    async with (
        await db.connect(url, hot=True) as sender,
        await db.connect(url) as stopper,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (delivery_id,) = await h.accepted(sender, h.make_ask(shop, to=phone))
        if not first_contact:
            await look.execute(
                "INSERT INTO consent (cell, brand, channel, address_key, blocked, revision) "
                "SELECT 0, brand, channel, address_key, false, 0 FROM delivery WHERE id = %s",
                [delivery_id],
            )

        async def begin(conn: Conn) -> deliver.Turn:
            return await h.begin(conn, h.post_of(shop))

        async def stop(conn: Conn) -> None:
            await h.opt_out(conn, shop, phone)

        one = Session("begin", sender, begin)
        two = Session("stop", stopper, stop)
        trace = await run(order, [(one, BEGIN_STEPS), (two, STOP_STEPS)], look)
        assert one.error is None, one.error
        assert two.error is None, two.error
        stop_first = trace.index("stop committed") < trace.index("begin committed")
        after = await h.standing(look, delivery_id)
        assert await h.faults(look) == []
        assert await h.one(
            look, "SELECT blocked FROM consent WHERE brand = %(brand)s", brand=shop.brand
        )
        assert (len(one.result.ready) == 1) == bool(after.outcomes)
        return stop_first, bool(after.outcomes), after.state


@pytest.mark.parametrize("first_contact", [True, False], ids=["first_contact", "known"])
@pytest.mark.parametrize("order", ORDERS, ids=[named("BS", order) for order in ORDERS])
async def test_an_opt_out_that_committed_first_wins(
    shared_url: str, order: tuple[int, ...], first_contact: bool
) -> None:
    stop_first, attempted, state = await race(shared_url, order, first_contact=first_contact)
    assert attempted != stop_first
    assert state == ("suppressed" if stop_first else "pending")
