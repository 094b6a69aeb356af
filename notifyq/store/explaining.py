"""What an explanation reads of one address, now or as it was then. Cold: nobody waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.consent import Kind, Said, Source
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Purpose: what had been noted of an address by then.
EVENTS: LiteralString = """
SELECT kind, happened_at, source, program, revision, at, reason FROM consent_event
 WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
   AND address_key = %(address_key)s::bytea AND at <= %(at)s::timestamptz
 ORDER BY revision
"""
# Purpose: whether a provider called the address dead by then. No history is kept of it: what has
# been registered anew since is not told.
DEAD: LiteralString = """
SELECT dead_at, dead_code FROM consent
 WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
   AND address_key = %(address_key)s::bytea AND dead_at <= %(at)s::timestamptz
"""
# Purpose: the begins of capped messages in the day before. Cost: the attempts of a day.
BEGUN: LiteralString = """
SELECT a.began_at
  FROM attempt a JOIN delivery d ON d.cell = a.cell AND d.id = a.delivery_id
 WHERE a.cell = %(cell)s::int2 AND a.number = 1
   AND a.began_at > %(at)s::timestamptz - interval '24 hours' AND a.began_at <= %(at)s::timestamptz
   AND d.cap IS NOT NULL AND d.brand = %(brand)s::text AND d.channel = %(channel)s::channel
   AND d.address_key = %(address_key)s::bytea
 ORDER BY a.began_at
"""
# Purpose: what was really accepted for these addresses in a category, the newest first. Cost:
# reads every delivery that is kept: numbers are not indexed.
LATEST: LiteralString = """
SELECT d.id, d.channel::text, d.state::text, d.reason, d.expires_at, d.changed_at,
       d.template, d.template_version,
       (SELECT max(a.began_at) FROM attempt a WHERE a.cell = d.cell AND a.delivery_id = d.id)
  FROM delivery d
 WHERE d.cell = %(cell)s::int2 AND d.tenant_id = %(tenant_id)s::int4
   AND d.brand = %(brand)s::text AND d.category = %(category)s::text
   AND d.address_key = ANY (%(address_keys)s::bytea[]) AND d.id <= %(before)s::uuid
 ORDER BY d.id DESC LIMIT 10
"""


@dataclass(frozen=True, slots=True)
class Noted:
    """One event of the ledger, with where it stands there."""

    said: Said
    revision: int
    at: datetime  # when it was stored
    reason: str


@dataclass(frozen=True, slots=True)
class Latest:
    """A delivery, as far as an explanation tells of it."""

    delivery_id: UUID
    channel: str
    state: str
    reason: str | None
    expires_at: datetime
    changed_at: datetime
    template: str | None
    template_version: int | None
    began_at: datetime | None  # its last attempt


async def events(conn: Conn, person: Person, *, cell: int, at: datetime) -> list[Noted]:
    """Return what was noted of an address by then."""
    cursor = await conn.execute(EVENTS, _where(person, cell, at))
    return [
        Noted(Said(Kind(kind), happened_at, Source(by), program), revision, stored_at, reason)
        for kind, happened_at, by, program, revision, stored_at, reason in await cursor.fetchall()
    ]


async def dead(
    conn: Conn, person: Person, *, cell: int, at: datetime
) -> tuple[datetime, str] | None:
    """Return since when, and by which code, an address is dead; None if it is not."""
    row = await (await conn.execute(DEAD, _where(person, cell, at))).fetchone()
    return None if row is None else (row[0], row[1])


async def begun(conn: Conn, person: Person, *, cell: int, at: datetime) -> list[datetime]:
    """Return when capped messages to an address began, in the 24 hours before."""
    rows = await (await conn.execute(BEGUN, _where(person, cell, at))).fetchall()
    return [began_at for (began_at,) in rows]


async def latest(
    conn: Conn,
    keys: Sequence[bytes],
    *,
    cell: int,
    tenant_id: int,
    brand: str,
    category: str,
    before: UUID,
) -> list[Latest]:
    """Return the last deliveries of a category to these addresses, accepted before an id."""
    parameters = {
        "cell": cell,
        "tenant_id": tenant_id,
        "brand": brand,
        "category": category,
        "address_keys": list(keys),
        "before": before,
    }
    return [Latest(*row) for row in await (await conn.execute(LATEST, parameters)).fetchall()]


def _where(person: Person, cell: int, at: datetime) -> dict[str, object]:
    return {
        "cell": cell,
        "brand": person.brand,
        "channel": person.channel,
        "address_key": person.address_key,
        "at": at,
    }
