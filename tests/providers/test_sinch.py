"""Sinch's answers, each code of the table, the batch that is asked for, and the check."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from notifyq.domain.content import EmailContent, SmsContent
from notifyq.domain.ids import reference
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
from notifyq.domain.provider import Check, Provider
from notifyq.providers.sinch.answer import ANSWERS
from notifyq.providers.sinch.client import Sinch
from notifyq.providers.sinch.token import Credentials, Project, ServicePlan
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLAN, API_TOKEN, SECRET = "plan-1", "api-token", "callback-secret"
BATCH = "01W4FFL35P4NC4K35SMSBATCH9"
REFERENCE = reference(0, UUID(int=7), 1)
BODY = "Größe & 50 % 😀"
MESSAGE = Message(
    reference=REFERENCE,
    collapse_id="collapse",
    to="+14155550100",
    sender=Sender("+15005550006"),
    content=SmsContent(BODY),
    callback_url=f"https://notify.example.com/callbacks/sinch?reference={REFERENCE}",
    validity_s=600,
    expires_at=NOW + timedelta(seconds=600),
)
URL = "https://us.sms.api.sinch.com"
Result = Answer | NeverLeft | Lost


class Script(Wire):
    """Answers each request with the next of what it was given, the last for ever."""

    def __init__(self, *results: Result) -> None:
        super().__init__(max_in_flight=1)
        self.results = list(results)
        self.requests: list[httpx.Request] = []

    async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
        assert timeout_s > 0
        self.requests.append(request)
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


def sinch(
    wire: Wire,
    base_url: str = URL,
    credentials: Credentials = ServicePlan(PLAN, API_TOKEN),  # noqa: B008
    **more: Any,
) -> Sinch:
    given: dict[str, Any] = {"callback_secret": SECRET, "now": lambda: NOW, **more}
    return Sinch(name="sms", base_url=base_url, credentials=credentials, wire=wire, **given)


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, raw)


def error(status: int, code: str, text: str = "words", **headers: str) -> Answer:
    return answer(status, {"code": code, "text": text}, **headers)


def problem(status: int) -> Answer:
    """What a gateway says; the shape is RFC 9457's, and anybody's."""
    return answer(status, {"type": "about:blank", "title": "Oops", "detail": "upstream"})


async def outcome_of(result: Result, **changes: Any) -> Outcome:
    return await sinch(Script(result)).send(replace(MESSAGE, **changes), timeout_s=1)


MALFORMED = "syntax_invalid_parameter_format"
CONTENT = Refusal.CONTENT
TABLE: dict[str, tuple[int, Outcome]] = {
    "syntax_invalid_json": (400, Refused(CONTENT, "syntax_invalid_json")),
    "syntax_constraint_violation": (400, Refused(CONTENT, "syntax_constraint_violation")),
    MALFORMED: (400, Refused(CONTENT, MALFORMED)),
    "unknown_group": (403, Misconfigured("unknown_group")),
    "unknown_campaign": (403, Misconfigured("unknown_campaign")),
    "missing_callback_url": (403, Misconfigured("missing_callback_url")),
    "illegal_number_type": (403, Misconfigured("illegal_number_type")),
    "llegal_number_type": (403, Misconfigured("llegal_number_type")),
    "blocked_account": (403, Misconfigured("blocked_account")),
}


@pytest.mark.parametrize("code", TABLE)
async def test_each_code_means_what_the_table_says(code: str) -> None:
    status, expected = TABLE[code]
    assert await outcome_of(error(status, code)) == expected


@pytest.mark.parametrize("code", [code for code, (status, _) in TABLE.items() if status == 403])
async def test_a_code_of_ours_is_ours_under_400_too(code: str) -> None:
    assert await outcome_of(error(400, code)) == Misconfigured(code)


def test_the_table_here_and_the_clients_have_the_same_codes() -> None:
    assert TABLE.keys() == ANSWERS.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'14155550100' is not a valid MSISDN", Refused(Refusal.ADDRESS, MALFORMED)),
        ("+14155550100: invalid", Refused(Refusal.ADDRESS, MALFORMED)),
        ("The recipient number is invalid.", Refused(Refusal.ADDRESS, MALFORMED)),
        ("to[0]: not an MSISDN", Refused(Refusal.ADDRESS, MALFORMED)),
        ("the format of 'to' is invalid", Refused(Refusal.ADDRESS, MALFORMED)),
        ("15005550006 is not a valid originator", Misconfigured(MALFORMED)),
        ("'from': +15005550006", Misconfigured(MALFORMED)),
        ("Unable to parse expire_at", Refused(CONTENT, MALFORMED)),
        ("150055500067 is invalid", Refused(CONTENT, MALFORMED)),
        ("", Refused(CONTENT, MALFORMED)),
    ],
)
async def test_a_wrong_format_is_whose_the_text_says(text: str, expected: Outcome) -> None:
    assert await outcome_of(error(400, MALFORMED, text)) == expected


async def test_a_sender_that_is_part_of_a_word_or_of_the_recipient_is_not_meant() -> None:
    short = Sender("55501")
    named = error(400, MALFORMED, "14155550100 is no number")
    assert await outcome_of(named, sender=short) == Refused(Refusal.ADDRESS, MALFORMED)
    word = error(400, MALFORMED, "unable to parse expire_at")
    assert await outcome_of(word, sender=Sender("able")) == Refused(CONTENT, MALFORMED)


@pytest.mark.parametrize("code", [*ANSWERS, "internal_error"])
@pytest.mark.parametrize("status", [500, 503])
async def test_sinchs_own_word_that_it_did_not_process_is_definite(status: int, code: str) -> None:
    assert await outcome_of(error(status, code)) == Unavailable(code)
    waits = error(status, code, **{"Retry-After": "7"})
    assert await outcome_of(waits) == Unavailable(code, 7.0)


GATEWAYS: Sequence[object] = [
    b"",
    b"<html>",
    b"\xff",
    b"[" * 100_000,
    None,
    [],
    {},
    {"code": "internal_error"},
    {"text": "words"},
    {"code": 500, "text": "words"},
    {"code": "Internal Error", "text": "words"},
    {"code": "internal_error", "text": None},
    {"type": "about:blank", "title": "Service Unavailable", "detail": "upstream"},
    {"error": {"code": 500, "message": "words", "status": "INTERNAL"}},
    {"id": BATCH},
]


@pytest.mark.parametrize("body", GATEWAYS)
@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_error_in_other_words_is_in_doubt(status: int, body: object) -> None:
    found = await outcome_of(answer(status, body, **{"Retry-After": "7"}))
    assert isinstance(found, InDoubt)


@pytest.mark.parametrize("status", [501, 502, 504, 520, 599])
async def test_a_gateways_error_is_in_doubt_in_whatever_words(status: int) -> None:
    assert await outcome_of(error(status, "internal_error")) == InDoubt("internal_error")
    assert await outcome_of(problem(status)) == InDoubt(f"http_{status}")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer(201, {"id": BATCH, "to": ["14155550100"]}), Accepted(BATCH)),
        (answer(201, {"id": "a"}), Accepted("a")),
        (answer(201, {}), InDoubt("http_201")),
        (answer(201, {"id": None}), InDoubt("http_201")),
        (answer(201, {"id": ""}), InDoubt("http_201")),
        (answer(201, {"id": "a/b"}), InDoubt("http_201")),
        (answer(201, {"id": BATCH + "\n"}), InDoubt("http_201")),
        (answer(201, {"id": "a" * 65}), InDoubt("http_201")),
        (answer(201, b"<html>"), InDoubt("http_201")),
        (answer(201, b"\xff"), InDoubt("http_201")),
        (answer(201, b"[" * 100_000), InDoubt("http_201")),
        (answer(201, [BATCH]), InDoubt("http_201")),
        (error(201, "internal_error"), InDoubt("internal_error")),
        (answer(200, {"id": BATCH}), InDoubt("http_200")),
        (answer(202, {"id": BATCH}), InDoubt("http_202")),
        (answer(101, b""), InDoubt("http_101")),
        (answer(204, b""), InDoubt("http_204")),
        (answer(301, b""), InDoubt("http_301")),
        (answer(303, b""), InDoubt("http_303")),
        (answer(307, b""), InDoubt("http_307")),
        (answer(408, b""), InDoubt("http_408")),
        (error(408, "timeout"), InDoubt("timeout")),
        (answer(429, b"", **{"Retry-After": "12"}), Throttled("http_429", 12.0)),
        (error(429, "too_many", **{"retry-after": "1"}), Throttled("too_many", 1.0)),
        (answer(429, b"<html>"), Throttled("http_429")),
        (error(400, "something_new"), Refused(CONTENT, "something_new")),
        (answer(400, b"<html>"), Misconfigured("http_400")),
        (problem(400), Misconfigured("http_400")),
        (answer(400, {"code": "syntax_invalid_json"}), Misconfigured("syntax_invalid_json")),
        (answer(400, {"code": True, "text": "words"}), Misconfigured("http_400")),
        (error(401, "unauthorized"), Misconfigured("unauthorized")),
        (answer(401, b"<html>"), Misconfigured("http_401")),
        (answer(401, b"", **{"WWW-Authenticate": "Bearer expired"}), Misconfigured("http_401")),
        (answer(402, b""), Misconfigured("http_402")),
        (error(403, "something_new"), Misconfigured("something_new")),
        (answer(403, b"<html>"), Misconfigured("http_403")),
        (error(404, "not_found"), Misconfigured("not_found")),
        (answer(404, b"<html>"), Misconfigured("http_404")),
        (answer(405, b""), Misconfigured("http_405")),
        (answer(413, b"<html>"), Misconfigured("http_413")),
        (answer(415, b""), Misconfigured("http_415")),
        (NeverLeft("econnrefused"), NotSent("econnrefused")),
        (Lost("closed"), InDoubt("closed")),
    ],
)
async def test_other_answers(result: Result, expected: Outcome) -> None:
    assert await outcome_of(result) == expected


async def test_a_code_that_could_hold_an_address_is_not_passed_on() -> None:
    assert await outcome_of(error(400, "+14155550100")) == Misconfigured("http_400")


# ------------------------------------------------------------------------------- the batch


async def batch(**changes: Any) -> dict[str, Any]:
    wire = Script(Lost("x"))
    await sinch(wire).send(replace(MESSAGE, **changes), timeout_s=1)
    (request,) = wire.requests
    found = json.loads(request.read())
    assert isinstance(found, dict)
    return found


async def test_the_request_is_the_batch_that_sinch_documents() -> None:
    wire = Script(Lost("x"))
    await sinch(wire, URL + "/").send(MESSAGE, timeout_s=1)
    (request,) = wire.requests
    assert (request.method, str(request.url)) == ("POST", f"{URL}/xms/v1/{PLAN}/batches")
    assert request.headers["authorization"] == f"Bearer {API_TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.read().decode("ascii")) == {
        "type": "mt_text",
        "to": ["+14155550100"],
        "from": "+15005550006",
        "body": BODY,
        "delivery_report": "per_recipient",
        "callback_url": MESSAGE.callback_url,
        "client_reference": REFERENCE,
        "expire_at": "2026-11-23T12:10:00.000Z",
        "max_number_of_message_parts": 1,
    }


async def test_sinchs_own_model_of_a_request_has_all_of_its_fields() -> None:
    shared = pytest.importorskip("sinch.domains.sms.models.v1.shared")
    sent = await batch(content=SmsContent("Hi ${name}"))
    model = shared.TextRequest.model_validate(sent)
    assert model.model_extra in (None, {})
    assert model.expire_at == MESSAGE.expires_at
    misspelt = shared.TextRequest.model_validate({**sent, "expires_at": "x"})
    assert misspelt.model_extra == {"expires_at": "x"}


@pytest.mark.parametrize(
    ("text", "parts"), [("a" * 160, 1), ("a" * 161, 2), ("я" * 71, 2), ("€" * 81, 2)]
)
async def test_a_text_may_have_as_many_parts_as_it_was_counted(text: str, parts: int) -> None:
    found = await batch(content=SmsContent(text))
    assert found["max_number_of_message_parts"] == parts


@pytest.mark.parametrize(
    ("lives", "expire_at"),
    [
        (timedelta(seconds=1), "2026-11-23T12:00:01.000Z"),
        (timedelta(days=3, minutes=-1), "2026-11-26T11:59:00.000Z"),
        (timedelta(days=3), "2026-11-26T11:59:00.000Z"),
        (timedelta(days=30), "2026-11-26T11:59:00.000Z"),
    ],
)
async def test_it_expires_with_the_message_and_within_sinchs_three_days(
    lives: timedelta, expire_at: str
) -> None:
    assert (await batch(expires_at=NOW + lives))["expire_at"] == expire_at


async def test_a_placeholder_in_a_text_stands_for_itself() -> None:
    found = await batch(content=SmsContent("Hi ${name}, ${a.b-c_1}, ${name} $name ${no good} ${}"))
    assert found["parameters"] == {
        "name": {"default": "${name}"},
        "a.b-c_1": {"default": "${a.b-c_1}"},
    }
    assert "parameters" not in await batch()


async def test_what_is_no_text_message_is_not_sent() -> None:
    wire = Script(Lost("x"))
    mail = replace(MESSAGE, content=EmailContent("subject", "body"))
    assert await sinch(wire).send(mail, timeout_s=1) == Misconfigured("not_a_text_message")
    assert wire.requests == []


def test_the_client_is_a_provider_and_shows_no_secret() -> None:
    provider: Provider = sinch(Script(Lost("x")))
    assert provider.name == "sms"
    shown = repr([provider, ServicePlan("p", "hidden"), Project("p", "k", "hidden")])
    assert "hidden" not in shown


# ------------------------------------------------------------------------------- the check

DATE = "Mon, 23 Nov 2026 12:00:01 GMT"
LIST = answer(200, {"count": 0, "page": 0, "page_size": 0, "batches": []}, Date=DATE)


async def checked(*results: Result, **more: Any) -> tuple[list[Check], Script]:
    wire = Script(*results)
    found = await sinch(wire, **more).check(timeout_s=1)
    assert not any(word in check.detail for check in found for word in (API_TOKEN, "hidden"))
    return found, wire


async def test_an_account_that_could_send_passes_every_step_and_sends_nothing() -> None:
    found, wire = await checked(LIST)
    names = ["reach", "clock", "credentials", "permission"]
    assert [(check.name, check.ok) for check in found] == [(name, True) for name in names]
    (request,) = wire.requests
    assert request.method == "GET"
    assert str(request.url) == f"{URL}/xms/v1/{PLAN}/batches?page_size=1"


@pytest.mark.parametrize(
    ("result", "steps", "word"),
    [
        (NeverLeft("econnrefused"), 1, "nobody listens"),
        (Lost("timeout"), 1, "firewall"),
        (answer(200, {"count": 0}, Date="Mon, 23 Nov 2026 11:50:00 GMT"), 2, "NTP"),
        (answer(401, b""), 3, "not this plan's token"),
        (error(403, "blocked_account"), 4, "blocked_account"),
        (answer(404, b""), 4, "no such plan"),
        (answer(503, b"<html>"), 4, "http_503"),
        (answer(200, b"<html>"), 4, "no list of batches"),
    ],
)
async def test_the_check_ends_with_the_step_that_fails(
    result: Result, steps: int, word: str
) -> None:
    found, _ = await checked(result)
    assert [check.ok for check in found] == [True] * (steps - 1) + [False]
    assert word in found[-1].detail


async def test_a_projects_check_begins_with_its_token() -> None:
    project = Project("project-1", "key", "hidden")
    token = answer(200, {"access_token": "t", "expires_in": 3600})
    found, wire = await checked(token, LIST, credentials=project)
    names = ["token", "reach", "clock", "credentials", "permission"]
    assert [(check.name, check.ok) for check in found] == [(name, True) for name in names]
    assert len(wire.requests) == 2
    for result, word in ((answer(401, b""), "key_secret"), (NeverLeft("tls"), "TLS failed")):
        found, _ = await checked(result, credentials=project)
        assert [(check.name, check.ok) for check in found] == [("token", False)]
        assert word in found[0].detail
