"""What time alone changes: leases that ran out, settle windows that closed, workers long gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

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
# Purpose: an open attempt past its lease is in doubt, never pending again.
DOUBT: LiteralString = """
WITH overdue AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::uuid[], %(numbers)s::int2[], %(windows_s)s::float8[],
                         %(event_ids)s::uuid[])
      AS o (delivery_id, number, window_s, event_id)
), doubted AS (
    UPDATE attempt a SET outcome = 'in_doubt', code = 'lease_expired'
      FROM overdue o
     WHERE a.cell = %(cell)s::int2 AND a.delivery_id = o.delivery_id AND a.number = o.number
       AND a.outcome = 'open'
    RETURNING a.delivery_id, o.window_s, o.event_id
), moved AS (
    UPDATE delivery d
       SET state = 'in_doubt', reason = 'lease_expired', changed_at = now()
      FROM doubted
     WHERE d.cell = %(cell)s::int2 AND d.id = doubted.delivery_id AND d.state = 'pending'
    RETURNING d.tenant_id, d.id, doubted.window_s, doubted.event_id
), watched AS (
    INSERT INTO timer (cell, delivery_id, kind, due)
    SELECT %(cell)s::int2, id, 'settle_window', now() + make_interval(secs => window_s)
      FROM moved
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, event_id, id, 'delivery.in_doubt' FROM moved
)
SELECT id FROM moved
"""
WINDOWS: LiteralString = """
SELECT delivery_id FROM timer
 WHERE cell = %(cell)s::int2 AND kind = 'settle_window' AND due < now()
 ORDER BY due
 LIMIT %(limit)s::int4
"""
# Purpose: no evidence came in time. The attempt stays in doubt, and so live: nothing may begin
# beside it. The delivery rests as unknown, is counted and listed, and may still be corrected.
UNKNOWN: LiteralString = """
WITH moved AS (
    UPDATE delivery d
       SET state = 'unknown', reason = 'outcome_unknown', changed_at = now()
     WHERE cell = %(cell)s::int2 AND id = %(delivery_id)s::uuid AND state = 'in_doubt'
    RETURNING tenant_id, id
), calm AS (
    DELETE FROM timer
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
       AND kind = 'settle_window'
), listed AS (
    INSERT INTO dead_letter (cell, delivery_id, cause, dedupe_until)
    SELECT %(cell)s::int2, id, 'outcome_unknown',
           now() + make_interval(days => %(dedupe_days)s::int4)
      FROM moved
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, 'delivery.unknown' FROM moved
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
                WHERE cell = %(cell)s::int2 AND outcome IN ('open', 'in_doubt')
                  AND delivery_id >= %(low)s::uuid AND delivery_id < %(high)s::uuid)
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
    windows_s: Sequence[float],
    event_ids: Sequence[UUID],
) -> int:
    """Put overdue attempts and their deliveries in doubt; return how many deliveries moved."""
    parameters = {
        "cell": cell,
        "ids": [o.delivery_id for o in found],
        "numbers": [o.number for o in found],
        "windows_s": list(windows_s),
        "event_ids": list(event_ids),
    }
    return (await conn.execute(DOUBT, parameters)).rowcount


async def windows_over(conn: Conn, *, cell: int, limit: int) -> list[UUID]:
    """Return deliveries whose settle window has closed."""
    cursor = await conn.execute(WINDOWS, {"cell": cell, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def close_window(
    conn: Conn, *, cell: int, delivery_id: UUID, event_id: UUID, dedupe_days: int
) -> bool:
    """Bring a delivery in doubt to rest as unknown; False if evidence came first."""
    parameters = {
        "cell": cell,
        "delivery_id": delivery_id,
        "event_id": event_id,
        "dedupe_days": dedupe_days,
    }
    return (await conn.execute(UNKNOWN, parameters)).rowcount == 1


async def forget_workers(conn: Conn, *, cell: int) -> int:
    """Delete the rows of workers that were not seen for an hour."""
    return (await conn.execute(_FORGET_WORKERS, {"cell": cell})).rowcount


async def alive_between(conn: Conn, *, cell: int, low: UUID, high: UUID) -> bool:
    """Whether a job, or an attempt that is open or in doubt, is left in [low, high)."""
    parameters = {"cell": cell, "low": low, "high": high}
    row = await (await conn.execute(_ALIVE_BETWEEN, parameters)).fetchone()
    return bool(row and row[0])
