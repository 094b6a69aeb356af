"""SendGrid's answers, each row of the tables, the request, look-ups, and what others make of it.

The second opinion on the request is SendGrid's own OpenAPI document.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

from notifyq.domain.content import EmailContent, SmsContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.provider import Check, LookUpFailed, Provider, Seen, Sighting, Sought
from notifyq.providers.sendgrid.account import NEEDED
from notifyq.providers.sendgrid.answer import FIELDS, STATUSES
from notifyq.providers.sendgrid.client import SendGrid
from notifyq.providers.sendgrid.look_up import RANKS
from notifyq.providers.wire import RETRY_AFTER_S_MAX, Answer, Lost, NeverLeft, Wire
from tests.providers.fuzz import mutated

SPEC = Path(__file__).parents[3] / "shared" / "specs" / "tsg_mail_v3.json"
NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
KEY = "SG.key-known-to-the-test"
BASE = "https://api.sendgrid.com"
ID = "LB8TzB4nQtOXm6dxnzOqug"
REFERENCE = "0123456789abcdefghijklmnopqrstuv"
MESSAGE = Message(
    reference=REFERENCE,
    collapse_id="c",
    to="ann@example.org",
    sender=Sender("shop@example.com", 'Größe, "Shop" & Söhne'),
    content=EmailContent("Größe 50 %", "Plain €", "<p>Rich 🙂</p>"),
    callback_url="https://notify.example.com/callbacks/mail?reference=ref",
    validity_s=600,
    expires_at=NOW + timedelta(minutes=10),
)
TO = "personalizations.0.to.0.email"
ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT


class FakeWire(Wire):
    """Answers as told, one after the other, and keeps the requests."""

    def __init__(self, *results: Answer | NeverLeft | Lost) -> None:
        super().__init__(max_in_flight=1)
        self.results = list(results)
        self.requests: list[httpx.Request] = []

    async def exchange(
        self, request: httpx.Request, *, timeout_s: float
    ) -> Answer | NeverLeft | Lost:
        assert 0 < timeout_s <= 5
        self.requests.append(request)
        return self.results.pop(0)


def sendgrid(wire: Wire, **changes: Any) -> SendGrid:
    settings: dict[str, Any] = {"name": "mail", "base_url": BASE, "api_key": KEY}
    return SendGrid(wire=wire, now=lambda: NOW, **{**settings, **changes})


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def error(status: int, field: str | None = None, message: str = "no") -> Answer:
    return answer(status, {"errors": [{"message": message, "field": field, "help": None}]})


async def outcome_of(result: Answer | NeverLeft | Lost) -> Outcome:
    return await sendgrid(FakeWire(result)).send(MESSAGE, timeout_s=1)


BY_STATUS: dict[int, Outcome] = {
    400: Refused(CONTENT, "http_400"),
    401: Misconfigured("http_401"),
    403: Misconfigured("http_403"),
    404: Misconfigured("http_404"),
    405: Misconfigured("http_405"),
    406: Misconfigured("http_406"),
    413: Refused(CONTENT, "http_413"),
    415: Misconfigured("http_415"),
}
BY_FIELD: dict[str, Outcome] = {
    TO: Refused(ADDRESS, f"http_400.{TO}"),
    "from": Misconfigured("http_400.from"),
    "from.email": Misconfigured("http_400.from.email"),
    "from.name": Misconfigured("http_400.from.name"),
    "mail_settings": Misconfigured("http_400.mail_settings"),
    "authorization": Misconfigured("http_400.authorization"),
}


@pytest.mark.parametrize("status", BY_STATUS)
async def test_each_status_means_what_the_table_says(status: int) -> None:
    assert await outcome_of(error(status)) == BY_STATUS[status]
    assert await outcome_of(error(status, "null")) == BY_STATUS[status]


@pytest.mark.parametrize("field", BY_FIELD)
async def test_each_field_means_what_the_table_says(field: str) -> None:
    assert await outcome_of(error(400, field)) == BY_FIELD[field]


def test_the_tables_here_and_the_clients_have_the_same_rows() -> None:
    assert BY_STATUS.keys() == STATUSES.keys()
    assert BY_FIELD.keys() == FIELDS.keys()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_a_server_error_is_in_doubt_whatever_it_says(status: int) -> None:
    for field in (None, *FIELDS):
        assert isinstance(
            await outcome_of(error(status, field, "Maximum credits exceeded")), InDoubt
        )
    assert await outcome_of(answer(status, b"<html>", X_Message_Id=ID)) == InDoubt(f"http_{status}")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer(202, b"", X_Message_Id=ID), Accepted(ID)),
        (Answer(202, {"x-message-id": ID}, b""), Accepted(ID)),
        (answer(202, b"", X_Message_Id=f"{ID}.filter0001.1"), Accepted(ID)),
        (answer(202, b""), InDoubt("http_202")),
        (answer(202, b"", X_Message_Id=""), InDoubt("http_202")),
        (answer(202, b"", X_Message_Id=".x"), InDoubt("http_202")),
        (answer(202, b"", X_Message_Id="a b"), InDoubt("http_202")),
        (answer(202, b"", X_Message_Id="a" * 101), InDoubt("http_202")),
        (answer(200, b"", X_Message_Id=ID), InDoubt("http_200")),
        (answer(101, b""), InDoubt("http_101")),
        (answer(204, b"", X_Message_Id=ID), InDoubt("http_204")),
        (answer(301, b"", X_Message_Id=ID), InDoubt("http_301")),
        (answer(307, b""), InDoubt("http_307")),
        (error(408), InDoubt("http_408")),
        (error(429), Throttled("http_429")),
        (answer(429, b"<html>"), Throttled("http_429")),
        (error(400, "content.0.value"), Refused(CONTENT, "http_400.content.0.value")),
        (error(400, "ann@example.org"), Refused(CONTENT, "http_400")),
        (error(403, "from"), Misconfigured("http_403.from")),
        (error(402), Misconfigured("http_402")),
        (error(403, TO), Misconfigured(f"http_403.{TO}")),
        (error(413, TO), Refused(CONTENT, f"http_413.{TO}")),
        (answer(400, b"<html>"), Misconfigured("http_400")),
        (answer(400, {"error": "no"}), Misconfigured("http_400")),
        (answer(400, {"errors": []}), Misconfigured("http_400")),
        (answer(400, {"errors": ["no"]}), Misconfigured("http_400")),
        (answer(400, {"errors": [{}]}), Refused(CONTENT, "http_400")),
        (answer(413, b"<html>"), Misconfigured("http_413")),
        (answer(401, b"[" * 100_000), Misconfigured("http_401")),
        (error(401, None, "Maximum credits exceeded"), Misconfigured("credits_exceeded")),
        (error(403, None, "Maximum credits exceeded"), Misconfigured("http_403")),
        (NeverLeft("econnrefused"), NotSent("econnrefused")),
        (Lost("closed"), InDoubt("closed")),
    ],
)
async def test_other_answers(result: Answer | NeverLeft | Lost, expected: Outcome) -> None:
    assert await outcome_of(result) == expected


AT = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"X_RateLimit_Reset": f"{AT + 12}"}, 12.0),
        ({"X_RateLimit_Reset": f"{AT + 12}", "Retry_After": "3"}, 12.0),
        ({"X_RateLimit_Reset": f"{AT + 99_999}"}, RETRY_AFTER_S_MAX),
        ({"X_RateLimit_Reset": f"{AT - 1}"}, None),  # else it would be tried again at once
        ({"X_RateLimit_Reset": "30"}, None),
        ({"X_RateLimit_Reset": "soon", "Retry_After": "3"}, 3.0),
        ({"X_RateLimit_Reset": "9" * 400}, None),
        ({"X_RateLimit_Reset": f"{AT + 12}".replace("1", "\u0661")}, None),
        ({"Retry_After": "3"}, 3.0),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert await outcome_of(answer(429, b"", **headers)) == Throttled("http_429", wait_s)


async def test_a_text_message_is_no_mail() -> None:
    message = replace(MESSAGE, content=SmsContent("hello"))
    assert await sendgrid(FakeWire()).send(message, timeout_s=1) == Misconfigured("not_a_mail")


async def sent(message: Message = MESSAGE, **changes: Any) -> tuple[httpx.Request, dict[str, Any]]:
    wire = FakeWire(Lost("x"))
    await sendgrid(wire, **changes).send(message, timeout_s=1)
    (request,) = wire.requests
    return request, json.loads(request.read())


async def test_the_request_is_the_one_that_sendgrid_documents() -> None:
    request, body = await sent(base_url=BASE + "/")
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/v3/mail/send")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert body == {
        "personalizations": [
            {"to": [{"email": "ann@example.org"}], "custom_args": {"reference": REFERENCE}}
        ],
        "from": {"email": "shop@example.com", "name": 'Größe, "Shop" & Söhne'},
        "subject": "Größe 50 %",
        "content": [
            {"type": "text/plain", "value": "Plain €"},
            {"type": "text/html", "value": "<p>Rich 🙂</p>"},
        ],
    }


async def test_what_there_is_not_is_not_sent() -> None:
    message = replace(MESSAGE, content=EmailContent("s", "b"), sender=Sender("shop@example.com"))
    _, body = await sent(message)
    assert body["from"] == {"email": "shop@example.com"}
    assert [part["type"] for part in body["content"]] == ["text/plain"]


async def test_text_that_is_no_unicode_does_not_raise() -> None:
    _, body = await sent(replace(MESSAGE, content=EmailContent("s", "b\0\ud800")))
    assert body["content"][0]["value"] == "b\0\ud800"


@pytest.mark.parametrize("subject", ["", "a\nb", "a\r\nBcc: x@example.org", "\0", "\ud800"])
async def test_a_subject_that_sendgrid_would_not_take_is_refused_before_it_is_sent(
    subject: str,
) -> None:
    content = EmailContent(subject, "b")
    wire = FakeWire()
    assert "subject" in str(sendgrid(wire).refusal(content))
    found = await sendgrid(wire).send(replace(MESSAGE, content=content), timeout_s=1)
    assert found == Refused(CONTENT, "subject")
    assert wire.requests == []


def test_other_content_is_not_refused() -> None:
    assert sendgrid(FakeWire()).refusal(MESSAGE.content) is None
    assert sendgrid(FakeWire()).refusal(SmsContent("")) is None


async def test_the_key_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await sent()
    assert KEY not in caplog.text
    assert KEY not in repr(sendgrid(FakeWire()))


@pytest.mark.skipif(not SPEC.exists(), reason="no ../shared/specs")
async def test_the_request_is_valid_by_sendgrids_own_document() -> None:
    document = OpenAPI.from_dict(json.loads(SPEC.read_bytes()))
    request, body = await sent()

    def verdict(body: Mapping[str, object], **headers: str) -> str | None:
        asked = MockRequest(
            BASE,
            "post",
            "/v3/mail/send",
            data=json.dumps(body).encode(),
            content_type="application/json",
            headers=headers,
        )
        try:
            document.validate_request(asked)
        except OpenAPIError as error:
            return type(error).__name__
        return None

    authorization = request.headers["authorization"]
    assert verdict(body, Authorization=authorization) is None
    assert verdict(body) == "SecurityValidationError"
    for broken in (
        {**body, "from": {"name": "Shop"}},
        {**body, "personalizations": [{"to": [{"name": "Ann"}]}]},
        {**body, "content": [{"type": "text/plain", "value": ""}]},
        {**body, "custom_args": {"reference": REFERENCE}},  # at the top it is a string
        {**body, "subject": ""},
    ):
        assert verdict(broken, Authorization=authorization) is not None, broken


# --------------------------------------------------------------------------------- look-up

SOUGHT = Sought(
    "ann@example.org", "shop@example.com", "b", REFERENCE, NOW, NOW + timedelta(minutes=1)
)
MSG_ID = f"{ID}.filter0307p1las1-16816-5A023E36-1.0"
DETAILS: dict[str, object] = {
    "from_email": "shop@example.com",
    "msg_id": MSG_ID,
    "to_email": "ann@example.org",
    "status": "delivered",
    "events": [
        {"event_name": "delivered", "processed": "2026-11-23T02:00:09Z"},
        {"event_name": "processed", "processed": "2026-11-23T02:00:05Z"},
    ],
    "unique_args": json.dumps({"reference": REFERENCE, "other": 1}),
}


def listed(*ids: object) -> Answer:
    return answer(200, {"messages": [{"msg_id": each, "status": "processed"} for each in ids]})


async def looked_up(*results: Answer | NeverLeft | Lost) -> Seen | LookUpFailed:
    wire = FakeWire(*results)
    found = await sendgrid(wire, email_activity=True).look_up(SOUGHT, timeout_s=5)
    assert all(request.method == "GET" for request in wire.requests)
    return found


async def test_without_the_paid_list_there_is_none() -> None:
    provider: Provider = sendgrid(FakeWire())
    assert await provider.look_up(SOUGHT, timeout_s=5) == LookUpFailed("no_list")


@pytest.mark.parametrize("status", RANKS)
async def test_a_message_that_carries_the_reference_is_seen(status: str) -> None:
    wire = FakeWire(listed(MSG_ID), answer(200, {**DETAILS, "status": status}))
    found = await sendgrid(wire, email_activity=True).look_up(SOUGHT, timeout_s=5)
    at = datetime(2026, 11, 23, 2, 0, 5, tzinfo=UTC)
    assert found == Seen((Sighting(ID, at, status, RANKS[status], None, REFERENCE),))
    first, second = wire.requests
    assert dict(first.url.params) == {
        "limit": "3",
        "query": f"unique_args['reference']=\"{REFERENCE}\"",
    }
    assert (first.url.path, second.url.path) == ("/v3/messages", f"/v3/messages/{MSG_ID}")
    assert first.headers["authorization"] == second.headers["authorization"] == f"Bearer {KEY}"


async def test_an_empty_list_proves_nothing() -> None:
    assert await looked_up(listed()) == Seen(())


@pytest.mark.parametrize(
    "change",
    [
        {"unique_args": json.dumps({"reference": "another"})},
        {"unique_args": "Null"},
        {"unique_args": None},
        {"unique_args": {"reference": REFERENCE}},
        {"unique_args": "\ud800"},
        {"msg_id": "another"},
        {"msg_id": None},
        {"status": "sent"},
        {"status": ["delivered"]},
        {"events": []},
        {"events": None},
        {"events": [{}]},
        {"events": [{"processed": "yesterday"}]},
        {"events": [{"processed": "9999-12-31T23:59:59-23:59"}]},
    ],
)
async def test_a_message_that_does_not_prove_itself_settles_nothing(
    change: dict[str, object],
) -> None:
    found = await looked_up(listed(MSG_ID), answer(200, {**DETAILS, **change}))
    assert found == LookUpFailed("not_ours")


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((answer(429, b""),), "http_429"),
        ((error(400, None, "invalid syntax"),), "http_400"),
        ((error(403),), "http_403"),
        ((answer(200, b"<html>"),), "unreadable"),
        ((answer(200, {"messages": {}}),), "unreadable"),
        ((answer(200, {"messages": [7]}),), "unreadable"),
        ((listed(7),), "unreadable"),
        ((listed("a/../b"),), "unreadable"),
        ((listed("a", "b", "c"),), "too_many"),
        ((Lost("closed"),), "closed"),
        ((listed(MSG_ID), NeverLeft("econnrefused")), "econnrefused"),
        ((listed(MSG_ID), answer(404, b"")), "http_404"),
        ((listed(MSG_ID), answer(200, b"")), "not_ours"),
    ],
)
async def test_anything_unexpected_is_a_failed_look_up(
    results: tuple[Answer | NeverLeft | Lost, ...], code: str
) -> None:
    assert await looked_up(*results) == LookUpFailed(code)


# ----------------------------------------------------------------------------------- check

SCOPES = {"scopes": ["mail.send", "user.webhooks.event.settings.read"]}
PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2f"
    "NNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
WEBHOOK: dict[str, object] = {
    "enabled": True,
    "public_key": PUBLIC_KEY,
    **dict.fromkeys(NEEDED, True),
}


async def checked(*results: Answer | NeverLeft | Lost, **changes: Any) -> list[Check]:
    settings = {"webhook_public_key": PUBLIC_KEY, **changes}
    wire = FakeWire(*results)
    found = await sendgrid(wire, **settings).check(timeout_s=1)
    assert {request.method for request in wire.requests} == {"GET"}
    return found


async def test_a_good_key_passes_every_step() -> None:
    date = "Mon, 23 Nov 2026 02:00:10 GMT"
    hooks = answer(200, {"webhooks": [{"enabled": False}, WEBHOOK]})
    checks = await checked(answer(200, SCOPES, Date=date), hooks)
    names = "reach clock credentials permission events"
    assert [(check.name, check.ok) for check in checks] == [(n, True) for n in names.split()]


def hook(**changes: object) -> Answer:
    return answer(200, {"webhooks": [{**WEBHOOK, **changes}]})


@pytest.mark.parametrize(
    ("results", "step", "words"),
    [
        ((NeverLeft("econnrefused"),), "reach", "nobody listens"),
        ((answer(200, SCOPES, Date="Mon, 23 Nov 2026 02:10:00 GMT"),), "clock", "NTP"),
        ((error(401),), "credentials", "api_key"),
        ((error(403),), "credentials", "api_key"),
        ((answer(404, b"<html>"),), "credentials", "base_url"),
        ((answer(200, b"<html>"),), "permission", "Mail Send"),
        ((answer(200, {"scopes": ["alerts.read"]}),), "permission", "Mail Send"),
        ((answer(200, {"scopes": [["mail.send"]]}),), "permission", "Mail Send"),
        ((answer(200, SCOPES), Lost("closed")), "events", "closed"),
        ((answer(200, SCOPES), error(500)), "events", "http_500"),
        ((answer(200, SCOPES), answer(200, b"")), "events", "webhook_public_key"),
        ((answer(200, SCOPES), answer(200, {"webhooks": [7]})), "events", "webhook_public_key"),
        ((answer(200, SCOPES), hook(enabled=False)), "events", "webhook_public_key"),
        ((answer(200, SCOPES), hook(public_key="x")), "events", "webhook_public_key"),
        ((answer(200, SCOPES), hook(processed=False)), "events", "switch on processed at"),
    ],
)
async def test_a_check_ends_at_the_first_fault_and_names_the_mend(
    results: tuple[Answer | NeverLeft | Lost, ...], step: str, words: str
) -> None:
    *before, last = await checked(*results)
    assert all(check.ok for check in before)
    assert (last.name, last.ok) == (step, False)
    assert words in last.detail


async def test_what_is_no_fault_is_said_all_the_same() -> None:
    *_, last = await checked(answer(200, SCOPES), webhook_public_key=None)
    assert last.ok
    assert "never told" in last.detail
    *_, last = await checked(answer(200, {"scopes": ["mail.send"]}))
    assert last.ok
    assert "may not read" in last.detail


async def test_look_ups_that_the_key_may_not_make_are_a_fault() -> None:
    *_, last = await checked(answer(200, SCOPES), email_activity=True)
    assert (last.name, last.ok) == ("permission", False)
    assert "email_activity" in last.detail
    scopes = {"scopes": ["mail.send", "messages.read"]}
    assert all(check.ok for check in await checked(answer(200, scopes), email_activity=True))


# --------------------------------------------------------------------------------- garbage

DEFINITE = (Refused, Throttled, Misconfigured, Unavailable, NotSent)


async def test_two_thousand_mutated_answers_are_read_without_a_false_no() -> None:
    dice = random.Random(20261123)
    seeds = [
        b"",
        b'{"errors":[{"message":"x","field":"personalizations.0.to.0.email","help":null}]}',
        b'{"errors":[{"message":"Maximum credits exceeded","field":null}]}',
        b"<html><body>502</body></html>",
    ]
    accepted = 0
    for _ in range(2_000):
        body = mutated(dice, dice.choice(seeds))
        status = dice.choice([200, 202, 202, 302, 400, 401, 403, 408, 413, 429, 500, 503, 599])
        headers = {
            "X-Message-Id": mutated(dice, ID.encode()).decode("latin-1"),
            "X-RateLimit-Reset": mutated(dice, f"{AT + 9}".encode()).decode("latin-1"),
        }
        found = await outcome_of(Answer(status, dice.choice([{}, headers]), body))
        if status < 400 or status >= 500 or status == 408:
            assert not isinstance(found, DEFINITE), (status, body)
        accepted += isinstance(found, Accepted)
        code = getattr(found, "code", "")
        assert re.fullmatch(r"[a-z0-9_.]{0,300}", code)
    assert accepted > 20
