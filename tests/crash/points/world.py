"""Where one case happens: its database, its shop, the people it writes to."""

import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, LiteralString
from uuid import uuid4

import psycopg

from notifyq.domain.asking import Ask
from notifyq.domain.message import Sender
from notifyq.domain.model import Channel, DoubtRules, Lane, Post
from notifyq.domain.retention import Retention
from notifyq.entrypoints import janitor
from notifyq.entrypoints.worker.lane import LaneWorker
from notifyq.entrypoints.worker.rules import LaneRules
from notifyq.entrypoints.worker.sending import SendRules
from notifyq.providers.twilio.client import Twilio
from notifyq.providers.wire import Wire
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN, SENDER
from notifyq.services import maintain
from notifyq.services.reap import Walk
from notifyq.services.settle import SettleRules
from notifyq.store import db
from tests.crash.points import outside
from tests.store import helpers as h

PROVIDER = outside.NAME
# Short, so that a case takes a second; the order of the two is what production code relies on.
TIMEOUT_S = 0.8
LEASE_S = 1.2
WINDOW_S = 3_600.0  # the settle window; recovery moves its end, so that it closes when wanted
LOOK_UP_S = (WINDOW_S / 2,)  # so is the time of the look-up, where one is wanted


@dataclass(frozen=True, slots=True)
class Outside:
    """The provider's side of one case."""

    taken: list[dict[str, str]]  # messages that it accepted
    box: list[dict[str, Any]]  # callbacks as they came, not yet handed to anybody


@dataclass(frozen=True, slots=True)
class World:
    """Everything a child of a case has to know; goes through a pipe as JSON."""

    url: str
    sandbox: str  # the vendor's own address: scripts and questions go there
    net: str  # the network before it: workers call this, callbacks come back to it
    label: str  # unique in this run
    serial: int  # unique in this run: part of every number that is written to
    tenant_id: int
    lane: int

    @property
    def shop(self) -> h.Shop:
        return h.Shop(self.tenant_id, "acme", Lane(self.lane, Channel.SMS, PROVIDER))

    def phone(self, n: int) -> str:
        return f"+1415{self.serial:05}{n:02}"

    def text(self, n: int) -> str:
        return f"{self.label} no {n}"

    def ask(self, n: int, **changes: Any) -> Ask:
        """The n-th request of this case: its own key, number and text."""
        changes = {"body": self.text(n), "to": self.phone(n), "key": self.text(n)} | changes
        made: Ask = h.make_ask(self.shop, **changes)
        return made

    def write_to_us(self, n: int, body: str) -> None:
        """Have the n-th person send a text to our number; told when this returns."""
        text = {"vendor": "twilio", "from": self.phone(n), "to": SENDER, "body": body}
        over_http("POST", f"{self.sandbox}/sandbox/inbound", text)

    def outside(self) -> Outside:
        """What the provider took, and what it told about it."""
        found = over_http("GET", f"{self.net}/case?case=1415{self.serial:05}")
        return Outside(found["taken"], found["box"])


# Whoever waits for a standby, or is frozen, holds locks for as long as the harness wants it to.
LOCK_TIMEOUT_MS = 1_000


class Look:
    """A connection of the harness, past every wrapper; opened again when it breaks."""

    def __init__(self, world: World) -> None:
        self._url = world.url
        self._conn: psycopg.AsyncConnection[Any] | None = None

    async def one(self, statement: LiteralString) -> Any:
        """The first column of the first row; None without one, or if it is locked or away."""
        try:
            if self._conn is None:
                self._conn = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, options=f"-c lock_timeout={LOCK_TIMEOUT_MS}"
                )
            cursor = await self._conn.execute(statement)
            row = await cursor.fetchone() if cursor.description else None
        except psycopg.OperationalError:
            self._conn = None
            return None
        return row[0] if row else None

    async def close(self) -> None:
        if self._conn is not None:
            await self._conn.close()


def worker(
    world: World, clock: db.DatabaseClock, *, look_up_s: tuple[float, ...] = LOOK_UP_S
) -> tuple[LaneWorker, Twilio]:
    """A lane worker as bootstrap builds it, but for its short times; and its provider."""
    room = 8
    provider = Twilio(
        name=PROVIDER,
        base_url=f"{world.net}/twilio",
        account_sid=ACCOUNT_SID,
        auth_token=AUTH_TOKEN,
        wire=Wire(max_in_flight=room),
        now=lambda: datetime.now(UTC),
    )
    rules = LaneRules(
        SendRules(
            Channel.SMS,
            TIMEOUT_S,
            f"{world.net}/callbacks/{PROVIDER}",
            lambda _brand, _program: Sender(SENDER),
        ),
        SettleRules(DoubtRules(WINDOW_S, look_up_s), h.DEDUPE_DAYS),
        room,
    )
    post = Post(0, world.shop.lane, uuid4(), h.REGION, 0, LEASE_S)
    connect = partial(db.connect, world.url, hot=True)
    made = LaneWorker(
        post, provider, rules, connect=connect, clock=clock, dice=Random(world.serial)
    )
    return made, provider


def duties(
    *, window_s: float = WINDOW_S, look_up_s: tuple[float, ...] = LOOK_UP_S
) -> janitor.Duties:
    """What the janitor looks after here."""
    doubt = DoubtRules(window_s, look_up_s)
    rules = maintain.Rules({PROVIDER: doubt}, doubt, h.DEDUPE_DAYS)
    return janitor.Duties(0, Retention(), rules, h.new_id, Walk(lambda _: 0))


def over_http(method: str, url: str, body: object = None) -> Any:
    """One call of the harness itself, answered with JSON; blocks."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        raw = answer.read()
    return json.loads(raw) if raw else None
