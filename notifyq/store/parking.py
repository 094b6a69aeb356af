"""Parking: a message that the provider took and a daily cap stopped is due again, on another day.

Run by evidence that has the attempt and its delivery locked, and only where no attempt of it is
live: so there is no job, and none can begin before this one is due.
"""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.states import Event, Reason, sources
from notifyq.store.db import Conn
from notifyq.store.moves import Mover

# Purpose: make a delivery due later, by the lane of its last attempt. Its tries begin anew, for the
# provider took it; one that was called back meanwhile is due at once, and ends as canceled.
PARK: LiteralString = """
WITH moved AS (
    UPDATE delivery SET state = 'pending', reason = %(reason)s::text, changed_at = now()
     WHERE cell = %(cell)s::int2 AND id = %(delivery_id)s::uuid
       AND state = ANY (%(sources)s::delivery_state[])
    RETURNING tenant_id, id, channel, criticality, cancel_requested_at
), calm AS (
    DELETE FROM timer
     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
), again AS (
    INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, criticality, a.lane,
           CASE WHEN cancel_requested_at IS NULL THEN %(due)s::timestamptz ELSE now() END,
           id, channel, a.number, 0
      FROM moved,
           LATERAL (SELECT number, lane FROM attempt
                     WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
                     ORDER BY number DESC LIMIT 1) AS a
)
INSERT INTO outbox (cell, tenant_id, id, about, kind)
SELECT %(cell)s::int2, tenant_id, %(event_id)s::uuid, id, %(told)s::text FROM moved
"""


async def park(conn: Conn, delivery_id: UUID, due: datetime | None, *, by: Mover) -> None:
    """Let Event.PARK happen to a locked delivery: it is pending again, and due then."""
    parameters = {
        "cell": by.cell,
        "delivery_id": delivery_id,
        "reason": Reason.VENDOR_CAP,
        "sources": list(sources(Event.PARK)),
        "due": due,
        "event_id": by.event_id,
        "told": f"delivery.{Reason.VENDOR_CAP}",
    }
    await conn.execute(PARK, parameters)
