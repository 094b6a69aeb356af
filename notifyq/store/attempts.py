"""Attempts: begun before the call, fenced, settled once.

Begin inserts an attempt only while the fence row says that this region may send at the worker's
epoch, deletes only the jobs whose attempt was inserted, and returns only those: what is not
returned must not be sent. Settle changes an attempt only while it is still open at the worker's
epoch. Both lock attempts before deliveries, in the order of their ids, as everybody does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql


@dataclass(frozen=True, slots=True)
class Beginning:
    """An attempt to be begun for a claimed job."""

    delivery_id: UUID
    number: int
    place: str
    consent_revision: int


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended, and what that makes of its delivery."""

    delivery_id: UUID
    number: int
    epoch: int  # the one that it was begun at
    outcome: str
    provider_id: str | None
    code: str | None
    state: str
    reason: str | None
    event_id: UUID
    retry_in_s: float | None  # set: a new job, due after that long
    criticality: int
    tries: int
    cause: str | None  # set: a dead letter


# Purpose: commit the intent to send. Cost: one insert with its three index entries and one
# deletion by ctid each. ON CONFLICT keeps one delivery that already has a live attempt from
# failing its whole batch. A version that deletes first loses the batch under a stale epoch.
BEGIN: LiteralString = """
WITH fence_open AS MATERIALIZED (
    SELECT 1 FROM fence
     WHERE cell = %(cell)s::int2 AND epoch = %(epoch)s::int8
       AND region = %(region)s::text AND phase = 'open'
), due AS MATERIALIZED (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(numbers)s::int2[], %(places)s::tid[], %(revisions)s::int8[])
      AS d (delivery_id, number, place, revision)
), begun AS (
    INSERT INTO attempt_{month} (cell, number, lane, delivery_id, epoch, began_at, send_by,
                                 consent_revision, outcome, worker)
    SELECT %(cell)s::int2, number, %(lane)s::int4, delivery_id, %(epoch)s::int8, now(),
           now() + make_interval(secs => %(lease_s)s::float8), revision, 'open',
           %(worker)s::uuid
      FROM due CROSS JOIN fence_open
    ON CONFLICT DO NOTHING
    RETURNING delivery_id
), gone AS (
    DELETE FROM job_{channel} AS j
     USING due AS d JOIN begun USING (delivery_id)
     WHERE j.ctid = d.place AND j.delivery_id = d.delivery_id
    RETURNING j.delivery_id
)
SELECT EXISTS (SELECT 1 FROM fence_open), begun.delivery_id, gone.delivery_id IS NOT NULL
  FROM (VALUES (1)) AS one LEFT JOIN begun ON true LEFT JOIN gone USING (delivery_id)
"""

# Purpose: lock attempts and their deliveries, in the order of the array, and say where they are.
# A statement of its own: one that waited for a lock and then wrote would look for the row at the
# place that its older snapshot knows, find none there, and lose the result.
# `WHERE a.outcome = …` is the fence: what a callback settled first, or another epoch took over,
# is not held. It stands outside, or a plan would look for open attempts instead of by key.
LOCK_OPEN: LiteralString = """
SELECT r.delivery_id, a.place::text, d.place::text
  FROM unnest(%(ids)s::uuid[], %(numbers)s::int2[], %(epochs)s::int8[])
         AS r (delivery_id, number, epoch),
       LATERAL (SELECT ctid AS place, outcome, epoch FROM attempt_{month}
                 WHERE cell = %(cell)s::int2 AND delivery_id = r.delivery_id
                   AND number = r.number
                 LIMIT 1 FOR NO KEY UPDATE) AS a
       LEFT JOIN LATERAL (SELECT ctid AS place, state FROM delivery_{month}
                           WHERE cell = %(cell)s::int2 AND id = r.delivery_id
                           LIMIT 1 FOR NO KEY UPDATE) AS d ON d.state = 'pending'
 WHERE a.outcome = 'open' AND a.epoch = r.epoch
"""

# Purpose: record how attempts ended, and what follows. Cost: two updates by ctid of rows that are
# locked, one event each; a retry's job or a dead letter where there is one.
SETTLE: LiteralString = """
WITH result AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(%(delivery_id)s::uuid[]), unnest(%(number)s::int2[]),
        unnest(%(outcome)s::outcome[]), unnest(%(provider_id)s::text[]),
        unnest(%(code)s::text[]), unnest(%(state)s::delivery_state[]),
        unnest(%(reason)s::text[]), unnest(%(event_id)s::uuid[]),
        unnest(%(retry_in_s)s::float8[]), unnest(%(criticality)s::int2[]),
        unnest(%(tries)s::int2[]), unnest(%(cause)s::text[]),
        unnest(%(attempt_places)s::tid[]), unnest(%(delivery_places)s::tid[]))
      AS r (delivery_id, number, outcome, provider_id, code, state, reason, event_id,
            retry_in_s, criticality, tries, cause, attempt_place, delivery_place)
), closed AS (
    UPDATE attempt_{month} AS a
       SET outcome = r.outcome, provider_id = r.provider_id, code = r.code,
           ended_at = CASE WHEN r.outcome <> 'in_doubt' THEN now() END
      FROM result AS r
     WHERE a.ctid = r.attempt_place
), moved AS (
    UPDATE delivery_{month} AS d
       SET state = r.state, reason = r.reason, changed_at = now()
      FROM result AS r
     WHERE d.ctid = r.delivery_place
    RETURNING d.tenant_id, r.*
), again AS (
    INSERT INTO job_{channel} (cell, criticality, lane, due, delivery_id, channel,
                               attempts, tries)
    SELECT %(cell)s::int2, criticality, %(lane)s::int4,
           now() + make_interval(secs => retry_in_s), delivery_id, %(channel)s::channel,
           number, tries
      FROM moved WHERE retry_in_s IS NOT NULL
), dead AS (
    INSERT INTO dead_letter (cell, delivery_id, cause, detail, dedupe_until)
    SELECT %(cell)s::int2, delivery_id, cause, code,
           now() + make_interval(days => %(dedupe_days)s::int4)
      FROM moved WHERE cause IS NOT NULL
    ON CONFLICT DO NOTHING
), watched AS (
    INSERT INTO timer (cell, delivery_id, kind, due)
    SELECT %(cell)s::int2, delivery_id, 'settle_window',
           now() + make_interval(secs => %(settle_window_s)s::float8)
      FROM moved WHERE outcome = 'in_doubt'
    ON CONFLICT DO NOTHING
)
INSERT INTO outbox (cell, tenant_id, id, about, kind)
SELECT %(cell)s::int2, tenant_id, event_id, delivery_id, 'delivery.' || state
  FROM moved WHERE retry_in_s IS NULL
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a begin came to."""

    allowed: bool  # whether the fence let it
    taken: dict[UUID, bool]  # the attempts that were inserted: was the job deleted too?


async def begin(
    conn: Conn,
    beginnings: Sequence[Beginning],
    *,
    channel: Channel,
    cell: int,
    day: str,
    lane: int,
    epoch: int,
    region: str,
    worker: UUID,
    lease_s: float,
) -> Begun:
    """Begin attempts.

    A False in `taken` means that a job row was not where the claim saw it: roll back, send
    nothing. With the fence open, a delivery that is missing there has a live attempt already.
    """
    parameters = {
        "cell": cell,
        "lane": lane,
        "epoch": epoch,
        "region": region,
        "worker": worker,
        "lease_s": lease_s,
        "ids": [b.delivery_id for b in beginnings],
        "numbers": [b.number for b in beginnings],
        "places": [b.place for b in beginnings],
        "revisions": [b.consent_revision for b in beginnings],
    }
    cursor = await conn.execute(leaf_sql(BEGIN, channel=channel, day=day), parameters)
    rows = await cursor.fetchall()
    return Begun(rows[0][0], {delivery: gone for _, delivery, gone in rows if delivery})


async def settle(
    conn: Conn,
    results: Sequence[Result],
    *,
    channel: Channel,
    cell: int,
    day: str,
    lane: int,
    settle_window_s: float,
    dedupe_days: int,
) -> set[UUID]:
    """Close attempts; return the deliveries whose attempt was still open at this epoch.

    The rest was settled by evidence, or fenced off: nothing of them was changed.
    """
    where = {
        "cell": cell,
        "ids": [r.delivery_id for r in results],
        "numbers": [r.number for r in results],
        "epochs": [r.epoch for r in results],
    }
    cursor = await conn.execute(leaf_sql(LOCK_OPEN, day=day), where)
    places = {delivery: (at, its) for delivery, at, its in await cursor.fetchall()}
    held = [result for result in results if result.delivery_id in places]
    if not held:
        return set()
    parameters = {
        "cell": cell,
        "channel": channel,
        "lane": lane,
        "settle_window_s": settle_window_s,
        "dedupe_days": dedupe_days,
        "attempt_places": [places[r.delivery_id][0] for r in held],
        "delivery_places": [places[r.delivery_id][1] for r in held],
    } | {f.name: [getattr(r, f.name) for r in held] for f in fields(Result) if f.name != "epoch"}
    await conn.execute(leaf_sql(SETTLE, channel=channel, day=day), parameters)
    return set(places)
