"""A delivery held with all its attempts, before somebody changes it by hand.

In everybody's order: attempts by number, then their delivery. Each in a statement of its own: one
that waited for a lock sees in its older snapshot what stood there before. So attempts are looked
for once more under the delivery's lock: what is not pending has no job, and gets one under that
lock only, so none begins after that look; what is pending is not changed by hand. What comes after
them (dead letter, timers, job) is never held by anybody who waits for these. A consent row is, by
a worker, but only while the delivery is due.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.interventions import Tried
from notifyq.domain.model import Channel
from notifyq.domain.states import AttemptOutcome, State
from notifyq.store.db import Conn

# Purpose: hold a delivery's attempts, so that no evidence about them comes between looking and
# writing: late evidence changes neither the state nor the dead letter.
LOCK_ATTEMPTS: LiteralString = """
SELECT number, outcome::text, lane, late_at IS NOT NULL, send_by <= now()
  FROM attempt
 WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
 ORDER BY number
   FOR NO KEY UPDATE
"""
LOCK_DELIVERY: LiteralString = """
SELECT d.state::text, d.channel::text, d.brand, d.program, d.is_separate, d.is_exempt,
       d.address_key, d.expires_at, d.cancel_requested_at IS NOT NULL, now(),
       EXISTS (SELECT 1 FROM content c
                WHERE c.cell = d.cell AND c.delivery_id = d.id)
  FROM delivery d
 WHERE d.cell = %(cell)s::int2 AND d.id = %(delivery_id)s::uuid
   FOR NO KEY UPDATE OF d
"""
# Purpose: whether an attempt began after those that are held, while the delivery was waited for.
# It is not locked then: whoever has evidence about it locks it before the delivery.
BEGAN_SINCE: LiteralString = """
SELECT EXISTS (SELECT 1 FROM attempt
                WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
                  AND number > %(last)s::int2)
"""


@dataclass(frozen=True, slots=True)
class Attempted(Tried):
    """An attempt whose row is locked."""

    lease_over: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery and its attempts, all of them locked."""

    attempts: tuple[Attempted, ...]  # by number
    overtaken: bool  # another one began meanwhile: decide nothing by these
    state: State
    channel: Channel
    brand: str
    program: str
    is_separate: bool
    is_exempt: bool
    address_key: bytes
    expires_at: datetime
    cancel_requested: bool
    now: datetime  # the transaction's time
    has_content: bool


async def hold(conn: Conn, delivery_id: UUID, *, cell: int) -> Held | None:
    """Lock a delivery with its attempts; None if there is no such delivery.

    Where the result is overtaken, the caller refuses, and somebody asks again: a redrive as busy, a
    person's word because an attempt may be on its way.
    """
    which = {"cell": cell, "delivery_id": delivery_id}
    attempts = tuple(
        Attempted(number, AttemptOutcome(outcome), lane, late, over)
        for number, outcome, lane, late, over in await (
            await conn.execute(LOCK_ATTEMPTS, which)
        ).fetchall()
    )
    row = await (await conn.execute(LOCK_DELIVERY, which)).fetchone()
    if row is None:
        return None
    last = which | {"last": attempts[-1].number if attempts else 0}
    began = await (await conn.execute(BEGAN_SINCE, last)).fetchone()
    overtaken = bool(began and began[0])
    return Held(attempts, overtaken, State(row[0]), Channel(row[1]), *row[2:])
