"""The real application on a real database, over HTTP, and what is needed to look behind it.

`client` speaks ASGI to one application; `serve` gives an application a port of its own. Nothing
here stands in for a part of notifyq: the providers' other side is the sandbox.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import uvicorn
from psycopg.conninfo import conninfo_to_dict
from starlette.applications import Starlette
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifyq.bootstrap.accounts import CELL, NewId, accounts, provider_of, sender_of, wanted_lanes
from notifyq.bootstrap.api import api_parts
from notifyq.cli.tenants import make_key
from notifyq.config.fields import EnvSecret
from notifyq.config.settings import SenderSettings, Settings
from notifyq.config.vendors import TwilioSettings
from notifyq.domain.ids import read_public_id
from notifyq.domain.model import Category, Channel, DoubtRules, MessageClass, Post, Ready
from notifyq.domain.outcome import Outcome
from notifyq.domain.pace import Pace
from notifyq.domain.provider import Provider
from notifyq.entrypoints.api.app import Parts, create_app
from notifyq.entrypoints.api.notifications import READ, SEND
from notifyq.entrypoints.api.openapi import document
from notifyq.entrypoints.worker.lane import LaneWorker
from notifyq.entrypoints.worker.rules import LaneRules
from notifyq.entrypoints.worker.sending import SendRules
from notifyq.sandbox import app as sandbox_app
from notifyq.sandbox.record import Record
from notifyq.sandbox.twilio.rules import AUTH_TOKEN, Account
from notifyq.services.deliver import Turn, begin_due
from notifyq.services.settle import Ended, Settled, SettleRules, settle
from notifyq.store import db, lanes, tenants
from tests.conftest import cloned

PUBLIC_URL = "https://notify.example.org"
MAIN_SID, SPARE_SID = "AC" + "1" * 32, "AC" + "2" * 32
TOKENS = {"twilio-main": "main-token", "twilio-spare": "spare-token", "sandbox-sms": AUTH_TOKEN}
MAIN_SENDER, SPARE_SENDER, OTHER_SENDER = "+14155550110", "+14155550111", "+14155550112"
PATIENCE_S = 20.0  # a condition that has not come true by then never will


# ------------------------------------------------------------------------------- settings


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two live accounts and the sandbox's own, of which none is running."""
    monkeypatch.setenv("TEST_MAIN_TOKEN", TOKENS["twilio-main"])
    monkeypatch.setenv("TEST_SPARE_TOKEN", TOKENS["twilio-spare"])
    return settings_for(database_url)


def settings_for(database_url: str) -> Settings:
    """Settings with a category of each class, on a database."""

    def account(sid: str, variable: str) -> TwilioSettings:
        return TwilioSettings(
            vendor="twilio",
            base_url="http://127.0.0.1:9",
            account_sid=sid,
            auth_token=EnvSecret(env=variable),
            timeout_s=2.0,
        )

    def category(name: str, of: MessageClass, expires_in_s: int) -> Category:
        return Category(name, of, "default", expires_in_s)

    return Settings(
        database_url=database_url,
        public_url=PUBLIC_URL,
        sandbox_url="http://127.0.0.1:9",
        routes={Channel.SMS: ["twilio-main", "twilio-spare"]},
        providers={
            "twilio-main": account(MAIN_SID, "TEST_MAIN_TOKEN"),
            "twilio-spare": account(SPARE_SID, "TEST_SPARE_TOKEN"),
        },
        senders={
            MAIN_SENDER: SenderSettings(provider="twilio-main", brand="acme"),
            SPARE_SENDER: SenderSettings(provider="twilio-spare", brand="acme"),
            OTHER_SENDER: SenderSettings(provider="twilio-main", brand="globex"),
        },
        categories={
            "order.shipped": category("order.shipped", MessageClass.TRANSACTIONAL, 86_400),
            "login.code": category("login.code", MessageClass.OTP, 300),
            "fire": category("fire", MessageClass.EMERGENCY, 3_600),
        },
    )


@dataclass(frozen=True)
class Keys:
    """API keys of three tenants: acme, globex, and mute, for whose brand nobody speaks."""

    live: str
    test: str
    other: str  # of globex
    other_test: str
    mute: str
    send_only: str
    read_only: str
    revoked: str


@pytest.fixture
def keys(furnished: tuple[str, Keys]) -> Keys:
    """The keys of a test's own database, in which they are from the beginning."""
    return furnished[1]


@pytest.fixture
def template_name(request: pytest.FixtureRequest, template: str) -> str:
    """A test that uses keys has a clone in which the tenants are there."""
    if "keys" not in request.fixturenames:
        return template
    name: str = request.getfixturevalue("furnished")[0]
    return name


@pytest.fixture(scope="session")
def furnished(
    server: dict[str, Any], template: str, make_keys: Callable[[str], Keys]
) -> Iterator[tuple[str, Keys]]:
    """The name of a migrated database with the tenants, which is only cloned, and their keys."""
    with cloned(server, template, as_template=True) as url:
        yield conninfo_to_dict(url)["dbname"], make_keys(url)


async def keys_in(url: str) -> Keys:
    """Create the tenants and their keys."""
    async with await db.connect(url, autocommit=True) as conn:
        for name in ("acme", "globex", "mute"):
            assert await tenants.create(conn, cell=CELL, name=name, brand=name, actor="test")
    both = (SEND, READ)

    async def key(tenant: str, *, test: bool = False, scopes: tuple[str, ...] = both) -> str:
        return await make_key(url, tenant=tenant, test=test, scopes=scopes, by="test")

    found = Keys(
        live=await key("acme"),
        test=await key("acme", test=True),
        other=await key("globex"),
        other_test=await key("globex", test=True),
        mute=await key("mute"),
        send_only=await key("acme", scopes=(SEND,)),
        read_only=await key("acme", scopes=(READ,)),
        revoked=await key("acme"),
    )
    async with await db.connect(url, autocommit=True) as conn:
        assert await tenants.revoke(conn, cell=CELL, label=found.revoked[:16], actor="test")
    return found


@pytest.fixture(scope="session")
def make_keys() -> Callable[[str], Keys]:
    """make_keys(url): for fixtures that outlive a test and so have no event loop."""

    def make(url: str) -> Keys:
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(asyncio.run, keys_in(url)).result()

    return make


# --------------------------------------------------------------------------- applications

Change = Callable[[Parts], Parts]


@asynccontextmanager
async def application(settings: Settings, change: Change | None = None) -> AsyncIterator[Starlette]:
    """The real application with its lifespan; `change` may put other arguments into its parts."""

    @asynccontextmanager
    async def build() -> AsyncIterator[Parts]:
        async with api_parts(settings)() as parts:
            yield change(parts) if change else parts

    app = create_app(build)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def speaking(app: Starlette, key: str) -> AsyncIterator[httpx.AsyncClient]:
    # What a real server answers for a bug is a 500, not an exception in the client.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport,
        base_url="http://notifyq.test",
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client


Open = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def open_client(settings: Settings, keys: Keys) -> AsyncIterator[Open]:
    """Makes clients of applications of their own: open_client(key=, settings=, change=)."""
    async with AsyncExitStack() as stack:

        async def make(
            *,
            key: str = keys.live,
            settings: Settings = settings,
            change: Change | None = None,
        ) -> httpx.AsyncClient:
            app = await stack.enter_async_context(application(settings, change))
            return await stack.enter_async_context(speaking(app, key))

        yield make


@pytest.fixture
async def client(open_client: Open) -> httpx.AsyncClient:
    """Speaks to one application with acme's live key."""
    return await open_client()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the signals are pytest's


@asynccontextmanager
async def on_a_port(app: Starlette, sock: socket.socket) -> AsyncIterator[str]:
    """Serve an application whose lifespan is looked after already, as `notifyq api` does."""
    config = uvicorn.Config(
        app, loop="asyncio", http="httptools", lifespan="off", log_config=None, access_log=False
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def bound_socket() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def serve(settings: Settings, keys: Keys) -> AsyncIterator[Serve]:
    """Gives an application of its own a port: await serve() -> its URL."""
    async with AsyncExitStack() as stack:

        async def make(settings: Settings = settings) -> str:
            app = await stack.enter_async_context(application(settings))
            return await stack.enter_async_context(on_a_port(app, bound_socket()))

        yield make


# --------------------------------------------------------------------------- looking behind

_TABLES = """
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'notifyq'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition ORDER BY 1
"""
# A running process touches its own row without being asked.
_RESTLESS = {"worker"}


class Database:
    """Looks at the test's database with a connection of its own."""

    def __init__(self, conn: psycopg.AsyncConnection[Any]) -> None:
        self.conn = conn

    async def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        names = [name for (name,) in await self.rows(_TABLES) if name not in _RESTLESS]
        columns = ", ".join(f"(SELECT count(*) FROM notifyq.{name})" for name in names)
        (found,) = await self.rows(f"SELECT {columns}")
        return dict(zip(names, found, strict=True))

    async def rows(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        return await (await self.conn.execute(text.encode(), values)).fetchall()

    async def one(self, text: str, *values: object) -> Any:
        """Return the only value of the only row."""
        ((value,),) = await self.rows(text, *values)
        return value

    async def do(self, text: str, *values: object) -> int:
        return (await self.conn.execute(text.encode(), values)).rowcount

    async def until(self, text: str, *values: object) -> None:
        """Wait until a query says true; what it says then is in the failure otherwise."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    if await self.one(text, *values):
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"never came true: {text} {values}; {await self.summary()}")

    async def summary(self) -> list[tuple[Any, ...]]:
        return await self.rows(
            "SELECT d.state::text, d.reason, a.number, a.outcome::text, a.code, count(*)"
            "  FROM delivery d LEFT JOIN attempt a ON a.delivery_id = d.id GROUP BY 1, 2, 3, 4, 5"
        )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await looking_at(database_url) as conn:
        yield Database(conn)


async def looking_at(url: str) -> psycopg.AsyncConnection[Any]:
    conn = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await conn.execute("SET search_path = notifyq; SET timezone = 'UTC'")
    return conn


@pytest.fixture
async def stores_nothing(database: Database) -> Callable[[], AbstractAsyncContextManager[None]]:
    """`async with stores_nothing():` the rows of all tables are the same in number afterwards."""

    @asynccontextmanager
    async def check() -> AsyncIterator[None]:
        before = await database.counts()
        yield
        assert await database.counts() == before

    return check


# ------------------------------------------------------------------------------- requests


def asking(**changes: object) -> dict[str, Any]:
    """Return a good body with some top-level fields changed; None takes a field away."""
    good: dict[str, Any] = {
        "recipient": {"phone": "+14155550123"},
        "category": "order.shipped",
        "content": {"sms": {"body": "Your order 8123 has shipped."}},
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


@pytest.fixture
def body() -> Callable[..., dict[str, Any]]:
    return asking


@pytest.fixture
def post() -> Callable[..., Awaitable[httpx.Response]]:
    """await post(client, key="…", body={…} or bytes, headers={…}, api_key="nq_…")."""

    async def send(
        client: httpx.AsyncClient,
        key: str | None = None,
        body: Mapping[str, object] | bytes | str | None = None,
        headers: Mapping[str, str | bytes] | list[tuple[str, str | bytes]] = (),  # type: ignore[assignment]
        api_key: str | None = None,
    ) -> httpx.Response:
        found = asking() if body is None else body
        content = found if isinstance(found, bytes | str) else json.dumps(found)
        given = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name.lower() for name, _ in given}
        if "content-type" not in names:
            given.append(("Content-Type", "application/json"))
        if key is None and "idempotency-key" not in names:
            key = uuid4().hex
        if key is not None:
            given.append(("Idempotency-Key", key))
        if api_key is not None:
            given.append(("Authorization", f"Bearer {api_key}"))
        raw = [(n.encode(), v if isinstance(v, bytes) else v.encode()) for n, v in given]
        return await client.post("/v1/notifications", content=content, headers=raw)

    return send


Problem = Callable[..., dict[str, Any]]


@pytest.fixture
def problem() -> Problem:
    """problem(answer, status, code, pointer=…, says=…): what is asked of every refusal."""
    return _problem


def _problem(
    answer: httpx.Response,
    status: int,
    code: str,
    *,
    pointer: str | None = None,
    says: str = "",
    retryable: bool = False,
) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found.keys() == {
        "type", "title", "status", "detail", "code", "errors", "request_id", "retryable"
    }  # fmt: skip
    assert found["code"] == code, found
    _is_described(answer, code)
    assert (found["status"], found["type"]) == (status, f"/docs#{code}")
    assert found["retryable"] is retryable
    assert found["title"]
    assert re.search(r"\w", found["detail"])
    assert found["request_id"] == answer.headers["x-request-id"]
    assert all(error.keys() == {"pointer", "detail"} for error in found["errors"])
    if pointer is not None:
        told = [error["detail"] for error in found["errors"] if error["pointer"] == pointer]
        assert told, f"no fault at {pointer!r}: {found['errors']}"
        assert any(says in detail for detail in told), (says, told)
    else:
        assert says in found["detail"], (says, found["detail"])
    return found


def _is_described(answer: httpx.Response, code: str) -> None:
    """Hold a problem against the description of the route that answered it."""
    path = answer.request.url.raw_path.decode().partition("?")[0]
    routes = document()["paths"]
    # What is spelled out goes before what has a parameter, as in the application.
    for template in sorted(routes, key=lambda text: ("{" in text, text)):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            break
    else:
        return  # no route of producers
    if code in ("internal", "method_not_allowed"):  # of every route
        return
    told = routes[template][answer.request.method.lower()]["responses"]
    status = told.get(str(answer.status_code), {"description": ""})
    assert f"`{code}`:" in status["description"], f"{code} is not described for {template}"


# ------------------------------------------------------------------- the other half, by hand


class Hand:
    """Does by hand what a lane worker does, one step at a time."""

    def __init__(self, conn: db.Conn, posts: Mapping[str, Post]) -> None:
        self.conn = conn
        self.posts = posts
        self._clock = db.DatabaseClock()
        self.new_id = NewId(self._clock)

    async def begin(self, lane: str = "twilio-main") -> list[Ready]:
        """Begin everything that is due on a lane."""
        ever = [datetime(2000, 1, 1, tzinfo=UTC)] * 4
        turn = await begin_due(
            self.conn,
            self.posts[lane],
            room=1_000,
            low_waters=ever,
            dedupe_days=40,
            new_id=self.new_id,
        )
        assert isinstance(turn, Turn)
        return turn.ready

    async def end(self, ready: Ready, outcome: Outcome, lane: str = "twilio-main") -> bool:
        """Settle an attempt; True if it was still open."""
        ended = Ended(ready, outcome, self._clock.now())
        done = await settle(
            self.conn,
            self.posts[lane],
            [ended],
            SettleRules(DoubtRules(60), 40),
            dice=lambda: 0.5,
            new_id=self.new_id,
        )
        assert isinstance(done, Settled)
        return bool(done.done)


async def posts_for(settings: Settings, epoch: int = 1) -> dict[str, Post]:
    """Return a post on every lane, by the provider's name."""
    assert settings.database_url
    async with await db.connect(settings.database_url, autocommit=True) as conn:
        found = await lanes.ensure(conn, wanted_lanes(settings), cell=CELL)
    return {
        lane.provider: Post(CELL, lane, uuid4(), settings.region, epoch, 30.0)
        for lane in found.values()
    }


@pytest.fixture
async def hand(settings: Settings) -> AsyncIterator[Hand]:
    posts = await posts_for(settings)
    async with await db.connect(settings.database_url or "", hot=True) as conn:
        yield Hand(conn, posts)


# ------------------------------------------------------------- a sandbox, an API and workers


class Rig:
    """A sandbox with callbacks, an API on a port, and lane workers, all in this process."""

    def __init__(
        self, settings: Settings, keys: Keys, sandbox: httpx.AsyncClient, api: httpx.AsyncClient
    ) -> None:
        self.settings, self.keys, self.sandbox, self.api = settings, keys, sandbox, api
        self.stop = asyncio.Event()
        self.runs: list[asyncio.Task[None]] = []
        self._providers: list[Provider] = []

    async def accept(
        self, *, to: str = "+14155550123", text: str, key: str | None = None, **more: object
    ) -> str:
        """Have a message accepted, with the test key unless told otherwise; return its id."""
        asked = asking(recipient={"phone": to}, content={"sms": {"body": text}}, **more)
        answer = await self.api.post(
            "/v1/notifications",
            json=asked,
            headers={
                "Authorization": f"Bearer {key or self.keys.test}",
                "Idempotency-Key": uuid4().hex,
            },
        )
        assert answer.status_code == 202, answer.text
        named: str = answer.json()["id"]
        return named

    async def script(self, fault: str, **more: object) -> None:
        """Tell the sandbox what to do wrong."""
        script = {"vendor": "twilio", "fault": fault, **more}
        answer = await self.sandbox.post("/sandbox/faults", json=script)
        assert answer.status_code == 201, answer.text

    async def held(self, count: int) -> None:
        """Wait until the sandbox holds so many requests."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if len((await self.sandbox.get("/sandbox/held")).json()["data"]) == count:
                    return
                await asyncio.sleep(0.01)

    async def release(self) -> None:
        await self.sandbox.delete("/sandbox/held")

    async def received(self) -> list[dict[str, Any]]:
        """Return the sandbox's record: one row an acceptance."""
        found: list[dict[str, Any]] = []
        cursor: str | None = "0"
        while cursor is not None:
            query = {"limit": "1000", "cursor": cursor}
            page = (await self.sandbox.get("/sandbox/messages", params=query)).json()
            found += page["data"]
            cursor = page["next_cursor"]
        return found

    async def worker(
        self,
        lane: str = "sandbox-sms",
        *,
        provider: Provider | None = None,
        room: int = 8,
        timeout_s: float = 5.0,
        lease_s: float = 10.0,
        clock: db.DatabaseClock | None = None,
        connect: Callable[[], Awaitable[db.Conn]] | None = None,
        doubt: DoubtRules | None = None,
        pace: Pace | None = None,
    ) -> LaneWorker:
        """Return a lane worker that is not running yet, built as bootstrap/loops.py does."""
        url = self.settings.database_url or ""
        if provider is None:
            account = next(a for a in accounts(self.settings) if a.name == lane)
            provider = provider_of(replace(account, max_in_flight=room))
            self._providers.append(provider)
        post = replace((await posts_for(self.settings))[lane], epoch=0, lease_s=lease_s)
        if clock is None:
            clock = db.DatabaseClock()
        callback_url = f"{self.settings.public_url}/callbacks/{lane}"
        rules = SendRules(
            Channel.SMS, timeout_s, callback_url, partial(sender_of, self.settings, lane)
        )
        return LaneWorker(
            post,
            provider,
            LaneRules(rules, SettleRules(doubt or DoubtRules(60.0), 40), room, pace=pace),
            connect=connect or partial(db.connect, url, hot=True),
            clock=clock,
            dice=Random(1),
        )

    async def start(self, lane: str = "sandbox-sms", **more: Any) -> "asyncio.Task[None]":
        """Run a lane worker until the rig's stop."""
        worker = await self.worker(lane, **more)
        self.runs.append(asyncio.create_task(worker.run(self.stop)))
        return self.runs[-1]

    async def close(self) -> None:
        """Let everything go and wait for the workers."""
        self.stop.set()
        await self.sandbox.delete("/sandbox/faults")
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.release()
                    await asyncio.sleep(0.02)
                    if all(run.done() for run in self.runs):
                        break
        finally:
            for run in self.runs:
                run.cancel()
            await asyncio.gather(*self.runs, return_exceptions=True)
            for provider in self._providers:
                await provider.close()


@asynccontextmanager
async def rigged(settings: Settings, keys: Keys) -> AsyncIterator[Rig]:
    """A rig on the database of these settings; live keys reach the sandbox by accounts there."""
    live = [
        Account(MAIN_SID, TOKENS["twilio-main"], frozenset({MAIN_SENDER, OTHER_SENDER})),
        Account(SPARE_SID, TOKENS["twilio-spare"], frozenset({SPARE_SENDER})),
    ]
    async with AsyncExitStack() as stack:
        made = sandbox_app.create_app(Record(), accounts=live, callback_delay_s=0.01)
        runner = await sandbox_app.start(made, "127.0.0.1", 0)
        stack.push_async_callback(runner.cleanup)
        sandbox_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        sock = bound_socket()
        providers = {
            name: provider.model_copy(update={"base_url": f"{sandbox_url}/twilio"})
            for name, provider in settings.providers.items()
        }
        here = settings.model_copy(
            update={
                "sandbox_url": sandbox_url,
                "public_url": f"http://127.0.0.1:{sock.getsockname()[1]}",
                "providers": providers,
            }
        )
        app = await stack.enter_async_context(application(here))
        api_url = await stack.enter_async_context(on_a_port(app, sock))
        sandbox = await stack.enter_async_context(
            httpx.AsyncClient(base_url=sandbox_url, trust_env=False)
        )
        api = await stack.enter_async_context(
            httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=30)
        )
        rig = Rig(here, keys, sandbox, api)
        try:
            yield rig
        finally:
            await rig.close()


@pytest.fixture
async def rig(settings: Settings, keys: Keys) -> AsyncIterator[Rig]:
    async with rigged(settings, keys) as made:
        yield made


@pytest.fixture
def rig_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractAsyncContextManager[Rig]]:
    """`async with rig_on(url) as rig:` a rig on a migrated database of one's own."""
    monkeypatch.setenv("TEST_MAIN_TOKEN", TOKENS["twilio-main"])
    monkeypatch.setenv("TEST_SPARE_TOKEN", TOKENS["twilio-spare"])

    @asynccontextmanager
    async def make(url: str) -> AsyncIterator[Rig]:
        async with rigged(settings_for(url), await keys_in(url)) as made:
            yield made

    return make


@pytest.fixture
def look() -> Callable[[str], AbstractAsyncContextManager[Database]]:
    """`async with look(url) as database:` for a database of one's own."""

    @asynccontextmanager
    async def make(url: str) -> AsyncIterator[Database]:
        async with await looking_at(url) as conn:
            yield Database(conn)

    return make


# ------------------------------------------------------------------------------ callbacks

Callback = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def callback() -> Callback:
    """await callback(client, reference, status, …): as Twilio sends it, signed by its library.

    The named arguments bend it: token, provider, sid, fields, sent (what is really sent in place
    of the form that is signed), signature, query, public_url.
    """

    async def call(
        client: httpx.AsyncClient,
        reference: str,
        status: str,
        *,
        provider: str = "twilio-main",
        token: str | None = None,
        sid: str = "SM" + "a" * 32,
        fields: Mapping[str, str] | None = None,
        sent: bytes | None = None,
        signature: str | None = None,
        query: str | None = None,
        sent_query: str | None = None,
        public_url: str = PUBLIC_URL,
    ) -> httpx.Response:
        form = {
            "ApiVersion": "2010-04-01",
            "AccountSid": MAIN_SID,
            "From": MAIN_SENDER,
            "To": "+14155550123",
            "MessageSid": sid,
            "MessageStatus": status,
            "SmsSid": sid,
            "SmsStatus": status,
            **(fields or {}),
        }
        path = f"/callbacks/{provider}?{f'reference={reference}' if query is None else query}"
        signer = RequestValidator(token or TOKENS.get(provider, "no-token"))
        if signature is None:
            signature = signer.compute_signature(public_url + path, form)
        called = path if sent_query is None else f"/callbacks/{provider}?{sent_query}"
        headers = {
            b"Content-Type": b"application/x-www-form-urlencoded; charset=UTF-8",
            b"X-Twilio-Signature": signature.encode(),
            b"Authorization": b"",
        }
        content = sent if sent is not None else str(httpx.QueryParams(form)).encode()
        return await client.post(called, content=content, headers=headers)

    return call


@pytest.fixture
def soon() -> Callable[[float], datetime]:
    """soon(seconds): that long from now, aware."""
    return lambda seconds: datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
def uuid_of() -> Callable[[str], UUID]:
    """The uuid behind a public id."""
    return lambda text: read_public_id(text.partition("_")[0], text)[1]


@pytest.fixture(scope="session")
def major() -> int | None:
    """The major version of PostgreSQL that this run asked for, for a cluster of one's own."""
    return int(os.environ["NOTIFYQ_TEST_PG"]) if os.environ.get("NOTIFYQ_TEST_PG") else None
