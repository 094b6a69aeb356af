"""What is known of addresses and why: consent rows with the events behind them. Cold reads only.

A decision to send is made from locked rows (store/consents.py); this is for people who ask.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from notifyq.domain.consent import Kind, Said, Source, Standing
from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Purpose: the consent rows of some addresses of one scope, in order. Cost: a key look-up each.
ROWS: LiteralString = """
SELECT %(scope)s::text, k.channel, k.address_key, c.blocked, c.programs, c.held, c.consented,
       c.revision, c.changed_at, c.dead_at, c.dead_code
  FROM ROWS FROM (unnest(%(channels)s::text[]), notifyq.address_keys(%(addresses)s::text[]))
       WITH ORDINALITY AS k (channel, address_key, place)
  LEFT JOIN LATERAL (SELECT * FROM consent
                      WHERE cell = %(cell)s::int2 AND brand = %(scope)s::text
                        AND channel = k.channel::channel AND address_key = k.address_key
                      LIMIT 1) AS c ON true
 ORDER BY k.place
"""
# Purpose: the consent rows of one address in every scope. Cost: two key look-ups for each brand
# that anything was ever due for: the rows are kept by brand, so the next one is searched for.
EVERYWHERE: LiteralString = """
WITH RECURSIVE scopes (brand) AS (
    (SELECT brand FROM consent WHERE cell = %(cell)s::int2 ORDER BY brand LIMIT 1)
    UNION ALL
    SELECT (SELECT c.brand FROM consent c
             WHERE c.cell = %(cell)s::int2 AND c.brand > scopes.brand ORDER BY c.brand LIMIT 1)
      FROM scopes WHERE scopes.brand IS NOT NULL
)
SELECT c.brand, c.channel::text, c.address_key, c.blocked, c.programs, c.held, c.consented,
       c.revision, c.changed_at, c.dead_at, c.dead_code
  FROM scopes
  JOIN consent c ON c.cell = %(cell)s::int2 AND c.brand = scopes.brand
   AND c.channel = %(channel)s::channel
   AND c.address_key = notifyq.address_key(%(address)s::text)
 ORDER BY c.brand
"""
# Purpose: every event of some people, each one's in the ledger's order. Cost: an index range each,
# or one pass over all events where they are so few that this is less.
EVENTS: LiteralString = """
SELECT e.brand, e.channel::text, e.address_key, e.id, e.revision, e.kind, e.happened_at, e.source,
       e.program, e.at, e.actor, e.reason, e.evidence, e.blocked, e.programs
  FROM unnest(%(brands)s::text[], %(channels)s::text[], %(address_keys)s::bytea[])
         WITH ORDINALITY AS k (brand, channel, address_key, place)
  JOIN consent_event e ON e.cell = %(cell)s::int2 AND e.brand = k.brand
   AND e.channel = k.channel::channel AND e.address_key = k.address_key
 ORDER BY k.place, e.revision
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What stands for one person; revision 0: not a word was ever said."""

    person: Person
    standing: Standing
    revision: int
    changed_at: datetime | None  # by a word; None: none was said
    dead_at: datetime | None  # since when a provider calls the address dead
    dead_code: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the ledger, with what proves it."""

    person: Person
    id: UUID
    revision: int
    said: Said
    at: datetime  # when we stored it
    actor: str
    reason: str
    evidence: Mapping[str, Any]
    after: Standing  # blocked and programs as they stood after it; the rest is not kept


async def rows(
    conn: Conn, addresses: Sequence[tuple[Channel, str]], *, cell: int, scope: str
) -> list[Row]:
    """Return what stands for each normalised address of one scope, in their order."""
    parameters = {
        "cell": cell,
        "scope": scope,
        "channels": [channel.value for channel, _ in addresses],
        "addresses": [address for _, address in addresses],
    }
    return [_row(*row) for row in await (await conn.execute(ROWS, parameters)).fetchall()]


async def everywhere(conn: Conn, channel: Channel, address: str, *, cell: int) -> list[Row]:
    """Return what stands for a normalised address in every scope that has met it, by scope."""
    parameters = {"cell": cell, "channel": channel.value, "address": address}
    return [_row(*row) for row in await (await conn.execute(EVERYWHERE, parameters)).fetchall()]


async def events(conn: Conn, people: Sequence[Person], *, cell: int) -> dict[Person, list[Event]]:
    """Return every event of these people, each one's oldest first; nobody is left out."""
    parameters = {
        "cell": cell,
        "brands": [person.brand for person in people],
        "channels": [person.channel.value for person in people],
        "address_keys": [person.address_key for person in people],
    }
    found: dict[Person, list[Event]] = {person: [] for person in people}
    for event in _events(await (await conn.execute(EVENTS, parameters)).fetchall()):
        found[event.person].append(event)
    return found


def _row(brand: str, channel: str, address_key: bytes, blocked: bool | None, *more: Any) -> Row:
    person = Person(brand, Channel(channel), address_key)
    if blocked is None:
        return Row(person, Standing(), 0, None, None, None)
    programs, held, consented, revision, changed_at, dead_at, dead_code = more
    standing = Standing(blocked, tuple(programs), held, consented)
    return Row(person, standing, revision, changed_at if revision else None, dead_at, dead_code)


def _events(found: Sequence[tuple[Any, ...]]) -> Iterator[Event]:
    for brand, channel, key, event_id, revision, kind, happened_at, source, program, *more in found:
        at, actor, reason, evidence, blocked, programs = more
        yield Event(
            Person(brand, Channel(channel), key),
            event_id,
            revision,
            Said(Kind(kind), happened_at, Source(source), program),
            at,
            actor,
            reason,
            json.loads(evidence) if evidence else {},
            Standing(blocked, tuple(programs)),
        )
