"""Evidence about one attempt, written to the attempt and its delivery.

One attempt at a time, locked before its delivery, as everybody locks them. On the partitioned
parents: evidence comes one by one, and an id in the WHERE picks the leaf. What evidence changes
is decided by domain/evidence.py.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.doubts import BY_HAND
from notifyq.domain.evidence import NO_OTHERS, Bearing, Others
from notifyq.domain.model import Channel
from notifyq.domain.scheduling import after_midnight
from notifyq.domain.states import LIVE, AttemptOutcome, Event, State, step
from notifyq.store import moves, others, parking
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
    began_at: datetime
    expires_at: datetime  # the delivery's
    others: Others  # what the delivery's other attempts may have done


@dataclass(frozen=True, slots=True)
class Proof:
    """Who says it: the provider's name for the message, and its code where there is one."""

    provider_id: str
    code: str | None = None
    may_go_at: datetime | None = None  # when a message that was capped is due again


# Purpose: look at one attempt and its delivery before evidence changes them.
LOCK_ONE: LiteralString = """
SELECT a.outcome::text, a.provider_id, l.provider, d.state::text, d.channel::text,
       a.late_at IS NOT NULL, a.began_at, d.expires_at
  FROM (SELECT outcome, provider_id, lane, late_at, began_at FROM attempt
         WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
           AND number = %(number)s::int2
           FOR NO KEY UPDATE) AS a,
       LATERAL (SELECT state, channel, expires_at FROM delivery
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
# Purpose: put the provider's name for a message in the place of one that somebody gave by hand,
# which leads to no message. Only then can a look-up tell whose the message is.
NAME_ONE: LiteralString = """
UPDATE attempt SET provider_id = %(provider_id)s::text
 WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
   AND number = %(number)s::int2
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
    outcome, provider_id, provider, state, channel, late, began_at, expires_at = row
    beside = NO_OTHERS
    if at.number > 1 or outcome not in LIVE:  # else it is the only one there is
        found = await others.look(conn, [(at.delivery_id, at.number)], cell=at.cell)
        beside = found.get(at.delivery_id, NO_OTHERS)
    where = (provider_id, provider, State(state), Channel(channel))
    return Standing(AttemptOutcome(outcome), *where, late, began_at, expires_at, beside)


def may_go_at(at: Place, standing: Standing, cap_zone: str | None) -> datetime | None:
    """Return when a message that a daily cap stopped is due again; None: never, or no cap did.

    The day that was full is the one in which its attempt began: evidence may come on a later one.
    """
    who = at.delivery_id.bytes
    return after_midnight(standing.began_at, cap_zone, standing.expires_at, who)


async def apply(
    conn: Conn,
    at: Place,
    standing: Standing,
    bearing: Bearing,
    proof: Proof,
    *,
    by: moves.Mover,
) -> State:
    """Write what evidence changes about a locked attempt; return the delivery's state after it."""
    where = _of(at) | {"provider_id": proof.provider_id, "code": proof.code}
    if standing.provider_id is not None and standing.provider_id.startswith(BY_HAND):
        await conn.execute(NAME_ONE, where)  # the evidence may change nothing else
    if bearing.outcome is not None:
        await conn.execute(CLOSE_ONE, where | {"outcome": bearing.outcome})
    if bearing.late:
        await conn.execute(LATE_ONE, where)
    if bearing.event is None:
        return standing.state
    if bearing.takes_job and not await _take_back(conn, at, standing.channel):
        return standing.state
    if bearing.event is Event.PARK:
        await parking.park(conn, at.delivery_id, proof.may_go_at, by=by)
        return State.PENDING
    await moves.move(conn, at.delivery_id, standing.state, bearing.event, by=by, detail=proof.code)
    return step(standing.state, bearing.event)


async def _take_back(conn: Conn, at: Place, channel: Channel) -> bool:
    cursor = await conn.execute(leaf_sql(TAKE_BACK, channel=channel), _of(at))
    return cursor.rowcount == 1


def _of(at: Place) -> dict[str, object]:
    return {"cell": at.cell, "delivery_id": at.delivery_id, "number": at.number}
