"""Recipients as rows: reading them, as they are and as they were.

A recipient that was merged into another one reads as that one. What writes them is in
store/recipient_changes.py.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from notifyq.domain.model import Channel
from notifyq.domain.profile import Profile, read_profile
from notifyq.store.db import Conn

# Purpose: the profiles of many recipients, each by one or two look-ups of the primary key: a
# merged one is never merged into one that is merged itself. Cost: 10,000 ids, 20,000 index reads.
PROFILES: LiteralString = """
SELECT asked.id, coalesce(t.profile, r.profile)
  FROM unnest(%(ids)s::text[]) AS asked (id),
       LATERAL (SELECT profile, erased, merged_into FROM recipient
                 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4
                   AND test = %(test)s::bool AND id = asked.id
                 LIMIT 1) AS r
  LEFT JOIN LATERAL (SELECT profile FROM recipient
                      WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4
                        AND test = %(test)s::bool AND id = r.merged_into
                      LIMIT 1) AS t ON true
 WHERE NOT r.erased
"""
# Purpose: what a recipient was at a time: its newest version of then, or that of the one it was
# merged into by then. Cost: one index read for each version since.
AS_OF: LiteralString = """
WITH own AS (
    SELECT profile, erased, merged_into FROM recipient_version
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND id = %(id)s::text AND at <= %(at)s::timestamptz
     ORDER BY version DESC LIMIT 1
)
SELECT profile, erased FROM own WHERE merged_into IS NULL
UNION ALL
SELECT v.profile, v.erased
  FROM own, LATERAL (
       SELECT profile, erased FROM recipient_version
        WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
          AND id = own.merged_into AND at <= %(at)s::timestamptz
        ORDER BY version DESC LIMIT 1) AS v
"""
# More are read in a thread: 10,000 take tenths of a second, and others are answered meanwhile.
_READ_AT_ONCE = 100
_ONE: LiteralString = """
SELECT f.id, f.version, f.profile, f.changed_at
  FROM recipient r
  JOIN recipient f ON f.cell = r.cell AND f.tenant_id = r.tenant_id AND f.test = r.test
   AND f.id = coalesce(r.merged_into, r.id)
 WHERE r.cell = %(cell)s::int2 AND r.tenant_id = %(tenant_id)s::int4 AND r.test = %(test)s::bool
   AND r.id = %(id)s::text AND NOT f.erased
"""
WHO_HAS: LiteralString = """
SELECT tenant_id, test, id, channel::text FROM recipient_address
 WHERE cell = %(cell)s::int2 AND address_key = %(address_key)s::bytea
 ORDER BY tenant_id, test, id, channel
"""


@dataclass(frozen=True, slots=True)
class Book:
    """Whose recipients: a tenant's, of its live keys or of its test keys."""

    cell: int
    tenant_id: int
    test: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A recipient as it is now. id: its own, where it was asked for by one that was merged."""

    id: str
    version: int
    profile: Profile
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Owner:
    """A recipient that has an address."""

    tenant_id: int
    test: bool
    id: str
    channel: Channel


async def profiles(
    conn: Conn, *, cell: int, tenant_id: int, test: bool, ids: Sequence[str]
) -> dict[str, Profile]:
    """Return the profiles of those recipients that there are, by ids as asked, in one statement.

    ids: up to 10,000, each once. "*" is the tenant's defaults. BadProfile: see read_profile().
    """
    parameters = {"cell": cell, "tenant_id": tenant_id, "test": test, "ids": list(ids)}
    cursor = await conn.execute(PROFILES, parameters)
    rows = await cursor.fetchall()

    def read() -> dict[str, Profile]:
        return {named: read_profile(text) for named, text in rows}

    return read() if len(rows) <= _READ_AT_ONCE else await asyncio.to_thread(read)


async def as_of(
    conn: Conn, *, cell: int, tenant_id: int, test: bool, id: str, at: datetime
) -> Profile | None:
    """Return what a recipient was at a time, except that its devices' times may be older.

    None: there was none, or what it was is erased since.
    """
    parameters = {"cell": cell, "tenant_id": tenant_id, "test": test, "id": id, "at": at}
    row = await (await conn.execute(AS_OF, parameters)).fetchone()
    return None if row is None or row[1] else read_profile(row[0])


async def find(conn: Conn, book: Book, id: str) -> Found | None:
    """Return a recipient as it is now; None if there is none, or it is erased."""
    row = await (await conn.execute(_ONE, of(book) | {"id": id})).fetchone()
    if row is None:
        return None
    named, version, text, changed_at = row
    return Found(named, version, read_profile(text), changed_at)


async def who_has(conn: Conn, *, cell: int, address_key: bytes) -> list[Owner]:
    """Return who has an address now, over all tenants and both modes: for what comes in from it."""
    cursor = await conn.execute(WHO_HAS, {"cell": cell, "address_key": address_key})
    return [
        Owner(tenant_id, test, named, Channel(channel))
        for tenant_id, test, named, channel in await cursor.fetchall()
    ]


def of(book: Book) -> dict[str, object]:
    """Return a book as parameters of statements."""
    return {"cell": book.cell, "tenant_id": book.tenant_id, "test": book.test}
