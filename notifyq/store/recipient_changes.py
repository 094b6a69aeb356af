"""Recipients as rows: what changes them. Every change is a version that is kept.

Whoever holds a recipient's row writes its next version. Rows are held in the order of ids; those
of recipients that were merged are changed only by who holds the one that they were merged into.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from notifyq.domain.model import Channel
from notifyq.domain.profile import Profile, read_profile
from notifyq.store.db import Conn
from notifyq.store.recipients import Book, of

Address = tuple[Channel, str]

# Purpose: lock recipients in the order of the array. The clock is read behind the lock, so that
# the times of versions are in the order of their numbers.
HOLD: LiteralString = """
SELECT asked.id, r.version, r.profile, r.erased, r.merged_into, clock_timestamp()
  FROM unnest(%(ids)s::text[]) AS asked (id),
       LATERAL (SELECT version, profile, erased, merged_into FROM recipient
                 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4
                   AND test = %(test)s::bool AND id = asked.id
                 LIMIT 1 FOR NO KEY UPDATE) AS r
"""
_MERGED_INTO: LiteralString = """
SELECT id, merged_into FROM recipient
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND id = ANY (%(ids)s::text[]) AND merged_into IS NOT NULL
"""
_MAKE: LiteralString = """
INSERT INTO recipient (cell, tenant_id, test, id, version, profile, erased)
VALUES (%(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, %(id)s::text, 0, '{}', true)
ON CONFLICT DO NOTHING
"""
# Purpose: write the next version of a recipient that is held, and who has which address since.
ADD: LiteralString = """
WITH moved AS (
    UPDATE recipient
       SET version = version + 1, profile = %(profile)s::text, erased = false,
           changed_at = %(at)s::timestamptz
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND id = %(id)s::text
    RETURNING version
), gone AS (
    DELETE FROM recipient_address a
     USING ROWS FROM (unnest(%(gone_channels)s::channel[]), address_keys(%(gone)s::text[]))
             AS g (channel, address_key)
     WHERE a.cell = %(cell)s::int2 AND a.address_key = g.address_key AND a.channel = g.channel
       AND a.tenant_id = %(tenant_id)s::int4 AND a.test = %(test)s::bool AND a.id = %(id)s::text
), come AS (
    INSERT INTO recipient_address (cell, tenant_id, test, address_key, channel, id)
    SELECT %(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, c.address_key, c.channel,
           %(id)s::text
      FROM ROWS FROM (unnest(%(come_channels)s::channel[]), address_keys(%(come)s::text[]))
             AS c (channel, address_key)
    ON CONFLICT DO NOTHING
)
INSERT INTO recipient_version (cell, tenant_id, test, id, version, profile, at, actor)
SELECT %(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, %(id)s::text, version,
       %(profile)s::text, %(at)s::timestamptz, %(actor)s::text
  FROM moved
RETURNING version
"""
# Purpose: what a producer says at each start of an app. No version, no index is touched.
FRESHEN: LiteralString = """
UPDATE recipient SET profile = %(profile)s::text
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND id = %(id)s::text
"""
# Purpose: let a recipient that is held, and those that were merged into it, say nothing more:
# merged into another one, or erased (`into` is null), which empties what they ever said.
_END: LiteralString = """
WITH ended AS (
    UPDATE recipient
       SET version = version + 1, profile = '{}', changed_at = %(at)s::timestamptz,
           erased = %(into)s::text IS NULL, merged_into = %(into)s::text,
           erased_at = CASE WHEN %(into)s::text IS NULL THEN %(at)s::timestamptz ELSE erased_at END
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND (id = %(id)s::text OR merged_into = %(id)s::text)
    RETURNING id, version
), emptied AS (
    UPDATE recipient_version v SET profile = '{}', erased = true
      FROM ended
     WHERE v.cell = %(cell)s::int2 AND v.tenant_id = %(tenant_id)s::int4
       AND v.test = %(test)s::bool AND v.id = ended.id AND %(into)s::text IS NULL
), gone AS (
    DELETE FROM recipient_address a USING ended
     WHERE a.cell = %(cell)s::int2 AND a.tenant_id = %(tenant_id)s::int4
       AND a.test = %(test)s::bool AND a.id = ended.id
)
INSERT INTO recipient_version (cell, tenant_id, test, id, version, profile, at, actor, erased,
                               merged_into)
SELECT %(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, id, version, '{}',
       %(at)s::timestamptz, %(actor)s::text, %(into)s::text IS NULL, %(into)s::text
  FROM ended
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A recipient's row that this transaction holds, and the database's time behind the lock."""

    version: int
    profile: str
    erased: bool
    merged_into: str | None
    now: datetime

    @property
    def known(self) -> Profile:
        """Who it is; nobody, where it is erased or was never there."""
        return Profile() if self.erased else read_profile(self.profile)


@dataclass(frozen=True, slots=True)
class Written:
    """By whom and when a version is written, and which addresses come and go with it."""

    actor: str
    at: datetime
    come: Collection[Address] = ()
    gone: Collection[Address] = ()


async def hold(conn: Conn, book: Book, ids: Iterable[str]) -> dict[str, Held]:
    """Lock those recipients that there are, in the order of their ids."""
    cursor = await conn.execute(HOLD, of(book) | {"ids": sorted(set(ids))})
    return {named: Held(*rest) for named, *rest in await cursor.fetchall()}


async def hold_ends(
    conn: Conn, book: Book, ids: Collection[str]
) -> tuple[dict[str, str], dict[str, Held]]:
    """Lock recipients, or those that they were merged into; return by id whose row it is, and rows.

    Again if one was merged while its row was waited for: by then it is known into whom.
    """
    while True:
        cursor = await conn.execute(_MERGED_INTO, of(book) | {"ids": list(ids)})
        ends = {id: id for id in ids} | dict(await cursor.fetchall())
        rows = await hold(conn, book, ends.values())
        if all(row.merged_into is None for row in rows.values()):
            return ends, rows


async def make(conn: Conn, book: Book, id: str) -> None:
    """Make a row for a recipient, of version 0 and erased, unless there is one."""
    await conn.execute(_MAKE, of(book) | {"id": id})


async def add(conn: Conn, book: Book, id: str, profile: str, by: Written) -> int:
    """Write the next version of a recipient that is held; return its number."""
    parameters = of(book) | _of(by) | {"id": id, "profile": profile}
    row = await (await conn.execute(ADD, parameters)).fetchone()
    if row is None:
        raise RuntimeError("a recipient's row is held before a version is added")
    return int(row[0])


async def freshen(conn: Conn, book: Book, id: str, profile: str) -> None:
    """Write a profile whose devices' times moved on, as the version that there is."""
    await conn.execute(FRESHEN, of(book) | {"id": id, "profile": profile})


async def merge(conn: Conn, book: Book, id: str, into: str, by: Written) -> None:
    """Let a recipient that is held, and who was merged into it, go on to another one, also held."""
    await conn.execute(_END, of(book) | _of(by) | {"id": id, "into": into})


async def erase(conn: Conn, book: Book, id: str, by: Written) -> None:
    """Empty a recipient that is held, who was merged into it, and every version of them."""
    await conn.execute(_END, of(book) | _of(by) | {"id": id, "into": None})


def _of(by: Written) -> dict[str, object]:
    come, gone = sorted(by.come), sorted(by.gone)
    return {
        "actor": by.actor,
        "at": by.at,
        "come_channels": [channel for channel, _ in come],
        "come": [address for _, address in come],
        "gone_channels": [channel for channel, _ in gone],
        "gone": [address for _, address in gone],
    }
