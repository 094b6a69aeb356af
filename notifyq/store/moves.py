"""Moving one delivery by what became known of it: by a receipt, a look-up, the end of its window.

The batches of the hot path (store/results.py, store/queue.py) write the same rows for many.
"""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.states import Event, Reason, State, sources, step
from notifyq.store.db import Conn

# Purpose: move a delivery. What waited for evidence is over; one that did not arrive, or of which
# nobody knows, is a dead letter, for somebody may want to look; an arrival takes that back.
MOVE: LiteralString = """
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
       AND %(cause)s::text IS NULL
), dead AS (
    INSERT INTO dead_letter AS l (cell, delivery_id, cause, detail, dedupe_until)
    SELECT %(cell)s::int2, id, %(cause)s::text, %(detail)s::text,
           now() + make_interval(days => %(dedupe_days)s::int4)
      FROM moved WHERE %(cause)s::text IS NOT NULL
    ON CONFLICT (cell, delivery_id) DO UPDATE
       SET cause = excluded.cause, detail = excluded.detail, at = now()
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, 'delivery.' || state FROM moved
)
SELECT id FROM moved
"""
# A state that is an end without an arrival, and why: also the cause of its dead letter.
_WHY = {State.UNDELIVERED: Reason.UNDELIVERED, State.UNKNOWN: Reason.OUTCOME_UNKNOWN}


@dataclass(frozen=True, slots=True)
class Mover:
    """What every move needs."""

    cell: int
    event_id: UUID  # of the event that tells of it
    dedupe_days: int  # how long a dead letter's request is recognised at least


async def move(
    conn: Conn,
    delivery_id: UUID,
    before: State,
    event: Event,
    *,
    by: Mover,
    detail: str | None = None,
) -> bool:
    """Let `event` happen to a delivery that was `before`; False if it has moved on meanwhile.

    detail: the provider's code, kept with a dead letter.
    """
    state = step(before, event)
    parameters = {
        "cell": by.cell,
        "delivery_id": delivery_id,
        "state": state,
        "reason": _WHY.get(state),
        "cause": _WHY.get(state),
        "detail": detail,
        "sources": list(sources(event)),
        "event_id": by.event_id,
        "dedupe_days": by.dedupe_days,
    }
    return (await conn.execute(MOVE, parameters)).rowcount == 1
