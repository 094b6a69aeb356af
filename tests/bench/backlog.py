"""A backlog: accepted notifications by the ten thousand, and exactly the same again.

Accepted by the service itself; a copy of every table it touches is kept aside, so that ours and
the baseline start from the same rows in the same order. Consent rows are there already: most
people were told something before.
"""

import asyncio
import hashlib
import secrets
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from notifyq.bootstrap.accounts import CELL
from notifyq.domain.asking import Ask, Part
from notifyq.domain.content import SmsContent
from notifyq.domain.model import Category, Channel
from notifyq.entrypoints.api.asks import render_accepted
from notifyq.services.accept import accept
from notifyq.store import db
from notifyq.store.partitions import day_of
from tests.bench.ground import TENANT, Ground

BATCH = 500
BODY = "Your order 8123 has shipped and arrives tomorrow between 9 and 12. Track: nq.example/8123"
CATEGORY = Category("order.shipped")
_TABLES = ("job", "delivery", "content", "outbox", "consent")


def fill(ground: Ground, count: int) -> float:
    """Accept `count` notifications in batches; return how many were accepted a second."""
    began_s = time.perf_counter()
    asyncio.run(_accept(ground, count))
    rate = count / (time.perf_counter() - began_s)
    ground.run(
        "INSERT INTO consent (cell, brand, channel, address_key, blocked, revision) "
        "SELECT cell, brand, channel, address_key, false, 0 FROM delivery ON CONFLICT DO NOTHING"
    )
    return rate


async def _accept(ground: Ground, count: int) -> None:
    async with await db.connect(ground.url, hot=True) as conn:
        for start in range(0, count, BATCH):
            asks = [_ask(ground, n) for n in range(start, min(start + BATCH, count))]
            await accept(
                conn,
                asks,
                now=datetime.now(UTC),
                dice=secrets.randbits,
                render=partial(render_accepted, durability="local"),
            )


def keep(ground: Ground) -> str:
    """Copy the backlog aside; return the suffix of the day leaf that all of it is in."""
    ground.run("CREATE SCHEMA IF NOT EXISTS kept")
    for table in _TABLES:
        ground.run(f"DROP TABLE IF EXISTS kept.{table}")
        ground.run(f"CREATE UNLOGGED TABLE kept.{table} AS TABLE {table}")
    first, last = ground.run("SELECT min(delivery_id::text), max(delivery_id::text) FROM job")[0]
    days = {day_of(UUID(first)), day_of(UUID(last))}
    if len(days) > 1:
        raise RuntimeError("midnight came in the middle of the backlog: start again")
    return days.pop()


def restore(ground: Ground) -> None:
    """Make the backlog what it was when it was kept, away from checkpoints."""
    empty(ground)
    for table in _TABLES:
        ground.run(f"INSERT INTO {table} SELECT * FROM kept.{table}")


def empty(ground: Ground) -> None:
    """Remove all traffic; then a checkpoint, so that none comes while something is measured."""
    ground.run(
        "TRUNCATE job, delivery, content, outbox, consent, attempt, timer, dead_letter, receipt, "
        "notification, stored_response, idempotency_key"
    )
    ground.run("CHECKPOINT")


def _ask(ground: Ground, n: int) -> Ask:
    digest = hashlib.sha256(f"bench-{secrets.token_hex(8)}".encode()).digest()
    return Ask(
        cell=CELL,
        tenant_id=ground.tenant_id,
        brand=TENANT,
        test=True,
        key_hash=digest,
        fingerprint=digest,
        category=CATEGORY,
        recipient=f"customer-{n}",
        metadata=None,
        not_before=None,
        expires_at=datetime.now(UTC) + timedelta(seconds=CATEGORY.expires_in_s),
        parts=(Part(Channel.SMS, ground.lane.id, f"+1{2_000_000_000 + n}", SmsContent(BODY)),),
        warnings=(),
    )
