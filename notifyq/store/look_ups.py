"""Look-ups of doubtful attempts at their provider: whose turn it is, and who else it may be about.

Owns the timers of the kind `look_up`. A claim moves the timer on before the call is made, so a
look-up that is lost (a crash, a commit of unknown fate) costs one step of the schedule, no more.
It locks nothing but the timer; what a look-up proves is written by store/evidence.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.doubts import BY_HAND
from notifyq.domain.matching import LAG, SKEW, Maker
from notifyq.domain.model import LEASE_S_MAX
from notifyq.domain.provider import Sighting
from notifyq.store.db import Conn
from notifyq.store.evidence import Place

# Purpose: take the next look-up of a lane whose time has come, and set the one after it; the last
# one takes the timer away. Cost: one entry of timer_look_up, then a primary key each. By ctid,
# which is good: a timer is changed by nothing but this, and then it is not due.
# Whoever ends a doubt deletes its timers, so the attempt that is in doubt is the one meant.
CLAIM: LiteralString = """
WITH turn AS MATERIALIZED (
    SELECT ctid AS place, delivery_id, step FROM timer
     WHERE cell = %(cell)s::int2 AND lane = %(lane)s::int4 AND kind = 'look_up' AND due <= now()
     ORDER BY due
     LIMIT 1 FOR UPDATE SKIP LOCKED
), later AS (
    UPDATE timer t
       SET step = (turn.step + 1)::int2,
           due = now() + make_interval(secs => (%(waits_s)s::float8[])[turn.step + 2])
      FROM turn
     WHERE t.ctid = turn.place AND turn.step + 2 <= cardinality(%(waits_s)s::float8[])
), last AS (
    DELETE FROM timer t USING turn
     WHERE t.ctid = turn.place AND turn.step + 2 > cardinality(%(waits_s)s::float8[])
)
SELECT turn.delivery_id, a.number, turn.step + 1, a.began_at, a.send_by, d.brand, d.program,
       d.address_key, c.address, c.body
  FROM turn,
       LATERAL (SELECT number, began_at, send_by FROM attempt
                 WHERE cell = %(cell)s::int2 AND delivery_id = turn.delivery_id
                   AND outcome = 'in_doubt'
                 LIMIT 1) AS a,
       LATERAL (SELECT brand, program, address_key FROM delivery
                 WHERE cell = %(cell)s::int2 AND id = turn.delivery_id
                 LIMIT 1) AS d,
       LATERAL (SELECT address, body FROM content
                 WHERE cell = %(cell)s::int2 AND delivery_id = turn.delivery_id
                 LIMIT 1) AS c
"""
# Purpose: the other attempts of a lane that may have made listed messages: those that have one by
# name, and those without a name that were, or may have been, carried out with this text to this
# address. A name given by hand names no message of the list: its attempt made one that nobody has
# named, so it counts as one without a name, whatever its outcome.
# Parameters: since, until: when the messages were created, with the bounds' tolerance; by_hand: how
# a name given by hand begins.
# Cost: the entries of attempt_by_time and attempt_open of some minutes; a key look-up for each
# doubtful one. Run only when something was found, which ends a doubt nearly always.
OTHERS: LiteralString = """
SELECT CASE WHEN NOT starts_with(a.provider_id, %(by_hand)s::text) THEN a.provider_id END,
       a.began_at, a.send_by
  FROM (SELECT delivery_id, number, provider_id, outcome, began_at, send_by FROM attempt
         WHERE cell = %(cell)s::int2 AND lane = %(lane)s::int4 AND outcome <> 'open'
           AND began_at >= %(since)s::timestamptz - make_interval(secs => %(lease_s_max)s::float8)
           AND began_at <= %(until)s::timestamptz AND send_by >= %(since)s::timestamptz
        UNION ALL
        SELECT delivery_id, number, provider_id, outcome, began_at, send_by FROM attempt
         WHERE cell = %(cell)s::int2 AND lane = %(lane)s::int4 AND outcome = 'open'
           AND began_at <= %(until)s::timestamptz AND send_by >= %(since)s::timestamptz) AS a
 WHERE (a.delivery_id, a.number) <> (%(delivery_id)s::uuid, %(number)s::int2)
   AND (a.provider_id = ANY (%(names)s::text[])
        OR ((a.provider_id IS NULL AND a.outcome IN ('open', 'in_doubt', 'abandoned')
             OR starts_with(a.provider_id, %(by_hand)s::text))
            AND EXISTS (SELECT 1 FROM delivery
                         WHERE cell = %(cell)s::int2 AND id = a.delivery_id
                           AND address_key = %(address_key)s::bytea)
            -- one whose text is not known any more may have been the same
            AND NOT EXISTS (SELECT 1 FROM content
                             WHERE cell = %(cell)s::int2 AND delivery_id = a.delivery_id
                               AND body <> %(body)s::text)))
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A look-up whose time has come, with what is needed to make it and to judge its answer."""

    delivery_id: UUID
    number: int
    step: int  # 1 is the first look-up
    began_at: datetime
    send_by: datetime
    brand: str
    program: str
    address_key: bytes
    address: str
    body: str


async def claim(conn: Conn, *, cell: int, lane: int, waits_s: Sequence[float]) -> Turn | None:
    """Take the next look-up of a lane that is due, and set the next one of its delivery.

    None if none is due, or if the text that would have to be found is not kept any more.
    """
    parameters = {"cell": cell, "lane": lane, "waits_s": list(waits_s)}
    row = await (await conn.execute(CLAIM, parameters)).fetchone()
    return Turn(*row) if row else None


async def others(
    conn: Conn, at: Place, turn: Turn, seen: Sequence[Sighting], *, lane: int
) -> list[Maker]:
    """Return the attempts, except the one at `at`, that may have made the messages seen."""
    created = [message.created_at for message in seen]
    parameters = {
        "cell": at.cell,
        "lane": lane,
        "delivery_id": at.delivery_id,
        "number": at.number,
        "by_hand": BY_HAND,
        "names": [message.provider_id for message in seen],
        "since": min(created) - LAG,
        "until": max(created) + SKEW,
        "lease_s_max": LEASE_S_MAX,
        "address_key": turn.address_key,
        "body": turn.body,
    }
    cursor = await conn.execute(OTHERS, parameters)
    return [Maker(*row) for row in await cursor.fetchall()]
