"""Standby: deliveries of `strategy: first` whose turn has not come.

The next channel's delivery has the next id, so the one that failed for good names it. Whoever
deletes the standby row decides: its turn comes, or its producer calls it back.
"""

from collections.abc import Iterable
from typing import LiteralString
from uuid import UUID

from notifyq.store.db import Conn

# Purpose: make due what comes after deliveries that failed for good. Cost: one probe each of a
# table that is empty unless somebody falls back between channels; run after failures only.
ADVANCE: LiteralString = """
WITH turn AS (
    DELETE FROM standby
     WHERE cell = %(cell)s::int2 AND delivery_id = ANY (%(ids)s::uuid[])
    RETURNING delivery_id, lane
), moved AS (
    UPDATE delivery AS d
       SET state = 'pending', reason = 'turn_came', changed_at = now()
      FROM turn
     WHERE d.cell = %(cell)s::int2 AND d.id = turn.delivery_id AND d.state = 'standby'
    RETURNING d.id, d.channel, d.criticality, d.not_before, turn.lane
)
INSERT INTO job (cell, delivery_id, channel, criticality, lane, due, attempts, tries)
SELECT %(cell)s::int2, id, channel, criticality, lane, greatest(now(), not_before), 0, 0
  FROM moved
"""


async def advance(conn: Conn, failed: Iterable[UUID], *, cell: int) -> int:
    """Let the turn come to what stands behind deliveries that failed for good; return how many."""
    ids = [UUID(int=delivery_id.int + 1) for delivery_id in failed]
    return (await conn.execute(ADVANCE, {"cell": cell, "ids": ids})).rowcount if ids else 0
