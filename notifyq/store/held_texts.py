"""Texts that a person has yet to read: whose they are."""

from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Purpose: who wrote what nobody has read yet. Cost: reads every consent row: it is not indexed,
# for it is asked by hand, and an index would be kept by every first contact.
PEOPLE: LiteralString = """
SELECT c.brand, c.channel::text, c.address_key FROM consent c
 WHERE c.cell = %(cell)s::int2 AND c.held AND (c.brand LIKE '%%:test') = %(test)s::bool
   AND (%(scope)s::text IS NULL OR c.brand = %(scope)s::text)
 ORDER BY c.changed_at, c.brand, c.address_key
 LIMIT %(limit)s::int4
"""
PERSON: LiteralString = """
SELECT brand, channel::text, address_key FROM consent_event
 WHERE cell = %(cell)s::int2 AND id = %(id)s::uuid AND kind = 'hold'
"""


async def people(
    conn: Conn, *, cell: int, scope: str | None, test: bool, limit: int
) -> list[Person]:
    """Return who has a text waiting, the longest first: in one scope, or of live or test sends."""
    parameters = {"cell": cell, "scope": scope, "test": test, "limit": limit}
    cursor = await conn.execute(PEOPLE, parameters)
    return [_person(*row) for row in await cursor.fetchall()]


async def person_of(conn: Conn, text_id: UUID, *, cell: int) -> Person | None:
    """Return who wrote a text that was held; None if there is none by that id."""
    row = await (await conn.execute(PERSON, {"cell": cell, "id": text_id})).fetchone()
    return None if row is None else _person(*row)


def _person(brand: str, channel: str, address_key: bytes) -> Person:
    return Person(brand, Channel(channel), address_key)
