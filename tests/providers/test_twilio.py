"""Twilio's answers and callbacks, each code of the table, and real sends to the sandbox."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifyq.domain.model import Message, Receipt
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
)
from notifyq.domain.provider import BadCallback, BadSignature, Callback, Provider
from notifyq.providers.twilio import ANSWERS, Twilio
from notifyq.providers.twilio_callback import RANKS
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire
from notifyq.sandbox.app import create_app, start
from notifyq.sandbox.record import Record
from notifyq.sandbox.twilio_rules import ACCOUNT_SID, AUTH_TOKEN, SENDER

SID = "SM" + "0a" * 16
MESSAGE = Message(
    reference="ref",
    to="+14155550100",
    sender=SENDER,
    body="Größe & 50 % + €",
    callback_url="http://127.0.0.1:9/callbacks/sms?reference=ref",
    validity_s=600,
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


def twilio(wire: Wire, base_url: str = "https://api.twilio.com", token: str = AUTH_TOKEN) -> Twilio:
    return Twilio(
        name="sms", base_url=base_url, account_sid=ACCOUNT_SID, auth_token=token, wire=wire
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
        "From": MESSAGE.sender,
        "Body": MESSAGE.body,
        "StatusCallback": MESSAGE.callback_url,
        "ValidityPeriod": str(sent),
    }


FORM = {
    "MessageSid": SID,
    "MessageStatus": "delivered",
    "To": "+14155550100",
    "Empty": "",
    "Ünï": "çödé +&=%",
}
URL = "https://notify.example.com/callbacks/sms?a=b%2Fc&reference=ref"


def callback(
    url: str = URL, form: dict[str, str] | None = None, *, signed: str | None = None
) -> Callback:
    fields = FORM if form is None else form
    signature = RequestValidator(AUTH_TOKEN).compute_signature(signed or url, fields)
    headers = {
        "x-twilio-signature": signature,
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
    }
    return Callback(url, headers, urlencode(fields).encode())


def read(what: Callback) -> Receipt | BadSignature | BadCallback:
    return twilio(FakeWire(Lost("x"))).read_callback(what)


def test_the_client_is_a_provider() -> None:
    provider: Provider = twilio(FakeWire(Lost("x")))
    assert provider.name == "sms"


def test_a_signed_callback_is_a_receipt() -> None:
    assert read(callback()) == Receipt("ref", SID, "delivered", 5, None)
    failed = {**FORM, "MessageStatus": "undelivered", "ErrorCode": "30003"}
    assert read(callback(form=failed)) == Receipt("ref", SID, "undelivered", 4, "30003")


@pytest.mark.parametrize("called", ["", ":443", ":80", ":8443"])
@pytest.mark.parametrize("signed", ["", ":443", ":80", ":8443"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ports_are_read_as_twilios_own_validator_reads_them(
    scheme: str, called: str, signed: str
) -> None:
    url = f"{scheme}://notify.example.com{called}/cb?reference=ref"
    signed_url = f"{scheme}://notify.example.com{signed}/cb?reference=ref"
    what = callback(url, signed=signed_url)
    oracle = RequestValidator(AUTH_TOKEN).validate(url, FORM, what.headers["x-twilio-signature"])
    assert isinstance(read(what), Receipt) is oracle


def test_the_known_vector_holds() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    what = Callback(
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        urlencode(form).encode(),
    )
    found = twilio(FakeWire(Lost("x")), token="12345").read_callback(what)
    assert found == BadCallback("no reference")  # so the signature held


@pytest.mark.parametrize(
    "change",
    [
        lambda c: Callback(c.url + "x", c.headers, c.body),
        lambda c: Callback(c.url.replace("https", "http"), c.headers, c.body),
        lambda c: Callback(c.url, c.headers, c.body + b"&x=y"),
        lambda c: Callback(c.url, c.headers, c.body.replace(b"delivered", b"failed")),
        lambda c: Callback(c.url, {**c.headers, "x-twilio-signature": ""}, c.body),
        lambda c: Callback(c.url, {**c.headers, "x-twilio-signature": "é"}, c.body),
        lambda c: Callback(c.url, {}, c.body),
        lambda c: Callback("https://host:port/?reference=r", c.headers, c.body),
        lambda c: Callback("https://[::1/?reference=r", c.headers, c.body),
        lambda c: Callback("https://h/\udc80?reference=r", c.headers, c.body),
        lambda c: Callback(c.url, c.headers, b""),
    ],
)
def test_a_changed_callback_is_not_believed(change: Callable[[Callback], Callback]) -> None:
    assert isinstance(read(change(callback())), BadSignature)


@pytest.mark.parametrize(
    "body", [b"no form", b'{"a":"b"}', b"a=%zz", b"a=%ff", b"a=\xff", b"&".join([b"a=b"] * 101)]
)
def test_a_body_that_is_no_form_is_a_bad_callback(body: bytes) -> None:
    what = callback()
    assert read(Callback(what.url, what.headers, body)) == BadCallback("not a form")
    headers = {**what.headers, "content-type": "application/json"}
    assert read(Callback(what.url, headers, what.body)) == BadCallback("not a form")


@pytest.mark.parametrize(
    ("url", "form", "reason"),
    [
        (URL.replace("reference", "ref"), FORM, "no reference"),
        (URL + "&reference=two", FORM, "no reference"),
        (URL, {**FORM, "MessageSid": "CA1"}, "no message sid"),
        (URL, {"MessageStatus": "sent"}, "no message sid"),
        (URL, {"MessageSid": SID}, "no status that we know"),
        (URL, {**FORM, "MessageStatus": "canceled"}, "no status that we know"),
    ],
)
def test_a_signed_callback_that_cannot_be_placed_is_a_bad_one(
    url: str, form: dict[str, str], reason: str
) -> None:
    assert read(callback(url, form)) == BadCallback(reason)


def test_a_later_stage_has_the_higher_rank() -> None:
    order = ["queued", "sending", "sent", "failed", "delivered", "read"]
    assert [RANKS[status] for status in order] == [1, 2, 3, 4, 5, 6]
    assert (RANKS["accepted"], RANKS["undelivered"]) == (1, 4)
    for status, rank in RANKS.items():
        assert read(callback(form={**FORM, "MessageStatus": status})) == Receipt(
            "ref", SID, status, rank, None
        )


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
    assert [(row["reference"], row["body"]) for row in rows] == [("ref", MESSAGE.body)] * count


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


async def test_a_sandbox_that_is_not_there_was_never_reached() -> None:
    provider = twilio(Wire(max_in_flight=1), "http://127.0.0.1:1/twilio")
    assert await provider.send(MESSAGE, timeout_s=5) == NotSent("econnrefused")
    await provider.close()
