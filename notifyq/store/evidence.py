"""Evidence about one attempt: what a receipt proves, written to the attempt and its delivery.

One attempt at a time, locked before its delivery, as everybody locks them. On the partitioned
parents: receipts come one by one, and an id in the WHERE picks the leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql


@dataclass(frozen=True, slots=True)
class Evidence:
    """An attempt and its delivery as they stand, both locked."""

    outcome: str
    provider_id: str | None
    provider: str  # the account that it was sent by: nobody else's word counts
    state: str
    channel: str


# Purpose: look at one attempt and its delivery before a receipt changes them.
LOCK_ONE: LiteralString = """
SELECT a.outcome, a.provider_id, l.provider, d.state, d.channel::text
  FROM (SELECT outcome, provider_id, lane FROM attempt
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
       AND kind = 'settle_window'
), known AS (
    DELETE FROM dead_letter
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
       AND cause = 'outcome_unknown'
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, 'delivery.' || state FROM moved
)
SELECT id FROM moved
"""


async def lock_one(conn: Conn, *, cell: int, delivery_id: UUID, number: int) -> Evidence | None:
    """Lock an attempt, then its delivery, and return both; None if there is no such attempt."""
    parameters = {"cell": cell, "delivery_id": delivery_id, "number": number}
    row = await (await conn.execute(LOCK_ONE, parameters)).fetchone()
    return Evidence(*row) if row else None


async def close_one(
    conn: Conn,
    *,
    cell: int,
    delivery_id: UUID,
    number: int,
    outcome: str,
    provider_id: str | None,
    code: str | None,
) -> None:
    """Give a locked attempt the outcome that evidence proves."""
    parameters = {
        "cell": cell,
        "delivery_id": delivery_id,
        "number": number,
        "outcome": outcome,
        "provider_id": provider_id,
        "code": code,
    }
    await conn.execute(CLOSE_ONE, parameters)


async def note_late_acceptance(
    conn: Conn, *, cell: int, delivery_id: UUID, number: int, provider_id: str
) -> bool:
    """Record that a closed attempt was accepted after all; True the first time it is seen."""
    parameters = {
        "cell": cell,
        "delivery_id": delivery_id,
        "number": number,
        "provider_id": provider_id,
    }
    return (await conn.execute(LATE_ONE, parameters)).rowcount == 1


async def move_one(
    conn: Conn,
    *,
    cell: int,
    delivery_id: UUID,
    state: str,
    reason: str | None,
    sources: Sequence[str],
    event_id: UUID,
) -> bool:
    """Move a delivery if it is in one of `sources`, with its event; True if it was."""
    parameters = {
        "cell": cell,
        "delivery_id": delivery_id,
        "state": state,
        "reason": reason,
        "sources": list(sources),
        "event_id": event_id,
    }
    return (await conn.execute(MOVE_ONE, parameters)).rowcount == 1


# Purpose: take back a retry that late evidence refutes. Whoever deletes the job row decides: one
# that a worker is just claiming is the worker's, and the evidence came too late.
_TAKE_BACK: LiteralString = """
DELETE FROM job_{channel}
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_{channel}
                          WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
                          LIMIT 1 FOR UPDATE SKIP LOCKED))
"""


async def take_back_job(conn: Conn, *, cell: int, delivery_id: UUID, channel: Channel) -> bool:
    """Delete a delivery's job, so that it is not sent again; True if there was one to take."""
    statement = leaf_sql(_TAKE_BACK, channel=channel)
    cursor = await conn.execute(statement, {"cell": cell, "delivery_id": delivery_id})
    return cursor.rowcount == 1
