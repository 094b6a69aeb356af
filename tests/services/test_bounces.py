"""Bounces: an address that a provider calls dead is not sent to, unless it was registered since."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Bounce, Ready
from notifyq.domain.outcome import Accepted, Refusal, Refused, Unavailable
from notifyq.providers.apns.answer import read_answer as read_apns
from notifyq.providers.fcm.answer import read_answer as read_fcm
from notifyq.providers.wire import Answer
from notifyq.services import bounces, redrive
from notifyq.store import db
from notifyq.store.bounces import SOFT_BOUNCES_HOURS, SOFT_BOUNCES_MAX
from tests.store import helpers as h


def told(status: int, body: object) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


def fcm_error(status: str, code: str) -> object:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    return {"error": {"status": status, "details": [{"@type": kind, "errorCode": code}]}}


SAID = "SELECT dead_at, dead_code, soft_bounces FROM consent"


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def sent(conn: db.Conn, shop: h.Shop, since: datetime | None = None) -> Ready:
    """One more to the same person, begun."""
    ask = h.make_ask(shop)
    ask = replace(ask, parts=tuple(replace(p, registered_at=since) for p in ask.parts))
    (ready,) = await h.begun(conn, shop, ask)
    return ready


async def bounced(
    conn: db.Conn, ready: Ready, bounce: Bounce | None, at: datetime | None = None
) -> int:
    rank = RANK_DELIVERED if bounce is None else RANK_UNDELIVERED
    receipt = h.receipt_for(ready.due.delivery_id, ready.number, rank)
    news = bounces.of_receipt(ready.due.delivery_id, replace(receipt, bounce=bounce, at=at))
    assert news is not None
    return await bounces.keep(conn, [news], cell=0, new_id=h.new_id)


async def next_one(conn: db.Conn, shop: h.Shop, since: datetime | None = None) -> tuple[str, Any]:
    """What becomes of the next message to the person."""
    ask = h.make_ask(shop)
    ask = replace(ask, parts=tuple(replace(p, registered_at=since) for p in ask.parts))
    (one,) = await h.accepted(conn, ask)
    await h.begin(conn, h.post_of(shop))
    found = await h.all_rows(conn, "SELECT state, reason FROM delivery ORDER BY id DESC LIMIT 1")
    assert one is not None
    return found[0][0], found[0][1]


@pytest.mark.parametrize(
    ("outcome", "dies"),
    [
        (Refused(Refusal.ADDRESS, "21211"), True),
        (Refused(Refusal.ADDRESS, "SENDER_ID_MISMATCH", for_good=False), False),
        (Refused(Refusal.CONTENT, "21617"), False),
        (Unavailable("503"), False),
        (Accepted("SM1"), False),
    ],
)
async def test_only_a_refusal_of_the_address_makes_it_dead(
    hot: db.Conn, outcome: Any, dies: bool
) -> None:
    shop = await h.open_shop(hot)
    ready = await sent(hot, shop)
    news = bounces.of_outcome(ready.due.delivery_id, outcome, h.database_now())
    assert (news is not None) == dies
    assert await bounces.keep(hot, [news] if news else [], cell=0, new_id=h.new_id) == dies
    state, reason = await next_one(hot, shop)
    assert (state, reason) == (("suppressed", "address_dead") if dies else ("pending", None))


@pytest.mark.parametrize(
    ("answer", "for_good"),
    [
        (read_apns(told(410, {"reason": "Unregistered"}), "id"), True),
        (read_apns(told(400, {"reason": "BadDeviceToken"}), "id"), False),
        (read_apns(told(400, {"reason": "DeviceTokenNotForTopic"}), "id"), False),
        (read_fcm(told(404, fcm_error("NOT_FOUND", "UNREGISTERED"))), True),
        (read_fcm(told(403, fcm_error("PERMISSION_DENIED", "SENDER_ID_MISMATCH"))), False),
    ],
)
def test_what_our_own_settings_may_cause_gives_no_device_up(answer: Any, for_good: bool) -> None:
    assert answer.refusal is Refusal.ADDRESS
    assert (bounces.of_outcome(h.new_id(), answer, h.database_now()) is not None) == for_good


async def test_a_registration_after_the_death_lives_and_forgets_it(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    died = datetime.fromisoformat("2026-11-01T12:00:00+00:00")
    await bounced(hot, await sent(hot, shop), Bounce.DEAD, died)
    tick = timedelta(microseconds=1)
    for since in (None, died - tick, died):
        assert await next_one(hot, shop, since) == ("suppressed", "address_dead")
    assert await next_one(hot, shop, died + tick) == ("pending", None)
    assert await h.all_rows(hot, SAID) == [(None, None, 0)]


async def test_news_older_than_the_registration_is_about_another_one(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    registered = datetime.fromisoformat("2026-11-01T12:00:00+00:00")
    tick = timedelta(microseconds=1)
    ready = await sent(hot, shop, registered)
    assert await bounced(hot, ready, Bounce.DEAD, registered - tick) == 0
    assert await h.all_rows(hot, SAID) == [(None, None, 0)]
    assert await bounced(hot, ready, Bounce.DEAD, registered) == 1


async def test_soft_bounces_in_a_row_are_as_good_as_dead(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await sent(hot, shop)
    last = h.database_now()
    first = last - timedelta(hours=SOFT_BOUNCES_HOURS)
    for _ in range(SOFT_BOUNCES_MAX - 1):
        await bounced(hot, ready, Bounce.SOFT, first)
    ((dead_at, _, soft),) = await h.all_rows(hot, SAID)
    assert (dead_at, soft) == (None, SOFT_BOUNCES_MAX - 1)
    await bounced(hot, ready, Bounce.SOFT, last)
    assert await h.all_rows(hot, SAID) == [(last, "soft", SOFT_BOUNCES_MAX)]
    assert await next_one(hot, shop) == ("suppressed", "address_dead")


async def test_soft_bounces_within_three_days_are_not_however_many(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await sent(hot, shop)
    last = h.database_now()
    first = last - timedelta(hours=SOFT_BOUNCES_HOURS) + timedelta(microseconds=1)
    for at in (first, *[last] * SOFT_BOUNCES_MAX):
        await bounced(hot, ready, Bounce.SOFT, at)
    assert await h.all_rows(hot, SAID) == [(None, None, SOFT_BOUNCES_MAX + 1)]
    assert await next_one(hot, shop) == ("pending", None)


async def test_one_that_arrives_between_begins_the_count_anew(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await sent(hot, shop)
    for _ in range(SOFT_BOUNCES_MAX - 1):
        await bounced(hot, ready, Bounce.SOFT)
    assert await bounced(hot, ready, None) == 1
    before = await h.all_rows(hot, "SELECT ctid::text, xmin::text, xmax::text FROM consent")
    assert await bounced(hot, ready, None) == 0  # and the next costs no write, nor a lock
    after = await h.all_rows(hot, "SELECT ctid::text, xmin::text, xmax::text FROM consent")
    assert after == before
    await bounced(hot, ready, Bounce.SOFT)
    assert await h.all_rows(hot, SAID) == [(None, None, 1)]


@pytest.mark.parametrize("bounce", [Bounce.CONTENT, Bounce.OURS])
def test_a_bounce_that_is_not_the_address_says_nothing_of_it(bounce: Bounce) -> None:
    receipt = h.receipt_for(h.new_id(), 1, RANK_UNDELIVERED)
    assert bounces.of_receipt(h.new_id(), replace(receipt, bounce=bounce)) is None


async def test_whoever_redrives_says_that_the_address_is_good(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await sent(hot, shop)
    refused = Refused(Refusal.ADDRESS, "21211")
    await h.settled(hot, h.post_of(shop), (ready, refused))
    news = bounces.of_outcome(ready.due.delivery_id, refused, h.database_now())
    assert news is not None
    await bounces.keep(hot, [news], cell=0, new_id=h.new_id)
    errand = redrive.Errand(0, "ann", "mended", 10.0, h.new_id)
    done = await redrive.redrive(hot, ready.due.delivery_id, errand)
    assert isinstance(done, redrive.Redriven)
    assert done.due is not None
    assert [r.due.delivery_id for r in (await h.begin(hot, h.post_of(shop))).ready] == [
        ready.due.delivery_id
    ]
    # A worker that was slow to note the refusal does not undo it, and a new one counts again.
    assert await bounces.keep(hot, [news], cell=0, new_id=h.new_id) == 0
    later = replace(news, at=h.database_now() + timedelta(minutes=1))
    assert await bounces.keep(hot, [later], cell=0, new_id=h.new_id) == 1
