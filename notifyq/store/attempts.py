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
SELECT begun.delivery_id, gone.delivery_id IS NOT NULL
  FROM begun LEFT JOIN gone USING (delivery_id)
"""

# Purpose: record how attempts ended, and what follows. Cost: two look-ups by primary key, two
# updates by ctid, one event each; a retry's job or a dead letter where there is one.
# `AND a.outcome = 'open' AND a.epoch = …` is the fence: what a callback settled first, or another
# epoch took over, stays as it is.
SETTLE: LiteralString = """
WITH result AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(%(delivery_id)s::uuid[]), unnest(%(number)s::int2[]),
        unnest(%(epoch)s::int8[]), unnest(%(outcome)s::outcome[]),
        unnest(%(provider_id)s::text[]), unnest(%(code)s::text[]),
        unnest(%(state)s::delivery_state[]), unnest(%(reason)s::text[]),
        unnest(%(event_id)s::uuid[]), unnest(%(retry_in_s)s::float8[]),
        unnest(%(criticality)s::int2[]), unnest(%(tries)s::int2[]),
        unnest(%(cause)s::text[]))
      AS r (delivery_id, number, epoch, outcome, provider_id, code, state, reason, event_id,
            retry_in_s, criticality, tries, cause)
), held AS MATERIALIZED (
    SELECT r.*, a.place
      FROM result AS r,
           LATERAL (SELECT ctid AS place FROM attempt_{month} AS a
                     WHERE a.cell = %(cell)s::int2 AND a.delivery_id = r.delivery_id
                       AND a.number = r.number
                       AND a.outcome = 'open' AND a.epoch = r.epoch
                     LIMIT 1 FOR NO KEY UPDATE) AS a
), closed AS (
    UPDATE attempt_{month} AS a
       SET outcome = h.outcome, provider_id = h.provider_id, code = h.code,
           ended_at = CASE WHEN h.outcome <> 'in_doubt' THEN now() END
      FROM held AS h
     WHERE a.ctid = h.place
), moved AS (
    UPDATE delivery_{month} AS d
       SET state = h.state, reason = h.reason, changed_at = now()
      FROM held AS h,
           LATERAL (SELECT ctid AS place FROM delivery_{month}
                     WHERE cell = %(cell)s::int2 AND id = h.delivery_id AND state = 'pending'
                     LIMIT 1 FOR NO KEY UPDATE) AS x
     WHERE d.ctid = x.place
    RETURNING d.tenant_id, h.*
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
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, event_id, delivery_id, 'delivery.' || state
      FROM moved WHERE retry_in_s IS NULL
)
SELECT delivery_id FROM held
"""


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
) -> dict[UUID, bool]:
    """Begin attempts; return {delivery: its job was deleted} for the attempts that were inserted.

    A False in it means that a job row was not where the claim saw it: roll back, send nothing.
    A delivery that is missing was fenced off, or has a live attempt already.
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
    return dict(await cursor.fetchall())


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
    parameters = {
        "cell": cell,
        "channel": channel,
        "lane": lane,
        "settle_window_s": settle_window_s,
        "dedupe_days": dedupe_days,
    } | {f.name: [getattr(r, f.name) for r in results] for f in fields(Result)}
    cursor = await conn.execute(leaf_sql(SETTLE, channel=channel, day=day), parameters)
    return {row[0] for row in await cursor.fetchall()}
