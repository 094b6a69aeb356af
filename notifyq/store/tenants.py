"""Tenants and their API keys. Keys are stored as hashes; the key itself is shown once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from notifyq.domain.consent import brand_of, scope_of
from notifyq.store.db import Conn

_CREATE: LiteralString = """
INSERT INTO tenant (cell, name, brand, created_by)
VALUES (%(cell)s::int2, %(name)s::text, %(brand)s::text, %(actor)s::text)
ON CONFLICT (cell, name) DO NOTHING
RETURNING id
"""
_LIST: LiteralString = """
SELECT t.name, t.brand, t.created_at, t.created_by,
       (SELECT count(*) FROM api_key k
         WHERE k.cell = t.cell AND k.tenant_id = t.id AND k.revoked_at IS NULL)
  FROM tenant t WHERE t.cell = %(cell)s::int2 ORDER BY t.name
"""
_ADD_KEY: LiteralString = """
INSERT INTO api_key (cell, key_hash, tenant_id, label, test, scopes, created_by)
SELECT %(cell)s::int2, %(key_hash)s::bytea, t.id, %(label)s::text, %(test)s::bool,
       %(scopes)s::text[], %(actor)s::text
  FROM tenant t WHERE t.cell = %(cell)s::int2 AND t.name = %(tenant)s::text
"""
_KEYS: LiteralString = """
SELECT t.name, k.label, k.test, k.scopes, k.created_at, k.created_by, k.revoked_at, k.revoked_by
  FROM api_key k JOIN tenant t ON t.cell = k.cell AND t.id = k.tenant_id
 WHERE k.cell = %(cell)s::int2 ORDER BY k.created_at, k.label
"""
_REVOKE: LiteralString = """
UPDATE api_key SET revoked_at = now(), revoked_by = %(actor)s::text
 WHERE cell = %(cell)s::int2 AND label = %(label)s::text AND revoked_at IS NULL
"""
_HOLDER: LiteralString = """
SELECT t.id, t.name, t.brand, k.test, k.scopes, k.label
  FROM api_key k JOIN tenant t ON t.cell = k.cell AND t.id = k.tenant_id
 WHERE k.cell = %(cell)s::int2 AND k.key_hash = %(key_hash)s::bytea AND k.revoked_at IS NULL
"""
_BRANDS: LiteralString = """
SELECT DISTINCT brand FROM tenant WHERE cell = %(cell)s::int2 ORDER BY brand
"""
_OF_BRAND: LiteralString = """
SELECT id FROM tenant WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text ORDER BY id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a request comes from."""

    cell: int
    tenant_id: int
    tenant: str
    brand: str
    test: bool
    scopes: frozenset[str]
    label: str  # the key's first characters: who did it, where that is kept

    @property
    def scope(self) -> str:
        """Whose consent its sends need."""
        return scope_of(self.brand, test=self.test)


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant as people see it."""

    name: str
    brand: str
    created_at: datetime
    created_by: str
    live_keys: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key as people see it: never the key."""

    tenant: str
    label: str
    test: bool
    scopes: list[str]
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


async def create(conn: Conn, *, cell: int, name: str, brand: str, actor: str) -> bool:
    """Create a tenant; False if the name is taken."""
    parameters = {"cell": cell, "name": name, "brand": brand, "actor": actor}
    return (await conn.execute(_CREATE, parameters)).rowcount == 1


async def all_of(conn: Conn, *, cell: int) -> list[TenantRow]:
    """Return the tenants of a cell by name."""
    return [TenantRow(*row) for row in await (await conn.execute(_LIST, {"cell": cell})).fetchall()]


async def add_key(
    conn: Conn,
    *,
    cell: int,
    tenant: str,
    key_hash: bytes,
    label: str,
    test: bool,
    scopes: Sequence[str],
    actor: str,
) -> bool:
    """Store a key's hash for a tenant; False if there is no such tenant."""
    parameters = {
        "cell": cell,
        "tenant": tenant,
        "key_hash": key_hash,
        "label": label,
        "test": test,
        "scopes": list(scopes),
        "actor": actor,
    }
    return (await conn.execute(_ADD_KEY, parameters)).rowcount == 1


async def keys(conn: Conn, *, cell: int) -> list[KeyRow]:
    """Return all keys, the oldest first."""
    return [KeyRow(*row) for row in await (await conn.execute(_KEYS, {"cell": cell})).fetchall()]


async def revoke(conn: Conn, *, cell: int, label: str, actor: str) -> bool:
    """Revoke a key by its label; False if no such key is alive."""
    parameters = {"cell": cell, "label": label, "actor": actor}
    return (await conn.execute(_REVOKE, parameters)).rowcount == 1


async def holder(conn: Conn, *, cell: int, key_hash: bytes) -> Holder | None:
    """Return who holds a live key, or None."""
    parameters = {"cell": cell, "key_hash": key_hash}
    row = await (await conn.execute(_HOLDER, parameters)).fetchone()
    if row is None:
        return None
    tenant_id, tenant, brand, test, scopes, label = row
    return Holder(cell, tenant_id, tenant, brand, test, frozenset(scopes), label)


async def of_brand(conn: Conn, *, cell: int, scope: str) -> int | None:
    """Return the first tenant that speaks as a brand; None if none does."""
    parameters = {"cell": cell, "brand": brand_of(scope)}
    row = await (await conn.execute(_OF_BRAND, parameters)).fetchone()
    return None if row is None else int(row[0])


async def scopes(conn: Conn, *, cell: int, test: bool) -> list[str]:
    """Return every brand's live sends, or its test sends, as consent rows have them."""
    rows = await (await conn.execute(_BRANDS, {"cell": cell})).fetchall()
    return [scope_of(brand, test=test) for (brand,) in rows]
