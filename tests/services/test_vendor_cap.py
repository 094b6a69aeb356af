"""A vendor's daily cap parks: what it stopped is due again on the next day, and decided on anew."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.hours import Hours
from notifyq.domain.message import Sender
from notifyq.domain.model import (
    RANK_DELIVERED,
    RANK_UNDELIVERED,
    Bounce,
    Category,
    DoubtRules,
    Ready,
    Receipt,
)
from notifyq.domain.outcome import Accepted, Capped, InDoubt, Outcome, Throttled
from notifyq.domain.policy import HOURS_GUARD_S
from notifyq.domain.provider import Seen, Sighting, Sought
from notifyq.domain.scheduling import SPREAD_S
from notifyq.domain.terms import Terms
from notifyq.domain.zones import zone
from notifyq.services import deliver, settle
from notifyq.services.cancel import cancel
from notifyq.services.receive import Applied, Received
from notifyq.services.reconcile import LookUpRules, reconcile_due
from notifyq.services.redrive import Errand, redrive
from notifyq.store import db, queue
from notifyq.store.cancels import By
from tests.store import helpers as h

PACIFIC = "America/Los_Angeles"
CAPPED = Capped("30023", PACIFIC)
DAYS_S = 3 * 86_400
SECOND = timedelta(seconds=1)
AGAIN = Category("order.shipped", resend_after_s=15)
NEW_YORK = "+12125550123"


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


@pytest.fixture
async def shop(hot: db.Conn) -> h.Shop:
    return await h.open_shop(hot)


def midnight_after(since: datetime) -> datetime:
    """The next one in California, reckoned by hand."""
    there = since.astimezone(zone(PACIFIC)) + timedelta(days=1)
    return there.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


async def begun(conn: db.Conn, shop: h.Shop, **ask: Any) -> Ready:
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, **{"lifetime_s": DAYS_S} | ask))
    return ready


async def settled(conn: db.Conn, shop: h.Shop, ready: Ready, outcome: Outcome) -> None:
    await h.settled(conn, h.post_of(shop), (ready, outcome))


def name_of(ready: Ready) -> str:
    return f"SM{ready.number}"


def capped(ready: Ready) -> Receipt:
    at = ready.due.delivery_id
    one = h.receipt_for(at, ready.number, RANK_UNDELIVERED, provider_id=name_of(ready))
    return replace(one, code="30023", bounce=Bounce.OURS, cap_zone=PACIFIC)


async def by_answer(conn: db.Conn, shop: h.Shop, ready: Ready) -> None:
    await settled(conn, shop, ready, CAPPED)


async def by_late_answer(conn: db.Conn, shop: h.Shop, ready: Ready) -> None:
    """The worker was taken for dead."""
    await conn.execute("UPDATE attempt SET send_by = now() - interval '1 s'")
    await conn.commit()
    assert (await h.swept(conn)).leases == 1
    await settled(conn, shop, ready, CAPPED)


async def by_receipt(conn: db.Conn, shop: h.Shop, ready: Ready) -> None:
    await settled(conn, shop, ready, Accepted(name_of(ready)))
    assert (await h.told(conn, capped(ready))).applied is Applied.MOVED


async def by_receipt_before_the_answer(conn: db.Conn, shop: h.Shop, ready: Ready) -> None:
    assert (await h.told(conn, capped(ready))).applied is Applied.MOVED
    await settled(conn, shop, ready, Accepted(name_of(ready)))


async def by_receipt_in_doubt(conn: db.Conn, shop: h.Shop, ready: Ready) -> None:
    await settled(conn, shop, ready, InDoubt("timeout"))
    assert (await h.told(conn, capped(ready))).applied is Applied.MOVED


class List:
    """A provider's list with one message on it, which the cap stopped."""

    name = "twilio"

    def __init__(self, message: str) -> None:
        self.message = message

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen:
        at = h.database_now()
        found = Sighting(self.message, at, "failed", RANK_UNDELIVERED, "30023", cap_zone=PACIFIC)
        return Seen((found,))


async def by_look_up(conn: db.Conn, shop: h.Shop, ready: Ready) -> None:
    rules = LookUpRules((5.0,), 5.0, lambda brand, program: Sender("+1"), h.DEDUPE_DAYS)
    h.SETTLE_RULES = replace(h.SETTLE_RULES, doubt=DoubtRules(h.SETTLE_WINDOW_S, (5.0,)))
    await settled(conn, shop, ready, InDoubt("timeout"))
    await conn.execute("UPDATE timer SET due = now() WHERE kind = 'look_up'")
    await conn.commit()
    provider: Any = List(name_of(ready))
    await reconcile_due(conn, provider, rules, cell=0, lane=shop.lane, new_id=h.new_id)


WAYS: dict[str, tuple[Callable[[db.Conn, h.Shop, Ready], Awaitable[None]], str]] = {
    "answer": (by_answer, "throttled"),
    "late answer": (by_late_answer, "throttled"),
    "receipt": (by_receipt, "bounced"),
    "receipt before the answer": (by_receipt_before_the_answer, "bounced"),
    "receipt in doubt": (by_receipt_in_doubt, "bounced"),
    "look-up": (by_look_up, "bounced"),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def _rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h, "SETTLE_RULES", h.SETTLE_RULES)  # put back after each test


async def job(conn: db.Conn) -> tuple[datetime, int, int]:
    """(due, attempts, tries) of the one job that there is."""
    rows = await h.all_rows(conn, "SELECT due, attempts, tries FROM job")
    await conn.commit()
    assert len(rows) == 1
    return rows[0][0], rows[0][1], rows[0][2]


async def day_comes(conn: db.Conn) -> None:
    await conn.execute("UPDATE job SET due = now() - interval '1 s'")
    await conn.commit()


async def parked(conn: db.Conn, at: UUID, outcomes: tuple[str, ...]) -> bool:
    standing = await h.standing(conn, at)
    assert standing == h.Standing("pending", "vendor_cap", outcomes, 1, 0, ())
    assert await h.faults(conn) == []
    return True


# ------------------------------------------------------------------------------------ parked


@EVERY_WAY
async def test_what_the_cap_stopped_waits_for_midnight_in_california(
    hot: db.Conn, shop: h.Shop, way: str
) -> None:
    stop, outcome = WAYS[way]
    before = midnight_after(h.database_now())
    ready = await begun(hot, shop)
    await stop(hot, shop, ready)
    assert await parked(hot, ready.due.delivery_id, (outcome,))
    due, attempts, tries = await job(hot)
    # that midnight may come while this test runs
    assert midnight_after(due - timedelta(seconds=SPREAD_S)) in (
        before,
        midnight_after(h.database_now()),
    )
    assert (attempts, tries) == (1, 0)
    assert (await h.begin(hot, h.post_of(shop))).claimed == 0
    assert await h.one(hot, "SELECT code FROM attempt") == "30023"


@EVERY_WAY
async def test_on_the_next_day_it_is_sent_once(hot: db.Conn, shop: h.Shop, way: str) -> None:
    stop, outcome = WAYS[way]
    ready = await begun(hot, shop)
    await stop(hot, shop, ready)
    await day_comes(hot)
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    assert (again.due.delivery_id, again.number) == (ready.due.delivery_id, 2)
    await settled(hot, shop, again, Accepted("SM2"))
    standing = await h.standing(hot, ready.due.delivery_id)
    assert standing == h.Standing("sent", None, (outcome, "accepted"), 0, 0, ())


@EVERY_WAY
async def test_two_days_in_a_row_are_waited_for(hot: db.Conn, shop: h.Shop, way: str) -> None:
    stop, outcome = WAYS[way]
    ready = await begun(hot, shop)
    await stop(hot, shop, ready)
    await day_comes(hot)
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    await stop(hot, shop, again)
    assert await parked(hot, ready.due.delivery_id, (outcome, outcome))
    _, attempts, tries = await job(hot)
    assert (attempts, tries) == (2, 0)


async def test_tries_that_were_used_up_before_still_count_after_an_answer(
    hot: db.Conn, shop: h.Shop
) -> None:
    await h.accepted(hot, h.make_ask(shop, lifetime_s=DAYS_S))
    await hot.execute("UPDATE job SET attempts = 5, tries = 4")
    await hot.commit()
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    await settled(hot, shop, ready, CAPPED)
    assert (await job(hot))[1:] == (6, 4)


async def test_the_day_that_was_full_is_the_one_in_which_the_attempt_began(
    hot: db.Conn, shop: h.Shop
) -> None:
    """Evidence may come a day late; then the cap is over by now."""
    ready = await begun(hot, shop)
    await settled(hot, shop, ready, Accepted("SM1"))
    await hot.execute("UPDATE attempt SET began_at = began_at - interval '26 hours'")
    await hot.commit()
    await h.told(hot, capped(ready))
    assert (await job(hot))[0] < h.database_now()


# --------------------------------------------------------------------- decided on once more


@EVERY_WAY
async def test_whoever_opted_out_meanwhile_gets_nothing(
    hot: db.Conn, shop: h.Shop, way: str
) -> None:
    ready = await begun(hot, shop)
    await WAYS[way][0](hot, shop, ready)
    await h.opt_out(hot, shop)
    await day_comes(hot)
    assert (await h.begin(hot, h.post_of(shop))).ready == []
    standing = await h.standing(hot, ready.due.delivery_id)
    assert (standing.state, standing.reason) == ("suppressed", "opted_out")


async def test_midnight_in_california_is_three_in_new_york_so_it_waits_on_for_the_hours(
    hot: db.Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": datetime(2026, 11, 23, 17, tzinfo=UTC)}  # noon in New York
    claim = queue.claim

    async def then(conn: db.Conn, **about: Any) -> list[queue.Claim]:
        return [replace(one, now=clock["now"]) for one in await claim(conn, **about)]

    monkeypatch.setattr(deliver.queue, "claim", then)
    ask = h.make_ask(shop, to=NEW_YORK, expires_at=clock["now"] + timedelta(days=3))
    (part,) = ask.parts
    ask = replace(ask, parts=(replace(part, terms=Terms(hours=Hours.LEGAL)),))
    (at,) = await h.accepted(hot, ask)
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    ended = settle.Ended(ready, CAPPED, clock["now"])
    rules = h.SETTLE_RULES
    await settle.settle(hot, h.post_of(shop), [ended], rules, dice=lambda: 0.0, new_id=h.new_id)
    await day_comes(hot)
    clock["now"] = datetime(2026, 11, 24, 8, 5, tzinfo=UTC)
    turn = await h.begin(hot, h.post_of(shop))
    assert (turn.ready, turn.deferred) == ([], 1)
    standing = await h.standing(hot, at)
    assert (standing.state, standing.reason) == ("pending", "legal_hours")
    nine = datetime(2026, 11, 24, 14, tzinfo=UTC)
    assert nine <= (await job(hot))[0] < nine + timedelta(seconds=SPREAD_S + HOURS_GUARD_S)


@EVERY_WAY
async def test_what_expired_meanwhile_is_not_sent(hot: db.Conn, shop: h.Shop, way: str) -> None:
    ready = await begun(hot, shop)
    await WAYS[way][0](hot, shop, ready)
    await hot.execute("UPDATE delivery SET expires_at = now()")
    await day_comes(hot)
    assert (await h.begin(hot, h.post_of(shop))).ready == []
    standing = await h.standing(hot, ready.due.delivery_id)
    assert (standing.state, standing.reason) == ("expired", "expired")


async def test_an_answer_about_what_expires_before_midnight_ends_it(
    hot: db.Conn, shop: h.Shop
) -> None:
    ready = await begun(hot, shop)
    soon = replace(ready, due=replace(ready.due, expires_at=h.database_now() + SECOND))
    await settled(hot, shop, soon, CAPPED)
    standing = await h.standing(hot, ready.due.delivery_id)
    assert standing == h.Standing("expired", "expired", ("throttled",), 0, 0, ())


async def test_a_receipt_about_what_expires_before_midnight_is_a_bounce(
    hot: db.Conn, shop: h.Shop
) -> None:
    ready = await begun(hot, shop)
    await settled(hot, shop, ready, Accepted("SM1"))
    await hot.execute("UPDATE delivery SET expires_at = now() + interval '1 s'")
    await hot.commit()
    await h.told(hot, capped(ready))
    standing = await h.standing(hot, ready.due.delivery_id)
    assert standing == h.Standing(
        "undelivered", "undelivered", ("bounced",), 0, 0, ("undelivered",)
    )


@pytest.mark.parametrize("answer", [None, InDoubt("timeout")], ids=["open", "in doubt"])
async def test_what_was_called_back_meanwhile_is_canceled_at_once(
    hot: db.Conn, shop: h.Shop, answer: Outcome | None
) -> None:
    ready = await begun(hot, shop)
    if answer is not None:
        await settled(hot, shop, ready, answer)
    await cancel(
        hot,
        UUID(int=ready.due.delivery_id.int - 1),
        By("key", "test"),
        cell=0,
        dedupe_days=h.DEDUPE_DAYS,
        new_id=h.new_id,
    )
    await h.told(hot, capped(ready))
    assert (await h.begin(hot, h.post_of(shop))).ready == []
    standing = await h.standing(hot, ready.due.delivery_id)
    assert (standing.state, standing.jobs) == ("canceled", 0)


# ------------------------------------------------------------------- what may have arrived


@EVERY_WAY
async def test_a_delivery_that_arrived_after_all_is_not_sent_again(
    hot: db.Conn, shop: h.Shop, way: str
) -> None:
    """Of an answer it is noted that it was wrong; a receipt of a handset stands above another."""
    ready = await begun(hot, shop)
    await WAYS[way][0](hot, shop, ready)
    receipt = h.receipt_for(ready.due.delivery_id, 1, RANK_DELIVERED)
    assert (await h.told(hot, receipt)).applied is Applied.LATE
    standing = await h.standing(hot, ready.due.delivery_id)
    assert (standing.state, standing.jobs) == ("delivered", 0)


async def test_a_second_copy_of_the_receipt_changes_nothing(hot: db.Conn, shop: h.Shop) -> None:
    ready = await begun(hot, shop)
    await by_receipt(hot, shop, ready)
    due = await job(hot)
    assert (await h.told(hot, capped(ready))).applied is Applied.KNOWN
    assert await job(hot) == due


async def test_a_redriven_delivery_parks_beside_its_bounced_attempt(
    hot: db.Conn, shop: h.Shop
) -> None:
    ready = await begun(hot, shop)
    await settled(hot, shop, ready, Accepted("SM1"))
    await h.told(hot, h.receipt_for(ready.due.delivery_id, 1, RANK_UNDELIVERED))
    await redrive(hot, ready.due.delivery_id, Errand(0, "jo", "test", 10.0, h.new_id))
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    await settled(hot, shop, again, Accepted("SM2"))
    await h.told(hot, capped(again))
    assert await parked(hot, ready.due.delivery_id, ("bounced", "bounced"))


async def abandoned(conn: db.Conn, shop: h.Shop) -> tuple[Ready, Ready]:
    """An attempt that was given up while in doubt, and the one that was begun after it."""
    first = await begun(conn, shop, category=AGAIN)
    await settled(conn, shop, first, InDoubt("timeout"))
    await conn.execute("UPDATE timer SET due = now() - interval '1 s' WHERE kind = 'resend'")
    await conn.commit()
    assert (await h.swept(conn)).resends == 1
    await day_comes(conn)
    (second,) = (await h.begin(conn, h.post_of(shop))).ready
    return first, second


@pytest.mark.parametrize(
    "answer", [None, InDoubt("timeout"), Accepted("SM2")], ids=["open", "in doubt", "accepted"]
)
async def test_nothing_is_due_beside_an_attempt_that_may_have_arrived(
    hot: db.Conn, shop: h.Shop, answer: Outcome | None
) -> None:
    first, second = await abandoned(hot, shop)
    if answer is not None:
        await settled(hot, shop, second, answer)
    before = await h.standing(hot, first.due.delivery_id)
    await h.told(hot, capped(first))
    assert await h.standing(hot, first.due.delivery_id) == before
    assert before.jobs == 0
    assert await h.faults(hot) == []


async def test_a_cap_on_the_second_waits_not_where_the_first_was_carried_out(
    hot: db.Conn, shop: h.Shop
) -> None:
    first, second = await abandoned(hot, shop)
    await h.told(hot, h.receipt_for(first.due.delivery_id, 1, RANK_DELIVERED))
    await settled(hot, shop, second, Accepted("SM2"))
    await h.told(hot, capped(second))
    standing = await h.standing(hot, first.due.delivery_id)
    assert (standing.state, standing.jobs) == ("delivered", 0)


async def test_a_repeat_that_waits_already_waits_on_as_it_did(hot: db.Conn, shop: h.Shop) -> None:
    first, second = await abandoned(hot, shop)
    await settled(hot, shop, second, Throttled("429"))
    before = await job(hot)
    await h.told(hot, capped(first))
    assert await job(hot) == before
    assert await h.faults(hot) == []


async def test_what_rests_as_unknown_is_not_sent_again_by_itself(
    hot: db.Conn, shop: h.Shop
) -> None:
    ready = await begun(hot, shop)
    await settled(hot, shop, ready, InDoubt("timeout"))
    await hot.execute("UPDATE timer SET due = now() - interval '1 s'")
    await hot.commit()
    assert (await h.swept(hot)).windows == 1
    await h.told(hot, capped(ready))
    standing = await h.standing(hot, ready.due.delivery_id)
    assert (standing.state, standing.jobs, standing.dead_letters) == (
        "undelivered",
        0,
        ("undelivered",),
    )


async def test_another_accounts_word_parks_nothing(hot: db.Conn, shop: h.Shop) -> None:
    ready = await begun(hot, shop)
    await settled(hot, shop, ready, Accepted("SM1"))
    found = await h.told(hot, capped(ready), provider="sinch")
    assert found == Received(Applied.STRANGE, None, None)
    assert (await h.standing(hot, ready.due.delivery_id)).state == "sent"
