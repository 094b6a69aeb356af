"""Attempts that a worker began without knowing it: the commit of their begin was unclear.

Nothing was sent for them, and only the worker that began them knows that.
"""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Attempt, Channel
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql

# Purpose: close what a begin of unknown fate may have left, and make it due again. Only the
# worker that began it knows that nothing was sent; it runs this on the connection that begins, so
# no begin of its own is on its way. Cost: reads the open attempts; for after a failure only.
DISOWN: LiteralString = """
WITH mine AS MATERIALIZED (
    SELECT delivery_id, number FROM attempt
     WHERE cell = %(cell)s::int2 AND outcome = 'open' AND worker = %(worker)s::uuid
       AND lane = %(lane)s::int4
       AND (delivery_id, number) NOT IN (
               SELECT * FROM unnest(%(known)s::uuid[], %(numbers)s::int2[]))
       FOR NO KEY UPDATE
), closed AS (
    UPDATE attempt AS a
       SET outcome = 'not_sent', ended_at = now(), code = 'begin_unknown'
      FROM mine
     WHERE a.cell = %(cell)s::int2 AND a.delivery_id = mine.delivery_id
       AND a.number = mine.number AND a.outcome = 'open'
    RETURNING a.delivery_id, a.number
)
INSERT INTO job_{channel} (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
SELECT d.cell, d.criticality, %(lane)s::int4, now(), d.id, d.channel, closed.number, 0
  FROM closed JOIN delivery AS d ON d.cell = %(cell)s::int2 AND d.id = closed.delivery_id
 WHERE d.state = 'pending'
"""


async def disown(
    conn: Conn, *, cell: int, channel: Channel, lane: int, worker: UUID, known: Sequence[Attempt]
) -> int:
    """Close a worker's open attempts but for the `known` ones, as not sent; return how many."""
    parameters = {
        "cell": cell,
        "lane": lane,
        "worker": worker,
        "known": [delivery_id for delivery_id, _ in known],
        "numbers": [number for _, number in known],
    }
    return (await conn.execute(leaf_sql(DISOWN, channel=channel), parameters)).rowcount
