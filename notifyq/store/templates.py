"""Templates as rows: the newest version of each, and every version there was.

Whoever holds a template's row writes its next version. A version is never changed or removed: the
database refuses it (template_version_stays).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from notifyq.store.db import Conn

# Purpose: the newest versions of some templates. What the caller has already comes without its
# body, so that an accept reads a few bytes by two keys for each name.
_NEWEST: LiteralString = """
SELECT v.name, v.version, CASE WHEN v.version = w.known THEN NULL ELSE v.body END,
       v.created_at, v.created_by
  FROM unnest(%(names)s::text[], %(known)s::int4[]) AS w (name, known)
  JOIN template t ON t.cell = %(cell)s::int2 AND t.tenant_id = %(tenant_id)s::int4
   AND t.test = %(test)s::bool AND t.name = w.name
  JOIN template_version v ON v.cell = t.cell AND v.tenant_id = t.tenant_id AND v.test = t.test
   AND v.name = t.name AND v.version = t.version
"""
_ONE: LiteralString = """
SELECT name, version, body, created_at, created_by FROM template_version
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND name = %(name)s::text AND version = %(version)s::int4
"""
_MAKE: LiteralString = """
INSERT INTO template (cell, tenant_id, test, name, version)
VALUES (%(cell)s::int2, %(tenant_id)s::int4, %(test)s::bool, %(name)s::text, 0)
ON CONFLICT DO NOTHING
"""
_HOLD: LiteralString = """
SELECT version FROM template
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND name = %(name)s::text
   FOR UPDATE
"""
_SAME: LiteralString = """
SELECT name, version, NULL, created_at, created_by FROM template_version
 WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
   AND name = %(name)s::text AND version = %(version)s::int4 AND digest = %(digest)s::bytea
"""
# Purpose: write a version and make it the newest. The template's row is held.
_ADD: LiteralString = """
WITH moved AS (
    UPDATE template SET version = version + 1
     WHERE cell = %(cell)s::int2 AND tenant_id = %(tenant_id)s::int4 AND test = %(test)s::bool
       AND name = %(name)s::text
    RETURNING cell, tenant_id, test, name, version
)
INSERT INTO template_version (cell, tenant_id, test, name, version, digest, body, created_by)
SELECT cell, tenant_id, test, name, version, %(digest)s::bytea, %(body)s::text, %(actor)s::text
  FROM moved
RETURNING name, version, NULL, created_at, created_by
"""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Whose templates: a tenant's, of its live keys or of its test keys."""

    cell: int
    tenant_id: int
    test: bool


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version as it is kept."""

    name: str
    version: int
    body: str | None  # None: the caller has it
    created_at: datetime
    created_by: str


async def newest(conn: Conn, shelf: Shelf, known: Mapping[str, int | None]) -> list[VersionRow]:
    """Return the newest version of each named template that there is, by one statement.

    known: by name, the version that the caller has; it comes without its body.
    """
    parameters = _of(shelf) | {"names": list(known), "known": list(known.values())}
    return [VersionRow(*row) for row in await (await conn.execute(_NEWEST, parameters)).fetchall()]


async def find(conn: Conn, shelf: Shelf, name: str, version: int) -> VersionRow | None:
    """Return one version; None if there is no such."""
    parameters = _of(shelf) | {"name": name, "version": version}
    row = await (await conn.execute(_ONE, parameters)).fetchone()
    return None if row is None else VersionRow(*row)


async def hold(conn: Conn, shelf: Shelf, name: str) -> int:
    """Lock a template, made if there was none; return its newest version, 0 for none."""
    parameters = _of(shelf) | {"name": name}
    await conn.execute(_MAKE, parameters)
    row = await (await conn.execute(_HOLD, parameters)).fetchone()
    return 0 if row is None else int(row[0])


async def same(
    conn: Conn, shelf: Shelf, name: str, version: int, digest: bytes
) -> VersionRow | None:
    """Return a version if it says what has this digest, without its body."""
    parameters = _of(shelf) | {"name": name, "version": version, "digest": digest}
    row = await (await conn.execute(_SAME, parameters)).fetchone()
    return None if row is None else VersionRow(*row)


async def add(
    conn: Conn, shelf: Shelf, name: str, *, digest: bytes, body: str, actor: str
) -> VersionRow:
    """Write the next version of a template that is held; return it without its body."""
    parameters = _of(shelf) | {"name": name, "digest": digest, "body": body, "actor": actor}
    row = await (await conn.execute(_ADD, parameters)).fetchone()
    if row is None:
        raise RuntimeError("a template's row is held before a version is added")
    return VersionRow(*row)


def _of(shelf: Shelf) -> dict[str, object]:
    return {"cell": shelf.cell, "tenant_id": shelf.tenant_id, "test": shelf.test}
