"""The job table: what is due, for which lane, in which order. Rows are inserted and deleted only.

Whoever deletes a job row decides what becomes of its delivery. A claim locks rows and deletes
nothing; the same transaction then either begins attempts (store/attempts.py) or ends or defers
the deliveries here. Every deletion goes by ctid on the named leaf: rows are never updated, so
the ctid of a locked row stays good; on the partitioned parent the same ctid would also name
another channel's row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql


@dataclass(frozen=True, slots=True)
class Claim:
    """A job row that this transaction holds."""

    delivery_id: UUID
    attempts: int
    tries: int
    criticality: int
    place: str
    due: datetime
    now: datetime  # the transaction's time: what the decision is made by


# Purpose: lock the next due jobs of one lane. Parameters: criticalities in the order wanted, a
# low-water mark for each (entries before it are known to be dead), room. Cost: `room` index
# entries on one leaf; one ordered scan per criticality, so no sort however long the backlog.
CLAIM: LiteralString = """
SELECT j.delivery_id, j.attempts, j.tries, j.criticality, j.place::text, j.due, now()
  FROM unnest(%(criticalities)s::int2[], %(low_waters)s::timestamptz[])
         AS w (criticality, low_water),
       LATERAL (SELECT ctid AS place, delivery_id, attempts, tries, criticality, due
                  FROM job_{channel}
                 WHERE cell = %(cell)s::int2
                   AND lane = %(lane)s::int4
                   AND criticality = w.criticality
                   AND due >= w.low_water
                   AND due <= now()
                 ORDER BY due
                 LIMIT %(room)s::int4
                   FOR UPDATE SKIP LOCKED) AS j
 LIMIT %(room)s::int4
"""

# Purpose: lock deliveries and say where the pending ones are, before END_UNSENT writes there.
LOCK_PENDING: LiteralString = """
SELECT u.delivery_id, d.place::text
  FROM unnest(%(ids)s::uuid[]) AS u (delivery_id),
       LATERAL (SELECT ctid AS place, state FROM delivery_{month}
                 WHERE cell = %(cell)s::int2 AND id = u.delivery_id
                 LIMIT 1 FOR NO KEY UPDATE) AS d
 WHERE d.state = 'pending'
"""
# Purpose: bring deliveries to rest unsent, or make them due later, if the fence lets us.
# The job rows go first and only they count: what was not deleted was somebody else's. A delivery
# without a place (not pending, or not there) loses its job and stays as it is.
END_UNSENT: LiteralString = """
WITH fence_open AS MATERIALIZED (
    SELECT 1 FROM fence
     WHERE cell = %(cell)s::int2 AND epoch = %(epoch)s::int8
       AND region = %(region)s::text AND phase = 'open'
), ending AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(%(ids)s::uuid[]), unnest(%(places)s::tid[]),
        unnest(%(states)s::delivery_state[]), unnest(%(reasons)s::text[]),
        unnest(%(details)s::text[]), unnest(%(event_ids)s::uuid[]),
        unnest(%(delivery_places)s::tid[]))
      AS e (delivery_id, place, state, reason, detail, event_id, delivery_place)
), gone AS (
    DELETE FROM job_{channel} AS j USING ending AS e, fence_open
     WHERE j.ctid = e.place AND j.delivery_id = e.delivery_id
    RETURNING e.*
), moved AS (
    UPDATE delivery_{month} AS d
       SET state = g.state, reason = g.reason, changed_at = now()
      FROM gone AS g
     WHERE d.ctid = g.delivery_place
    RETURNING d.tenant_id, g.*
), listed AS (
    INSERT INTO dead_letter (cell, delivery_id, cause, detail, dedupe_until)
    SELECT %(cell)s::int2, delivery_id, reason, detail,
           now() + make_interval(days => %(dedupe_days)s::int4)
      FROM moved WHERE state = 'unknown'
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, event_id, delivery_id, 'delivery.' || state FROM moved
)
SELECT delivery_id FROM gone
"""
# Purpose: say why deliveries wait, where that is news. Their jobs are held by this transaction.
SAY_WHY: LiteralString = """
UPDATE delivery_{month} AS d SET reason = w.reason
  FROM unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS w (delivery_id, reason)
 WHERE d.cell = %(cell)s::int2 AND d.id = w.delivery_id AND d.state = 'pending'
   AND d.reason IS DISTINCT FROM w.reason
"""
DEFER: LiteralString = """
WITH fence_open AS MATERIALIZED (
    SELECT 1 FROM fence
     WHERE cell = %(cell)s::int2 AND epoch = %(epoch)s::int8
       AND region = %(region)s::text AND phase = 'open'
), later AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::uuid[], %(places)s::tid[], %(dues)s::timestamptz[])
      AS l (delivery_id, place, due)
), gone AS (
    DELETE FROM job_{channel} AS j USING later AS l, fence_open
     WHERE j.ctid = l.place AND j.delivery_id = l.delivery_id
    RETURNING j.cell, j.criticality, j.lane, l.due, j.delivery_id, j.channel, j.attempts, j.tries
)
INSERT INTO job_{channel} (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
SELECT cell, criticality, lane, due, delivery_id, channel, attempts, tries FROM gone
RETURNING delivery_id
"""


async def claim(
    conn: Conn,
    *,
    channel: Channel,
    cell: int,
    lane: int,
    low_waters: Sequence[datetime],
    room: int,
) -> list[Claim]:
    """Lock up to `room` (>= 1) due jobs of a lane, highest criticality first, oldest due first.

    low_waters: for criticality 0, 1, 2 …, the time before which no live job is expected.
    """
    parameters = {
        "criticalities": list(range(len(low_waters))),
        "low_waters": list(low_waters),
        "cell": cell,
        "lane": lane,
        "room": room,
    }
    cursor = await conn.execute(leaf_sql(CLAIM, channel=channel), parameters)
    return [Claim(*row) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Ending:
    """A claimed job that is over unsent, and what its delivery becomes."""

    delivery_id: UUID
    place: str
    event_id: UUID
    delivery_place: str | None = None  # None: it stays as it is
    state: str | None = None
    reason: str | None = None  # also the dead letter's cause, where nobody knows if it arrived
    detail: str | None = None


async def lock_pending(conn: Conn, ids: Sequence[UUID], *, cell: int, day: str) -> dict[UUID, str]:
    """Lock deliveries, given in order; return where those that are pending are."""
    if not ids:
        return {}
    parameters = {"cell": cell, "ids": list(ids)}
    return dict(await (await conn.execute(leaf_sql(LOCK_PENDING, day=day), parameters)).fetchall())


async def end_unsent(
    conn: Conn,
    endings: Sequence[Ending],
    *,
    channel: Channel,
    cell: int,
    day: str,
    epoch: int,
    region: str,
    dedupe_days: int,
) -> int:
    """End claimed jobs; return how many: fewer than asked means a lost fence."""
    parameters = {
        "cell": cell,
        "epoch": epoch,
        "region": region,
        "dedupe_days": dedupe_days,
        "ids": [e.delivery_id for e in endings],
        "places": [e.place for e in endings],
        "states": [e.state for e in endings],
        "reasons": [e.reason for e in endings],
        "details": [e.detail for e in endings],
        "event_ids": [e.event_id for e in endings],
        "delivery_places": [e.delivery_place for e in endings],
    }
    return (await conn.execute(leaf_sql(END_UNSENT, channel=channel, day=day), parameters)).rowcount


async def defer(
    conn: Conn,
    later: Sequence[tuple[UUID, str, datetime]],
    *,
    channel: Channel,
    cell: int,
    epoch: int,
    region: str,
) -> int:
    """Make claimed jobs, given as (delivery, place, due), due later; return how many."""
    parameters = {
        "cell": cell,
        "epoch": epoch,
        "region": region,
        "ids": [delivery_id for delivery_id, _, _ in later],
        "places": [place for _, place, _ in later],
        "dues": [due for _, _, due in later],
    }
    return (await conn.execute(leaf_sql(DEFER, channel=channel), parameters)).rowcount


async def say_why(conn: Conn, waiting: Sequence[tuple[UUID, str]], *, cell: int, day: str) -> None:
    """Write why deliveries, given in order with their reasons, are not sent yet."""
    if waiting:
        parameters = {
            "cell": cell,
            "ids": [delivery_id for delivery_id, _ in waiting],
            "reasons": [reason for _, reason in waiting],
        }
        await conn.execute(leaf_sql(SAY_WHY, day=day), parameters)
