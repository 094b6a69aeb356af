"""The sandbox is as strict as FCM, breaks what it is told to break, and counts honestly."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

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
from notifyq.providers.fcm.client import Fcm
from notifyq.providers.fcm.token import ServiceAccount
from notifyq.providers.wire import Wire
from notifyq.sandbox.app import start
from notifyq.sandbox.faults import FAULTS, OF_HTTP2, Phase
from notifyq.sandbox.fcm import rules, vendor
from notifyq.sandbox.fcm.key import PRIVATE_KEY, PRIVATE_KEY_ID
from notifyq.sandbox.fcm.rules import CLIENT_EMAIL, MAGIC, PROJECT_ID, SHAPE
from notifyq.sandbox.fcm.tokens import AUDIENCE, Tokens
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import KINDS, SUFFIXES
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks

SEND = f"/fcm/v1/projects/{PROJECT_ID}/messages:send"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN = "dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
GOOD: dict[str, Any] = {
    "token": TOKEN,
    "notification": {"title": "Order", "body": "shipped"},
    "data": {"delivery_id": "dlv_1"},
    "android": {"ttl": "600s", "priority": "HIGH", "notification": {"tag": "dlv_1"}},
}


def assertion(**changes: object) -> str:
    """A good assertion but for the changes; a claim that is None is left out.

    A float is so many seconds from now.
    """
    at = int(time.time())
    claims = {"iss": CLIENT_EMAIL, "scope": SCOPE, "aud": AUDIENCE, "iat": at, "exp": at + 3_600}
    new = {name: at + int(v) if isinstance(v, float) else v for name, v in changes.items()}
    given = {name: value for name, value in {**claims, **new}.items() if value is not None}
    return jwt.encode(given, PRIVATE_KEY, algorithm="RS256")


@dataclass
class Ground:
    """A sandbox with FCM alone, and a client that has a token."""

    client: httpx.AsyncClient
    floor: Floor
    url: str
    tokens: Tokens

    async def ask(self, text: str, **form: str) -> httpx.Response:
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        data = {"grant_type": grant, "assertion": text, **form}
        return await self.client.post("/fcm/token", data=data)

    async def send(self, message: object, **more: object) -> httpx.Response:
        return await self.client.post(SEND, json={"message": message, **more})

    def accepted(self) -> list[tuple[str, str, str | None]]:
        rows, _ = self.floor.record.page({"vendor": "fcm"}, start=0, limit=1_000)
        return [(row.to, row.body, row.reference) for row in rows]

    def script(self, fault: str, **rest: object) -> None:
        self.floor.faults.add({"vendor": "fcm", "fault": fault, **rest})


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    record = Record()
    floor = Floor(record, Faults(), Holds(), Teller(record), Webhooks())
    tokens = Tokens()
    app = web.Application()
    counter = floor.counter(vendor.VENDOR, vendor.magic_of)
    for route in vendor.Fcm(counter, tokens).routes():
        app.router.add_route(route.method, f"/fcm{route.path}", route.handler)
    runner = await start(app, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        made = Ground(client, floor, url, tokens)
        got = (await made.ask(assertion())).json()
        client.headers["Authorization"] = f"Bearer {got['access_token']}"
        yield made
    floor.holds.release()
    await runner.cleanup()


async def test_a_good_push_is_answered_as_fcm_does_and_recorded_once(ground: Ground) -> None:
    answer = await ground.send(GOOD)
    assert answer.status_code == 200
    rows, _ = ground.floor.record.page({}, start=0, limit=9)
    assert answer.json() == {"name": rows[0].provider_id}
    assert rows[0].provider_id.startswith(f"projects/{PROJECT_ID}/messages/0:")
    assert ground.accepted() == [(TOKEN, "shipped", "dlv_1")]


def changed(path: str, value: object) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parents, last = path.split("/")
    node = made
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    return made


INVALID = "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("path", "value", "field", "fcm"),
    [
        ("tokens", [TOKEN], "message", False),
        ("topic", "news", "message", False),
        ("Token", TOKEN, "message", False),
        ("token", 1, "message.token", False),
        ("token", "short", None, True),
        ("token", "with a space and more characters", None, True),
        ("data", [], "message.data", False),
        ("data/n", 1, "message.data[1].value", False),
        ("data/from", "x", "message.data", True),
        ("data/message_type", "x", "message.data", True),
        ("data/google.x", "x", "message.data", True),
        ("data/gcm.notification.x", "x", "message.data", True),
        ("data/x", "x" * 4_096, None, False),
        ("notification/tag", "x", "message.notification", False),
        ("notification/body", None, "message.notification.body", False),
        ("android", "x", "message.android", False),
        ("android/ttl", 600, "message.android.ttl", False),
        ("android/ttl", "600", "message.android.ttl", False),
        ("android/ttl", "-1s", "message.android.ttl", False),
        ("android/ttl", "2419201s", "message.android.ttl", True),
        ("android/priority", "urgent", "message.android.priority", False),
        ("android/tag", "x", "message.android", False),
        ("webpush/headers", {"TTL": 1}, "message.webpush.headers[0].value", False),
        ("webpush/headers", {"TTL": "soon"}, "message.webpush.headers", True),
    ],
)
async def test_a_bad_push_is_refused_in_googles_shape(
    ground: Ground, path: str, value: object, field: str | None, fcm: bool
) -> None:
    answer = await ground.send(changed(path, value))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, INVALID)
    by_type = {each["@type"].rpartition(".")[2]: each for each in error.get("details", [])}
    assert ("FcmError" in by_type) is fcm
    if field is None:
        assert "BadRequest" not in by_type
    else:
        assert by_type["BadRequest"]["fieldViolations"][0]["field"] == field
    assert ground.accepted() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 100_000, b"[]", b"1", b"null", b"{}", b'{"message":{}}', b'{"message":1}'],
)
async def test_what_is_no_message_is_refused(ground: Ground, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await ground.client.post(SEND, content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, INVALID)
    text = await ground.client.post(SEND, content=json.dumps({"message": GOOD}).encode())
    assert text.status_code == 400  # no Content-Type
    assert ground.accepted() == []


async def test_names_are_taken_in_either_spelling_but_not_in_both(ground: Ground) -> None:
    snake = changed("android", {"collapse_key": "a", "notification": {"channel_id": "b"}})
    camel = changed("android", {"collapseKey": "a", "notification": {"channelId": "b"}})
    both = changed("android", {"collapseKey": "a", "collapse_key": "a"})
    answers = [(await ground.send(each)).status_code for each in (snake, camel, both)]
    assert answers == [200, 200, 400]


async def test_a_dry_run_says_what_would_be_and_delivers_nothing(ground: Ground) -> None:
    for name in ("validateOnly", "validate_only"):
        answer = await ground.send(GOOD, **{name: True})
        assert answer.json() == {"name": f"projects/{PROJECT_ID}/messages/fake_message_id"}
    dead = await ground.send({**GOOD, "token": f"{TOKEN}5550140"}, validateOnly=True)
    assert dead.status_code == 404
    bad = await ground.send({**GOOD, "token": "short"}, validateOnly=True)
    assert bad.status_code == 400
    assert (await ground.send(GOOD, validateOnly="yes")).status_code == 400
    assert ground.accepted() == []


@pytest.mark.parametrize(
    ("authorization", "project", "status", "word"),
    [
        ("", PROJECT_ID, 401, "UNAUTHENTICATED"),
        ("Bearer ya29.wrong", PROJECT_ID, 401, "UNAUTHENTICATED"),
        ("Basic eDp5", PROJECT_ID, 401, "UNAUTHENTICATED"),
        (None, "another", 403, "PERMISSION_DENIED"),
    ],
)
async def test_a_wrong_token_or_project_is_refused(
    ground: Ground, authorization: str | None, project: str, status: int, word: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    path = SEND.replace(PROJECT_ID, project)
    answer = await ground.client.post(path, json={"message": GOOD}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, word)
    assert ground.accepted() == []


OTHERS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "another@sandbox-project.iam.gserviceaccount.com"}, "invalid_grant"),
        ({"aud": "https://another.example/token"}, "invalid_grant"),
        ({"exp": 7_200.0}, "invalid_grant"),
        ({"exp": -600.0}, "invalid_grant"),
        ({"iat": 900.0}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"scope": None}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
    ],
)
async def test_an_assertion_must_be_right(
    ground: Ground, changes: dict[str, object], error: str
) -> None:
    answer = await ground.ask(assertion(**changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_an_assertion_must_be_signed_by_the_accounts_key(ground: Ground) -> None:
    claims = jwt.decode(assertion(), options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", algorithm="none")
    by_secret = jwt.encode(claims, "x" * 64, algorithm="HS256")
    for text in (jwt.encode(claims, OTHERS_KEY, algorithm="RS256"), unsigned, by_secret, "x", ""):
        answer = await ground.ask(text)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_token_comes_to_its_end(ground: Ground) -> None:
    ground.tokens._lasts_s = 0
    token = (await ground.ask(assertion())).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = await ground.client.post(SEND, json={"message": GOOD}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


async def test_the_grant_is_the_one_and_nothing_beside_it(ground: Ground) -> None:
    for form in ({"grant_type": "client_credentials"}, {"scope": SCOPE}):
        answer = await ground.ask(assertion(), **form)
        assert answer.json()["error"] == "unsupported_grant_type"
    good = (await ground.ask(assertion(aud=f"{ground.url}/fcm/token"))).json()
    assert good["token_type"] == "Bearer"
    assert good["expires_in"] == 3_599


SPEC = Path(__file__).parents[3] / "shared" / "specs" / "fcm.v1.json"


def test_every_field_that_is_carried_out_is_one_of_googles() -> None:
    if not SPEC.exists():
        pytest.skip(f"{SPEC} is not there")
    schemas = json.loads(SPEC.read_text())["schemas"]

    def compare(shape: Mapping[str, Any], schema: str) -> None:
        for name, inner in shape.items():
            theirs = schemas[schema]["properties"][name]
            if isinstance(inner, Mapping):
                compare(inner, theirs["$ref"])
            else:
                kinds = {str: "string", bool: "boolean"}
                assert theirs["type"] == kinds.get(inner, "object")

    compare(SHAPE, "SendMessageRequest")


# The client and the sandbox know nothing of each other: they meet here.

MESSAGE = Message(
    reference="ref1",
    collapse_id="dlv_1",
    to=f"android:org.example.shop:{TOKEN}",
    sender=Sender(""),
    content=PushContent("Größe", "50 % off €", {"order": "8123"}, "eta"),
    callback_url="",
    validity_s=600,
    expires_at=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=600),
)


def client(url: str, email: str = CLIENT_EMAIL) -> Fcm:
    account = ServiceAccount(email, PRIVATE_KEY, f"{url}/fcm/token", PRIVATE_KEY_ID)
    return Fcm(
        name="push",
        base_url=f"{url}/fcm",
        project_id=PROJECT_ID,
        service_account=account,
        wire=Wire(max_in_flight=2),
        now=lambda: datetime.now(UTC),
    )


ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT
MAGIC_OUTCOMES: dict[str, tuple[Outcome | type[Accepted], int]] = {
    "dead": (Refused(ADDRESS, "UNREGISTERED"), 0),
    "opted-out": (Refused(ADDRESS, "UNREGISTERED"), 0),
    "wrong-kind": (Refused(ADDRESS, "SENDER_ID_MISMATCH"), 0),
    "throttled": (Throttled("QUOTA_EXCEEDED", 60.0), 0),
    "error": (InDoubt("INTERNAL"), 0),
    "lost": (InDoubt("closed"), 1),
    "undelivered": (Accepted, 1),
    "silent": (Accepted, 1),
    "slow": (Accepted, 1),
    "content": (Refused(CONTENT, "INVALID_ARGUMENT"), 0),
    "config": (Misconfigured("THIRD_PARTY_AUTH_ERROR"), 0),
    "dropped": (InDoubt("closed"), 0),
}


def test_every_magic_token_is_tried() -> None:
    assert MAGIC_OUTCOMES.keys() == KINDS.keys() == MAGIC.keys()


@pytest.mark.parametrize("platform", ["android", "web"])
@pytest.mark.parametrize("suffix", ["0100", *SUFFIXES])
async def test_a_send_ends_as_its_token_says(ground: Ground, suffix: str, platform: str) -> None:
    kind = SUFFIXES.get(suffix)
    expected, count = MAGIC_OUTCOMES[kind] if kind else (Accepted, 1)
    token = f"{TOKEN}-555{suffix}"
    made = client(ground.url)
    found = await made.send(replace(MESSAGE, to=f"{platform}:org.shop:{token}"), timeout_s=10)
    await made.close()
    assert found == expected or type(found) is expected
    assert ground.accepted() == [(token, "50 % off €", "dlv_1")] * count


FAULTS_TRIED: dict[str, tuple[dict[str, object], Outcome | type[Outcome], int]] = {
    "refuse": ({"code": "NEW_CODE", "status": 418}, Misconfigured("NEW_CODE"), 0),
    "throttle": ({"retry_after_s": 7}, Throttled("QUOTA_EXCEEDED", 7.0), 0),
    "error_before_accept": ({"status": 503}, InDoubt("UNAVAILABLE"), 0),
    "error_after_accept": ({"status": 503}, InDoubt("UNAVAILABLE"), 1),
    "hold_before_accept": ({}, InDoubt("timeout"), 0),
    "hold_after_accept": ({}, InDoubt("timeout"), 1),
    "drop_before_accept": ({}, InDoubt("closed"), 0),
    "drop_after_accept": ({}, InDoubt("closed"), 1),
    "slow": ({"delay_s": 0.05}, Accepted, 1),
    "redirect_before_accept": ({}, InDoubt("http_302"), 0),
    "redirect_after_accept": ({}, InDoubt("http_302"), 1),
    "html_before_accept": ({"status": 404}, Misconfigured("http_404"), 0),
    "html_after_accept": ({"status": 502}, InDoubt("http_502"), 1),
    "malformed": ({}, InDoubt("http_200"), 1),
}


def test_every_fault_of_an_answer_is_tried() -> None:
    of_answers = {name for name, kind in FAULTS.items() if kind.phase is Phase.ANSWER}
    assert FAULTS_TRIED.keys() == of_answers - OF_HTTP2


@pytest.mark.parametrize("fault", FAULTS_TRIED)
async def test_a_fault_is_read_for_what_it_is_and_the_next_push_goes_well(
    ground: Ground, fault: str
) -> None:
    rest, expected, count = FAULTS_TRIED[fault]
    ground.script(fault, **rest)
    made = client(ground.url)
    found = await made.send(MESSAGE, timeout_s=0.5 if fault.startswith("hold") else 10)
    assert found == expected or type(found) is expected
    async with asyncio.timeout(5):
        while list(ground.floor.holds):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert len(ground.accepted()) == count
    assert isinstance(await made.send(MESSAGE, timeout_s=10), Accepted)
    await made.close()


@pytest.mark.parametrize("code", rules.CODES)
async def test_every_code_is_answered_as_google_does(ground: Ground, code: str) -> None:
    ground.script("refuse", code=code)
    answer = await ground.send(GOOD)
    status, word, _ = rules.CODES[code]
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (status, word)
    assert error["details"][0]["errorCode"] == code
    assert ground.accepted() == []


async def test_a_revoked_token_costs_one_try_and_nothing_is_sent_twice(ground: Ground) -> None:
    made = client(ground.url)
    assert isinstance(await made.send(MESSAGE, timeout_s=10), Accepted)
    ground.tokens.forget()
    assert await made.send(MESSAGE, timeout_s=10) == Unavailable("UNAUTHENTICATED")
    assert isinstance(await made.send(MESSAGE, timeout_s=10), Accepted)
    await made.close()
    assert len(ground.accepted()) == 2


async def test_a_check_finds_all_well_or_the_account_wrong_and_sends_nothing(
    ground: Ground,
) -> None:
    made, other = client(ground.url), client(ground.url, "another@x.iam.gserviceaccount.com")
    names = ["reach", "clock", "credentials", "permission"]
    found = await made.check(timeout_s=5)
    assert [(each.name, each.ok) for each in found] == [(name, True) for name in names]
    assert [each.ok for each in await other.check(timeout_s=5)] == [True, True, False]
    assert await other.send(MESSAGE, timeout_s=5) == Misconfigured("token_invalid_grant")
    nobody = client("http://127.0.0.1:1")
    assert await nobody.send(MESSAGE, timeout_s=5) == NotSent("token_econnrefused")
    for each in (made, other, nobody):
        await each.close()
    assert ground.accepted() == []
