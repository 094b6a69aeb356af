"""What time alone changes: leases, resends and settle windows that are over, workers long gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import DoubtRules
from notifyq.store.db import Conn

# Purpose: lock attempts whose lease ran out, with the provider that decides their settle window.
# SKIP LOCKED leaves alone what is being settled this moment, and never waits, so the order is the
# index's. Cost: the partial index attempt_open, nothing else.
OVERDUE: LiteralString = """
SELECT a.delivery_id, a.number, l.provider
  FROM attempt a
  JOIN lane l ON l.cell = a.cell AND l.id = a.lane
 WHERE a.cell = %(cell)s::int2 AND a.outcome = 'open' AND a.send_by < now()
 ORDER BY a.send_by
 LIMIT %(limit)s::int4
   FOR NO KEY UPDATE OF a SKIP LOCKED
"""
# Purpose: an open attempt past its lease is in doubt, never pending again. Timers say when to
# look it up, when to send it again (at_least_once) and when nobody waits for evidence any more.
DOUBT: LiteralString = """
WITH overdue AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::uuid[], %(numbers)s::int2[], %(windows_s)s::float8[],
                         %(look_ups_s)s::float8[], %(event_ids)s::uuid[])
      AS o (delivery_id, number, window_s, look_up_s, event_id)
), doubted AS (
    UPDATE attempt a SET outcome = 'in_doubt', code = 'lease_expired'
      FROM overdue o
     WHERE a.cell = %(cell)s::int2 AND a.delivery_id = o.delivery_id AND a.number = o.number
       AND a.outcome = 'open'
    RETURNING a.lane, o.*
), moved AS (
    UPDATE delivery d
       SET state = 'in_doubt', reason = 'lease_expired', changed_at = now()
      FROM doubted
     WHERE d.cell = %(cell)s::int2 AND d.id = doubted.delivery_id AND d.state = 'pending'
    RETURNING d.tenant_id, d.id, d.resend_after_s, doubted.*
), watched AS (
    INSERT INTO timer (cell, delivery_id, kind, due, lane)
    SELECT %(cell)s::int2, id, w.kind, now() + make_interval(secs => w.after_s), lane
      FROM moved,
           LATERAL (VALUES ('settle_window', window_s), ('look_up', look_up_s),
                           ('resend', resend_after_s::float8)) AS w (kind, after_s)
     WHERE w.after_s IS NOT NULL
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, event_id, id, 'delivery.in_doubt' FROM moved
)
SELECT id FROM moved
"""
# Purpose: deliveries whose time has come, of one kind of timer.
DUE: LiteralString = """
SELECT delivery_id FROM timer
 WHERE cell = %(cell)s::int2 AND kind = %(kind)s::text AND due < now()
 ORDER BY due
 LIMIT %(limit)s::int4
"""
# Purpose: at_least_once: give the attempt in doubt up and make the delivery due again. In the
# order in which everybody locks: attempt, then delivery. Not when it was called back, or is
# expired, or was tried often enough: then the doubt stands until its window is over.
RESEND: LiteralString = """
WITH doubtful AS MATERIALIZED (
    SELECT number, lane FROM attempt
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid AND outcome = 'in_doubt'
       FOR NO KEY UPDATE
), moved AS (
    UPDATE delivery d
       SET state = 'pending', reason = 'resent', changed_at = now()
      FROM doubtful
     WHERE d.cell = %(cell)s::int2 AND d.id = %(delivery_id)s::uuid AND d.state = 'in_doubt'
       AND d.resend_after_s IS NOT NULL AND d.cancel_requested_at IS NULL
       AND d.expires_at > now() AND doubtful.number < %(attempts_max)s::int2
    RETURNING d.tenant_id, d.id, d.channel, d.criticality, doubtful.number, doubtful.lane
), abandoned AS (
    UPDATE attempt a SET outcome = 'abandoned', ended_at = now()
      FROM moved
     WHERE a.cell = %(cell)s::int2 AND a.delivery_id = moved.id AND a.number = moved.number
), again AS (
    INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, criticality, lane, now(), id, channel, number, number FROM moved
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, 'delivery.resent' FROM moved
), calm AS (
    DELETE FROM timer
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
       AND (kind = 'resend' OR EXISTS (SELECT 1 FROM moved))
)
SELECT id FROM moved
"""
# A worker that was not seen for an hour did not stop in order; its attempts are long in doubt.
_FORGET_WORKERS: LiteralString = """
DELETE FROM worker WHERE cell = %(cell)s::int2 AND seen_at < now() - interval '1 hour'
"""
_ALIVE_BETWEEN: LiteralString = """
SELECT EXISTS (SELECT 1 FROM job
                WHERE cell = %(cell)s::int2
                  AND delivery_id >= %(low)s::uuid AND delivery_id < %(high)s::uuid)
    OR EXISTS (SELECT 1 FROM attempt
                WHERE cell = %(cell)s::int2 AND outcome = 'open'
                  AND delivery_id >= %(low)s::uuid AND delivery_id < %(high)s::uuid)
    OR EXISTS (SELECT 1 FROM timer
                WHERE cell = %(cell)s::int2
                  AND delivery_id >= %(low)s::uuid AND delivery_id < %(high)s::uuid)
    OR EXISTS (SELECT 1 FROM dead_letter
                WHERE cell = %(cell)s::int2
                  AND delivery_id >= %(low)s::uuid AND delivery_id < %(high)s::uuid)
    OR EXISTS (SELECT 1 FROM unfinished_key
                WHERE cell = %(cell)s::int2
                  AND notification_id >= %(low)s::uuid AND notification_id < %(high)s::uuid)
"""


@dataclass(frozen=True, slots=True)
class Overdue:
    """An open attempt whose lease ran out."""

    delivery_id: UUID
    number: int
    provider: str


async def overdue(conn: Conn, *, cell: int, limit: int) -> list[Overdue]:
    """Lock and return up to `limit` open attempts past their `send_by`."""
    cursor = await conn.execute(OVERDUE, {"cell": cell, "limit": limit})
    return [Overdue(*row) for row in await cursor.fetchall()]


async def doubt(
    conn: Conn,
    found: Sequence[Overdue],
    *,
    cell: int,
    rules: Sequence[DoubtRules],
    event_ids: Sequence[UUID],
) -> int:
    """Put overdue attempts and their deliveries in doubt; return how many deliveries moved."""
    parameters = {
        "cell": cell,
        "ids": [o.delivery_id for o in found],
        "numbers": [o.number for o in found],
        "windows_s": [r.settle_window_s for r in rules],
        "look_ups_s": [r.look_up_s[0] if r.look_up_s else None for r in rules],
        "event_ids": list(event_ids),
    }
    return (await conn.execute(DOUBT, parameters)).rowcount


async def due(conn: Conn, kind: str, *, cell: int, limit: int) -> list[UUID]:
    """Return deliveries whose timer of this kind has run out, the oldest first."""
    cursor = await conn.execute(DUE, {"cell": cell, "kind": kind, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def resend(
    conn: Conn, *, cell: int, delivery_id: UUID, event_id: UUID, attempts_max: int
) -> bool:
    """Abandon the attempt in doubt of an at_least_once delivery and make it due again.

    False if evidence came first, or it is not worth another attempt: the resend is then off.
    """
    parameters = {
        "cell": cell,
        "delivery_id": delivery_id,
        "event_id": event_id,
        "attempts_max": attempts_max,
    }
    return (await conn.execute(RESEND, parameters)).rowcount == 1


async def forget_workers(conn: Conn, *, cell: int) -> int:
    """Delete the rows of workers that were not seen for an hour."""
    return (await conn.execute(_FORGET_WORKERS, {"cell": cell})).rowcount


async def alive_between(conn: Conn, *, cell: int, low: UUID, high: UUID) -> bool:
    """Whether anything in [low, high) is still to be done: a job, a call, a doubt, a request.

    A dead letter counts, for it can be redriven; one that was redriven before and died again may
    be older than the content is kept.
    """
    parameters = {"cell": cell, "low": low, "high": high}
    row = await (await conn.execute(_ALIVE_BETWEEN, parameters)).fetchone()
    return bool(row and row[0])
