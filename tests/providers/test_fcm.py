"""FCM's answers, every code of the tables, the request against Google's schema, and the token."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import (  # type: ignore[import-untyped]
    Draft202012Validator,
    ValidationError,
)

from notifyq import boottime
from notifyq.domain.content import PushContent, SmsContent
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
from notifyq.domain.provider import BadCallback, Callback, Check, LookUpFailed, Provider, Sought
from notifyq.providers.fcm.answer import CODES, STATUSES, read_answer
from notifyq.providers.fcm.body import PAYLOAD_BYTES_MAX, payload_bytes
from notifyq.providers.fcm.client import Fcm
from notifyq.providers.fcm.token import EARLY_S, ServiceAccount
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# A token as Android gives it: there is a colon in it.
TOKEN = "dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
CONTENT_ = PushContent("Größe", "50 % off & more", {"order": "8123"})
MESSAGE = Message(
    reference="ref",
    collapse_id="00fjq2m8c0v6g",
    to=f"android:org.example.shop:{TOKEN}",
    sender=Sender(""),
    content=CONTENT_,
    callback_url="",
    validity_s=600,
    expires_at=NOW + timedelta(seconds=600),
)
NAME = "projects/shop-1/messages/0:1500415314455276%31bd1c9631bd1c96"
ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []}


def pem_of(key: Any) -> str:
    made: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.decode()


KEY: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ACCOUNT = ServiceAccount(
    client_email="notifyq@shop-1.iam.gserviceaccount.com",
    private_key=pem_of(KEY),
    private_key_id="kid1",
)
Result = Answer | NeverLeft | Lost


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, raw)


def token_answer(value: str = "ya29.t1", **changes: object) -> Answer:
    given = {"access_token": value, "expires_in": 3600, "token_type": "Bearer"}
    return answer(200, {**given, **changes})


def error(
    http: int,
    word: str,
    code: str | None = None,
    *,
    field: str | None = None,
    message: str = "Request contains an invalid argument.",
    **headers: str,
) -> Answer:
    """An error as Google writes it."""
    details: list[dict[str, Any]] = []
    if code is not None:
        details.append({"@type": FCM_ERROR, "errorCode": code})
    if field is not None:
        violation = {"field": field, "description": "Invalid value"}
        details.append({"@type": BAD_REQUEST, "fieldViolations": [violation]})
    found: dict[str, object] = {"code": http, "message": message, "status": word}
    return answer(
        http, {"error": {**found, **({"details": details} if details else {})}}, **headers
    )


class FakeWire(Wire):
    """Answers requests for tokens and pushes as told, by turns, and keeps them."""

    def __init__(self, *pushes: Result, tokens: list[Result] | None = None) -> None:
        super().__init__(max_in_flight=4)
        self.answers = {"token": tokens or [token_answer()], "push": list(pushes) or [Lost("x")]}
        self.requests: list[httpx.Request] = []
        self.timeouts_s: list[float] = []
        self.gate: asyncio.Event | None = None
        self.push_gate: asyncio.Event | None = None
        self.on_token: Callable[[], None] = lambda: None

    async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
        kind = "token" if request.url.path == "/token" else "push"
        self.requests.append(request)
        self.timeouts_s.append(timeout_s)
        if kind == "token":
            self.on_token()
            if self.gate is not None:
                await self.gate.wait()
        elif self.push_gate is not None:
            await self.push_gate.wait()
        results = self.answers[kind]
        return results.pop(0) if len(results) > 1 else results[0]

    def of(self, kind: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.url.path == "/token") is (kind == "token")]


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def fcm(wire: Wire, now: Callable[[], datetime] = lambda: NOW) -> Fcm:
    return Fcm(
        name="push",
        base_url="https://fcm.googleapis.com/",
        project_id="shop-1",
        service_account=ACCOUNT,
        wire=wire,
        now=now,
    )


async def outcome_of(*pushes: Result) -> Outcome:
    return await fcm(FakeWire(*pushes)).send(MESSAGE, timeout_s=10)


# The tables.

CODE_TABLE: dict[str, tuple[Answer, Outcome]] = {
    "UNSPECIFIED_ERROR": (
        error(400, "UNKNOWN", "UNSPECIFIED_ERROR"),
        InDoubt("UNSPECIFIED_ERROR"),
    ),
    "INVALID_ARGUMENT": (
        error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        Refused(CONTENT, "INVALID_ARGUMENT"),
    ),
    "UNREGISTERED": (
        error(404, "NOT_FOUND", "UNREGISTERED"),
        Refused(ADDRESS, "UNREGISTERED"),
    ),
    "SENDER_ID_MISMATCH": (
        error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        Refused(ADDRESS, "SENDER_ID_MISMATCH"),
    ),
    "QUOTA_EXCEEDED": (
        error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        Throttled("QUOTA_EXCEEDED", 60.0),
    ),
    "UNAVAILABLE": (error(503, "UNAVAILABLE", "UNAVAILABLE"), InDoubt("UNAVAILABLE")),
    "INTERNAL": (error(500, "INTERNAL", "INTERNAL"), InDoubt("INTERNAL")),
    "THIRD_PARTY_AUTH_ERROR": (
        error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
        Misconfigured("THIRD_PARTY_AUTH_ERROR"),
    ),
}
STATUS_TABLE: dict[str, tuple[Answer, Outcome]] = {
    "INVALID_ARGUMENT": (
        error(400, "INVALID_ARGUMENT"),
        Refused(CONTENT, "INVALID_ARGUMENT"),
    ),
    "UNAUTHENTICATED": (error(401, "UNAUTHENTICATED"), Misconfigured("UNAUTHENTICATED")),
    "PERMISSION_DENIED": (error(403, "PERMISSION_DENIED"), Misconfigured("PERMISSION_DENIED")),
    "NOT_FOUND": (error(404, "NOT_FOUND"), Misconfigured("NOT_FOUND")),
    "RESOURCE_EXHAUSTED": (
        error(429, "RESOURCE_EXHAUSTED", **{"Retry-After": "7"}),
        Throttled("RESOURCE_EXHAUSTED", 7.0),
    ),
}


@pytest.mark.parametrize("code", CODE_TABLE)
async def test_each_error_code_means_what_the_table_says(code: str) -> None:
    result, expected = CODE_TABLE[code]
    assert await outcome_of(result) == expected


@pytest.mark.parametrize("word", STATUS_TABLE)
async def test_each_status_without_an_error_code_means_what_the_table_says(word: str) -> None:
    result, expected = STATUS_TABLE[word]
    assert await outcome_of(result) == expected


def test_the_tables_here_and_the_clients_have_the_same_rows() -> None:
    assert CODE_TABLE.keys() == CODES.keys()
    assert STATUS_TABLE.keys() == STATUSES.keys()


@pytest.mark.parametrize("code", [*CODES, None])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_a_server_error_is_in_doubt_whatever_its_code(status: int, code: str | None) -> None:
    found = await outcome_of(error(status, "UNAVAILABLE", code, **{"Retry-After": "1"}))
    assert found == InDoubt(code or "UNAVAILABLE")


INVALID = "INVALID_ARGUMENT"
NOT_A_TOKEN = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer(200, {"name": NAME}), Accepted(NAME)),
        (answer(200, {"name": "projects/shop-1/messages/"}), InDoubt("http_200")),
        (answer(200, {"name": NAME + "\n"}), InDoubt("http_200")),
        (answer(200, {"name": 1}), InDoubt("http_200")),
        (answer(200, {}), InDoubt("http_200")),
        (answer(200, [NAME]), InDoubt("http_200")),
        (answer(200, b"<html>"), InDoubt("http_200")),
        (answer(200, b"[" * 100_000), InDoubt("http_200")),
        (answer(201, {"name": NAME}), InDoubt("http_201")),
        (answer(101, b""), InDoubt("http_101")),
        (answer(302, b""), InDoubt("http_302")),
        (answer(408, b""), InDoubt("http_408")),
        (error(408, INVALID, INVALID), InDoubt(INVALID)),
        (answer(500, b"<html>"), InDoubt("http_500")),
        # Whom an invalid argument is about
        (error(400, INVALID, INVALID, message=NOT_A_TOKEN), Refused(ADDRESS, INVALID)),
        (error(400, INVALID, INVALID, field="message.token"), Refused(ADDRESS, INVALID)),
        (error(400, INVALID, field="message.token"), Refused(ADDRESS, INVALID)),
        (error(400, INVALID, field="message.data[0].value"), Refused(CONTENT, INVALID)),
        (
            error(400, INVALID, INVALID, field="message.android.ttl", message=NOT_A_TOKEN),
            Refused(CONTENT, INVALID),
        ),
        (error(400, INVALID, message=NOT_A_TOKEN), Refused(CONTENT, INVALID)),
        # What FCM does not document
        (error(400, "FAILED_PRECONDITION"), Refused(CONTENT, "FAILED_PRECONDITION")),
        (error(400, INVALID, "BRAND_NEW"), Refused(CONTENT, "BRAND_NEW")),
        (error(403, "PERMISSION_DENIED", "BRAND_NEW"), Misconfigured("BRAND_NEW")),
        (error(409, "ABORTED"), Misconfigured("ABORTED")),
        (error(400, INVALID, "no word"), Refused(CONTENT, INVALID)),
        (error(400, "lower case"), Misconfigured("http_400")),
        (answer(429, b"<html>", **{"Retry-After": "12"}), Throttled("http_429", 12.0)),
        (answer(429, b""), Throttled("http_429", 60.0)),
        (error(429, INVALID, "UNREGISTERED"), Throttled("UNREGISTERED", 60.0)),
        *(
            (answer(status, b"<html>"), Misconfigured(f"http_{status}"))
            for status in (400, 401, 403, 404, 405, 413, 415)
        ),
        (answer(404, {"error": "not_found"}), Misconfigured("http_404")),
        (answer(404, {"error": {"details": 1}}), Misconfigured("http_404")),
        (
            answer(404, {"error": {"status": "NOT_FOUND", "details": ["x", {"@type": 1}]}}),
            Misconfigured("NOT_FOUND"),
        ),
        (
            answer(400, {"error": {"status": INVALID, "details": [{"@type": BAD_REQUEST}]}}),
            Refused(CONTENT, INVALID),
        ),
        (
            answer(
                404, {"error": {"status": "NOT_FOUND", "details": [{"errorCode": "UNREGISTERED"}]}}
            ),
            Misconfigured("NOT_FOUND"),
        ),
        (NeverLeft("econnrefused"), NotSent("econnrefused")),
        (Lost("closed"), InDoubt("closed")),
    ],
)
async def test_other_answers(result: Result, expected: Outcome) -> None:
    assert await outcome_of(result) == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "details", "status", "@type", "errorCode", "fieldViolations"]
            ),
            inner | st.sampled_from([FCM_ERROR, BAD_REQUEST, INVALID, "UNREGISTERED"]),
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(st.integers(100, 599), anything)
@settings(max_examples=300, deadline=None)
def test_any_answer_has_a_meaning_and_is_accepted_by_its_name_only(status: int, body: Any) -> None:
    found = read_answer(answer(status, body))
    assert not isinstance(found, Accepted)
    assert isinstance(found, InDoubt) or 400 <= status < 500


# The request.


async def request_of(message: Message) -> dict[str, Any]:
    wire = FakeWire()
    await fcm(wire).send(message, timeout_s=10)
    (request,) = wire.of("push")
    found: dict[str, Any] = json.loads(request.read())
    return found


async def test_the_request_is_what_fcm_documents() -> None:
    wire = FakeWire()
    await fcm(wire).send(MESSAGE, timeout_s=10)
    (request,) = wire.of("push")
    assert (request.method, str(request.url)) == (
        "POST",
        "https://fcm.googleapis.com/v1/projects/shop-1/messages:send",
    )
    assert request.headers["authorization"] == "Bearer ya29.t1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.read()) == {
        "message": {
            "token": TOKEN,
            "notification": {"title": "Größe", "body": "50 % off & more"},
            "data": {"order": "8123", "delivery_id": MESSAGE.collapse_id},
            "android": {
                "ttl": "600s",
                "priority": "HIGH",
                "notification": {"tag": MESSAGE.collapse_id},
            },
        }
    }


async def test_a_push_to_the_web_has_a_web_pushs_headers() -> None:
    found = await request_of(replace(MESSAGE, to=f"web:shop.example.org:{TOKEN}"))
    assert "android" not in found["message"]
    assert found["message"]["webpush"] == {
        "headers": {"TTL": "600", "Urgency": "high"},
        "notification": {"tag": MESSAGE.collapse_id},
    }


async def test_only_a_producers_collapse_key_collapses_on_the_way() -> None:
    content = replace(CONTENT_, collapse_key="eta")
    android = (await request_of(replace(MESSAGE, content=content)))["message"]["android"]
    assert (android["collapseKey"], android["notification"]) == ("eta", {"tag": "eta"})
    assert "collapseKey" not in (await request_of(MESSAGE))["message"]["android"]


@pytest.mark.parametrize(
    ("validity_s", "ttl"),
    [(-5, "0s"), (0, "0s"), (1, "1s"), (2_419_200, "2419200s"), (9_999_999, "2419200s")],
)
async def test_fcm_is_told_how_long_a_push_is_worth_sending(validity_s: int, ttl: str) -> None:
    found = await request_of(replace(MESSAGE, validity_s=validity_s))
    assert found["message"]["android"]["ttl"] == ttl


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to": "android:org.example.shop"}, Refused(ADDRESS, "address_syntax")),
        ({"to": "android:org.example.shop:a b"}, Refused(ADDRESS, "address_syntax")),
        ({"to": ""}, Refused(ADDRESS, "address_syntax")),
        ({"to": "ios:org.example.shop:" + "0a" * 32}, Misconfigured("not_a_device_of_fcm")),
        ({"content": SmsContent("x")}, Misconfigured("not_a_push")),
        ({"content": PushContent("x", "\ud800")}, Refused(CONTENT, "not_text")),
        ({"content": PushContent("x", "y", {"from": "z"})}, Refused(CONTENT, "payload")),
        ({"content": PushContent("x", "y" * 5_000)}, Refused(CONTENT, "payload")),
    ],
)
async def test_what_fcm_would_not_take_is_not_sent(
    changes: dict[str, Any], expected: Outcome
) -> None:
    wire = FakeWire()
    assert await fcm(wire).send(replace(MESSAGE, **changes), timeout_s=10) == expected
    assert wire.requests == []


@pytest.mark.parametrize(
    "key",
    [
        "from",
        "message_type",
        "gcm",
        "google.x",
        "gcm.notification.x",
        "collapse_key",
        "delivery_id",
    ],
)
def test_reserved_keys_are_refused_at_once_with_the_name(key: str) -> None:
    assert key in str(fcm(FakeWire()).refusal(PushContent("t", "b", {key: "x"})))


def test_keys_that_look_like_reserved_ones_pass() -> None:
    keys = ["From", "googled", "fromage", "x.google.", "message_types", "order"]
    assert fcm(FakeWire()).refusal(PushContent("t", "b", dict.fromkeys(keys, "x"))) is None
    assert fcm(FakeWire()).refusal(SmsContent("x")) is None


def test_the_size_counts_keys_and_values_in_bytes() -> None:
    empty = payload_bytes(PushContent("", ""))
    assert payload_bytes(PushContent("ä", "b", {"ö": "€"})) == empty + 2 + 1 + 2 + 3
    fits = PushContent("", "x" * (PAYLOAD_BYTES_MAX - empty))
    assert payload_bytes(fits) == PAYLOAD_BYTES_MAX
    assert fcm(FakeWire()).refusal(fits) is None
    assert "4096 bytes" in str(fcm(FakeWire()).refusal(replace(fits, title="x")))


# Google's own document judges the request.

SPEC = Path(__file__).parents[3] / "shared" / "specs" / "fcm.v1.json"
PATTERNS = {
    "google-duration": r"^-?\d{1,12}(\.\d{1,9})?s$",
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
}


def schema_of(discovery: dict[str, Any], name: str) -> dict[str, Any]:
    """Convert a discovery document to JSON Schema; unknown fields are refused, as FCM does."""

    def convert(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            return {"$ref": f"#/$defs/{node['$ref']}"}
        made: dict[str, Any] = {"type": node["type"]} if node["type"] != "any" else {}
        if "properties" in node:
            made["properties"] = {k: convert(v) for k, v in node["properties"].items()}
            made["additionalProperties"] = False
        if "additionalProperties" in node:
            made["additionalProperties"] = convert(node["additionalProperties"])
        if "items" in node:
            made["items"] = convert(node["items"])
        if "enum" in node:
            made["enum"] = node["enum"]
        if node.get("format") in PATTERNS:
            made["pattern"] = PATTERNS[node["format"]]
        return made

    defs = {name: convert(node) for name, node in discovery["schemas"].items()}
    return {"$ref": f"#/$defs/{name}", "$defs": defs}


@pytest.fixture(scope="module")
def google() -> Draft202012Validator:
    if not SPEC.exists():
        pytest.skip(f"{SPEC} is not there")
    return Draft202012Validator(schema_of(json.loads(SPEC.read_text()), "SendMessageRequest"))


MESSAGES = [
    MESSAGE,
    replace(MESSAGE, content=replace(CONTENT_, collapse_key="eta")),
    replace(MESSAGE, to=f"web:shop.example.org:{TOKEN}"),
    replace(MESSAGE, content=PushContent("", "")),
]


@pytest.mark.parametrize("message", MESSAGES)
async def test_googles_document_takes_what_we_send(
    google: Draft202012Validator, message: Message
) -> None:
    google.validate(await request_of(message))


async def test_googles_document_takes_the_check(google: Draft202012Validator) -> None:
    wire = FakeWire(error(400, INVALID, INVALID))
    await fcm(wire).check(timeout_s=5)
    google.validate(json.loads(wire.of("push")[0].read()))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda m: m.update(tokens=["x"]),
        lambda m: m["data"].update(n=1),
        lambda m: m["android"].update(ttl=600),
        lambda m: m["android"].update(ttl="600"),
        lambda m: m["android"].update(priority="high"),
        lambda m: m["android"].update(tag="x"),
        lambda m: m["notification"].update(tag="x"),
        lambda m: m.update(webpush={"headers": {"TTL": 600}}),
    ],
)
async def test_googles_document_refuses_a_broken_one(
    google: Draft202012Validator, break_it: Callable[[dict[str, Any]], None]
) -> None:
    found = await request_of(MESSAGE)
    break_it(found["message"])
    with pytest.raises(ValidationError):
        google.validate(found)


# The token.


async def test_a_token_is_asked_for_by_an_assertion_that_our_key_signed() -> None:
    wire = FakeWire(answer(200, {"name": NAME}))
    await fcm(wire).send(MESSAGE, timeout_s=10)
    (request,) = wire.of("token")
    assert (request.method, str(request.url)) == ("POST", "https://oauth2.googleapis.com/token")
    form = parse_qs(request.read().decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    decode: Any = jwt.decode
    claims = decode(
        form["assertion"][0],
        KEY.public_key(),
        algorithms=["RS256"],
        audience="https://oauth2.googleapis.com/token",
        options={"verify_exp": False, "verify_iat": False},
    )
    header: Any = jwt.get_unverified_header(form["assertion"][0])
    at = int(NOW.timestamp())
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "kid1"}
    assert claims == {
        "iss": ACCOUNT.client_email,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": at,
        "exp": at + 3600,
    }


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    clock = Clock()
    tokens: list[Result] = [token_answer("ya29.t1"), token_answer("ya29.t2")]
    wire = FakeWire(answer(200, {"name": NAME}), tokens=tokens)
    client = fcm(wire, clock)
    for passed_s in (0, 1_000, 3_600 - EARLY_S - 1, 3_600 - EARLY_S):
        clock.at = NOW + timedelta(seconds=passed_s)
        assert await client.send(MESSAGE, timeout_s=10) == Accepted(NAME)
    used = [request.headers["authorization"] for request in wire.of("push")]
    assert used == ["Bearer ya29.t1"] * 3 + ["Bearer ya29.t2"]


@pytest.mark.parametrize("lasts_s", [None, "3600", 0, -1, True, 3600.5, 86_401])
async def test_a_token_that_does_not_say_how_long_is_used_once(lasts_s: object) -> None:
    wire = FakeWire(answer(200, {"name": NAME}), tokens=[token_answer(expires_in=lasts_s)])
    client = fcm(wire)
    for _ in range(2):
        assert await client.send(MESSAGE, timeout_s=10) == Accepted(NAME)
    assert len(wire.of("token")) == 2


async def test_however_many_wait_one_asks() -> None:
    wire = FakeWire(answer(200, {"name": NAME}))
    wire.gate = asyncio.Event()
    client = fcm(wire)
    sending = [asyncio.create_task(client.send(MESSAGE, timeout_s=10)) for _ in range(10)]
    await asyncio.sleep(0.01)
    wire.gate.set()
    assert await asyncio.gather(*sending) == [Accepted(NAME)] * 10
    assert len(wire.of("token")) == 1


UNAUTHENTICATED = error(401, "UNAUTHENTICATED")


@pytest.mark.parametrize("refusal", [UNAUTHENTICATED, answer(401, b"<html>")])
async def test_a_token_that_ended_early_is_replaced_and_the_push_was_not_carried_out(
    refusal: Answer,
) -> None:
    good = answer(200, {"name": NAME})
    wire = FakeWire(good, refusal, good)
    client = fcm(wire)
    assert await client.send(MESSAGE, timeout_s=10) == Accepted(NAME)
    assert isinstance(await client.send(MESSAGE, timeout_s=10), Unavailable)
    assert await client.send(MESSAGE, timeout_s=10) == Accepted(NAME)
    assert len(wire.of("token")) == 2
    assert len(wire.of("push")) == 3  # none was repeated here


async def test_a_fresh_token_that_is_refused_is_ours_to_mend() -> None:
    wire = FakeWire(UNAUTHENTICATED)
    client = fcm(wire)
    for asked in (1, 2):
        assert await client.send(MESSAGE, timeout_s=10) == Misconfigured("UNAUTHENTICATED")
        assert len(wire.of("token")) == asked


async def test_several_that_are_refused_with_one_token_cost_one_new_one() -> None:
    good = answer(200, {"name": NAME})
    wire = FakeWire(good, UNAUTHENTICATED, UNAUTHENTICATED, UNAUTHENTICATED, good)
    client = fcm(wire)
    await client.send(MESSAGE, timeout_s=10)
    wire.push_gate = asyncio.Event()
    sending = [asyncio.create_task(client.send(MESSAGE, timeout_s=10)) for _ in range(3)]
    while len(wire.of("push")) < 4:  # noqa: ASYNC110
        await asyncio.sleep(0)
    wire.push_gate.set()
    found = await asyncio.gather(*sending)
    assert found == [Unavailable("UNAUTHENTICATED")] * 3
    await client.send(MESSAGE, timeout_s=10)
    assert len(wire.of("token")) == 2


async def test_a_late_refusal_of_an_old_token_does_not_cost_the_new_one() -> None:
    good = answer(200, {"name": NAME})
    held: list[asyncio.Future[Result]] = []

    class Held(FakeWire):
        async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
            found = await super().exchange(request, timeout_s=timeout_s)
            if request.url.path == "/token":
                return found
            held.append(asyncio.get_running_loop().create_future())
            return await held[-1]

    wire = Held(good)
    client = fcm(wire)

    async def begin() -> asyncio.Task[Outcome]:
        known = len(held)
        task = asyncio.create_task(client.send(MESSAGE, timeout_s=10))
        while len(held) == known:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return task

    first = await begin()
    held[0].set_result(good)
    assert await first == Accepted(NAME)
    early, late = await begin(), await begin()
    held[1].set_result(UNAUTHENTICATED)
    assert isinstance(await early, Unavailable)
    renewed = await begin()
    held[2].set_result(UNAUTHENTICATED)
    assert isinstance(await late, Unavailable)
    last = await begin()
    for each in held[3:]:
        each.set_result(good)
    assert [await renewed, await last] == [Accepted(NAME)] * 2
    assert len(wire.of("token")) == 2


async def test_a_missing_key_for_the_web_does_not_cost_the_token() -> None:
    wire = FakeWire(error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    client = fcm(wire)
    for _ in range(2):
        found = await client.send(MESSAGE, timeout_s=10)
        assert found == Misconfigured("THIRD_PARTY_AUTH_ERROR")
    assert len(wire.of("token")) == 1


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (NeverLeft("econnrefused"), NotSent("token_econnrefused")),
        (Lost("closed"), NotSent("token_closed")),
        (answer(500, b""), NotSent("token_http_500")),
        (answer(503, b""), NotSent("token_http_503")),
        (answer(429, b""), NotSent("token_http_429")),
        (answer(302, b""), NotSent("token_http_302")),
        (answer(200, b"<html>"), NotSent("token_unreadable")),
        (answer(200, {"access_token": "a\r\nb"}), NotSent("token_unreadable")),
        (answer(200, {"access_token": ""}), NotSent("token_unreadable")),
        (answer(200, {"access_token": 1}), NotSent("token_unreadable")),
        (answer(400, {"error": "invalid_grant"}), Misconfigured("token_invalid_grant")),
        (answer(401, {"error": "invalid_client"}), Misconfigured("token_invalid_client")),
        (answer(403, b"<html>"), Misconfigured("token_http_403")),
        (answer(404, {"error": "Not Found\n"}), Misconfigured("token_http_404")),
        (answer(400, {"error": {"x": 1}}), Misconfigured("token_http_400")),
    ],
)
async def test_without_a_token_nothing_was_sent_and_nothing_is_in_doubt(
    result: Result, expected: Outcome
) -> None:
    wire = FakeWire(tokens=[result])
    assert await fcm(wire).send(MESSAGE, timeout_s=10) == expected
    assert wire.of("push") == []


async def test_the_whole_time_holds_for_both_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    boottime_s = 1_000.0
    monkeypatch.setattr(boottime, "boottime_s", lambda: boottime_s)

    def pass_7_s() -> None:
        nonlocal boottime_s
        boottime_s += 7

    wire = FakeWire(answer(200, {"name": NAME}))
    wire.on_token = pass_7_s
    assert await fcm(wire).send(MESSAGE, timeout_s=10) == Accepted(NAME)
    assert wire.timeouts_s == [10, 3]
    wire = FakeWire(answer(200, {"name": NAME}))
    wire.on_token = pass_7_s  # as a machine that slept over the lease
    assert await fcm(wire).send(MESSAGE, timeout_s=6) == NotSent("token_timeout")
    assert wire.of("push") == []


async def test_who_waits_too_long_for_anothers_token_sent_nothing() -> None:
    wire = FakeWire(answer(200, {"name": NAME}))
    wire.gate = asyncio.Event()
    client = fcm(wire)
    first = asyncio.create_task(client.send(MESSAGE, timeout_s=10))
    await asyncio.sleep(0)
    assert await client.send(MESSAGE, timeout_s=0.05) == NotSent("token_timeout")
    wire.gate.set()
    assert await first == Accepted(NAME)


def test_a_key_that_is_none_is_refused_at_the_start_and_is_never_shown() -> None:
    for key in ("", "x", pem_of(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ValueError, match=r".") as found:
            Fcm(
                name="push",
                base_url="https://fcm.googleapis.com",
                project_id="p",
                service_account=replace(ACCOUNT, private_key=key),
                wire=FakeWire(),
                now=lambda: NOW,
            )
        assert "BEGIN" not in str(found.value)
    assert "PRIVATE" not in repr(ACCOUNT)


# Checks, and what FCM does not have.


def steps(found: list[Check]) -> list[tuple[str, bool]]:
    return [(each.name, each.ok) for each in found]


@pytest.mark.parametrize(
    ("token", "push", "expected"),
    [
        (token_answer(), error(400, INVALID, INVALID), "permission+"),
        (token_answer(), error(404, "NOT_FOUND", "UNREGISTERED"), "permission+"),
        (token_answer(), answer(200, {"name": NAME}), "permission+"),
        (token_answer(), error(401, "UNAUTHENTICATED"), "permission-"),
        (token_answer(), error(403, "PERMISSION_DENIED"), "permission-"),
        (token_answer(), error(404, "NOT_FOUND"), "permission-"),
        (token_answer(), error(400, INVALID), "permission-"),
        (token_answer(), answer(500, b"<html>"), "permission-"),
        (token_answer(), NeverLeft("econnrefused"), "reach-"),
        (answer(400, {"error": "invalid_grant"}), Lost("x"), "credentials-"),
        (answer(200, b""), Lost("x"), "credentials-"),
        (
            answer(200, {}, Date="Mon, 23 Nov 2026 11:58:00 GMT"),
            Lost("x"),
            "clock-",
        ),
        (NeverLeft("no_such_host"), Lost("x"), "reach!"),
    ],
)
async def test_a_check_ends_with_the_first_step_that_fails_and_never_sends(
    token: Result, push: Result, expected: str
) -> None:
    wire = FakeWire(push, tokens=[token])
    found = steps(await fcm(wire).check(timeout_s=5))
    names = ["reach", "clock", "credentials"]
    name, ok = expected[:-1], expected[-1] == "+"
    before = names[: names.index(name)] if name in names[1:] else names
    assert found == [
        *((each, True) for each in ([] if expected == "reach!" else before)),
        (name, ok),
    ]
    for request in wire.of("push"):
        assert json.loads(request.read())["validateOnly"] is True


async def test_the_client_is_a_provider_that_learns_nothing_later() -> None:
    provider: Provider = fcm(FakeWire())
    sought = Sought("", "", "", "ref", NOW, NOW)
    assert provider.name == "push"
    assert await provider.look_up(sought, timeout_s=1) == LookUpFailed("no_list")
    for body in (b"", b"\xff{}"):
        assert isinstance(await provider.read_callback(Callback("", {}, body)), BadCallback)
    await provider.close()
