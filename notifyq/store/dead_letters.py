"""Dead letters: finding them, and what a redrive or a discard writes.

Whoever deletes a dead letter's row decides: it is redriven, discarded, or evidence took it back.
Before it is written, a redrive's attempts and delivery are held (store/held.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from notifyq.domain.interventions import Letter
from notifyq.domain.states import Event, sources
from notifyq.store.db import Conn

_SHOWN: LiteralString = """
SELECT x.delivery_id, t.name, d.channel::text, d.state::text, x.cause, x.detail, x.at,
       x.dedupe_until, d.expires_at
  FROM dead_letter x
  JOIN delivery d ON d.cell = x.cell AND d.id = x.delivery_id
  JOIN tenant t ON t.cell = d.cell AND t.id = d.tenant_id
"""
# Purpose: dead letters, by the order of ids, past one. A tenant's own are picked out of all: the
# table holds exceptions only. The notification's id is the delivery's with its last four digits
# zero; it knows whether the key was a test key.
_WANTED: LiteralString = """
 WHERE x.cell = %(cell)s::int2
   AND (%(after)s::uuid IS NULL OR x.delivery_id > %(after)s::uuid)
   AND (%(ids)s::uuid[] IS NULL OR x.delivery_id = ANY (%(ids)s::uuid[]))
   AND (%(causes)s::text[] IS NULL OR x.cause = ANY (%(causes)s::text[]))
   AND (%(older_than)s::interval IS NULL OR x.at < now() - %(older_than)s::interval)
   AND (%(newer_than)s::interval IS NULL OR x.at > now() - %(newer_than)s::interval)
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s::text)
   AND (%(test)s::bool IS NULL OR EXISTS (
           SELECT 1 FROM notification n
            WHERE n.cell = x.cell AND n.test = %(test)s::bool
              AND n.id = (left(x.delivery_id::text, 32) || '0000')::uuid))
"""
FIND: LiteralString = _SHOWN + _WANTED + " ORDER BY x.delivery_id LIMIT %(limit)s::int4"
_GROUPS: LiteralString = (
    """
SELECT x.cause, count(*), min(x.at), max(x.at), count(*) FILTER (WHERE x.dedupe_until <= now())
  FROM dead_letter x
  JOIN delivery d ON d.cell = x.cell AND d.id = x.delivery_id
  JOIN tenant t ON t.cell = d.cell AND t.id = d.tenant_id
"""
    + _WANTED
    + " GROUP BY x.cause ORDER BY x.cause"
)
_READ: LiteralString = """
SELECT cause, detail, at, dedupe_until FROM dead_letter
 WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
"""
# Purpose: make a dead letter due again, with who did it. Everything hangs on the deleted row.
REDRIVE: LiteralString = """
WITH letter AS (
    DELETE FROM dead_letter
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
    RETURNING delivery_id, cause, detail, at
), moved AS (
    UPDATE delivery d
       SET state = 'pending', reason = 'redriven', changed_at = now()
      FROM letter
     WHERE d.cell = %(cell)s::int2 AND d.id = letter.delivery_id
       AND d.state = ANY (%(sources)s::delivery_state[])
    RETURNING d.tenant_id, d.id, d.channel, d.criticality, letter.cause, letter.detail, letter.at
), again AS (
    INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, criticality, %(lane)s::int4, %(due)s::timestamptz, id, channel,
           %(attempts)s::int2, 0
      FROM moved
), kept AS (
    INSERT INTO intervention (cell, id, delivery_id, kind, actor, reason, evidence)
    SELECT %(cell)s::int2, %(intervention_id)s::uuid, id, %(kind)s::text, %(actor)s::text,
           %(reason)s::text, concat_ws(' ', cause, detail, 'since', at)
      FROM moved
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, 'delivery.redriven' FROM moved
)
SELECT id FROM moved
"""
# Purpose: take dead letters off the list; their deliveries stay as they are.
DISCARD: LiteralString = """
WITH held AS MATERIALIZED (
    SELECT x.delivery_id, w.intervention_id
      FROM unnest(%(ids)s::uuid[], %(intervention_ids)s::uuid[])
             AS w (delivery_id, intervention_id),
           LATERAL (SELECT delivery_id FROM dead_letter
                     WHERE cell = %(cell)s::int2 AND delivery_id = w.delivery_id
                       FOR UPDATE) AS x
), letter AS (
    DELETE FROM dead_letter d USING held
     WHERE d.cell = %(cell)s::int2 AND d.delivery_id = held.delivery_id
    RETURNING d.delivery_id, d.cause, d.detail, d.at, held.intervention_id
), kept AS (
    INSERT INTO intervention (cell, id, delivery_id, kind, actor, reason, evidence)
    SELECT %(cell)s::int2, intervention_id, delivery_id, 'discard', %(actor)s::text,
           %(reason)s::text, concat_ws(' ', cause, detail, 'since', at)
      FROM letter
)
SELECT delivery_id FROM letter
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters; None: any."""

    ids: tuple[UUID, ...] | None = None
    causes: tuple[str, ...] | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    tenant: str | None = None
    test: bool | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter as people see it."""

    delivery_id: UUID
    tenant: str
    channel: str
    state: str
    cause: str
    detail: str | None
    at: datetime
    dedupe_until: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """The dead letters of one cause."""

    cause: str
    count: int
    oldest: datetime
    newest: datetime
    past_dedupe: int


@dataclass(frozen=True, slots=True)
class Order:
    """A redrive that is decided."""

    delivery_id: UUID
    attempts: int  # begun so far
    lane: int
    due: datetime
    kind: str
    actor: str
    reason: str
    intervention_id: UUID
    event_id: UUID


async def find(
    conn: Conn, wanted: Wanted, *, cell: int, after: UUID | None = None, limit: int
) -> list[Found]:
    """Return up to `limit` dead letters past one, in the order of ids (which is acceptance's)."""
    parameters = _of(wanted) | {"cell": cell, "after": after, "limit": limit}
    return [Found(*row) for row in await (await conn.execute(FIND, parameters)).fetchall()]


async def groups(conn: Conn, wanted: Wanted, *, cell: int) -> list[Group]:
    """Return the dead letters by cause."""
    parameters = _of(wanted) | {"cell": cell, "after": None}
    return [Group(*row) for row in await (await conn.execute(_GROUPS, parameters)).fetchall()]


async def read(conn: Conn, delivery_id: UUID, *, cell: int) -> Letter | None:
    """Return a delivery's dead letter; None if there is none.

    Evidence changes it under the delivery's lock only; a discard needs no more than its own row.
    """
    cursor = await conn.execute(_READ, {"cell": cell, "delivery_id": delivery_id})
    row = await cursor.fetchone()
    return Letter(*row) if row else None


async def redrive(conn: Conn, order: Order, *, cell: int) -> bool:
    """Make a delivery due again whose rows are locked; False if its dead letter is gone."""
    parameters = {f.name: getattr(order, f.name) for f in fields(Order)}
    parameters |= {"cell": cell, "sources": list(sources(Event.REDRIVE))}
    return (await conn.execute(REDRIVE, parameters)).rowcount == 1


async def discard(
    conn: Conn,
    ids: Sequence[UUID],
    *,
    cell: int,
    intervention_ids: Sequence[UUID],
    actor: str,
    reason: str,
) -> set[UUID]:
    """Delete dead letters, given in the order of ids; return those that were there."""
    parameters = {
        "cell": cell,
        "ids": list(ids),
        "intervention_ids": list(intervention_ids),
        "actor": actor,
        "reason": reason,
    }
    return {row[0] for row in await (await conn.execute(DISCARD, parameters)).fetchall()}


def _of(wanted: Wanted) -> dict[str, Any]:
    found = {f.name: getattr(wanted, f.name) for f in fields(Wanted)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}
