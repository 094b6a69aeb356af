"""Doubts: listing them for people, and writing what a person's evidence makes of one."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.states import Event as DeliveryEvent
from notifyq.domain.states import sources
from notifyq.store.db import Conn

# Purpose: what is in doubt or unknown, the longest first. Cost: the timers and the dead letters,
# which hold exceptions only; deliveries are not looked through.
_LIST: LiteralString = """
SELECT d.id, t.name, d.channel::text, d.state::text, d.changed_at, encode(d.address_key, 'hex'),
       d.resend_after_s IS NOT NULL, d.expires_at, d.cancel_requested_at IS NOT NULL, l.provider,
       a.number, a.outcome::text, a.code, a.provider_id, a.began_at, a.send_by,
       (SELECT due FROM timer WHERE cell = d.cell AND delivery_id = d.id
                                AND kind = 'settle_window'),
       (SELECT due FROM timer WHERE cell = d.cell AND delivery_id = d.id AND kind = 'resend')
  FROM (SELECT delivery_id FROM timer WHERE cell = %(cell)s::int2
        UNION
        SELECT delivery_id FROM dead_letter
         WHERE cell = %(cell)s::int2 AND cause = 'outcome_unknown') AS x
  JOIN delivery d ON d.cell = %(cell)s::int2 AND d.id = x.delivery_id
  JOIN tenant t ON t.cell = d.cell AND t.id = d.tenant_id
  JOIN LATERAL (SELECT * FROM attempt
                 WHERE cell = d.cell AND delivery_id = d.id
                 ORDER BY outcome IN ('open', 'in_doubt') DESC,
                          outcome = 'abandoned' AND late_at IS NULL DESC, number DESC
                 LIMIT 1) AS a ON true
  JOIN lane l ON l.cell = a.cell AND l.id = a.lane
 WHERE d.state IN ('in_doubt', 'unknown')
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s::text)
 ORDER BY d.changed_at, d.id
 LIMIT %(limit)s::int4
"""
# Purpose: end a doubt whose rows are held: the attempt gets its outcome, the delivery moves, what
# waited for evidence is over; a delivery that was not carried out is due again.
RESOLVE: LiteralString = """
WITH moved AS (
    UPDATE delivery
       SET state = %(state)s::delivery_state, reason = %(why)s::text, changed_at = now()
     WHERE cell = %(cell)s::int2 AND id = %(delivery_id)s::uuid
       AND state = ANY (%(sources)s::delivery_state[])
    RETURNING tenant_id, id, channel, criticality, state
), closed AS (
    UPDATE attempt a
       SET outcome = coalesce(%(outcome)s::outcome, outcome), ended_at = coalesce(ended_at, now()),
           code = coalesce(%(code)s::text, code),
           provider_id = coalesce(provider_id, %(provider_id)s::text),
           late_at = CASE WHEN %(late)s::bool THEN now() ELSE late_at END
      FROM moved
     WHERE a.cell = %(cell)s::int2 AND a.delivery_id = moved.id AND a.number = %(number)s::int2
       AND a.outcome IN ('in_doubt', 'abandoned')
), calm AS (
    DELETE FROM timer t USING moved
     WHERE t.cell = %(cell)s::int2 AND t.delivery_id = moved.id
), known AS (
    DELETE FROM dead_letter x USING moved
     WHERE x.cell = %(cell)s::int2 AND x.delivery_id = moved.id AND x.cause = 'outcome_unknown'
), again AS (
    INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, criticality, %(lane)s::int4, now(), id, channel, %(attempts)s::int2, 0
      FROM moved WHERE state = 'pending'
), kept AS (
    INSERT INTO intervention (cell, id, delivery_id, kind, actor, reason, evidence)
    SELECT %(cell)s::int2, %(intervention_id)s::uuid, id, %(kind)s::text, %(actor)s::text,
           %(reason)s::text, %(evidence)s::text
      FROM moved
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, %(told)s::text FROM moved
)
SELECT id FROM moved
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A delivery in doubt or unknown, with the attempt to look for, and where."""

    delivery_id: UUID
    tenant: str
    channel: str
    state: str
    since: datetime
    address_key: str  # hex; never the address
    at_least_once: bool
    expires_at: datetime
    cancel_requested: bool
    provider: str
    number: int
    outcome: str
    code: str | None
    provider_id: str | None
    began_at: datetime
    send_by: datetime
    window_closes: datetime | None
    resent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolution that is decided."""

    delivery_id: UUID
    number: int  # of the attempt that was looked up
    attempts: int  # begun so far
    lane: int
    event: DeliveryEvent
    outcome: str | None  # the attempt's new one; None: it is closed already
    late: bool  # it was closed as abandoned, and was carried out
    code: str | None
    provider_id: str | None
    state: str
    why: str | None  # the delivery's reason
    told: str  # the event's name
    kind: str
    actor: str
    reason: str
    evidence: str
    intervention_id: UUID
    event_id: UUID


async def listed(conn: Conn, *, cell: int, tenant: str | None, limit: int) -> list[Listed]:
    """Return up to `limit` doubts, the longest first."""
    parameters = {"cell": cell, "tenant": tenant, "limit": limit}
    return [Listed(*row) for row in await (await conn.execute(_LIST, parameters)).fetchall()]


async def resolve(conn: Conn, resolved: Resolved, *, cell: int) -> bool:
    """Write a resolution about rows that are held; False if the delivery has moved on."""
    parameters = {f.name: getattr(resolved, f.name) for f in fields(Resolved)}
    parameters |= {"cell": cell, "sources": list(sources(resolved.event))}
    del parameters["event"]
    return (await conn.execute(RESOLVE, parameters)).rowcount == 1
