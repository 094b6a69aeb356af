"""Recipients: what producers keep here of the people they tell, with every version of it.

A tenant's test keys have recipients of their own. The reserved id `*` holds what all of a tenant's
recipients want where they say nothing themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from notifyq.domain.profile import Profile, pack, read_profile
from notifyq.store.db import Conn

EVERYBODY = "*"

# Purpose: the profiles of many at once, of one that was merged the other's. Cost: one or two
# primary-key look-ups each.
PROFILES: LiteralString = """
SELECT u.id, coalesce(m.profile, r.profile)
  FROM unnest(%(ids)s::text[]) AS u (id),
       LATERAL (SELECT profile, merged_into FROM recipient
                 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4
                   AND test = %(test)s::bool AND id = u.id
                 LIMIT 1) AS r
       LEFT JOIN LATERAL (SELECT profile FROM recipient
                           WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4
                             AND test = %(test)s::bool AND id = r.merged_into
                           LIMIT 1) AS m ON r.merged_into IS NOT NULL
"""
# Purpose: hold a recipient. Whoever changes one locks it first.
HOLD: LiteralString = """
SELECT version, profile, merged_into FROM recipient
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND id = %(id)s::text
   FOR NO KEY UPDATE
"""
# Purpose: make a profile the newest version; nothing if somebody else made one meanwhile.
PUT: LiteralString = """
WITH put AS (
    INSERT INTO recipient AS r (cell, tenant_id, test, id, version, profile, merged_into)
    VALUES (%(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, %(id)s::text,
            %(version)s::int4 + 1, %(profile)s::text, %(merged_into)s::text)
    ON CONFLICT (cell, tenant_id, test, id) DO UPDATE
       SET version = excluded.version, profile = excluded.profile,
           merged_into = excluded.merged_into, changed_at = now()
     WHERE r.version = %(version)s::int4
    RETURNING cell, tenant_id, test, id, version, profile
)
INSERT INTO recipient_version (cell, tenant_id, test, id, version, profile, actor)
SELECT cell, tenant_id, test, id, version, profile, %(actor)s::text FROM put
"""
# Purpose: say who has which address, instead of what was said before.
ADDRESSES: LiteralString = """
WITH gone AS (
    DELETE FROM recipient_address
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND id = %(id)s::text
       AND NOT (channel::text, address_key) IN (
           SELECT * FROM ROWS FROM (unnest(%(channels)s::text[]),
                                    notifyq.address_keys(%(addresses)s::text[])) AS k))
INSERT INTO recipient_address (cell, tenant_id, test, id, channel, address_key)
SELECT %(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, %(id)s::text, k.channel::channel,
       k.address_key
  FROM ROWS FROM (unnest(%(channels)s::text[]), notifyq.address_keys(%(addresses)s::text[]))
    AS k (channel, address_key)
ON CONFLICT DO NOTHING
"""
AS_OF: LiteralString = """
SELECT version, profile, at, actor FROM recipient_version
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND id = %(id)s::text AND at <= %(at)s::timestamptz AND NOT erased
 ORDER BY version DESC LIMIT 1
"""
# Purpose: forget what is known of somebody. That there was somebody, and since when, stays.
ERASE: LiteralString = """
WITH forgotten AS (
    UPDATE recipient_version SET profile = '{}', erased = true
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND id = %(id)s::text
), addresses AS (
    DELETE FROM recipient_address
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND id = %(id)s::text
)
DELETE FROM recipient
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND id = %(id)s::text
"""
LAST: LiteralString = """
SELECT coalesce(max(version), 0) FROM recipient_version
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND id = %(id)s::text
"""


@dataclass(frozen=True, slots=True)
class House:
    """Whose recipients: a tenant's, for live or for test keys."""

    cell: int
    tenant_id: int
    test: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A version of a recipient."""

    version: int
    profile: Profile
    merged_into: str | None = None


async def profiles(
    conn: Conn, *, cell: int, tenant_id: int, test: bool, ids: Sequence[str]
) -> dict[str, Profile]:
    """Return the profiles of those who are kept here, in one statement."""
    parameters = {"cell": cell, "tenant_id": tenant_id, "test": test, "ids": list(ids)}
    rows = await (await conn.execute(PROFILES, parameters)).fetchall()
    return {found: read_profile(profile) for found, profile in rows}


async def hold(conn: Conn, house: House, recipient: str) -> Kept | None:
    """Lock a recipient and return them; None if there is none."""
    row = await (await conn.execute(HOLD, _who(house, recipient))).fetchone()
    return None if row is None else Kept(row[0], read_profile(row[1]), row[2])


async def put(
    conn: Conn,
    house: House,
    recipient: str,
    profile: Profile,
    *,
    after: int,
    actor: str,
    merged_into: str | None = None,
) -> bool:
    """Make a profile the version after another (0: there is none); False if it is not the last.

    An id that was erased goes on counting where it was: no version is ever another's.
    """
    who = _who(house, recipient)
    if after == 0:
        ((after,),) = await (await conn.execute(LAST, who)).fetchall()
    more = {"version": after, "profile": pack(profile), "actor": actor, "merged_into": merged_into}
    if (await conn.execute(PUT, who | more)).rowcount != 1:
        return False
    found = profile.all_addresses() if merged_into is None else []
    lists = {"channels": [c.value for c, _ in found], "addresses": [at for _, at in found]}
    await conn.execute(ADDRESSES, who | lists)
    return True


async def as_of(
    conn: Conn, *, cell: int, tenant_id: int, test: bool, id: str, at: datetime
) -> Kept | None:
    """Return a recipient as they were then; None if they were not kept, or were erased since."""
    who = _who(House(cell, tenant_id, test), id)
    row = await (await conn.execute(AS_OF, who | {"at": at})).fetchone()
    return None if row is None else Kept(row[0], read_profile(row[1]))


async def erase(conn: Conn, house: House, recipient: str) -> bool:
    """Forget a recipient; False if there was none."""
    return (await conn.execute(ERASE, _who(house, recipient))).rowcount == 1


def _who(house: House, recipient: str) -> dict[str, object]:
    return {
        "cell": house.cell,
        "tenant_id": house.tenant_id,
        "test": house.test,
        "id": recipient,
    }
