"""What an explanation reads of one address, now or as it was then. Cold: nobody waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from notifyq.domain.consent import Kind, Said, Source
from notifyq.domain.policy import CAP_HOURS
from notifyq.domain.readings import Word
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Purpose: see one state of the database in all statements of a transaction, and change nothing.
CAREFUL: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
BOUNDED: LiteralString = "SELECT set_config('statement_timeout', %(timeout_ms)s::text, true)"
# Purpose: whose tenant a person means, by the names that they know.
TENANTS: LiteralString = """
SELECT id, name, brand FROM tenant
 WHERE cell = %(cell)s::int2
   AND (%(name)s::text IS NULL OR name = %(name)s::text)
   AND (%(brand)s::text IS NULL OR brand = %(brand)s::text)
 ORDER BY name
"""
# Purpose: what had been noted of an address by then.
EVENTS: LiteralString = """
SELECT kind, happened_at, source, program, revision, at, reason FROM consent_event
 WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
   AND address_key = %(address_key)s::bytea AND at <= %(at)s::timestamptz
 ORDER BY revision
"""
# Purpose: what stands beside the events: whether a provider calls the address dead, and what counts
# against a cap. Of death no history is kept: what has been registered anew since is not told.
ROW: LiteralString = """
SELECT dead_at, dead_code, begun_at FROM consent
 WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
   AND address_key = %(address_key)s::bytea
"""
# Purpose: the begins of capped messages in the day before a time past, the last one of each; later
# ones have taken their place in the row. Cost: reads the attempts of every delivery that was
# accepted by then.
BEGUN: LiteralString = """
SELECT max(a.began_at)
  FROM attempt a JOIN delivery d ON d.cell = a.cell AND d.id = a.delivery_id
 WHERE a.cell = %(cell)s::int2
   AND a.began_at > %(since)s::timestamptz AND a.began_at <= %(at)s::timestamptz
   AND d.cap IS NOT NULL AND d.brand = %(brand)s::text AND d.channel = %(channel)s::channel
   AND d.address_key = %(address_key)s::bytea
 GROUP BY a.delivery_id
 ORDER BY max(a.began_at)
"""
# Purpose: what was really accepted for a recipient, or for these addresses, in a category, the
# newest first. Cost: reads deliveries, the newest first, until there are enough: numbers are not
# indexed.
LATEST: LiteralString = """
SELECT d.id, d.channel::text, d.state::text, d.reason, d.expires_at, d.changed_at,
       d.template, d.template_version,
       (SELECT max(a.began_at) FROM attempt a WHERE a.cell = d.cell AND a.delivery_id = d.id)
  FROM delivery d
 WHERE d.cell = %(cell)s::int2 AND d.tenant_id = %(tenant_id)s::int4
   AND d.brand = %(brand)s::text AND d.category = %(category)s::text
   AND (d.address_key = ANY (%(address_keys)s::bytea[]) OR d.recipient = %(recipient)s::text)
   AND d.id < %(before)s::uuid
 ORDER BY d.id DESC LIMIT 10
"""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A tenant, and who speaks for it."""

    tenant_id: int
    name: str
    brand: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of an address beside its events."""

    dead: tuple[datetime, str] | None  # since when, and by which code
    begun_at: tuple[datetime, ...]  # of what is capped, in the 24 hours before; the oldest first


@dataclass(frozen=True, slots=True)
class Latest:
    """A delivery, as far as an explanation tells of it: as it stands now."""

    delivery_id: UUID
    channel: str
    state: str
    reason: str | None
    expires_at: datetime
    changed_at: datetime
    template: str | None
    template_version: int | None
    began_at: datetime | None  # its last attempt


async def prepare(conn: Conn, *, timeout_s: float) -> None:
    """Begin a transaction that reads one state and writes nothing, each statement this long.

    timeout_s: for each statement, more than 0.
    """
    await conn.execute(CAREFUL)
    await conn.execute(BOUNDED, {"timeout_ms": str(round(timeout_s * 1_000))})


async def speakers(conn: Conn, *, cell: int, name: str | None, brand: str | None) -> list[Speaker]:
    """Return the tenants of a name and a brand (None: any), by name."""
    parameters = {"cell": cell, "name": name, "brand": brand}
    return [Speaker(*row) for row in await (await conn.execute(TENANTS, parameters)).fetchall()]


async def events(conn: Conn, person: Person, *, cell: int, at: datetime) -> list[Word]:
    """Return what was noted of an address by then, the oldest first."""
    cursor = await conn.execute(EVENTS, _where(person, cell) | {"at": at})
    return [
        Word(Said(Kind(kind), happened_at, Source(by), program), revision, stored_at, reason)
        for kind, happened_at, by, program, revision, stored_at, reason in await cursor.fetchall()
    ]


async def beside(conn: Conn, person: Person, *, cell: int, at: datetime, capped: bool) -> Beside:
    """Return what else was known of an address by then. capped: begins are asked for."""
    where, since = _where(person, cell), at - timedelta(hours=CAP_HOURS)
    row = await (await conn.execute(ROW, where)).fetchone()
    dead_at, dead_code, begun_at = row or (None, None, [])
    dead = (dead_at, dead_code) if dead_at is not None and dead_at <= at else None
    if capped and any(began > at for began in begun_at):
        cursor = await conn.execute(BEGUN, where | {"at": at, "since": since})
        begun_at = [began for (began,) in await cursor.fetchall()]
    return Beside(dead, tuple(sorted(began for began in begun_at if since < began <= at)))


async def latest(
    conn: Conn,
    keys: Sequence[bytes],
    *,
    cell: int,
    tenant_id: int,
    brand: str,
    category: str,
    recipient: str,
    before: UUID,
) -> list[Latest]:
    """Return the last deliveries of a category to these addresses or this recipient, 10 at most.

    before: an id; only what was accepted before it.
    """
    parameters = {
        "cell": cell,
        "tenant_id": tenant_id,
        "brand": brand,
        "category": category,
        "address_keys": list(keys),
        "recipient": recipient,
        "before": before,
    }
    return [Latest(*row) for row in await (await conn.execute(LATEST, parameters)).fetchall()]


def _where(person: Person, cell: int) -> dict[str, object]:
    return {
        "cell": cell,
        "brand": person.brand,
        "channel": person.channel,
        "address_key": person.address_key,
    }
