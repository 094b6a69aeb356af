"""What Twilio tells us later, over HTTP, signed by Twilio's own library: believed only if signed,
applied once, in whatever order it comes."""

import asyncio
import itertools
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest

from notifyq.domain import ids
from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import Channel, DoubtRules
from notifyq.domain.outcome import Accepted, InDoubt, Throttled
from notifyq.services import bounces
from notifyq.services.maintain import Rules, sweep
from notifyq.store import db, ledger
from notifyq.store.db import Unknown
from tests.store import helpers as h

SID = "SM" + "a" * 32
STATE = "SELECT state::text, reason FROM delivery WHERE id = %s"
ATTEMPT = (
    "SELECT outcome::text, provider_id, late_at IS NOT NULL FROM attempt WHERE delivery_id = %s"
)


@pytest.fixture
def begun(client: Any, post: Any, hand: Any) -> Any:
    """await begun() -> one open attempt of a live notification on twilio-main."""

    async def begin() -> Any:
        assert (await post(client)).status_code == 202
        (ready,) = await hand.begin()
        return ready

    return begin


def reference(ready: Any) -> str:
    return ids.reference(0, ready.due.delivery_id, ready.number)


async def state(database: Any, ready: Any) -> tuple[str, str | None]:
    (found,) = await database.rows(STATE, ready.due.delivery_id)
    return found


async def attempt(database: Any, ready: Any) -> tuple[str, str | None, bool]:
    (found,) = await database.rows(ATTEMPT, ready.due.delivery_id)
    return found


# ------------------------------------------------------------------------------ signatures


async def test_a_signed_callback_moves_its_delivery(
    client: Any, begun: Any, hand: Any, callback: Any, database: Any
) -> None:
    ready = await begun()
    assert await hand.end(ready, Accepted(SID))
    assert await state(database, ready) == ("sent", None)
    answer = await callback(client, reference(ready), "delivered")
    assert (answer.status_code, answer.content) == (200, b"<Response/>")
    assert answer.headers["content-type"].startswith("text/xml")
    assert await state(database, ready) == ("delivered", None)
    (kept,) = await database.rows("SELECT provider, provider_id, status, code FROM receipt")
    assert kept == ("twilio-main", SID, "delivered", None)


async def test_an_error_code_is_kept(
    client: Any, begun: Any, hand: Any, callback: Any, database: Any
) -> None:
    ready = await begun()
    await hand.end(ready, Accepted(SID))
    fields = {"ErrorCode": "30003"}
    answer = await callback(client, reference(ready), "undelivered", fields=fields)
    assert answer.status_code == 200
    assert await state(database, ready) == ("undelivered", "undelivered")
    assert await database.one("SELECT code FROM receipt") == "30003"
    assert (await attempt(database, ready))[0] == "bounced"


@pytest.mark.parametrize(
    "spell",
    [
        lambda form: urlencode(form),
        lambda form: urlencode(form, quote_via=quote),
        lambda form: urlencode(dict(reversed(list(form.items())))),
        lambda form: urlencode(form).replace("%2B", "%2b"),
        lambda form: "&".join(f"{k}={''.join(f'%{b:02x}' for b in v.encode())}" for k, v in form.items()),  # noqa: E501
    ],
    ids=["plus", "percent", "reversed", "lower-case", "everything escaped"],
)  # fmt: skip
async def test_the_signature_is_of_the_fields_however_the_bytes_spell_them(
    client: Any, begun: Any, callback: Any, database: Any, spell: Any
) -> None:
    ready = await begun()
    odd = "a b+c%d&e=f\u00e4\U0001f600"
    form = {"MessageSid": SID, "MessageStatus": "delivered", "Body": odd}
    full = {
        "ApiVersion": "2010-04-01", "AccountSid": "AC" + "1" * 32, "From": "+14155550110",
        "To": "+14155550123", "SmsSid": SID, "SmsStatus": "delivered", **form,
    }  # fmt: skip
    answer = await callback(
        client, reference(ready), "delivered", fields={"Body": odd}, sent=spell(full).encode()
    )
    assert answer.status_code == 200, answer.text
    assert await state(database, ready) == ("delivered", None)


WRONG = {
    "none at all": {"signature": ""},
    "another token": {"token": "not-the-token"},
    "the spare account's token": {"token": "spare-token"},
    "the sandbox's token": {"token": "sandbox-token-known-to-everybody"},
    "an empty token": {"token": " "},
    "a word": {"signature": "abc"},
    "not ascii": {"signature": "\u00e4"},
    "for another host": {"public_url": "https://evil.example.org"},
    "for plain http": {"public_url": "http://notify.example.org"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_wrong_signature_is_refused_and_nothing_is_stored(
    client: Any,
    begun: Any,
    callback: Any,
    problem: Any,
    stores_nothing: Any,
    wrong: dict[str, str],
    database: Any,
) -> None:
    ready = await begun()
    async with stores_nothing():
        answer = await callback(client, reference(ready), "delivered", **wrong)
    problem(answer, 403, "bad_signature", says="signature")
    assert await state(database, ready) == ("pending", None)


async def test_without_the_header_it_is_refused(
    client: Any, begun: Any, problem: Any, stores_nothing: Any
) -> None:
    ready = await begun()
    async with stores_nothing():
        answer = await client.post(
            f"/callbacks/twilio-main?reference={reference(ready)}",
            data={"MessageSid": SID, "MessageStatus": "delivered"},
        )
    problem(answer, 403, "bad_signature", says="no signature")


def _form(**changes: str) -> bytes:
    form = {
        "ApiVersion": "2010-04-01", "AccountSid": "AC" + "1" * 32, "From": "+14155550110",
        "To": "+14155550123", "MessageSid": SID, "MessageStatus": "sent", "SmsSid": SID,
        "SmsStatus": "sent", **changes,
    }  # fmt: skip
    return urlencode(form).encode()


@pytest.mark.parametrize(
    "sent",
    [
        _form(MessageStatus="delivered"),
        _form(MessageSid="SM" + "b" * 32),
        _form(More="1"),
        _form() + b"&MessageStatus=delivered",
        _form().replace(b"&SmsStatus=sent", b""),
        _form(To="+14155550124"),
    ],
    ids=["status", "sid", "a field more", "a field twice", "a field less", "another number"],
)
async def test_a_tampered_body_is_refused(
    client: Any, begun: Any, callback: Any, problem: Any, stores_nothing: Any, sent: bytes
) -> None:
    ready = await begun()
    async with stores_nothing():
        answer = await callback(client, reference(ready), "sent", sent=sent)
    problem(answer, 403, "bad_signature")


async def test_a_tampered_reference_is_refused(
    client: Any, begun: Any, callback: Any, problem: Any, stores_nothing: Any, database: Any
) -> None:
    mine, other = await begun(), await begun()
    async with stores_nothing():
        for query in (f"reference={reference(other)}", f"reference={reference(mine)}&x=1", ""):
            answer = await callback(client, reference(mine), "delivered", sent_query=query)
            problem(answer, 403, "bad_signature")
    assert await state(database, other) == ("pending", None)


async def test_what_the_proxy_made_of_the_host_does_not_matter(
    client: Any, begun: Any, callback: Any, database: Any
) -> None:
    """Signed is the public URL, called is whatever stands behind the proxy."""
    ready = await begun()
    client.headers["Host"] = "10.0.0.7:8180"
    client.headers["X-Forwarded-Host"] = "evil.example.org"
    assert (await callback(client, reference(ready), "sent")).status_code == 200
    assert await state(database, ready) == ("sent", None)


# --------------------------------------------------------------------------- whose callback


async def test_a_provider_that_is_not_configured_is_not_found(
    client: Any, begun: Any, callback: Any, problem: Any, stores_nothing: Any
) -> None:
    ready = await begun()
    async with stores_nothing():
        for name in ("nobody", "twilio", "TWILIO-MAIN", "twilio-main%20"):
            answer = await callback(
                client, reference(ready), "sent", provider=name, token="main-token"
            )
            problem(answer, 404, "not_found", says="provider")


@pytest.mark.parametrize("other", ["twilio-spare", "sandbox-sms"])
async def test_another_accounts_word_does_not_count_for_an_attempt(
    client: Any, begun: Any, hand: Any, callback: Any, database: Any, other: str
) -> None:
    """The sandbox's token is known to everybody, and a delivery's id to its producer: together
    they would settle, bounce or deliver whatever is in doubt at a real provider."""
    ready = await begun()
    await hand.end(ready, InDoubt("timeout"))
    answer = await callback(client, reference(ready), "delivered", provider=other)
    assert answer.status_code < 500
    assert await state(database, ready) == ("in_doubt", "answer_lost")
    assert await attempt(database, ready) == ("in_doubt", None, False)


# --------------------------------------------------------------------- once, in any order


async def test_a_second_copy_changes_nothing(
    client: Any, begun: Any, callback: Any, stores_nothing: Any, database: Any
) -> None:
    ready = await begun()
    assert (await callback(client, reference(ready), "delivered")).status_code == 200
    before = await database.rows("SELECT changed_at FROM delivery")
    async with stores_nothing():
        for _ in range(3):
            assert (await callback(client, reference(ready), "delivered")).status_code == 200
    assert await database.rows("SELECT changed_at FROM delivery") == before


async def test_many_copies_at_once_are_one_receipt_and_one_event(
    client: Any, begun: Any, callback: Any, database: Any
) -> None:
    ready = await begun()
    answers = await asyncio.gather(
        *(callback(client, reference(ready), "delivered") for _ in range(30))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert await database.one("SELECT count(*) FROM receipt") == 1
    told = await database.rows("SELECT kind FROM outbox WHERE kind LIKE 'delivery.%%'")
    assert told == [("delivery.delivered",)]


ORDERS = [
    *itertools.permutations(("queued", "sending", "sent", "delivered")),
    *itertools.permutations(("sent", "undelivered", "delivered")),
]


async def test_every_order_of_good_news_ends_as_delivered(
    client: Any, post: Any, hand: Any, callback: Any, database: Any
) -> None:
    for _ in ORDERS:
        assert (await post(client)).status_code == 202
    everyone = await hand.begin()
    for ready, order in zip(everyone, ORDERS, strict=True):
        for status in order:
            answer = await callback(client, reference(ready), status)
            assert answer.status_code == 200
        assert await state(database, ready) == ("delivered", None), order
    assert await database.one("SELECT count(*) FROM receipt") == sum(map(len, ORDERS))


@pytest.mark.parametrize("order", list(itertools.permutations(("queued", "sent", "undelivered"))))
async def test_every_order_of_bad_news_ends_as_undelivered(
    client: Any, begun: Any, callback: Any, database: Any, order: tuple[str, ...]
) -> None:
    ready = await begun()
    for status in order:
        await callback(client, reference(ready), status)
    assert await state(database, ready) == ("undelivered", "undelivered")
    assert (await attempt(database, ready))[0] == "bounced"


async def test_all_statuses_at_once_end_as_delivered(
    client: Any, begun: Any, callback: Any, database: Any
) -> None:
    ready = await begun()
    statuses = ["queued", "sending", "sent", "undelivered", "delivered"] * 4
    await asyncio.gather(*(callback(client, reference(ready), each) for each in statuses))
    assert await state(database, ready) == ("delivered", None)
    assert await database.one("SELECT count(*) FROM receipt") == 5


# --------------------------------------------------------------------------------- evidence


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        ("queued", ("sent", None)),
        ("sent", ("sent", None)),
        ("delivered", ("delivered", None)),
        ("undelivered", ("undelivered", "undelivered")),
        ("failed", ("undelivered", "undelivered")),
    ],
)
async def test_a_receipt_settles_an_attempt_that_is_in_doubt(
    client: Any,
    begun: Any,
    hand: Any,
    callback: Any,
    database: Any,
    status: str,
    ends: tuple[str, str | None],
) -> None:
    ready = await begun()
    await hand.end(ready, InDoubt("timeout"))
    assert await state(database, ready) == ("in_doubt", "answer_lost")
    assert await database.one("SELECT count(*) FROM timer") == 1
    assert (await callback(client, reference(ready), status)).status_code == 200
    assert await state(database, ready) == ends
    assert (await attempt(database, ready))[1] == SID
    assert await database.one("SELECT count(*) FROM timer") == 0
    assert await database.one("SELECT count(*) FROM job") == 0


async def test_a_receipt_that_overtakes_the_answer_stands(
    client: Any, begun: Any, hand: Any, callback: Any, database: Any
) -> None:
    ready = await begun()
    assert (await callback(client, reference(ready), "delivered")).status_code == 200
    assert not await hand.end(ready, InDoubt("timeout"))
    assert await state(database, ready) == ("delivered", None)
    assert await attempt(database, ready) == ("accepted", SID, False)


async def test_evidence_corrects_what_rests_as_unknown(
    client: Any, begun: Any, hand: Any, callback: Any, database: Any
) -> None:
    ready = await begun()
    await hand.end(ready, InDoubt("timeout"))
    await database.do("UPDATE timer SET due = now() - interval '1 second'")
    rules = Rules({}, DoubtRules(1), 40)
    swept = await sweep(hand.conn, rules, cell=0, new_id=hand.new_id)
    assert swept.windows == 1
    assert await state(database, ready) == ("unknown", "outcome_unknown")
    assert await database.one("SELECT count(*) FROM dead_letter") == 1
    assert (await callback(client, reference(ready), "delivered")).status_code == 200
    assert await state(database, ready) == ("delivered", None)
    assert await database.one("SELECT count(*) FROM dead_letter") == 0


async def test_a_receipt_for_a_closed_attempt_is_counted_once_and_stops_its_retry(
    client: Any,
    begun: Any,
    hand: Any,
    callback: Any,
    database: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """We took it for not carried out, and were wrong: that has to be seen."""
    caplog.set_level(logging.INFO, "notifyq.receive")
    ready = await begun()
    await hand.end(ready, Throttled("20429"))
    assert await state(database, ready) == ("pending", "retry_throttled")
    for status in ("sent", "delivered", "sent"):
        assert (await callback(client, reference(ready), status)).status_code == 200
    assert await state(database, ready) == ("delivered", None)
    assert await database.one("SELECT count(*) FROM job") == 0
    assert await attempt(database, ready) == ("throttled", SID, True)
    assert await database.one("SELECT count(*) FROM receipt") == 2
    lines = [r.getMessage() for r in caplog.records if r.name == "notifyq.receive"]
    assert sum("event=receipt.late" in line for line in lines) == 1


async def test_a_timeline_shows_what_came_late(
    client: Any, begun: Any, hand: Any, callback: Any
) -> None:
    ready = await begun()
    await hand.end(ready, Throttled("20429"))
    await callback(client, reference(ready), "sent")
    named = ids.public_id("ntf", 0, ids.notification_of(ready.due.delivery_id))
    answer = await client.get(f"/v1/notifications/{named}/timeline")
    events = [entry["event"] for entry in answer.json()["data"]]
    assert events.index("attempt.begun") < events.index("attempt.throttled")
    assert "attempt.accepted_late" in events
    assert "receipt" in events


# ------------------------------------------------------------------------- what says nothing


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"query": "x=1"}, "no reference"),
        ({"query": "reference=a&reference=b"}, "no reference"),
        ({"query": "reference="}, "no reference"),
        ({"sid": "XX" + "a" * 32}, "no message sid"),
        ({"sid": ""}, "no message sid"),
        ({"status": "teleported"}, "no status"),
        ({"status": ""}, "no status"),
        ({"sent": b"{}"}, "not a form"),
        ({"sent": b"a=%zz"}, "not a form"),
        ({"sent": b"a=\xff"}, "not a form"),
        ({"sent": b"&".join(b"a=%d" % n for n in range(200))}, "not a form"),
    ],
    ids=str,
)
async def test_a_signed_callback_that_says_nothing_is_refused(
    client: Any,
    begun: Any,
    callback: Any,
    problem: Any,
    stores_nothing: Any,
    changes: dict[str, Any],
    says: str,
) -> None:
    ready = await begun()
    given = dict(changes)
    status = given.pop("status", "sent")
    async with stores_nothing():
        answer = await callback(client, reference(ready), status, **given)
    problem(answer, 400, "invalid_callback", says=says)


async def test_a_callback_is_read_up_to_the_limit_of_a_body(
    client: Any, begun: Any, callback: Any, problem: Any, stores_nothing: Any
) -> None:
    ready = await begun()
    async with stores_nothing():
        answer = await callback(client, reference(ready), "sent", sent=b"a=" + b"x" * 1_048_575)
    problem(answer, 413, "body_too_large")


def strange_references() -> dict[str, str]:
    now = ids.new_notification_id(datetime.now(UTC), 5)
    ago = ids.new_notification_id(datetime.now(UTC) - timedelta(days=400), 5)
    ahead = ids.new_notification_id(datetime.now(UTC) + timedelta(days=4_000), 5)
    return {
        "no reference of ours": "abc",
        "of nothing": ids.reference(0, ids.delivery_id(now, 1), 1),
        "of long ago": ids.reference(0, ids.delivery_id(ago, 1), 1),
        "of the future": ids.reference(0, ids.delivery_id(ahead, 1), 1),
        "of another cell": ids.reference(7, ids.delivery_id(now, 1), 1),
        "of a cell that cannot be": ids.reference(65_535, ids.delivery_id(now, 1), 1),
        "of attempt 40,000": ids.reference(0, ids.delivery_id(now, 1), 40_000),
        "of attempt 0": ids.reference(0, ids.delivery_id(now, 1), 0),
    }


@pytest.mark.parametrize("which", strange_references())
async def test_a_reference_that_leads_nowhere_is_not_our_bug(
    client: Any, callback: Any, database: Any, which: str
) -> None:
    """A 5xx would have the provider try again what can never be placed."""
    answer = await callback(client, strange_references()[which], "delivered")
    assert answer.status_code in (200, 400, 404), answer.text
    assert await database.one("SELECT count(*) FROM delivery") == 0


@pytest.mark.parametrize(
    "error",
    [psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout],
    ids=lambda error: error.__name__,
)
async def test_a_connection_that_breaks_is_503_so_the_provider_comes_again(
    client: Any,
    begun: Any,
    callback: Any,
    problem: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    ready = await begun()

    async def broken(*_: Any, **__: Any) -> None:
        raise error("gone")

    monkeypatch.setattr("notifyq.entrypoints.api.callbacks.receive", broken)
    answer = await callback(client, reference(ready), "delivered")
    problem(answer, 503, "unavailable", retryable=True)


# ------------------------------------------------------------------------------ objections

OBJECTS = {"ErrorCode": "30004"}  # the person has us blocked
OPT_OUTS = "SELECT count(*) FROM consent_event WHERE kind = 'opt_out'"


@pytest.fixture
def objected(client: Any, begun: Any, callback: Any) -> Any:
    """await objected() -> the answer to one more copy of a receipt that says somebody objects."""
    made: list[Any] = []

    async def tell() -> Any:
        if not made:
            made.append(await begun())
        return await callback(client, reference(made[0]), "undelivered", fields=OBJECTS)

    return tell


async def test_an_objection_is_noted_by_the_copy_after_one_that_failed(
    objected: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt was kept; what it says of the person was not."""

    async def broken(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("notifyq.services.bounces.keep", broken)
        assert (await objected()).status_code == 503
    assert await database.one("SELECT count(*) FROM receipt") == 1
    assert await database.one(OPT_OUTS) == 0
    assert (await objected()).status_code == 200
    assert await database.one(OPT_OUTS) == 1
    assert await database.one("SELECT blocked FROM consent") is True


async def test_an_objection_that_may_not_be_stored_is_asked_for_again(
    objected: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = bounces.transact

    async def unsure(*arguments: Any) -> Unknown:
        await right(*arguments)
        return Unknown("the connection broke in the commit")

    with monkeypatch.context() as patch:
        patch.setattr(bounces, "transact", unsure)
        problem(await objected(), 503, "unavailable", retryable=True)
    assert (await objected()).status_code == 200


async def test_a_copy_of_an_objection_is_noted_once_and_does_not_undo_a_start(
    objected: Any, database: Any, database_url: str
) -> None:
    """Copies come for hours, and Twilio says of none when it happened."""
    await objected()
    async with await db.connect(database_url) as conn:
        await h.a_while_later(conn)
        ((brand, key),) = await h.all_rows(conn, "SELECT brand, address_key FROM consent")
        person = ledger.Person(brand, Channel.SMS, key)
        start = ledger.Entry(Kind.LIFT, Source.SMS, "twilio-main", "START")
        await ledger.note(conn, person, start, cell=0, event_id=h.new_id())
        await conn.commit()
        await h.a_while_later(conn)
    await objected()
    assert await database.one(OPT_OUTS) == 1
    assert await database.one("SELECT blocked FROM consent") is False
