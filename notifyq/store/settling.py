"""Which notifications have settled: one look for all who wait in a process."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from notifyq.domain.ids import DELIVERIES_MAX
from notifyq.store.db import Conn

# Purpose: of these notifications, those of which nothing is on its way or in doubt. A delivery
# that stands by needs no look: it has its turn, in the same commit, when the one before failed.
# Cost: one short range of the primary key each, on the leaf of its time.
SETTLED: LiteralString = """
SELECT n.id
  FROM unnest(%(ids)s::uuid[], %(lasts)s::uuid[]) AS n (id, last)
 WHERE NOT EXISTS (SELECT 1 FROM delivery AS d
                    WHERE d.cell = %(cell)s::int2 AND d.id > n.id AND d.id <= n.last
                      AND d.state IN ('pending', 'in_doubt'))
"""


async def settled(conn: Conn, notification_ids: Sequence[UUID], *, cell: int) -> set[UUID]:
    """Return those of the notifications that have settled."""
    lasts = [UUID(int=id_.int | DELIVERIES_MAX) for id_ in notification_ids]
    parameters = {"cell": cell, "ids": list(notification_ids), "lasts": lasts}
    return {row[0] for row in await (await conn.execute(SETTLED, parameters)).fetchall()}
