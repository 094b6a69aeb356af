"""Two claims of one lane: no job twice, in every order."""

import pytest

from notifyq.services import deliver
from notifyq.store import db
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, Session, merges, named, run
from tests.store import helpers as h

STEPS = [ONE, ONE, ONE, ONE, ONE, END]  # claim, facts, meet, lock, begin, commit
# The second claim's five calls against the first's: by symmetry, those that the first begins.
ORDERS = [order for order in merges([len(STEPS), len(STEPS)]) if order[0] == 0]


@pytest.mark.parametrize("order", ORDERS, ids=[named("AB", order) for order in ORDERS])
async def test_two_claims_of_a_lane_share_no_job(shared_url: str, order: tuple[int, ...]) -> None:
    async with (
        await db.connect(shared_url, hot=True) as first,
        await db.connect(shared_url, hot=True) as second,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        # The same person twice: the two transactions meet at the consent row too.
        wanted = await h.accepted(first, *(h.make_ask(shop, to=phone) for _ in range(6)))

        async def begin(conn: Conn) -> deliver.Turn:
            return await h.begin(conn, h.post_of(shop), room=3)

        one, two = Session("A", first, begin), Session("B", second, begin)
        await run(order, [(one, STEPS), (two, STEPS)], look)
        assert (one.error, two.error) == (None, None)
        ready = [r.due.delivery_id for turn in (one.result, two.result) for r in turn.ready]
        assert sorted(ready) == sorted(wanted)
        assert await h.faults(look) == []
