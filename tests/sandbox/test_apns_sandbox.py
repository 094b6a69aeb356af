"""The sandbox's APNs is as strict as Apple's, breaks what it is told to, and counts honestly."""

import asyncio
import base64
import contextlib
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from notifyq.domain.content import PushContent
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
from notifyq.providers.apns.answer import ANSWERS
from notifyq.providers.apns.client import Apns as Client
from notifyq.providers.apns.token import Tokens as ClientTokens
from notifyq.providers.http2 import Http2
from notifyq.sandbox.apns.key import KEY_ID, PRIVATE_KEY, TEAM_ID
from notifyq.sandbox.apns.rules import MAGIC, STATUSES
from notifyq.sandbox.apns.tokens import Team, Tokens
from notifyq.sandbox.apns.vendor import VENDOR, Apns, magic_of
from notifyq.sandbox.faults import FAULTS, Phase
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import KINDS, SUFFIXES
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks

DEVICE = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
TOPIC = "org.example.app"
PAYLOAD = {"aps": {"alert": {"title": "t", "body": "hello"}}, "notifyq": {"delivery": "dlv_1"}}


@dataclass
class Ground:
    """A sandbox with APNs alone."""

    floor: Floor
    vendor: Apns
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accepted(self) -> list[tuple[str, str, str, str | None]]:
        rows, _ = self.floor.record.page({"vendor": VENDOR}, start=0, limit=10_000)
        return [(row.to, row.sender, row.body, row.reference) for row in rows]

    def script(self, fault: str, **rest: object) -> None:
        self.floor.faults.add({"vendor": VENDOR, "fault": fault, **rest})

    def streams(self) -> int:
        """How many the newest connection lets in."""
        (connection,) = self.vendor._connections
        return connection._h2.local_settings.max_concurrent_streams

    async def held(self) -> None:
        await until(lambda: bool(list(self.floor.holds)))


@asynccontextmanager
async def open_ground(team: Team | None = None, **options: Any) -> AsyncIterator[Ground]:
    record = Record()
    floor = Floor(record, Faults(), Holds(), Teller(record), Webhooks())
    tokens = Tokens(team or Team(), **options)
    vendor = Apns(floor.counter(VENDOR, magic_of), team, tokens)
    port = await vendor.start("127.0.0.1", 0)
    try:
        yield Ground(floor, vendor, port)
    finally:
        await vendor.close()
        await floor.teller.close()


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    async with open_ground() as found:
        yield found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def token(
    key: str = PRIVATE_KEY,
    *,
    age_s: float = 0,
    kid: str = KEY_ID,
    algorithm: str = "ES256",
    **claims: object,
) -> str:
    its = {"iss": TEAM_ID, "iat": int(time.time() - age_s), **claims}
    return str(jwt.encode(its, key, algorithm=algorithm, headers={"kid": kid}))


def headers(**changed: str | None) -> dict[str, str]:
    good = {
        "authorization": f"bearer {token()}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-id": str(uuid.uuid4()),
        "apns-priority": "10",
        "apns-expiration": "0",
        "apns-collapse-id": "x",
    }
    merged = {**good, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return {name: value for name, value in merged.items() if value is not None}


async def push(
    ground: Ground,
    sent: dict[str, str] | list[tuple[str, str]],
    payload: object = PAYLOAD,
    *,
    path: str = f"/3/device/{DEVICE}",
    method: str = "POST",
) -> httpx.Response:
    """Push with a client that is not ours."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    async with httpx.AsyncClient(http1=False, http2=True, trust_env=False) as client:
        return await client.request(
            method, ground.url + path, headers=sent, content=content, timeout=10
        )


async def test_a_good_push_is_taken_named_and_counted(ground: Ground) -> None:
    sent = headers()
    answer = await push(ground, sent, path=f"/3/device/{DEVICE.upper()}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["apns-id"] == sent["apns-id"]
    assert ground.accepted() == [(DEVICE, TOPIC, "hello", "dlv_1")]


async def test_a_push_without_an_id_is_given_one_and_is_its_own_reference(ground: Ground) -> None:
    sent = headers(apns_id=None, apns_priority=None, apns_expiration=None, apns_collapse_id=None)
    answer = await push(ground, sent, {"aps": {"alert": "plain"}})
    apns_id = answer.headers["apns-id"]
    assert str(uuid.UUID(apns_id)) == apns_id
    assert ground.accepted() == [(DEVICE, TOPIC, "plain", apns_id)]


async def test_a_background_push_is_taken_with_its_priority(ground: Ground) -> None:
    sent = headers(apns_push_type="background", apns_priority="5")
    answer = await push(ground, sent, {"aps": {"content-available": 1}})
    assert answer.status_code == 200


def other_key() -> str:
    key: Any = ec.generate_private_key(ec.SECP256R1())
    raw: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return raw.decode()


UNSIGNED = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "none", "kid": KEY_ID}, {"iss": TEAM_ID, "iat": int(time.time())})
)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"authorization": None}, "MissingProviderToken"),
        ({"authorization": "bearer "}, "MissingProviderToken"),
        ({"authorization": "basic x"}, "MissingProviderToken"),
        ({"authorization": "bearer x"}, "InvalidProviderToken"),
        ({"authorization": "bearer a.b.c"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {UNSIGNED}."}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token()}x"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token(other_key())}"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token(kid='OTHERKEY00')}"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token(iss='OTHERTEAM0')}"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token(iat='now')}"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token(age_s=-86_400)}"}, "InvalidProviderToken"),
        ({"authorization": f"bearer {token(age_s=3_660)}"}, "ExpiredProviderToken"),
        ({"apns_topic": None}, "MissingTopic"),
        ({"apns_topic": "a b"}, "BadTopic"),
        ({"apns_id": "1"}, "BadMessageId"),
        ({"apns_id": str(uuid.uuid4()).upper() + "A"}, "BadMessageId"),
        ({"apns_push_type": None}, "InvalidPushType"),
        ({"apns_push_type": "voip"}, "InvalidPushType"),
        ({"apns_push_type": "background", "apns_priority": "5"}, "InvalidPushType"),
        ({"apns_push_type": "background"}, "BadPriority"),
        ({"apns_priority": "7"}, "BadPriority"),
        ({"apns_expiration": "-1"}, "BadExpirationDate"),
        ({"apns_expiration": "2026-11-23"}, "BadExpirationDate"),
        ({"apns_collapse_id": "x" * 65}, "BadCollapseId"),
        ({"apns_collapse_id": ""}, "BadCollapseId"),
    ],
)
async def test_a_header_that_is_wrong_is_refused(
    ground: Ground, changed: dict[str, str | None], reason: str
) -> None:
    answer = await push(ground, headers(**changed))
    assert (answer.status_code, answer.json()) == (STATUSES[reason], {"reason": reason})
    assert "apns-id" in answer.headers
    assert ground.accepted() == []


async def test_a_header_that_is_there_twice_is_refused(ground: Ground) -> None:
    answer = await push(ground, [*headers().items(), ("apns-priority", "10")])
    assert answer.json() == {"reason": "DuplicateHeaders"}


@pytest.mark.parametrize(
    ("path", "method", "reason"),
    [
        ("/3/device/", "POST", "MissingDeviceToken"),
        ("/3/device/xyz", "POST", "BadDeviceToken"),
        ("/3/device/abc", "POST", "BadDeviceToken"),
        ("/3/device/" + "ab" * 15, "POST", "BadDeviceToken"),
        (f"/3/device/{DEVICE}/", "POST", "BadDeviceToken"),
        (f"/2/device/{DEVICE}", "POST", "BadPath"),
        ("/", "GET", "BadPath"),
        (f"/3/device/{DEVICE}", "GET", "MethodNotAllowed"),
    ],
)
async def test_a_path_that_is_wrong_is_refused(
    ground: Ground, path: str, method: str, reason: str
) -> None:
    answer = await push(ground, headers(), path=path, method=method)
    assert (answer.status_code, answer.json()) == (STATUSES[reason], {"reason": reason})
    assert ground.accepted() == []


def of_size(size_bytes: int) -> bytes:
    frame = b'{"aps":{"alert":""}}'
    return frame.replace(b'""', b'"%s"' % (b"x" * (size_bytes - len(frame))))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (of_size(4_096), None),
        (of_size(4_097), "PayloadTooLarge"),
        (of_size(300_000), "PayloadTooLarge"),
        (b"", "PayloadEmpty"),
        (b"{}", "PayloadEmpty"),
        (b"[]", "PayloadEmpty"),
        (b"no JSON", "PayloadEmpty"),
        (b"[" * 4_000, "PayloadEmpty"),
        ({"aps": {}}, "PayloadEmpty"),
        ({"aps": {"content-available": 1}}, "InvalidPushType"),
        ({"aps": {"mutable-content": 1}}, "InvalidPushType"),
        ({"aps": {"badge": 1}}, None),
    ],
)
async def test_a_payload_that_is_wrong_is_refused(
    ground: Ground, payload: object, reason: str | None
) -> None:
    answer = await push(ground, headers(), payload)
    if reason is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()) == (STATUSES[reason], {"reason": reason})
    assert len(ground.accepted()) == (reason is None)


def test_every_reason_of_apples_is_known() -> None:
    assert STATUSES.keys() == ANSWERS.keys()


async def test_a_topic_of_somebody_else_is_refused() -> None:
    async with open_ground(Team(topics=frozenset({TOPIC}))) as ground:
        assert (await push(ground, headers())).status_code == 200
        answer = await push(ground, headers(apns_topic="org.example.other"))
    assert answer.json() == {"reason": "TopicDisallowed"}


async def test_a_connection_takes_a_new_token_only_every_twenty_minutes() -> None:
    async with open_ground(update_s=0.5) as ground:
        url = f"{ground.url}/3/device/{DEVICE}"
        content = json.dumps(PAYLOAD).encode()
        first, second = headers(), headers(authorization=f"bearer {token(age_s=60)}")
        async with httpx.AsyncClient(http1=False, http2=True, trust_env=False) as client:
            found = []
            for sent in (first, first, second, first):
                answer = await client.post(url, headers=sent, content=content)
                found.append(answer.status_code)
            assert found == [200, 200, 429, 200]
            await asyncio.sleep(0.6)
            assert (await client.post(url, headers=second, content=content)).status_code == 200
        assert (await push(ground, first)).status_code == 200  # another connection


async def test_one_stream_may_be_open_until_a_good_token_came(ground: Ground) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    sent = [(":method", "POST"), (":scheme", "http"), (":authority", "x")]
    sent += [(":path", f"/3/device/{DEVICE}")]

    async def heard() -> int:
        client.receive_data(await reader.read(65_536))
        writer.write(client.data_to_send())
        return client.remote_settings.max_concurrent_streams

    assert await heard() == 1
    wrong = headers(authorization="bearer x")
    client.send_headers(1, [*sent, *wrong.items()], end_stream=True)
    writer.write(client.data_to_send())
    assert await heard() == 1
    client.send_headers(3, [*sent, *headers().items()], end_stream=True)
    writer.write(client.data_to_send())
    async with asyncio.timeout(5):
        while await heard() != 1_000:
            pass
    writer.close()


async def test_many_streams_without_a_token_are_cut_off(ground: Ground) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/")]
    for number in (1, 3):
        client.send_headers(number, fields)
    writer.write(client.data_to_send())
    async with asyncio.timeout(5):
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
    writer.close()


async def test_who_does_not_speak_http2_is_cut_off(ground: Ground) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
    writer.close()


async def test_an_error_fits_through_a_tiny_window(ground: Ground) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 3})
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/")]
    client.send_headers(1, fields, end_stream=True)
    writer.write(client.data_to_send())
    body = b""
    async with asyncio.timeout(5):
        while body != b'{"reason":"BadPath"}':
            for event in client.receive_data(await reader.read(65_536)):
                data = getattr(event, "data", None)
                if data is not None:
                    body += data
                    client.acknowledge_received_data(len(data), 1)
            writer.write(client.data_to_send())
    writer.close()


# With our client: what each fault comes to, and what was really accepted.


@asynccontextmanager
async def client_of(ground: Ground) -> AsyncIterator[Client]:
    def now() -> datetime:
        return datetime.now(UTC)

    tokens = ClientTokens(team_id=TEAM_ID, key_id=KEY_ID, private_key=PRIVATE_KEY, now=now)
    http2 = Http2(base_url=ground.url, max_in_flight=100)
    client = Client(
        name="push", base_url=ground.url, tokens=tokens, http2=http2, now=now, topic=TOPIC
    )
    try:
        yield client
    finally:
        await client.close()


def message(number: int = 1, device: str = DEVICE, body: str = "hello") -> Message:
    return Message(
        reference=f"reference-{number}",
        collapse_id=f"dlv_{number}",
        to=f"ios:{TOPIC}:{device}",
        sender=Sender(""),
        content=PushContent("t", body),
        callback_url="",
        validity_s=60,
        expires_at=datetime.now(UTC) + timedelta(seconds=60),
    )


ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT
ANSWER_FAULTS = {name for name, kind in FAULTS.items() if kind.phase is Phase.ANSWER}
# fault -> (script's numbers, what it comes to, how many were accepted)
FAULTY: dict[str, tuple[dict[str, object], Outcome | type, int]] = {
    "refuse": ({"code": "Unregistered"}, Refused, 0),
    "throttle": ({"retry_after_s": 7}, Throttled("TooManyRequests", 7.0), 0),
    "error_before_accept": ({"status": 503}, InDoubt("ServiceUnavailable"), 0),
    "error_after_accept": ({}, InDoubt("InternalServerError"), 1),
    "hold_before_accept": ({"hold_s": 0.1}, Accepted, 1),
    "hold_after_accept": ({"hold_s": 0.1}, Accepted, 1),
    "drop_before_accept": ({}, InDoubt, 0),
    "drop_after_accept": ({}, InDoubt, 1),
    "slow": ({"delay_s": 0.1}, Accepted, 1),
    "redirect_before_accept": ({}, InDoubt("http_302"), 0),
    "redirect_after_accept": ({"status": 303}, InDoubt("http_303"), 1),
    "html_before_accept": ({"status": 502}, InDoubt("http_502"), 0),
    "html_after_accept": ({"status": 200}, InDoubt("http_200"), 1),
    "malformed": ({}, InDoubt("http_200"), 1),
    "goaway_before_accept": ({}, Unavailable("goaway_Shutdown"), 0),
    "reset_before_accept": ({}, Unavailable("refused_stream"), 0),
    "goaway_after_accept": ({}, InDoubt("goaway_Shutdown"), 1),
    "goaway_then_answer": ({}, Accepted, 1),
    "reset_after_accept": ({}, InDoubt("rst_8"), 1),
}


def test_every_fault_of_an_answer_is_tried() -> None:
    assert FAULTY.keys() == ANSWER_FAULTS


@pytest.mark.parametrize("fault", FAULTY)
async def test_each_fault_comes_to_what_it_says_and_the_next_push_is_fine(
    ground: Ground, fault: str
) -> None:
    numbers, expected, accepted = FAULTY[fault]
    ground.script(fault, **numbers)
    async with client_of(ground) as client:
        found = await client.send(message(), timeout_s=5)
        assert found == expected or (isinstance(expected, type) and isinstance(found, expected))
        assert len(ground.accepted()) == accepted
        assert isinstance(await client.send(message(2), timeout_s=5), Accepted)
    assert len(ground.accepted()) == accepted + 1


async def test_a_reset_of_another_kind_before_acceptance_is_in_doubt(ground: Ground) -> None:
    ground.script("reset_before_accept", error=2)
    async with client_of(ground) as client:
        assert await client.send(message(), timeout_s=5) == InDoubt("rst_2")
    assert ground.accepted() == []


# kind -> what it comes to, how many of two tries are accepted
KIND: dict[str, tuple[Outcome | type, int]] = {
    "dead": (Refused, 0),
    "opted-out": (Refused, 0),
    "wrong-kind": (Refused(ADDRESS, "DeviceTokenNotForTopic"), 0),
    "throttled": (Throttled("TooManyRequests", 60.0), 1),
    "error": (InDoubt("InternalServerError"), 0),
    "lost": (InDoubt, 2),
    "undelivered": (Accepted, 2),
    "silent": (Accepted, 2),
    "slow": (Accepted, 1),  # tried once, it takes its time
    "content": (Refused(CONTENT, "PayloadTooLarge"), 0),
    "config": (Misconfigured("TopicDisallowed"), 0),
    "dropped": (InDoubt, 0),
}


def test_every_kind_of_magic_device_is_known() -> None:
    assert KIND.keys() == MAGIC.keys() == KINDS.keys()
    assert magic_of(DEVICE) is None


@pytest.mark.parametrize("kind", KIND)
async def test_a_magic_device_does_what_its_kind_says(ground: Ground, kind: str) -> None:
    expected, accepted = KIND[kind]
    suffix = next(suffix for suffix, each in SUFFIXES.items() if each == kind)
    device = "0" * 57 + "555" + suffix
    async with client_of(ground) as client:
        found = await client.send(message(1, device), timeout_s=8)
        assert found == expected or (isinstance(expected, type) and isinstance(found, expected))
        if kind != "slow":
            await client.send(message(1, device), timeout_s=8)
    assert len(ground.accepted()) == accepted


async def test_a_dead_device_is_dead_since_now(ground: Ground) -> None:
    async with client_of(ground) as client:
        found = await client.send(message(1, "0" * 57 + "5550140"), timeout_s=5)
    assert isinstance(found, Refused)
    assert (found.refusal, found.code) == (ADDRESS, "Unregistered")
    assert found.since is not None
    assert abs(datetime.now(UTC) - found.since) < timedelta(seconds=30)


async def test_the_account_can_be_checked(ground: Ground) -> None:
    async with client_of(ground) as client:
        found = await client.check(timeout_s=5)
    assert [(step.name, step.ok) for step in found] == [
        ("reach", True),
        ("clock", True),
        ("credentials", True),
        ("topic", True),
    ]
    assert ground.accepted() == []


@pytest.mark.parametrize(
    ("fault", "accepted"), [("hold_before_accept", 0), ("hold_after_accept", 1)]
)
async def test_a_held_push_ends_when_its_client_cancels_it(
    ground: Ground, fault: str, accepted: int
) -> None:
    ground.script(fault)
    async with client_of(ground) as client:
        sending = asyncio.create_task(client.send(message(), timeout_s=30))
        await ground.held()
        sending.cancel()
        await until(lambda: not list(ground.floor.holds))
        assert len(ground.accepted()) == accepted
        assert isinstance(await client.send(message(2), timeout_s=5), Accepted)


async def test_a_held_push_ends_when_its_client_goes_away(ground: Ground) -> None:
    ground.script("hold_before_accept")
    async with client_of(ground) as client:
        sending = asyncio.create_task(client.send(message(), timeout_s=30))
        await ground.held()
    assert await sending == InDoubt("closed")
    await until(lambda: not list(ground.floor.holds))
    assert ground.accepted() == []


async def test_a_held_push_that_is_released_is_taken(ground: Ground) -> None:
    ground.script("hold_before_accept")
    async with client_of(ground) as client:
        sending = asyncio.create_task(client.send(message(), timeout_s=30))
        await ground.held()
        assert ground.floor.holds.release() == 1
        assert isinstance(await sending, Accepted)
    assert len(ground.accepted()) == 1


async def test_a_goaway_before_a_push_never_denies_one_that_was_accepted(ground: Ground) -> None:
    """An older stream is refused while a younger one is at the counter: the id is the younger's."""
    ground.script("hold_before_accept", match={"reference": "dlv_2"})
    ground.script("hold_after_accept", match={"reference": "dlv_3"})
    ground.script("goaway_before_accept", match={"reference": "dlv_4"})
    async with client_of(ground) as client:
        assert isinstance(await client.send(message(1), timeout_s=5), Accepted)
        early = asyncio.create_task(client.send(message(2), timeout_s=9))
        await ground.held()
        accepted = asyncio.create_task(client.send(message(3), timeout_s=9))
        await until(lambda: len(ground.accepted()) == 2)
        assert await client.send(message(4), timeout_s=5) == Unavailable("goaway_Shutdown")
        ground.floor.holds.release()
        assert isinstance(await accepted, Accepted)
        assert isinstance(await early, Accepted)
        assert isinstance(await client.send(message(4), timeout_s=5), Accepted)
    assert Counter(row[3] for row in ground.accepted()) == {f"dlv_{n}": 1 for n in (1, 2, 3, 4)}


class Raw:
    """A client that goes on after a GOAWAY, and that may leave a request half written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.frames: list[Frame] = []
        self.left = b""
        self.authorization = f"bearer {token()}"

    def begin(self, number: int, delivery: int) -> None:
        sent = [(":method", "POST"), (":scheme", "http"), (":authority", "x")]
        its = headers(authorization=self.authorization)
        sent += [(":path", f"/3/device/{DEVICE}"), *its.items()]
        self.h2.send_headers(number, sent)
        payload = {**PAYLOAD, "notifyq": {"delivery": f"dlv_{delivery}"}}
        self.h2.send_data(number, json.dumps(payload).encode())
        self.writer.write(self.h2.data_to_send())

    def end(self, number: int) -> None:
        self.h2.end_stream(number)
        self.writer.write(self.h2.data_to_send())

    async def heard(self, kind: type[Frame], stream_id: int = 0) -> Any:
        async with asyncio.timeout(5):
            while True:
                for frame in self.frames:
                    if isinstance(frame, kind) and frame.stream_id == stream_id:
                        return frame
                await self.more()

    async def more(self) -> None:
        data = await self.reader.read(65_536)
        assert data, self.frames
        self.left += data
        while len(self.left) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.left[:9]))
            frame.parse_body(memoryview(self.left[9 : 9 + length]))
            self.left = self.left[9 + length :]
            self.frames.append(frame)
            if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                self.writer.write(SettingsFrame(0, flags=["ACK"]).serialize())


@pytest.mark.parametrize("is_answered", [True, False])
async def test_the_id_of_a_goaway_is_never_below_a_push_that_was_accepted(
    ground: Ground, is_answered: bool
) -> None:
    """A younger stream was accepted while the older was still being written, and is refused now."""
    if not is_answered:
        ground.script("hold_after_accept", match={"reference": "dlv_2"})
    ground.script("goaway_before_accept", match={"reference": "dlv_1"})
    raw = Raw(*await asyncio.open_connection("127.0.0.1", ground.port))
    raw.begin(1, 0)
    raw.end(1)
    await raw.heard(HeadersFrame, 1)
    await until(lambda: ground.streams() == 1_000)
    raw.begin(3, 1)
    raw.begin(5, 2)
    raw.end(5)
    await (raw.heard(HeadersFrame, 5) if is_answered else ground.held())
    raw.end(3)
    goaway = await raw.heard(GoAwayFrame)
    refused = await raw.heard(RstStreamFrame, 3)
    assert (goaway.last_stream_id, refused.error_code) == (5, 7)
    if not is_answered:
        raw.begin(7, 3)  # crosses the GOAWAY: nobody looks at it
        raw.end(7)
        await asyncio.sleep(0.05)
        ground.floor.holds.release()
        await raw.heard(HeadersFrame, 5)
    assert [row[3] for row in ground.accepted()] == ["dlv_0", "dlv_2"]
    raw.writer.close()


async def test_whatever_goes_wrong_no_definite_no_was_accepted_and_no_yes_was_not(
    ground: Ground,
) -> None:
    """Hundreds of pushes at once, among them all faults: outcomes against the record."""
    dice = random.Random(5)
    names = sorted(ANSWER_FAULTS - {"refuse"})
    for _ in range(60):
        fault = dice.choice(names)
        numbers = {"hold_s": 0.02} if fault.startswith("hold") else {}
        numbers |= {"delay_s": 0.02} if fault == "slow" else {}
        reference = f"dlv_{dice.randrange(600)}"
        ground.script(fault, match={"reference": reference}, **numbers)
    outcomes: dict[str, Outcome] = {}
    left = list(range(600))
    async with client_of(ground) as client:

        async def work() -> None:
            while left:
                number = left.pop()
                outcomes[f"dlv_{number}"] = await client.send(message(number), timeout_s=9)

        await asyncio.gather(*(work() for _ in range(20)))
    accepted = Counter(row[3] for row in ground.accepted())
    kinds = Counter(type(outcome).__name__ for outcome in outcomes.values())
    for reference, outcome in outcomes.items():
        count = accepted[reference]
        match outcome:
            case Accepted():
                assert count == 1, (reference, outcome)
            case InDoubt():
                assert count <= 1, (reference, outcome)
            case _:
                assert count == 0, (reference, outcome)
    assert kinds["Accepted"] > 200
    assert kinds["Unavailable"] > 3


async def test_without_a_listener_nothing_leaves() -> None:
    async with open_ground() as ground:
        pass
    async with client_of(ground) as client:
        assert await client.send(message(), timeout_s=5) == NotSent("econnrefused")


async def test_an_app_that_shares_a_reference_is_counted_per_delivery(ground: Ground) -> None:
    async with client_of(ground) as client:
        first = message(1)
        await client.send(first, timeout_s=5)
        await client.send(replace(first, reference="second attempt"), timeout_s=5)
    assert [row[3] for row in ground.accepted()] == ["dlv_1", "dlv_1"]
