"""The janitor resends what late answers are being settled about: they lock in the same order."""

import pytest

from notifyq.domain.model import Category
from notifyq.domain.outcome import InDoubt, Unavailable
from notifyq.services import maintain
from notifyq.store import db
from tests.races.interleave import END, ONE, Session, in_each, merges, run
from tests.store import helpers as h

CODES = Category("login.code", resend_after_s=15)
SWEEP = [ONE] * 7 + [END]  # leases, the list, two resends, with their commits
SETTLE = [ONE, END]
ORDERS = merges([len(SWEEP), len(SETTLE)])


async def both(url: str, order: tuple[int, ...]) -> list[object]:
    """Settle two late answers while the janitor resends both, the later one first if it may."""
    async with (
        await db.connect(url, hot=True) as first,
        await db.connect(url, hot=True) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        asks = [h.make_ask(shop, to=phone, category=CODES) for _ in range(2)]
        one, two = await h.begun(first, shop, *asks)
        lost = InDoubt("cut")
        await h.settled(first, h.post_of(shop), (one, lost), (two, lost))
        for ready, ago_s in ((one, 1), (two, 2)):
            await look.execute(
                "UPDATE timer SET due = now() - make_interval(secs => %(ago)s::float8)"
                " WHERE kind = 'resend' AND delivery_id = %(at)s",
                {"at": ready.due.delivery_id, "ago": ago_s},
            )
        answers = [(ready, Unavailable("20500")) for ready in (one, two)]
        janitor = Session("janitor", first, h.swept)
        worker = Session("worker", second, lambda conn: h.settled(conn, h.post_of(shop), *answers))
        await run(order, [(janitor, SWEEP), (worker, SETTLE)], look)
        assert await h.faults(look) == []
        for ready in (one, two):
            assert (await h.standing(look, ready.due.delivery_id)).state == "pending"
        return [session.error for session in (janitor, worker) if session.error is not None]


@in_each(ORDERS, "Js")
async def test_neither_is_in_the_others_way(shared_url: str, order: tuple[int, ...]) -> None:
    assert await both(shared_url, order) == []


async def test_in_the_order_of_their_timers_they_are(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintain, "sorted", list, raising=False)
    assert any([await both(database_url, order) for order in ORDERS[::2]])
