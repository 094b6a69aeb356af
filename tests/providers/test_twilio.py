"""Twilio's answers, each code of the table, the request, the check, and sends to the sandbox."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from notifyq.domain.content import PushContent, SmsContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.outcome import (
    Accepted,
    Capped,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
)
from notifyq.domain.provider import Check, Provider
from notifyq.providers.twilio.client import ANSWERS, Twilio
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire
from notifyq.sandbox.app import create_app, start
from notifyq.sandbox.record import Record
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN, SENDER

SID = "SM" + "0a" * 16
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BODY = "Größe & 50 % + €"
MESSAGE = Message(
    reference="ref",
    collapse_id="collapse",
    to="+14155550100",
    sender=Sender(SENDER),
    content=SmsContent(BODY),
    callback_url="http://127.0.0.1:9/callbacks/sms?reference=ref",
    validity_s=600,
    expires_at=NOW + timedelta(seconds=600),
)


class FakeWire(Wire):
    """Answers as told and keeps the request."""

    def __init__(self, result: Answer | NeverLeft | Lost) -> None:
        super().__init__(max_in_flight=1)
        self.result = result
        self.requests: list[httpx.Request] = []

    async def exchange(
        self, request: httpx.Request, *, timeout_s: float
    ) -> Answer | NeverLeft | Lost:
        self.requests.append(request)
        return self.result


def twilio(
    wire: Wire,
    base_url: str = "https://api.twilio.com",
    token: str = AUTH_TOKEN,
    **more: Any,
) -> Twilio:
    return Twilio(
        name="sms",
        base_url=base_url,
        account_sid=ACCOUNT_SID,
        auth_token=token,
        wire=wire,
        now=lambda: NOW,
        **more,
    )


async def outcome_of(result: Answer | NeverLeft | Lost) -> Outcome:
    return await twilio(FakeWire(result)).send(MESSAGE, timeout_s=1)


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, raw)


def error(status: int, code: int) -> Answer:
    return answer(status, {"code": code, "message": "m", "more_info": "i", "status": status})


ADDRESS, OPTED_OUT, CONTENT = Refusal.ADDRESS, Refusal.OPTED_OUT, Refusal.CONTENT
TABLE: dict[int, tuple[int, Outcome]] = {
    20429: (429, Throttled("20429")),
    21611: (400, Throttled("21611")),
    30023: (400, Capped("30023", "America/Los_Angeles")),
    20500: (400, InDoubt("20500")),
    21211: (400, Refused(ADDRESS, "21211")),
    21217: (400, Refused(ADDRESS, "21217")),
    21614: (400, Refused(ADDRESS, "21614")),
    21635: (400, Refused(ADDRESS, "21635")),
    21610: (400, Refused(OPTED_OUT, "21610")),
    21602: (400, Refused(CONTENT, "21602")),
    21609: (400, Refused(CONTENT, "21609")),
    21617: (400, Refused(CONTENT, "21617")),
    21619: (400, Refused(CONTENT, "21619")),
    21658: (400, Refused(CONTENT, "21658")),
    90007: (400, Refused(CONTENT, "90007")),
    20003: (401, Misconfigured("20003")),
    20005: (403, Misconfigured("20005")),
    20008: (403, Misconfigured("20008")),
    20404: (404, Misconfigured("20404")),
    21408: (400, Misconfigured("21408")),
    21603: (400, Misconfigured("21603")),
    21606: (400, Misconfigured("21606")),
    21608: (400, Misconfigured("21608")),
    21612: (400, Misconfigured("21612")),
    21659: (400, Misconfigured("21659")),
    21660: (400, Misconfigured("21660")),
    21703: (400, Misconfigured("21703")),
    21704: (400, Misconfigured("21704")),
}


@pytest.mark.parametrize("code", TABLE)
async def test_each_code_means_what_the_table_says(code: int) -> None:
    status, expected = TABLE[code]
    assert await outcome_of(error(status, code)) == expected


def test_the_table_here_and_the_clients_have_the_same_codes() -> None:
    assert TABLE.keys() == ANSWERS.keys()


@pytest.mark.parametrize("code", [*ANSWERS, 99999])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_a_server_error_is_in_doubt_whatever_its_code(status: int, code: int) -> None:
    assert await outcome_of(error(status, code)) == InDoubt(str(code))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer(201, {"sid": SID, "status": "queued"}), Accepted(SID)),
        (answer(201, {"sid": "MM" + "0A" * 16}), Accepted("MM" + "0A" * 16)),
        (answer(201, {}), InDoubt("http_201")),
        (answer(201, {"sid": None}), InDoubt("http_201")),
        (answer(201, {"sid": "SM1"}), InDoubt("http_201")),
        (answer(201, {"sid": SID + "\n"}), InDoubt("http_201")),
        (answer(201, b"<html>"), InDoubt("http_201")),
        (answer(201, b"\xff"), InDoubt("http_201")),
        (answer(201, b"[" * 100_000), InDoubt("http_201")),
        (answer(201, [SID]), InDoubt("http_201")),
        (answer(200, {"sid": SID}), InDoubt("http_200")),
        (answer(101, b""), InDoubt("http_101")),
        (answer(204, b""), InDoubt("http_204")),
        (answer(301, b""), InDoubt("http_301")),
        (answer(303, b""), InDoubt("http_303")),
        (answer(307, b""), InDoubt("http_307")),
        (answer(500, b"<html>"), InDoubt("http_500")),
        (answer(408, b""), InDoubt("http_408")),
        (answer(429, b"", **{"Retry-After": "12"}), Throttled("http_429", 12.0)),
        (error(429, 99999), Throttled("99999")),
        (error(429, 21610), Throttled("21610")),
        (error(429, 30023), Capped("30023", "America/Los_Angeles")),
        (error(400, 99999), Refused(CONTENT, "99999")),
        (error(401, 99999), Misconfigured("99999")),
        (error(403, 99999), Misconfigured("99999")),
        (error(404, 99999), Misconfigured("99999")),
        (error(415, 99999), Misconfigured("99999")),
        (answer(400, b"<html>"), Misconfigured("http_400")),
        (answer(400, {"code": "21610"}), Misconfigured("http_400")),
        (answer(400, {"code": True}), Misconfigured("http_400")),
        (answer(403, b""), Misconfigured("http_403")),
        (NeverLeft("econnrefused"), NotSent("econnrefused")),
        (Lost("closed"), InDoubt("closed")),
    ],
)
async def test_other_answers(result: Answer | NeverLeft | Lost, expected: Outcome) -> None:
    assert await outcome_of(result) == expected


@pytest.mark.parametrize(("asked", "sent"), [(-5, 1), (0, 1), (600, 600), (900, 900), (9999, 900)])
async def test_the_request_is_the_form_that_twilio_documents(asked: int, sent: int) -> None:
    wire = FakeWire(Lost("x"))
    message = replace(MESSAGE, validity_s=asked)
    await twilio(wire, "https://api.twilio.com/").send(message, timeout_s=1)
    (request,) = wire.requests
    assert (request.method, str(request.url)) == (
        "POST",
        f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
    )
    basic = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    assert request.headers["authorization"] == f"Basic {basic}"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(request.read().decode("ascii"), strict_parsing=True)) == {
        "To": MESSAGE.to,
        "From": SENDER,
        "Body": BODY,
        "StatusCallback": MESSAGE.callback_url,
        "ValidityPeriod": str(sent),
    }


async def test_what_is_no_text_message_is_not_sent() -> None:
    wire = FakeWire(Lost("x"))
    push = replace(MESSAGE, content=PushContent("title", "body"))
    outcome = await twilio(wire).send(push, timeout_s=1)
    assert outcome == Misconfigured("not_a_text_message")
    assert wire.requests == []


def test_the_client_is_a_provider() -> None:
    provider: Provider = twilio(FakeWire(Lost("x")))
    assert provider.name == "sms"


# ----------------------------------------------------------------- Twilio's own description

SPEC = Path(__file__).parents[3] / "shared" / "specs" / "twilio_messages_subset.json"
LIST = "/2010-04-01/Accounts/{AccountSid}/Messages.json"


def faults_of(form: dict[str, str]) -> list[str]:
    """What Twilio's OpenAPI document has against a form; a field it does not know is a fault."""
    jsonschema = pytest.importorskip("jsonschema")
    if not SPEC.exists():
        pytest.skip("Twilio's OpenAPI document is not here")
    document = json.loads(SPEC.read_text())
    body = document["paths"][LIST]["post"]["requestBody"]["content"]
    schema = {
        **body["application/x-www-form-urlencoded"]["schema"],
        "components": document["components"],
        "additionalProperties": False,
    }
    whole = {"integer": lambda text: int(text) if text.lstrip("-").isdigit() else text}
    kinds = {name: about.get("type") for name, about in schema["properties"].items()}
    read = {name: whole.get(kinds.get(name, ""), str)(text) for name, text in form.items()}
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(read)]


async def test_the_form_is_what_twilios_own_document_describes() -> None:
    wire = FakeWire(Lost("x"))
    await twilio(wire).send(MESSAGE, timeout_s=1)
    form = dict(parse_qsl(wire.requests[0].read().decode(), strict_parsing=True))
    assert faults_of(form) == []


@pytest.mark.parametrize(
    "change",
    [
        {"To": None},
        {"ValidityPeriod": "soon"},
        {"Statuscallback": "https://notify.example.com/"},
        {"MessagingServiceSid": "MG1"},
    ],
)
def test_that_document_refuses_a_form_that_is_wrong(change: dict[str, str | None]) -> None:
    good = {"To": "+14155550100", "From": SENDER, "Body": "b", "ValidityPeriod": "600"}
    assert faults_of(good) == []
    form = {name: text for name, text in {**good, **change}.items() if text is not None}
    assert faults_of(form) != []


# ------------------------------------------------------------------------------- the check

DATE = "Mon, 23 Nov 2026 12:00:01 GMT"
ACTIVE = answer(200, {"sid": ACCOUNT_SID, "status": "active", "type": "Full"}, Date=DATE)


async def checked(result: Answer | NeverLeft | Lost) -> list[Check]:
    wire = FakeWire(result)
    found = await twilio(wire).check(timeout_s=1)
    (request,) = wire.requests
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}.json"
    assert (request.method, str(request.url)) == ("GET", url)
    assert not any(AUTH_TOKEN in check.detail for check in found)
    return found


async def test_an_account_that_could_send_passes_every_step() -> None:
    found = await checked(ACTIVE)
    assert [(check.name, check.ok) for check in found] == [
        ("reach", True),
        ("clock", True),
        ("credentials", True),
        ("account", True),
    ]
    trial = answer(200, {"status": "active", "type": "Trial"}, Date=DATE)
    assert "trial" in (await checked(trial))[-1].detail


@pytest.mark.parametrize(
    ("result", "steps", "word"),
    [
        (NeverLeft("econnrefused"), 1, "nobody listens"),
        (Lost("timeout"), 1, "firewall"),
        (answer(200, {"status": "active"}, Date="Mon, 23 Nov 2026 11:50:00 GMT"), 2, "NTP"),
        (error(401, 20003), 3, "auth_token"),
        (error(403, 20008), 3, "test credentials"),
        (error(404, 20404), 3, "account_sid"),
        (answer(503, b"<html>"), 3, "http_503"),
        (answer(200, {"status": "suspended"}), 4, "suspended"),
        (answer(200, {"status": "closed"}), 4, "closed"),
        (answer(200, {"status": "<b>"}), 4, "no status that we know"),
        (answer(200, b"<html>"), 4, "no status that we know"),
    ],
)
async def test_the_check_ends_with_the_step_that_fails(
    result: Answer | NeverLeft | Lost, steps: int, word: str
) -> None:
    found = await checked(result)
    assert [check.ok for check in found] == [True] * (steps - 1) + [False]
    assert word in found[-1].detail


# ------------------------------------------------------------------------- the real sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    runner = await start(create_app(Record(), callback_delay_s=0.01), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


MAGIC_OUTCOMES: dict[str, tuple[Outcome | type[Accepted], int]] = {
    "0100": (Accepted, 1),
    "0140": (Refused(ADDRESS, "21211"), 0),
    "0141": (Refused(OPTED_OUT, "21610"), 0),
    "0142": (Refused(ADDRESS, "21614"), 0),
    "0143": (Throttled("20429"), 0),
    "0144": (InDoubt("20500"), 0),
    "0145": (InDoubt("closed"), 1),
    "0146": (Accepted, 1),
    "0147": (Accepted, 1),
    "0149": (Refused(CONTENT, "21617"), 0),
    "0150": (Misconfigured("21612"), 0),
    "0151": (InDoubt("closed"), 0),
}


@pytest.mark.parametrize("suffix", MAGIC_OUTCOMES)
async def test_a_send_to_the_sandbox_ends_as_its_recipient_says(sandbox: str, suffix: str) -> None:
    expected, count = MAGIC_OUTCOMES[suffix]
    provider = twilio(Wire(max_in_flight=2), f"{sandbox}/twilio")
    message = replace(MESSAGE, to=f"+1415555{suffix}")
    found = await provider.send(message, timeout_s=5)
    await provider.close()
    assert found == expected or type(found) is expected
    async with httpx.AsyncClient(base_url=sandbox) as client:
        rows = (await client.get("/sandbox/messages")).json()["data"]
    assert [(row["reference"], row["body"]) for row in rows] == [("ref", BODY)] * count


async def test_a_send_that_gives_up_during_a_hold_is_in_doubt_and_was_not_accepted(
    sandbox: str,
) -> None:
    provider = twilio(Wire(max_in_flight=1), f"{sandbox}/twilio")
    async with httpx.AsyncClient(base_url=sandbox) as client:
        fault = {"vendor": "twilio", "fault": "hold_before_accept"}
        assert (await client.post("/sandbox/faults", json=fault)).status_code == 201
        assert await provider.send(MESSAGE, timeout_s=0.3) == InDoubt("timeout")
        async with asyncio.timeout(5):
            while (await client.get("/sandbox/held")).json()["data"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await client.get("/sandbox/messages")).json()["data"] == []
    await provider.close()


async def test_the_sandboxs_account_is_in_order_and_knows_its_token(sandbox: str) -> None:
    now = datetime.now(UTC)
    for token, expected in ((AUTH_TOKEN, [True] * 4), ("x", [True, True, False])):
        provider = Twilio(
            name="sms",
            base_url=f"{sandbox}/twilio",
            account_sid=ACCOUNT_SID,
            auth_token=token,
            wire=Wire(max_in_flight=1),
            now=lambda: now,
        )
        assert [check.ok for check in await provider.check(timeout_s=5)] == expected
        await provider.close()


async def test_a_sandbox_that_is_not_there_was_never_reached() -> None:
    provider = twilio(Wire(max_in_flight=1), "http://127.0.0.1:1/twilio")
    assert await provider.send(MESSAGE, timeout_s=5) == NotSent("econnrefused")
    await provider.close()
