"""Evidence about one attempt, written to the attempt and its delivery.

One attempt at a time, locked before its delivery, as everybody locks them. On the partitioned
parents: evidence comes one by one, and an id in the WHERE picks the leaf. What evidence changes
is decided by domain/evidence.py.
"""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.evidence import Bearing
from notifyq.domain.model import Channel
from notifyq.domain.states import AttemptOutcome, Event, Reason, State, sources, step
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql


@dataclass(frozen=True, slots=True)
class Place:
    """Which attempt."""

    cell: int
    delivery_id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An attempt and its delivery as they stand, both locked."""

    outcome: AttemptOutcome
    provider_id: str | None
    provider: str  # the account that it was sent by: nobody else's word counts
    state: State
    channel: Channel
    late: bool  # evidence for it came before, after it was closed


@dataclass(frozen=True, slots=True)
class Proof:
    """Who says it: the provider's name for the message, and its code where there is one."""

    provider_id: str
    code: str | None = None


# Purpose: look at one attempt and its delivery before evidence changes them.
LOCK_ONE: LiteralString = """
SELECT a.outcome::text, a.provider_id, l.provider, d.state::text, d.channel::text,
       a.late_at IS NOT NULL
  FROM (SELECT outcome, provider_id, lane, late_at FROM attempt
         WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
           AND number = %(number)s::int2
           FOR NO KEY UPDATE) AS a,
       LATERAL (SELECT state, channel FROM delivery
                 WHERE cell = %(cell)s::int2 AND id = %(delivery_id)s::uuid
                   FOR NO KEY UPDATE) AS d,
       LATERAL (SELECT provider FROM lane WHERE cell = %(cell)s::int2 AND id = a.lane) AS l
"""
CLOSE_ONE: LiteralString = """
UPDATE attempt
   SET outcome = %(outcome)s::outcome, provider_id = coalesce(provider_id, %(provider_id)s::text),
       code = CASE WHEN outcome = 'bounced' THEN %(code)s::text
                   ELSE coalesce(%(code)s::text, code) END,
       ended_at = coalesce(ended_at, now())
 WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
   AND number = %(number)s::int2
"""
LATE_ONE: LiteralString = """
UPDATE attempt
   SET late_at = now(), provider_id = coalesce(provider_id, %(provider_id)s::text)
 WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
   AND number = %(number)s::int2 AND late_at IS NULL
"""
# Purpose: move a delivery that evidence settles. What waited for that evidence is over; a bounce
# is a dead letter, for somebody may want to send it again; an arrival takes that back.
MOVE_ONE: LiteralString = """
WITH moved AS (
    UPDATE delivery SET state = %(state)s::delivery_state, reason = %(reason)s::text,
                        changed_at = now()
     WHERE cell = %(cell)s::int2 AND id = %(delivery_id)s::uuid
       AND state = ANY (%(sources)s::delivery_state[])
    RETURNING tenant_id, id, state
), calm AS (
    DELETE FROM timer
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
), alive AS (
    DELETE FROM dead_letter
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
       AND %(state)s::text <> 'undelivered'
), dead AS (
    INSERT INTO dead_letter AS l (cell, delivery_id, cause, detail, dedupe_until)
    SELECT %(cell)s::int2, id, 'undelivered', %(code)s::text,
           now() + make_interval(days => %(dedupe_days)s::int4)
      FROM moved WHERE state = 'undelivered'
    ON CONFLICT (cell, delivery_id) DO UPDATE
       SET cause = excluded.cause, detail = excluded.detail, at = now()
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, 'delivery.' || state FROM moved
)
SELECT id FROM moved
"""
# Purpose: take back a retry that late evidence refutes. Whoever deletes the job row decides: one
# that a worker is just claiming is the worker's, and the evidence came too late.
TAKE_BACK: LiteralString = """
DELETE FROM job_{channel}
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_{channel}
                          WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
                          LIMIT 1 FOR UPDATE SKIP LOCKED))
"""


async def lock(conn: Conn, at: Place) -> Standing | None:
    """Lock an attempt, then its delivery, and return both; None if there is no such attempt."""
    row = await (await conn.execute(LOCK_ONE, _of(at))).fetchone()
    if row is None:
        return None
    outcome, provider_id, provider, state, channel, late = row
    where = (provider_id, provider, State(state), Channel(channel))
    return Standing(AttemptOutcome(outcome), *where, late)


async def apply(
    conn: Conn,
    at: Place,
    standing: Standing,
    bearing: Bearing,
    proof: Proof,
    *,
    event_id: UUID,
    dedupe_days: int,
) -> State:
    """Write what evidence changes about a locked attempt; return the delivery's state after it."""
    where = _of(at) | {"provider_id": proof.provider_id, "code": proof.code}
    if bearing.outcome is not None:
        await conn.execute(CLOSE_ONE, where | {"outcome": bearing.outcome})
    if bearing.late:
        await conn.execute(LATE_ONE, where)
    if bearing.event is None:
        return standing.state
    if bearing.takes_job and not await _take_back(conn, at, standing.channel):
        return standing.state
    target = step(standing.state, bearing.event)
    moved = where | {
        "state": target,
        "reason": Reason.UNDELIVERED if bearing.event is Event.BOUNCE else None,
        "sources": list(sources(bearing.event)),
        "event_id": event_id,
        "dedupe_days": dedupe_days,
    }
    await conn.execute(MOVE_ONE, moved)
    return target


async def _take_back(conn: Conn, at: Place, channel: Channel) -> bool:
    cursor = await conn.execute(leaf_sql(TAKE_BACK, channel=channel), _of(at))
    return cursor.rowcount == 1


def _of(at: Place) -> dict[str, object]:
    return {"cell": at.cell, "delivery_id": at.delivery_id, "number": at.number}
