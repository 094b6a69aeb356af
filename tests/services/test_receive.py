"""Receive: a receipt is applied once, whatever order it comes in."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from notifyq.domain.ids import delivery_id, new_notification_id
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Ready, Receipt
from notifyq.domain.outcome import Accepted, InDoubt, Refusal, Refused
from notifyq.services import receive
from notifyq.services.receive import Applied, Received
from notifyq.store import db
from tests.store import helpers as h

SENT = 3  # a rank below both ends


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def sent(conn: db.Conn) -> tuple[h.Shop, Ready]:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    await h.settled(conn, h.post_of(shop), (ready, Accepted("SM1")))
    return shop, ready


@pytest.mark.parametrize(
    ("ranks", "applied", "state", "outcome"),
    [
        ([SENT, RANK_DELIVERED], ["KNOWN", "MOVED"], "delivered", "accepted"),
        ([RANK_DELIVERED, SENT], ["MOVED", "KNOWN"], "delivered", "accepted"),
        ([RANK_UNDELIVERED], ["MOVED"], "undelivered", "bounced"),
        ([RANK_UNDELIVERED, RANK_DELIVERED], ["MOVED", "MOVED"], "delivered", "accepted"),
        ([RANK_DELIVERED, RANK_UNDELIVERED], ["MOVED", "KNOWN"], "delivered", "accepted"),
        ([RANK_DELIVERED, RANK_DELIVERED], ["MOVED", "KNOWN"], "delivered", "accepted"),
        ([RANK_UNDELIVERED, SENT], ["MOVED", "KNOWN"], "undelivered", "bounced"),
    ],
)
async def test_the_receipt_of_the_highest_rank_stands(
    hot: db.Conn, ranks: list[int], applied: list[str], state: str, outcome: str
) -> None:
    _, ready = await sent(hot)
    at = ready.due.delivery_id
    found = [await h.told(hot, h.receipt_for(at, 1, rank)) for rank in ranks]
    assert [f.applied.name for f in found] == applied
    after = await h.standing(hot, at)
    assert (after.state, after.outcomes) == (state, (outcome,))
    assert await h.faults(hot) == []
    moves = await h.one(
        hot, "SELECT count(*) FROM outbox WHERE kind IN ('delivery.delivered', "
        "'delivery.undelivered')"
    )  # fmt: skip
    assert moves == applied.count("MOVED")
    assert await h.one(hot, "SELECT count(*) FROM receipt") == len(set(ranks))


@pytest.mark.parametrize("rank", [1, SENT, RANK_UNDELIVERED, RANK_DELIVERED])
async def test_a_receipt_settles_an_attempt_that_is_still_open(hot: db.Conn, rank: int) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    at = ready.due.delivery_id
    assert (await h.told(hot, h.receipt_for(at, 1, rank))).applied is Applied.MOVED
    states = {RANK_UNDELIVERED: "undelivered", RANK_DELIVERED: "delivered"}
    after = await h.standing(hot, at)
    assert after.state == states.get(rank, "sent")
    assert await h.settled(hot, h.post_of(shop), (ready, InDoubt("timeout"))) == set()
    assert await h.standing(hot, at) == after


async def test_a_receipt_ends_a_doubt_and_its_window(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (ready, InDoubt("timeout")))
    at = ready.due.delivery_id
    assert (await h.standing(hot, at)).timers == 1
    assert (await h.told(hot, h.receipt_for(at, 1, SENT))).applied is Applied.MOVED
    assert await h.standing(hot, at) == h.Standing("sent", None, ("accepted",), 0, 0, ())


@pytest.mark.parametrize(
    ("rank", "state"),
    [(SENT, "sent"), (RANK_DELIVERED, "delivered"), (RANK_UNDELIVERED, "undelivered")],
)
async def test_late_evidence_corrects_an_unknown_one_and_its_dead_letter(
    hot: db.Conn, rank: int, state: str
) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (ready, InDoubt("timeout")))
    await hot.execute("UPDATE timer SET due = now() - interval '1 s'")
    await hot.commit()
    await h.swept(hot)
    at = ready.due.delivery_id
    before = await h.standing(hot, at)
    assert (before.state, before.dead_letters) == ("unknown", ("outcome_unknown",))
    assert (await h.told(hot, h.receipt_for(at, 1, rank))).applied is Applied.MOVED
    after = await h.standing(hot, at)
    letters = ("undelivered",) if state == "undelivered" else ()
    assert (after.state, after.dead_letters, after.timers) == (state, letters, 0)


async def test_evidence_for_an_attempt_that_was_refused_is_late_once(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (ready, Refused(Refusal.ADDRESS, "21211")))
    at = ready.due.delivery_id
    before = await h.standing(hot, at)
    assert (await h.told(hot, h.receipt_for(at, 1, SENT))).applied is Applied.LATE
    assert (await h.told(hot, h.receipt_for(at, 1, RANK_DELIVERED))).applied is Applied.KNOWN
    assert await h.standing(hot, at) == before
    assert await h.all_rows(hot, "SELECT late_at IS NOT NULL, provider_id FROM attempt") == [
        (True, "SM1")
    ]


async def test_a_receipt_for_an_attempt_that_never_was_is_strange(hot: db.Conn) -> None:
    _, ready = await sent(hot)
    at = ready.due.delivery_id
    assert (await h.told(hot, h.receipt_for(at, 9, RANK_DELIVERED))).applied is Applied.STRANGE
    nobody = delivery_id(h.new_id(), 1)
    assert (await h.told(hot, h.receipt_for(nobody, 1, SENT))).applied is Applied.STRANGE
    assert (await h.standing(hot, at)).state == "sent"


async def test_only_the_account_that_sent_it_can_say_what_became_of_it(hot: db.Conn) -> None:
    _, ready = await sent(hot)
    at = ready.due.delivery_id
    receipt = h.receipt_for(at, 1, RANK_DELIVERED)
    assert (await h.told(hot, receipt, "another")).applied is Applied.STRANGE
    assert (await h.standing(hot, at)).state == "sent"
    assert await h.one(hot, "SELECT count(*) FROM receipt") == 0
    assert (await h.told(hot, receipt)).applied is Applied.MOVED


async def test_a_reference_that_is_none_is_strange_and_kept_nowhere(hot: db.Conn) -> None:
    found = await h.told(hot, Receipt("no reference", "SM1", "sent", SENT, None))
    assert found == Received(Applied.STRANGE, None, None)
    assert await h.one(hot, "SELECT count(*) FROM receipt") == 0


@pytest.mark.parametrize("year", [2019, 2031])
async def test_a_reference_of_another_time_is_strange(hot: db.Conn, year: int) -> None:
    at = new_notification_id(datetime(year, 5, 1, tzinfo=UTC), 7)
    found = await h.told(hot, h.receipt_for(delivery_id(at, 1), 1, SENT))
    assert found.applied is Applied.STRANGE


async def test_a_receipt_that_changes_nothing_writes_no_attempt(hot: db.Conn) -> None:
    _, ready = await sent(hot)
    before = await h.all_rows(hot, "SELECT xmin::text, ctid FROM attempt")
    found = await h.told(hot, h.receipt_for(ready.due.delivery_id, 1, SENT))
    assert found.applied is Applied.KNOWN
    assert await h.all_rows(hot, "SELECT xmin::text, ctid FROM attempt") == before


async def test_what_was_delivered_after_all_keeps_no_code_of_a_bounce(hot: db.Conn) -> None:
    _, ready = await sent(hot)
    at = ready.due.delivery_id
    bounce = h.receipt_for(at, 1, RANK_UNDELIVERED)
    await h.told(hot, Receipt(bounce.reference, "SM1", "undelivered", RANK_UNDELIVERED, "30008"))
    assert await h.one(hot, "SELECT code FROM attempt") == "30008"
    await h.told(hot, h.receipt_for(at, 1, RANK_DELIVERED))
    assert await h.one(hot, "SELECT code FROM attempt") is None


async def test_a_receipt_whose_commit_is_unknown_is_not_acknowledged(
    hot: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ready = await sent(hot)

    async def broken() -> None:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(hot, "commit", broken)
    found = await receive.receive(
        hot,
        "twilio",
        h.receipt_for(ready.due.delivery_id, 1, SENT, provider_id=str(uuid4())),
        new_id=h.new_id,
        dedupe_days=h.DEDUPE_DAYS,
    )
    assert isinstance(found, db.Unknown)
