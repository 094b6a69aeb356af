"""Begin: an attempt is a row before it is a call, and the fence stands inside its insert.

Begin inserts an attempt only while the fence row says that this region may send at the worker's
epoch, deletes only the jobs whose attempt was inserted, and returns only those: what is not
returned must not be sent. How an attempt ends is written by store/results.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql


@dataclass(frozen=True, slots=True)
class Beginning:
    """An attempt to be begun for a claimed job."""

    delivery_id: UUID
    number: int
    place: str
    consent_revision: int


# Purpose: commit the intent to send. Cost: one insert with its three index entries and one
# deletion by ctid each. ON CONFLICT keeps one delivery that already has a live attempt from
# failing its whole batch. A version that deletes first loses the batch under a stale epoch.
BEGIN: LiteralString = """
WITH fence_open AS MATERIALIZED (
    SELECT 1 FROM fence
     WHERE cell = %(cell)s::int2 AND epoch = %(epoch)s::int8
       AND region = %(region)s::text AND phase = 'open'
), due AS MATERIALIZED (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(numbers)s::int2[], %(places)s::tid[], %(revisions)s::int8[])
      AS d (delivery_id, number, place, revision)
), begun AS (
    INSERT INTO attempt_{month} (cell, number, lane, delivery_id, epoch, began_at, send_by,
                                 consent_revision, outcome, worker)
    SELECT %(cell)s::int2, number, %(lane)s::int4, delivery_id, %(epoch)s::int8, now(),
           now() + make_interval(secs => %(lease_s)s::float8), revision, 'open',
           %(worker)s::uuid
      FROM due CROSS JOIN fence_open
    ON CONFLICT DO NOTHING
    RETURNING delivery_id
), gone AS (
    DELETE FROM job_{channel} AS j
     USING due AS d JOIN begun USING (delivery_id)
     WHERE j.ctid = d.place AND j.delivery_id = d.delivery_id
    RETURNING j.delivery_id
)
SELECT EXISTS (SELECT 1 FROM fence_open), begun.delivery_id, gone.delivery_id IS NOT NULL
  FROM (VALUES (1)) AS one LEFT JOIN begun ON true LEFT JOIN gone USING (delivery_id)
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a begin came to."""

    allowed: bool  # whether the fence let it
    taken: dict[UUID, bool]  # the attempts that were inserted: was the job deleted too?


async def begin(
    conn: Conn,
    beginnings: Sequence[Beginning],
    *,
    channel: Channel,
    cell: int,
    day: str,
    lane: int,
    epoch: int,
    region: str,
    worker: UUID,
    lease_s: float,
) -> Begun:
    """Begin attempts.

    A False in `taken` means that a job row was not where the claim saw it: roll back, send
    nothing. With the fence open, a delivery that is missing there has a live attempt already.
    """
    parameters = {
        "cell": cell,
        "lane": lane,
        "epoch": epoch,
        "region": region,
        "worker": worker,
        "lease_s": lease_s,
        "ids": [b.delivery_id for b in beginnings],
        "numbers": [b.number for b in beginnings],
        "places": [b.place for b in beginnings],
        "revisions": [b.consent_revision for b in beginnings],
    }
    cursor = await conn.execute(leaf_sql(BEGIN, channel=channel, day=day), parameters)
    rows = await cursor.fetchall()
    return Begun(rows[0][0], {delivery: gone for _, delivery, gone in rows if delivery})
