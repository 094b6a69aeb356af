"""What the other attempts of a delivery may have done, read beside a delivery that is locked.

Only that lock makes the answer stand: evidence about any attempt locks the delivery too before it
writes. So this is a statement of its own, after the one that took the lock.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from notifyq.domain.evidence import Other, Others, sum_up
from notifyq.domain.states import AttemptOutcome
from notifyq.store.db import Conn

# Purpose: of each delivery, the attempts but one (0: all of them) that may have been carried out,
# with their highest receipt. Cost: a short range of the primary key of attempt for each delivery;
# asked for deliveries that were tried before, which few are.
OTHERS: LiteralString = """
SELECT u.id, a.outcome::text, a.late_at IS NOT NULL,
       coalesce((SELECT max(rank) FROM receipt
                  WHERE cell = %(cell)s::int2 AND delivery_id = u.id AND number = a.number), 0)
  FROM unnest(%(ids)s::uuid[], %(numbers)s::int2[]) AS u (id, number),
       LATERAL (SELECT number, outcome, late_at FROM attempt
                 WHERE cell = %(cell)s::int2 AND delivery_id = u.id AND number <> u.number
                   AND (late_at IS NOT NULL
                        OR outcome IN ('open', 'in_doubt', 'accepted', 'abandoned'))) AS a
"""


async def look(
    conn: Conn, attempts: Sequence[tuple[UUID, int]], *, cell: int
) -> dict[UUID, Others]:
    """Say what attempts other than these, given as (delivery, number), may have done.

    Number 0 stands for none of them. A delivery without such attempts is missing.
    """
    if not attempts:
        return {}
    ids, numbers = zip(*attempts, strict=True)
    parameters = {"cell": cell, "ids": list(ids), "numbers": list(numbers)}
    found = defaultdict(list)
    for id_, outcome, late, rank in await (await conn.execute(OTHERS, parameters)).fetchall():
        found[id_].append(Other(AttemptOutcome(outcome), late, rank))
    return {id_: sum_up(its) for id_, its in found.items()}
