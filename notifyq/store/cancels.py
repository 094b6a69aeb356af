"""Cancel: taking back what is due, and marking what is on its way.

Whoever deletes a job row decides, so a cancel deletes it and wins, or finds it gone and has lost
to whoever began. Jobs are waited for before any delivery is locked, for a worker holds its jobs
before it locks deliveries; once a delivery is locked, what is held by others is passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.ids import DELIVERIES_MAX
from notifyq.domain.model import Channel
from notifyq.domain.states import State
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql

_RUNNING: LiteralString = """
SELECT EXISTS (SELECT 1 FROM unfinished_key
                WHERE cell = %(cell)s::int2 AND notification_id = %(notification_id)s::uuid)
"""
_PARTS: LiteralString = """
SELECT id, channel::text, state::text FROM delivery
 WHERE cell = %(cell)s::int2 AND id > %(notification_id)s::uuid AND id <= %(last)s::uuid
 ORDER BY id
"""
# Purpose: take jobs, in the order of ids; one that a worker holds is waited for, and is gone then
# if the worker began. Job rows are never updated, so a locked row stays at its place.
TAKE_JOBS: LiteralString = """
DELETE FROM job_{channel}
 WHERE ctid = ANY (ARRAY(
           SELECT j.place
             FROM unnest(%(ids)s::uuid[]) AS u (delivery_id),
                  LATERAL (SELECT ctid AS place FROM job_{channel}
                            WHERE cell = %(cell)s::int2 AND delivery_id = u.delivery_id
                            LIMIT 1 FOR UPDATE) AS j))
RETURNING delivery_id
"""
# Purpose: the same for one delivery that is locked: nobody is waited for.
TAKE_JOB: LiteralString = """
DELETE FROM job_{channel}
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_{channel}
                          WHERE cell = %(cell)s::int2 AND delivery_id = ANY (%(ids)s::uuid[])
                          LIMIT 1 FOR UPDATE SKIP LOCKED))
RETURNING delivery_id
"""
# A standby row that is held belongs to one whose turn is just coming: it gets a job, not ours.
TAKE_STANDBY: LiteralString = """
DELETE FROM standby
 WHERE cell = %(cell)s::int2
   AND delivery_id = ANY (ARRAY(SELECT delivery_id FROM standby
                                 WHERE cell = %(cell)s::int2
                                   AND delivery_id = ANY (%(ids)s::uuid[])
                                   FOR UPDATE SKIP LOCKED))
RETURNING delivery_id
"""
LOCK: LiteralString = """
SELECT u.id, d.state::text, d.cancel_requested_at IS NOT NULL
  FROM unnest(%(ids)s::uuid[]) AS u (id),
       LATERAL (SELECT state, cancel_requested_at FROM delivery
                 WHERE cell = %(cell)s::int2 AND id = u.id
                 LIMIT 1 FOR NO KEY UPDATE) AS d
"""
CANCEL: LiteralString = """
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::uuid[], %(event_ids)s::uuid[], %(intervention_ids)s::uuid[])
      AS w (id, event_id, intervention_id)
), moved AS (
    UPDATE delivery d
       SET state = 'canceled', reason = 'canceled', changed_at = now()
      FROM wanted
     WHERE d.cell = %(cell)s::int2 AND d.id = wanted.id AND d.state IN ('standby', 'pending')
    RETURNING d.tenant_id, wanted.*
), kept AS (
    INSERT INTO intervention (cell, id, delivery_id, kind, actor, reason)
    SELECT %(cell)s::int2, intervention_id, id, 'cancel', %(actor)s::text, %(reason)s::text
      FROM moved
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, event_id, id, 'delivery.canceled' FROM moved
)
SELECT id FROM moved
"""
# Purpose: mark a delivery that is on its way: whatever would make it due again ends it instead.
REQUEST: LiteralString = """
WITH marked AS (
    UPDATE delivery SET cancel_requested_at = now()
     WHERE cell = %(cell)s::int2 AND id = %(id)s::uuid AND cancel_requested_at IS NULL
    RETURNING id
)
INSERT INTO intervention (cell, id, delivery_id, kind, actor, reason)
SELECT %(cell)s::int2, %(intervention_id)s::uuid, id, 'cancel', %(actor)s::text, %(reason)s::text
  FROM marked
"""
_IS_OPEN: LiteralString = """
SELECT EXISTS (SELECT 1 FROM attempt
                WHERE cell = %(cell)s::int2 AND delivery_id = %(id)s::uuid AND outcome = 'open')
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A delivery, as it stood when it was read."""

    delivery_id: UUID
    channel: Channel
    state: State


@dataclass(frozen=True, slots=True)
class By:
    """Who calls back, and why."""

    actor: str
    reason: str


async def is_running(conn: Conn, notification_id: UUID, *, cell: int) -> bool:
    """Whether a notification is still being accepted: more deliveries of it are to come."""
    parameters = {"cell": cell, "notification_id": notification_id}
    row = await (await conn.execute(_RUNNING, parameters)).fetchone()
    return bool(row and row[0])


async def parts(conn: Conn, notification_id: UUID, *, cell: int) -> list[Part]:
    """Return the deliveries of a notification in order."""
    last = UUID(int=notification_id.int | DELIVERIES_MAX)
    parameters = {"cell": cell, "notification_id": notification_id, "last": last}
    cursor = await conn.execute(_PARTS, parameters)
    return [Part(id_, Channel(c), State(s)) for id_, c, s in await cursor.fetchall()]


async def take_jobs(
    conn: Conn, ids: Sequence[UUID], *, cell: int, channel: Channel, wait: bool
) -> set[UUID]:
    """Delete the jobs of deliveries of one channel, given in order; return whose were there.

    wait: for those that somebody holds. Only while no delivery is locked.
    """
    text = leaf_sql(TAKE_JOBS if wait else TAKE_JOB, channel=channel)
    cursor = await conn.execute(text, {"cell": cell, "ids": list(ids)})
    return {row[0] for row in await cursor.fetchall()}


async def take_standby(conn: Conn, ids: Sequence[UUID], *, cell: int) -> set[UUID]:
    """Delete the standby rows of locked deliveries; return whose were there and free."""
    cursor = await conn.execute(TAKE_STANDBY, {"cell": cell, "ids": list(ids)})
    return {row[0] for row in await cursor.fetchall()}


async def lock(conn: Conn, ids: Sequence[UUID], *, cell: int) -> dict[UUID, tuple[State, bool]]:
    """Lock deliveries, given in order; return (state, whether it was called back before)."""
    cursor = await conn.execute(LOCK, {"cell": cell, "ids": list(ids)})
    return {id_: (State(state), asked) for id_, state, asked in await cursor.fetchall()}


async def cancel(
    conn: Conn,
    ids: Sequence[UUID],
    by: By,
    *,
    cell: int,
    event_ids: Sequence[UUID],
    intervention_ids: Sequence[UUID],
) -> None:
    """Bring locked deliveries to rest as canceled, whose job or standby row was taken."""
    parameters = {
        "cell": cell,
        "ids": list(ids),
        "event_ids": list(event_ids),
        "intervention_ids": list(intervention_ids),
        "actor": by.actor,
        "reason": by.reason,
    }
    await conn.execute(CANCEL, parameters)


async def request(
    conn: Conn, delivery_id: UUID, by: By, *, cell: int, intervention_id: UUID
) -> bool:
    """Mark a locked delivery as called back, once; return whether it is being sent now."""
    which = {"cell": cell, "id": delivery_id}
    noted = {"intervention_id": intervention_id, "actor": by.actor, "reason": by.reason}
    await conn.execute(REQUEST, which | noted)
    row = await (await conn.execute(_IS_OPEN, which)).fetchone()
    return bool(row and row[0])
