"""APNs' answers, each reason of the table; the request, the token, and sends to a real server."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

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
from notifyq.domain.provider import BadCallback, Callback, LookUpFailed, Provider, Sought
from notifyq.providers.apns.account import NOBODY
from notifyq.providers.apns.answer import ANSWERS, THROTTLE_WAIT_S
from notifyq.providers.apns.client import UNRELATED_FOR, Apns
from notifyq.providers.apns.payload import (
    COLLAPSE_ID_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    collapse_id,
    payload,
    payload_bytes,
)
from notifyq.providers.apns.token import RENEW_AFTER, RENEW_FLOOR, Tokens
from notifyq.providers.http2 import Http2
from notifyq.providers.wire import Answer, Lost, NeverLeft, NotProcessed
from tests.providers.h2_server import Peer, Request, Server, serving

KEY = ec.generate_private_key(ec.SECP256R1())
TEAM_ID, KEY_ID = "TEAM000001", "KEY0000001"
TOPIC = "org.example.app"
DEVICE = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DELIVERY = "dlv_000001gab3f0v2qf6ujm8d8kl2g0s"
MESSAGE = Message(
    reference="00000000000000000000000000000001",
    collapse_id=DELIVERY,
    to=f"ios:{TOPIC}:{DEVICE}",
    sender=Sender(""),
    content=PushContent("Your driver", "is 2 min away: „Größe“ €", {"order": "17"}),
    callback_url="",
    validity_s=600,
    expires_at=NOW + timedelta(seconds=600, milliseconds=900),
)
ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT
Result = Answer | NeverLeft | NotProcessed | Lost


def pem(key: Any) -> str:
    raw: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return raw.decode()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class FakeHttp2(Http2):
    """Answers as told and keeps the requests; a success names the id that was sent."""

    def __init__(self, *results: Result | str) -> None:
        super().__init__(base_url="http://api.push.apple.com", max_in_flight=1)
        self.results = list(results)
        self.requests: list[httpx.Request] = []
        self.retired = 0

    async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
        self.requests.append(request)
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, str):
            return Answer(200, {"apns-id": request.headers["apns-id"]}, b"")
        return result

    def retire(self) -> None:
        self.retired += 1


OK = "ok"


def tokens(clock: Clock | None = None) -> Tokens:
    return Tokens(team_id=TEAM_ID, key_id=KEY_ID, private_key=pem(KEY), now=clock or Clock())


def apns(http2: Http2, clock: Clock | None = None, **options: Any) -> Apns:
    clock = clock or Clock()
    its = {"base_url": "https://api.push.apple.com", "tokens": tokens(clock), **options}
    return Apns(name="push", http2=http2, now=clock, **its)


def error(status: int, reason: str, **more: object) -> Answer:
    return Answer(status, {}, json.dumps({"reason": reason, **more}).encode())


async def outcome_of(result: Result) -> Outcome:
    return await apns(FakeHttp2(result)).send(MESSAGE, timeout_s=1)


# developer.apple.com, "Handling notification responses from APNs".
TABLE: dict[str, tuple[int, Outcome]] = {
    "BadCollapseId": (400, Refused(CONTENT, "BadCollapseId")),
    "BadDeviceToken": (400, Refused(ADDRESS, "BadDeviceToken")),
    "BadExpirationDate": (400, Refused(CONTENT, "BadExpirationDate")),
    "BadMessageId": (400, Refused(CONTENT, "BadMessageId")),
    "BadPriority": (400, Refused(CONTENT, "BadPriority")),
    "BadTopic": (400, Misconfigured("BadTopic")),
    "DeviceTokenNotForTopic": (400, Refused(ADDRESS, "DeviceTokenNotForTopic")),
    "DuplicateHeaders": (400, Refused(CONTENT, "DuplicateHeaders")),
    "IdleTimeout": (400, Unavailable("IdleTimeout")),
    "InvalidPushType": (400, Refused(CONTENT, "InvalidPushType")),
    "MissingDeviceToken": (400, Refused(CONTENT, "MissingDeviceToken")),
    "MissingTopic": (400, Misconfigured("MissingTopic")),
    "PayloadEmpty": (400, Refused(CONTENT, "PayloadEmpty")),
    "TopicDisallowed": (400, Misconfigured("TopicDisallowed")),
    "BadCertificate": (403, Misconfigured("BadCertificate")),
    "BadCertificateEnvironment": (403, Misconfigured("BadCertificateEnvironment")),
    "BadEnvironmentKeyIdInToken": (403, Misconfigured("BadEnvironmentKeyIdInToken")),
    "ExpiredProviderToken": (
        403,
        Misconfigured("ExpiredProviderToken"),
    ),  # of a new token: see below
    "Forbidden": (403, Misconfigured("Forbidden")),
    "InvalidProviderToken": (403, Misconfigured("InvalidProviderToken")),
    "MissingProviderToken": (403, Misconfigured("MissingProviderToken")),
    "UnrelatedKeyIdInToken": (403, Unavailable("UnrelatedKeyIdInToken")),
    "BadPath": (404, Refused(CONTENT, "BadPath")),
    "MethodNotAllowed": (405, Refused(CONTENT, "MethodNotAllowed")),
    "ExpiredToken": (410, Refused(ADDRESS, "ExpiredToken")),
    "Unregistered": (410, Refused(ADDRESS, "Unregistered")),
    "PayloadTooLarge": (413, Refused(CONTENT, "PayloadTooLarge")),
    "TooManyProviderTokenUpdates": (429, Throttled("TooManyProviderTokenUpdates", 60.0)),
    "TooManyRequests": (429, Throttled("TooManyRequests", 60.0)),
    "InternalServerError": (500, InDoubt("InternalServerError")),
    "ServiceUnavailable": (503, InDoubt("ServiceUnavailable")),
    "Shutdown": (503, InDoubt("Shutdown")),
}


@pytest.mark.parametrize("reason", TABLE)
async def test_each_reason_means_what_the_table_says(reason: str) -> None:
    status, expected = TABLE[reason]
    assert await outcome_of(error(status, reason)) == expected


def test_the_table_here_and_the_clients_have_the_same_reasons() -> None:
    assert TABLE.keys() == ANSWERS.keys()
    assert THROTTLE_WAIT_S == 60


@pytest.mark.parametrize("reason", [*ANSWERS, "NewReason"])
@pytest.mark.parametrize("status", [100, 200, 202, 301, 307, 408, 500, 502, 503, 504, 599])
async def test_outside_4xx_no_reason_makes_it_definite(status: int, reason: str) -> None:
    assert await outcome_of(error(status, reason)) == InDoubt(reason)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Answer(200, {}, b""), InDoubt("http_200")),
        (Answer(200, {"apns-id": "x"}, b""), InDoubt("http_200")),
        (Answer(200, {"apns-id": str(UUID(int=1))}, b""), InDoubt("http_200")),  # somebody else's
        (Answer(204, {}, b""), InDoubt("http_204")),
        (Answer(303, {}, b""), InDoubt("http_303")),
        (Answer(408, {}, b"<html>"), InDoubt("http_408")),
        (Answer(500, {}, b"<html>"), InDoubt("http_500")),
        (Answer(429, {}, b"<html>"), Throttled("http_429", 60.0)),
        (Answer(429, {"retry-after": "7"}, b""), Throttled("http_429", 7.0)),
        (Answer(400, {}, b"<html>"), Misconfigured("http_400")),
        (Answer(400, {}, b"[" * 100_000), Misconfigured("http_400")),
        (Answer(400, {}, b'{"reason":7}'), Misconfigured("http_400")),
        (Answer(400, {}, b'{"reason":"a b"}'), Misconfigured("http_400")),
        (Answer(401, {}, b""), Misconfigured("http_401")),
        (Answer(404, {}, b"<html>"), Misconfigured("http_404")),
        (Answer(410, {}, b"<html>"), Misconfigured("http_410")),
        (Answer(413, {}, b"\xff"), Misconfigured("http_413")),
        (error(400, "NewReason"), Refused(CONTENT, "NewReason")),
        (error(401, "NewReason"), Misconfigured("NewReason")),
        (error(403, "NewReason"), Misconfigured("NewReason")),
        (error(404, "NewReason"), Refused(CONTENT, "NewReason")),
        (error(410, "NewReason"), Refused(ADDRESS, "NewReason")),
        (error(429, "NewReason"), Throttled("NewReason", 60.0)),
        (error(400, "InternalServerError"), InDoubt("InternalServerError")),
        (NeverLeft("econnrefused"), NotSent("econnrefused")),
        (NotProcessed("goaway_Shutdown"), Unavailable("goaway_Shutdown")),
        (Lost("closed"), InDoubt("closed")),
    ],
)
async def test_other_answers(result: Result, expected: Outcome) -> None:
    assert await outcome_of(result) == expected


@pytest.mark.parametrize(
    ("timestamp", "since"),
    [
        (1_700_000_000_123, datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)),
        (0, None),
        (-5, None),
        (True, None),
        ("1700000000123", None),
        (1.7e12, None),
        (10**30, None),
        (None, None),
    ],
)
async def test_a_device_is_gone_since_the_timestamp(timestamp: object, since: object) -> None:
    found = await outcome_of(error(410, "Unregistered", timestamp=timestamp))
    assert found == Refused(ADDRESS, "Unregistered", since)  # type: ignore[arg-type]


# The request.


async def sent(message: Message) -> tuple[httpx.Request, dict[str, Any]]:
    http2 = FakeHttp2(OK)
    assert isinstance(await apns(http2).send(message, timeout_s=1), Accepted)
    (request,) = http2.requests
    return request, json.loads(request.read())


def claims_of(token: str) -> dict[str, Any]:
    """Verify a token's signature and return what it claims."""
    key: Any = KEY.public_key()
    options: Any = {"verify_iat": False}
    return dict(jwt.decode(token, key, algorithms=["ES256"], options=options))


async def test_the_request_is_the_push_that_apple_documents() -> None:
    request, body = await sent(replace(MESSAGE, to=f"ios:{TOPIC}:{DEVICE.upper()}"))
    assert (request.method, str(request.url)) == (
        "POST",
        f"https://api.push.apple.com/3/device/{DEVICE}",
    )
    headers = dict(request.headers)
    scheme, _, token = headers.pop("authorization").partition(" ")
    assert scheme == "bearer"
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY_ID, "typ": "JWT"}
    assert claims_of(token) == {"iss": TEAM_ID, "iat": int(NOW.timestamp())}
    apns_id = headers.pop("apns-id")
    assert str(UUID(apns_id)) == apns_id
    assert headers == {
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int(NOW.timestamp()) + 600),
        "apns-collapse-id": DELIVERY,
    }
    assert body == {
        "aps": {
            "alert": {"title": "Your driver", "body": "is 2 min away: „Größe“ €"},
            "mutable-content": 1,
        },
        "order": "17",
        "notifyq": {"delivery": DELIVERY},
    }


async def test_a_push_that_shows_nothing_wakes_the_app_and_has_the_priority_for_it() -> None:
    content = PushContent("", "", {"refresh": "1"})
    request, body = await sent(replace(MESSAGE, content=content))
    assert request.headers["apns-push-type"] == "background"
    assert request.headers["apns-priority"] == "5"
    assert body["aps"] == {"content-available": 1}
    assert body["refresh"] == "1"


async def test_a_title_or_a_body_alone_is_shown() -> None:
    for content in (PushContent("t", ""), PushContent("", "b")):
        request, body = await sent(replace(MESSAGE, content=content))
        assert request.headers["apns-push-type"] == "alert"
        assert list(body["aps"]["alert"].values()) in (["t"], ["b"])


async def test_an_attempt_has_one_id_and_the_next_attempt_another() -> None:
    first, again = await sent(MESSAGE), await sent(MESSAGE)
    other = await sent(replace(MESSAGE, reference="2"))
    ids = [request.headers["apns-id"] for request, _ in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert {request.headers["apns-collapse-id"] for request, _ in (first, other)} == {DELIVERY}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, DELIVERY),
        ("", DELIVERY),
        ("score", "score"),
        ("x" * 64, "x" * 64),
        ("x" * 65, hashlib.sha256(b"x" * 65).hexdigest()),
        ("zwei worte", hashlib.sha256(b"zwei worte").hexdigest()),
        ("größe", hashlib.sha256("größe".encode()).hexdigest()),
        ("a\r\nb", hashlib.sha256(b"a\r\nb").hexdigest()),
    ],
)
def test_a_collapse_key_is_sent_as_it_is_or_hashed(key: str | None, expected: str) -> None:
    found = collapse_id(PushContent("t", "b", {}, key), DELIVERY)
    assert found == expected
    assert 1 <= len(found.encode()) <= COLLAPSE_ID_BYTES_MAX


def of_size(size_bytes: int) -> PushContent:
    content = PushContent("t", "é")
    return PushContent("t", "é" + "x" * (size_bytes - payload_bytes(content)))


def test_a_push_of_exactly_the_limit_is_taken_and_one_more_byte_is_refused() -> None:
    client = apns(FakeHttp2(OK))
    assert client.refusal(of_size(PAYLOAD_BYTES_MAX)) is None
    refusal = client.refusal(of_size(PAYLOAD_BYTES_MAX + 1))
    assert refusal == "must have at most 4096 bytes as a push, has 4097"
    assert len(payload(of_size(PAYLOAD_BYTES_MAX), "x" * 64)) == PAYLOAD_BYTES_MAX


def test_what_is_refused_at_once_says_why() -> None:
    client = apns(FakeHttp2(OK))
    for key in ("aps", "notifyq"):
        refusal = client.refusal(PushContent("t", "b", {key: "x"}))
        assert refusal is not None
        assert f"must not have the key '{key}'" in refusal
    assert "collapse_key" in (client.refusal(PushContent("t", "b", {}, "é" * 33)) or "")
    assert client.refusal(PushContent("t", "b", {"a": "b"}, "é" * 32)) is None
    assert client.refusal(PushContent("t", "\ud800")) is None  # whoever sends it finds out
    assert client.refusal(SmsContent("x" * 9_999)) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (replace(MESSAGE, content=of_size(PAYLOAD_BYTES_MAX + 200)), Refused(CONTENT, "payload")),
        (
            replace(MESSAGE, content=PushContent("t", "b", {"aps": "x"})),
            Refused(CONTENT, "payload"),
        ),
        (replace(MESSAGE, content=PushContent("t", "\ud800")), Refused(CONTENT, "not_text")),
        (replace(MESSAGE, content=SmsContent("b")), Misconfigured("not_a_push")),
        (replace(MESSAGE, to=f"android:{TOPIC}:{DEVICE}"), Misconfigured("not_a_device_of_apns")),
        (replace(MESSAGE, to=f"ios:{TOPIC}:xyz"), Refused(ADDRESS, "address_syntax")),
        (replace(MESSAGE, to=f"ios:{TOPIC}:{DEVICE}/../x"), Refused(ADDRESS, "address_syntax")),
        (replace(MESSAGE, to=f"ios:a\r\nb:{DEVICE}"), Refused(ADDRESS, "address_syntax")),
        (replace(MESSAGE, to="+14155550100"), Refused(ADDRESS, "address_syntax")),
    ],
)
async def test_what_apns_would_never_take_is_not_sent(message: Message, expected: Outcome) -> None:
    http2 = FakeHttp2(OK)
    assert await apns(http2).send(message, timeout_s=1) == expected
    assert http2.requests == []


# What an answer teaches.


@pytest.mark.parametrize("reason", sorted(ANSWERS))
async def test_no_address_is_given_up_for_what_may_be_our_fault(reason: str) -> None:
    """At the wrong environment every device answers so; it would cost all addresses."""
    found = await outcome_of(error(TABLE[reason][0], reason))
    may_be_ours = reason in ("BadDeviceToken", "DeviceTokenNotForTopic")
    assert not isinstance(found, Refused) or found.for_good is not may_be_ours


def bearer(request: httpx.Request) -> str:
    return str(request.headers["authorization"]).removeprefix("bearer ")


async def test_one_token_serves_all_lanes_of_a_key_until_it_is_renewed() -> None:
    clock = Clock()
    shared = tokens(clock)
    lanes = [FakeHttp2(OK), FakeHttp2(OK)]
    clients = [apns(http2, clock, tokens=shared) for http2 in lanes]
    for minutes, expected in ((0, 1), (49, 1), (50, 2), (99, 2), (100, 3)):
        clock.now = NOW + timedelta(minutes=minutes)
        for client in clients:
            await client.send(MESSAGE, timeout_s=1)
        found = {bearer(request) for http2 in lanes for request in http2.requests}
        assert len(found) == expected
    assert timedelta(minutes=20) < RENEW_AFTER < timedelta(minutes=60)


async def test_an_expired_token_is_renewed_once_and_the_push_is_not_repeated() -> None:
    clock = Clock()
    http2 = FakeHttp2(OK, error(403, "ExpiredProviderToken"), OK)
    client = apns(http2, clock)
    await client.send(MESSAGE, timeout_s=1)
    clock.now += RENEW_FLOOR
    assert await client.send(MESSAGE, timeout_s=1) == Unavailable("ExpiredProviderToken")
    assert len(http2.requests) == 2
    await client.send(MESSAGE, timeout_s=1)
    first, second, third = map(bearer, http2.requests)
    assert first == second != third


async def test_a_token_within_the_floor_is_not_renewed_and_the_clock_is_to_blame() -> None:
    clock = Clock()
    http2 = FakeHttp2(OK, error(403, "ExpiredProviderToken"), OK)
    client = apns(http2, clock)
    await client.send(MESSAGE, timeout_s=1)
    clock.now += RENEW_FLOOR - timedelta(seconds=1)
    assert await client.send(MESSAGE, timeout_s=1) == Misconfigured("ExpiredProviderToken")
    await client.send(MESSAGE, timeout_s=1)
    assert len(set(map(bearer, http2.requests))) == 1


def test_late_words_about_an_old_token_do_not_cost_the_new_one() -> None:
    clock = Clock()
    its = tokens(clock)
    old = its.current()
    clock.now += RENEW_AFTER
    new = its.current()
    assert its.has_expired(old)
    its.was_one_too_many(old)
    assert its.current() == new != old


def test_after_too_many_updates_the_old_token_goes_on_and_none_is_made() -> None:
    clock = Clock()
    its = tokens(clock)
    old = its.current()
    clock.now += RENEW_AFTER
    new = its.current()
    its.was_one_too_many(new)
    assert its.current() == old
    clock.now += RENEW_FLOOR - timedelta(seconds=1)
    assert its.current() == old
    clock.now += timedelta(seconds=1)
    assert its.current() not in (old, new)


def test_after_too_many_updates_with_no_old_token_that_lasts_the_new_one_goes_on() -> None:
    clock = Clock()
    its = tokens(clock)
    only = its.current()
    its.was_one_too_many(only)
    assert its.current() == only
    clock.now += timedelta(hours=2)
    new = its.current()
    its.was_one_too_many(new)
    assert its.current() == new


async def test_too_many_updates_are_learnt_from_an_answer() -> None:
    clock = Clock()
    http2 = FakeHttp2(OK, error(429, "TooManyProviderTokenUpdates"), OK)
    client = apns(http2, clock)
    await client.send(MESSAGE, timeout_s=1)
    clock.now += RENEW_AFTER
    found = await client.send(MESSAGE, timeout_s=1)
    assert found == Throttled("TooManyProviderTokenUpdates", 60.0)
    await client.send(MESSAGE, timeout_s=1)
    first, second, third = map(bearer, http2.requests)
    assert first == third != second


def test_a_clock_that_was_set_back_renews_the_token() -> None:
    clock = Clock()
    its = tokens(clock)
    old = its.current()
    clock.now -= timedelta(hours=1)
    assert its.current() != old


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65_537, 2_048), ec.generate_private_key(ec.SECP384R1())]
)
def test_another_kind_of_key_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="P-256"):
        Tokens(team_id=TEAM_ID, key_id=KEY_ID, private_key=pem(key), now=Clock())


def test_what_is_no_key_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="PEM") as caught:
        Tokens(team_id=TEAM_ID, key_id=KEY_ID, private_key="s3cret", now=Clock())
    assert "s3cret" not in str(caught.value)


def test_tokens_are_not_shown() -> None:
    its = tokens()
    text = its.current()
    assert text not in repr(its) + repr(its._current)


async def test_an_unrelated_key_gets_a_new_connection_and_then_is_ours_to_mend() -> None:
    clock = Clock()
    http2 = FakeHttp2(error(403, "UnrelatedKeyIdInToken"))
    client = apns(http2, clock)
    for _ in range(2):
        found = await client.send(MESSAGE, timeout_s=1)
        assert found == Unavailable("UnrelatedKeyIdInToken")
    assert http2.retired == 2
    clock.now += UNRELATED_FOR
    assert await client.send(MESSAGE, timeout_s=1) == Misconfigured("UnrelatedKeyIdInToken")
    http2.results = [OK, error(403, "UnrelatedKeyIdInToken")]
    await client.send(MESSAGE, timeout_s=1)
    assert await client.send(MESSAGE, timeout_s=1) == Unavailable("UnrelatedKeyIdInToken")


async def test_an_idle_timeout_gets_a_new_connection() -> None:
    http2 = FakeHttp2(error(400, "IdleTimeout"))
    assert await apns(http2).send(MESSAGE, timeout_s=1) == Unavailable("IdleTimeout")
    assert http2.retired == 1


# The rest of a provider.


async def test_the_client_is_a_provider_that_lists_nothing_and_hears_nothing() -> None:
    provider: Provider = apns(FakeHttp2(OK))
    assert provider.name == "push"
    sought = Sought("", "", "", "", NOW, NOW)
    assert await provider.look_up(sought, timeout_s=1) == LookUpFailed("no_list")
    for body in (b"", b"\xff", b"{}"):
        found = await provider.read_callback(Callback("http://x/", {}, body))
        assert isinstance(found, BadCallback)
    await provider.close()


Steps = list[tuple[str, bool]]
REACHED: Steps = [("reach", True), ("clock", True)]


@pytest.mark.parametrize(
    ("result", "topic", "expected"),
    [
        (error(400, "BadDeviceToken"), TOPIC, [*REACHED, ("credentials", True), ("topic", True)]),
        (error(400, "MissingTopic"), None, [*REACHED, ("credentials", True)]),
        (error(400, "PayloadEmpty"), TOPIC, [*REACHED, ("credentials", True), ("topic", True)]),
        (error(400, "TopicDisallowed"), TOPIC, [*REACHED, ("credentials", True), ("topic", False)]),
        (error(400, "BadTopic"), TOPIC, [*REACHED, ("credentials", True), ("topic", False)]),
        (error(403, "InvalidProviderToken"), TOPIC, [*REACHED, ("credentials", False)]),
        (error(403, "ExpiredProviderToken"), TOPIC, [*REACHED, ("credentials", False)]),
        (error(429, "TooManyProviderTokenUpdates"), None, [*REACHED, ("credentials", False)]),
        (error(503, "Shutdown"), None, [*REACHED, ("credentials", False)]),
        (Answer(200, {}, b""), None, [*REACHED, ("credentials", False)]),
        (Answer(400, {}, b"<html>"), None, [*REACHED, ("credentials", False)]),
        (
            Answer(400, {"date": "Sun, 22 Nov 2026 12:00:00 GMT"}, b'{"reason":"BadDeviceToken"}'),
            None,
            [("reach", True), ("clock", False)],
        ),
        (NeverLeft("no_such_host"), None, [("reach", False)]),
        (Lost("closed"), None, [("reach", False)]),
    ],
)
async def test_a_check_ends_at_the_first_fault(
    result: Result, topic: str | None, expected: Steps
) -> None:
    http2 = FakeHttp2(result)
    found = await apns(http2, topic=topic).check(timeout_s=1)
    assert [(step.name, step.ok) for step in found] == expected
    assert all(step.detail for step in found)


async def test_a_check_can_reach_nobody() -> None:
    http2 = FakeHttp2(error(400, "BadDeviceToken"))
    await apns(http2, topic=TOPIC).check(timeout_s=1)
    (request,) = http2.requests
    token = request.url.path.removeprefix("/3/device/")
    assert token == NOBODY
    with pytest.raises(ValueError, match="hex"):
        bytes.fromhex(token)
    assert request.read() == b"{}"
    assert request.headers["apns-expiration"] == "0"


# Over the wire.


class Apple:
    """Verifies the token and answers with the id, or with a reason by the device."""

    def __init__(self) -> None:
        self.reasons: Mapping[str, tuple[int, bytes]] = {}

    def __call__(self, peer: Peer, request: Request) -> None:
        headers = request.headers
        device = headers[":path"].removeprefix("/3/device/")
        token = headers["authorization"].removeprefix("bearer ")
        claims_of(token)
        status, body = self.reasons.get(device, (200, b""))
        peer.answer(request.stream_id, status, {"apns-id": headers["apns-id"]}, body)


async def test_pushes_go_over_one_connection_and_come_back_with_their_ids() -> None:
    apple = Apple()
    dead = "ab" * 32
    apple.reasons = {dead: (410, b'{"reason":"Unregistered","timestamp":1700000000000}')}
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with serving(apple) as server:
        http2 = Http2(base_url=server.base_url, max_in_flight=50)
        client = apns(http2, clock, base_url=server.base_url)
        messages = [replace(MESSAGE, reference=f"{n}") for n in range(200)]
        messages[17] = replace(messages[17], to=f"ios:{TOPIC}:{dead}")
        found = await asyncio.gather(*(client.send(each, timeout_s=10) for each in messages))
        await client.close()
    assert isinstance(found[17], Refused)
    assert found[17].since is not None
    accepted = [each for each in found if isinstance(each, Accepted)]
    assert len({each.provider_id for each in accepted}) == 199
    assert {r.headers["apns-id"] for r in server.seen} >= {each.provider_id for each in accepted}
    assert_one_connection(server)


def assert_one_connection(server: Server) -> None:
    assert (len(server.peers), len(server.seen)) == (1, 200)
