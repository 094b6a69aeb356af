"""Factories: a tenant with a lane, asks, accepted notifications, and rows by the ten thousand.

What a test claims about goes in through the services; `load` writes rows by SQL, for backlogs.
"""

import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, LiteralString
from uuid import UUID, uuid4

from notifyq.domain.asking import Ask, Part, Planned
from notifyq.domain.content import SmsContent
from notifyq.domain.idempotency import fingerprint, hash_key
from notifyq.domain.ids import new_notification_id, reference
from notifyq.domain.model import (
    Category,
    Channel,
    DoubtRules,
    Lane,
    MessageClass,
    Post,
    Ready,
    Receipt,
)
from notifyq.domain.outcome import Outcome
from notifyq.services import accept, deliver, maintain, receive, settle
from notifyq.store import db, lanes, ledger, tenants
from notifyq.store.db import Conn, transact

PHONE = "+14155550123"
REGION = "default"
SETTLE_WINDOW_S = 600.0
DEDUPE_DAYS = 40
DOUBT = DoubtRules(SETTLE_WINDOW_S)
SETTLE_RULES = settle.SettleRules(DOUBT, DEDUPE_DAYS)
RULES = maintain.Rules({}, DOUBT, DEDUPE_DAYS)

LEASE_S = 30.0
EVER = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
CODE = Category("code", MessageClass.OTP)
_shops = itertools.count(1)
_dice = Random(20_261_122)


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant of cell 0 with one lane."""

    tenant_id: int
    brand: str
    lane: Lane


async def one(conn: Conn, text: LiteralString, **parameters: object) -> Any:
    """The first column of the first row; None without a row."""
    row = await (await conn.execute(text, parameters)).fetchone()
    return row[0] if row else None


async def all_rows(conn: Conn, text: LiteralString, **parameters: object) -> list[tuple[Any, ...]]:
    return await (await conn.execute(text, parameters)).fetchall()


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Conn]:
    """An autocommit connection to look at rows with."""
    async with await db.connect(url, autocommit=True) as conn:
        yield conn


async def own_shop(conn: Conn) -> tuple[Shop, str]:
    """A shop that no other test has, and a phone number that none writes to."""
    n = next(_shops)
    return await open_shop(conn, f"shop-{n}", provider=f"lane-{n}"), f"+1415555{n:04}"


async def open_shop(
    conn: Conn, name: str = "acme", channel: Channel = Channel.SMS, provider: str = "twilio"
) -> Shop:
    """Make a tenant, its brand of the same name, and a lane, and commit them."""
    await tenants.create(conn, cell=0, name=name, brand=name, actor="test")
    found = await lanes.ensure(conn, [(channel, provider)], cell=0)
    tenant_id = await one(conn, "SELECT id FROM tenant WHERE name = %(name)s", name=name)
    if not conn.autocommit:
        await conn.commit()
    return Shop(tenant_id, name, found[channel, provider])


def make_ask(shop: Shop, key: str | None = None, to: str = PHONE, **changes: Any) -> Ask:
    """A request for one message; `parts=` and other fields of Ask replace what is made here."""
    body = changes.pop("body", "hello")
    lifetime_s = changes.pop("lifetime_s", 3_600)
    ask = Ask(
        cell=0,
        tenant_id=shop.tenant_id,
        brand=shop.brand,
        test=False,
        key_hash=hash_key(key or str(uuid4())),
        fingerprint=fingerprint(f"{to} {body}".encode()),
        category=Category("order.shipped"),
        recipient=None,
        metadata=None,
        not_before=None,
        expires_at=database_now() + timedelta(seconds=lifetime_s),
        parts=(Part(shop.lane.channel, shop.lane.id, to, SmsContent(body)),),
        warnings=(),
    )
    return replace(ask, **changes)


def database_now() -> datetime:
    """The server runs on this machine: its clock is ours."""
    return db.DatabaseClock().now()


def new_id() -> UUID:
    return new_notification_id(database_now(), _dice.getrandbits(64))


def render(planned: Planned) -> bytes:
    return json.dumps({"id": str(planned.notification_id)}).encode()


async def submit(conn: Conn, asks: Sequence[Ask]) -> list[accept.Reply]:
    return await accept.accept(
        conn, asks, now=database_now(), dice=_dice.getrandbits, render=render
    )


async def accepted(conn: Conn, *asks: Ask) -> list[UUID]:
    """Accept asks that are new; return the id of the first delivery of each."""
    found = []
    for reply in await submit(conn, asks):
        assert isinstance(reply, accept.Answer), reply
        assert not reply.replayed
        found.append(UUID(int=UUID(json.loads(reply.body)["id"]).int + 1))
    return found


def post_of(shop: Shop, *, epoch: int = 1, lease_s: float = LEASE_S) -> Post:
    return Post(0, shop.lane, uuid4(), REGION, epoch, lease_s)


async def begin(conn: Conn, post: Post, room: int = 100) -> deliver.Turn:
    """One turn of the lane, which must be confirmed."""
    turn = await deliver.begin_due(
        conn, post, room=room, low_waters=[EVER] * 4, dedupe_days=DEDUPE_DAYS, new_id=new_id
    )
    assert isinstance(turn, deliver.Turn), turn
    return turn


async def begun(conn: Conn, shop: Shop, *asks: Ask, lease_s: float = LEASE_S) -> list[Ready]:
    """Accept asks and begin an attempt for each; in the order of their ids."""
    wanted = await accepted(conn, *asks)
    turn = await begin(conn, post_of(shop, lease_s=lease_s))
    assert {r.due.delivery_id for r in turn.ready} == set(wanted)
    return turn.ready


async def settled(conn: Conn, post: Post, *ended: tuple[Ready, Outcome]) -> set[UUID]:
    """Settle attempts; return the deliveries whose outcome was written."""
    fate = await settle.settle(
        conn,
        post,
        [settle.Ended(ready, outcome, database_now()) for ready, outcome in ended],
        SETTLE_RULES,
        dice=lambda: 0.0,
        new_id=new_id,
    )
    assert isinstance(fate, settle.Settled), fate
    return fate.done


def receipt_for(
    delivery_id: UUID, number: int, rank: int, *, provider_id: str = "SM1", status: str = ""
) -> Receipt:
    return Receipt(
        reference(0, delivery_id, number), provider_id, status or f"rank {rank}", rank, None
    )


async def told(conn: Conn, receipt: Receipt, provider: str = "twilio") -> receive.Received:
    """Receive a receipt, which must be confirmed."""
    found = await receive.receive(conn, provider, receipt, new_id=new_id, dedupe_days=DEDUPE_DAYS)
    assert isinstance(found, receive.Received), found
    return found


# The ledger refuses changes, also those that a test plants.
LEDGER_OPEN = "ALTER TABLE notifyq.consent_event DISABLE TRIGGER consent_event_is_only_added_to;"


async def opt_out(conn: Conn, shop: Shop, to: str = PHONE) -> None:
    async def work(conn: Conn) -> bool:
        return await ledger.opt_out(
            conn,
            cell=0,
            brand=shop.brand,
            channel=shop.lane.channel,
            address=to,
            actor="test",
            reason="STOP",
            event_id=new_id(),
        )

    await transact(conn, work)


async def everything(conn: Conn) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, with where it lies and who wrote it last."""
    names = await all_rows(
        conn,
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'notifyq'::regnamespace"
        " AND c.relkind = 'r' ORDER BY 1",
    )
    found = {}
    for (name,) in names:
        cursor = await conn.execute(f"SELECT ctid, xmin::text, t.* FROM {name} t".encode())
        found[name] = sorted(await cursor.fetchall(), key=repr)
    if not conn.autocommit:
        await conn.commit()
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything about one delivery that a claim could be about."""

    state: str
    reason: str | None
    outcomes: tuple[str, ...]  # of its attempts, in order
    jobs: int
    timers: int
    dead_letters: tuple[str, ...]  # causes


_STANDING: LiteralString = """
SELECT d.state::text, d.reason,
       ARRAY(SELECT a.outcome::text FROM attempt a
              WHERE a.delivery_id = d.id ORDER BY a.number),
       (SELECT count(*) FROM job j WHERE j.delivery_id = d.id),
       (SELECT count(*) FROM timer t WHERE t.delivery_id = d.id),
       ARRAY(SELECT cause FROM dead_letter x WHERE x.delivery_id = d.id)
  FROM delivery d WHERE d.id = %(id)s
"""


async def swept(conn: Conn, rules: maintain.Rules = RULES) -> maintain.Swept:
    """One sweep of the janitor."""
    return await maintain.sweep(conn, rules, cell=0, new_id=new_id)


async def standing(conn: Conn, delivery_id: UUID) -> Standing:
    state, reason, outcomes, jobs, timers, dead = (await all_rows(conn, _STANDING, id=delivery_id))[
        0
    ]
    return Standing(state, reason, tuple(outcomes), jobs, timers, tuple(dead))


# What must be true of every delivery whenever no transaction is open: P3 and P4.
_FAULTS: LiteralString = """
WITH x AS (
    SELECT d.id, d.state::text AS state, d.reason,
           (SELECT count(*) FROM job j WHERE j.delivery_id = d.id) AS jobs,
           (SELECT count(*) FROM attempt a WHERE a.delivery_id = d.id
             AND a.outcome IN ('open', 'in_doubt', 'accepted')) AS live,
           (SELECT count(*) FROM attempt a WHERE a.delivery_id = d.id
             AND a.outcome = 'open') AS open,
           (SELECT count(*) FROM timer t WHERE t.delivery_id = d.id) AS timers
      FROM delivery d
)
SELECT id, state, 'on its way by nothing' FROM x WHERE state = 'pending' AND jobs + open = 0
UNION ALL
SELECT id, state, 'a job beside a live attempt' FROM x WHERE jobs > 0 AND live > 0
UNION ALL
SELECT id, state, 'two live attempts' FROM x WHERE live > 1
UNION ALL
SELECT id, state, 'in doubt, and nobody will look' FROM x WHERE state = 'in_doubt' AND timers = 0
UNION ALL
SELECT id, state, 'at rest, but a job or an open attempt is left' FROM x
 WHERE state NOT IN ('pending', 'in_doubt') AND jobs + open > 0
UNION ALL
SELECT id, state, 'a window is watched for nothing' FROM x WHERE state <> 'in_doubt' AND timers > 0
"""


async def faults(conn: Conn) -> list[tuple[Any, ...]]:
    """Deliveries that break P3 or P4, with what is wrong; empty when all is well."""
    return await all_rows(conn, _FAULTS)


_LOAD: LiteralString = """
WITH made AS MATERIALIZED (
    SELECT n, (lpad(to_hex((extract(epoch FROM now()) * 1000)::int8), 12, '0')
               || '7' || lpad(to_hex(%(salt)s::int4), 3, '0') || '8000'
               || lpad(to_hex(n), 8, '0') || '0001')::uuid AS id
      FROM generate_series(1, %(count)s::int4) AS n
), d AS (
    INSERT INTO delivery (cell, criticality, tenant_id, id, channel, state, expires_at, brand,
                          program, address_key, reason)
    SELECT 0, %(criticality)s::int2, %(tenant_id)s::int4, id, %(channel)s::channel,
           %(state)s::delivery_state, now() + interval '1 day', %(brand)s::text, 'default',
           substring(sha256(id::text::bytea) FROM 1 FOR 16), 'loaded'
      FROM made WHERE %(whole)s::bool
), c AS (
    INSERT INTO content (cell, delivery_id, address, body)
    SELECT 0, id, '+14155550123', 'hello' FROM made WHERE %(whole)s::bool
), p AS (
    INSERT INTO consent (cell, brand, channel, address_key, blocked, revision)
    SELECT 0, %(brand)s::text, %(channel)s::channel,
           substring(sha256(id::text::bytea) FROM 1 FOR 16), false, 0
      FROM made WHERE %(whole)s::bool
), j AS (
    INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT 0, %(criticality)s::int2, %(lane)s::int4,
           now() - interval '1 hour' + n * interval '1 millisecond', id,
           %(channel)s::channel, 0, 0
      FROM made WHERE %(jobs)s::bool
), a AS (
    INSERT INTO attempt (cell, number, lane, delivery_id, epoch, began_at, send_by,
                         consent_revision, outcome, worker, ended_at, provider_id)
    SELECT 0, 1, %(lane)s::int4, id, 1, now() - interval '1 hour', now() - interval '1 hour'
           + n * interval '1 millisecond', 0, %(outcome)s::outcome, gen_random_uuid(),
           CASE WHEN %(outcome)s NOT IN ('open', 'in_doubt') THEN now() END, 'SM' || n
      FROM made WHERE %(outcome)s::text IS NOT NULL
)
SELECT id FROM made ORDER BY n
"""
_salts = iter(range(1, 0xFFF))


async def load(
    conn: Conn,
    shop: Shop,
    count: int,
    *,
    criticality: int = 1,
    state: str = "pending",
    outcome: str | None = None,
    jobs: bool = True,
    whole: bool = True,
) -> list[UUID]:
    """Write `count` deliveries of today by SQL; return their ids.

    outcome: of one attempt each, None for no attempt. whole: with delivery, content and consent
    rows of their own, not only jobs and attempts. The jobs are due since an hour, 1 ms apart.
    """
    # A slow machine may think longer between two statements than a worker may.
    await conn.execute("SET idle_in_transaction_session_timeout = 0")
    await conn.commit()
    found = await all_rows(
        conn,
        _LOAD,
        salt=next(_salts),
        count=count,
        criticality=criticality,
        tenant_id=shop.tenant_id,
        channel=shop.lane.channel,
        lane=shop.lane.id,
        brand=shop.brand,
        state=state,
        outcome=outcome,
        jobs=jobs,
        whole=whole,
    )
    if not conn.autocommit:
        await conn.commit()
    return [row[0] for row in found]


@contextmanager
def instead(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """Put a wrong version in the place of a right one, for the length of a block."""
    right = getattr(owner, name)
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


def mutated(text: str, *changes: tuple[str, str]) -> Any:
    """The text with exact fragments replaced; each must be there exactly once."""
    for right, wrong in changes:
        assert text.count(right) == 1, f"the production text no longer has: {right!r}"
        text = text.replace(right, wrong)
    return text


async def a_while_later(conn: Conn) -> None:
    """Let a minute go by since everything that was said of consent: more than clocks differ."""
    guard = "TRIGGER consent_event_is_only_added_to"
    await conn.execute(f"ALTER TABLE consent_event DISABLE {guard}".encode())
    await conn.execute("UPDATE consent_event SET happened_at = happened_at - interval '1 minute'")
    await conn.execute(f"ALTER TABLE consent_event ENABLE ALWAYS {guard}".encode())
    await conn.commit()
