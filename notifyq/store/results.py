"""Results: how attempts ended, written once, and what that makes of their deliveries.

An attempt is held (locked) before it is written, and only while it is open or in doubt at the
epoch that it was begun at. One whose lease ran out is in doubt, and its own worker's answer is
evidence as good as any: it is written the same way. Attempts are locked before deliveries, in the
order of their ids, as everybody locks them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel, DoubtRules
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that is locked with its delivery: where they are, and how the delivery stands."""

    attempt_place: str
    delivery_place: str
    state: str
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Result:
    """How a held attempt ended, and what that makes of its delivery."""

    delivery_id: UUID
    number: int
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
    attempt_place: str
    delivery_place: str | None  # None: the delivery has moved on without this attempt


# Purpose: lock attempts and their deliveries, in the order of the array, and say where they are.
# A statement of its own: one that waited for a lock and then wrote would look for the row at the
# place that its older snapshot knows, find none there, and lose the result.
# `WHERE a.outcome …` is the fence: what evidence settled first is not held. It stands outside,
# or a plan would look for open attempts instead of by key.
HOLD: LiteralString = """
SELECT r.delivery_id, a.place::text, d.place::text, d.state::text,
       d.cancel_requested_at IS NOT NULL
  FROM unnest(%(ids)s::uuid[], %(numbers)s::int2[], %(epochs)s::int8[])
         AS r (delivery_id, number, epoch),
       LATERAL (SELECT ctid AS place, outcome, epoch FROM attempt_{month}
                 WHERE cell = %(cell)s::int2 AND delivery_id = r.delivery_id
                   AND number = r.number
                 LIMIT 1 FOR NO KEY UPDATE) AS a,
       LATERAL (SELECT ctid AS place, state, cancel_requested_at FROM delivery_{month}
                 WHERE cell = %(cell)s::int2 AND id = r.delivery_id
                 LIMIT 1 FOR NO KEY UPDATE) AS d
 WHERE a.outcome IN ('open', 'in_doubt') AND a.epoch = r.epoch
"""

# Purpose: record how attempts ended, and what follows. Cost: two updates by ctid of rows that are
# locked, one event each; a retry's job, a dead letter or a doubt's timers where there is one.
SETTLE: LiteralString = """
WITH result AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(%(delivery_id)s::uuid[]), unnest(%(number)s::int2[]),
        unnest(%(outcome)s::outcome[]), unnest(%(provider_id)s::text[]),
        unnest(%(code)s::text[]), unnest(%(state)s::delivery_state[]),
        unnest(%(reason)s::text[]), unnest(%(event_id)s::uuid[]),
        unnest(%(retry_in_s)s::float8[]), unnest(%(criticality)s::int2[]),
        unnest(%(tries)s::int2[]), unnest(%(cause)s::text[]),
        unnest(%(attempt_place)s::tid[]), unnest(%(delivery_place)s::tid[]))
      AS r (delivery_id, number, outcome, provider_id, code, state, reason, event_id,
            retry_in_s, criticality, tries, cause, attempt_place, delivery_place)
), closed AS (
    UPDATE attempt_{month} AS a
       SET outcome = r.outcome, provider_id = r.provider_id, code = coalesce(r.code, a.code),
           ended_at = CASE WHEN r.outcome <> 'in_doubt' THEN now() END
      FROM result AS r
     WHERE a.ctid = r.attempt_place
), moved AS (
    UPDATE delivery_{month} AS d
       SET state = r.state, reason = r.reason, changed_at = now()
      FROM result AS r
     WHERE d.ctid = r.delivery_place
    RETURNING d.tenant_id, d.resend_after_s, r.*
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
    INSERT INTO timer (cell, delivery_id, kind, due, lane)
    SELECT %(cell)s::int2, delivery_id, w.kind, now() + make_interval(secs => w.after_s),
           %(lane)s::int4
      FROM moved,
           LATERAL (VALUES ('settle_window', %(settle_window_s)s::float8),
                           ('look_up', %(look_up_s)s::float8),
                           ('resend', resend_after_s::float8)) AS w (kind, after_s)
     WHERE state = 'in_doubt' AND w.after_s IS NOT NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO outbox (cell, tenant_id, id, about, kind)
SELECT %(cell)s::int2, tenant_id, event_id, delivery_id, 'delivery.' || state
  FROM moved WHERE retry_in_s IS NULL
"""
# Purpose: evidence ended these doubts; nobody has to look again. For the rare late answers.
CALM: LiteralString = """
WITH known AS (
    DELETE FROM dead_letter
     WHERE cell = %(cell)s::int2 AND delivery_id = ANY (%(ids)s::uuid[])
       AND cause = 'outcome_unknown'
)
DELETE FROM timer WHERE cell = %(cell)s::int2 AND delivery_id = ANY (%(ids)s::uuid[])
"""


async def hold(
    conn: Conn, attempts: Sequence[tuple[UUID, int, int]], *, cell: int, day: str
) -> dict[UUID, Held]:
    """Lock attempts, given as (delivery, number, epoch) in the order of ids, all of one day.

    Those that are neither open nor in doubt, or were begun at another epoch, are missing: evidence
    or a person settled them, and nothing may be written over that.
    """
    parameters = {
        "cell": cell,
        "ids": [delivery_id for delivery_id, _, _ in attempts],
        "numbers": [number for _, number, _ in attempts],
        "epochs": [epoch for _, _, epoch in attempts],
    }
    cursor = await conn.execute(leaf_sql(HOLD, day=day), parameters)
    return {delivery: Held(*rest) for delivery, *rest in await cursor.fetchall()}


async def settle(
    conn: Conn,
    results: Sequence[Result],
    *,
    channel: Channel,
    cell: int,
    day: str,
    lane: int,
    doubt: DoubtRules,
    dedupe_days: int,
) -> None:
    """Write the results of held attempts (at least one), and what follows from each."""
    parameters = {
        "cell": cell,
        "channel": channel,
        "lane": lane,
        "settle_window_s": doubt.settle_window_s,
        "look_up_s": doubt.look_up_s[0] if doubt.look_up_s else None,
        "dedupe_days": dedupe_days,
    } | {f.name: [getattr(r, f.name) for r in results] for f in fields(Result)}
    await conn.execute(leaf_sql(SETTLE, channel=channel, day=day), parameters)


async def calm(conn: Conn, delivery_ids: Sequence[UUID], *, cell: int) -> None:
    """Forget what waited for evidence about deliveries that are not in doubt any more."""
    await conn.execute(CALM, {"cell": cell, "ids": list(delivery_ids)})
