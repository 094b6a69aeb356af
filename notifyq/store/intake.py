"""What a request leaves behind: key, notifications, deliveries, content, jobs, answer, event.

One statement for a batch of requests, one commit. A key that is already there lets nothing of its
request in; what to answer then is read by a *second* statement, because the first one's snapshot
cannot see a row that another transaction committed while it waited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from notifyq.domain.idempotency import KnownKey
from notifyq.store.db import Conn


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One request's key, and where its answer goes."""

    tenant_id: int
    key_hash: bytes
    fingerprint: bytes
    notification_id: UUID
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """What was asked for."""

    notification_id: UUID
    tenant_id: int
    test: bool
    message_class: str
    category: str
    recipient: str | None
    metadata: str | None
    not_before: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """Its part for one channel and one address, with the job that makes it due."""

    notification_id: UUID
    delivery_id: UUID
    tenant_id: int
    channel: str
    criticality: int
    lane: int
    brand: str
    program: str
    address: str
    body: str
    due: datetime | None  # None: at once, by the database's clock
    not_before: datetime | None
    expires_at: datetime
    reason: str | None


# Purpose: accept a batch of requests; the keys that were new come back. Cost: one round trip.
# Keys go in in order, so two batches cannot wait for each other in a circle. Everything else
# joins what the key insert returned: a known key lets nothing in.
ACCEPT: LiteralString = """
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(
        %(k_tenant_id)s::int4[], %(k_key_hash)s::bytea[], %(k_fingerprint)s::bytea[],
        %(k_notification_id)s::uuid[], %(k_status)s::int2[], %(k_body)s::bytea[])
      AS k (tenant_id, key_hash, fingerprint, notification_id, status, body)
), taken AS (
    INSERT INTO idempotency_key (cell, tenant_id, operation, key_hash, fingerprint,
                                 recovery_point, notification_id)
    SELECT %(cell)s::int2, tenant_id, %(operation)s::text, key_hash, fingerprint,
           'finished', notification_id
      FROM asked
     ORDER BY tenant_id, key_hash
    ON CONFLICT DO NOTHING
    RETURNING notification_id
), answered AS (
    INSERT INTO stored_response (cell, notification_id, status, body)
    SELECT %(cell)s::int2, notification_id, status, body
      FROM asked JOIN taken USING (notification_id)
), noted AS (
    INSERT INTO notification (cell, tenant_id, id, test, class, category, recipient, metadata,
                              not_before, expires_at)
    SELECT %(cell)s::int2, n.tenant_id, n.notification_id, n.test, n.class, n.category,
           n.recipient, n.metadata, n.not_before, n.expires_at
      FROM unnest(
        %(n_notification_id)s::uuid[], %(n_tenant_id)s::int4[], %(n_test)s::bool[],
        %(n_message_class)s::message_class[], %(n_category)s::text[], %(n_recipient)s::text[],
        %(n_metadata)s::text[], %(n_not_before)s::timestamptz[], %(n_expires_at)s::timestamptz[])
      AS n (notification_id, tenant_id, test, class, category, recipient, metadata,
            not_before, expires_at)
      JOIN taken USING (notification_id)
), parts AS MATERIALIZED (
    SELECT d.*, a.address_key
      FROM ROWS FROM (
        unnest(%(d_notification_id)s::uuid[]), unnest(%(d_delivery_id)s::uuid[]),
        unnest(%(d_tenant_id)s::int4[]), unnest(%(d_channel)s::channel[]),
        unnest(%(d_criticality)s::int2[]), unnest(%(d_lane)s::int4[]),
        unnest(%(d_brand)s::text[]), unnest(%(d_program)s::text[]),
        unnest(%(d_address)s::text[]), unnest(%(d_body)s::text[]),
        unnest(%(d_due)s::timestamptz[]), unnest(%(d_not_before)s::timestamptz[]),
        unnest(%(d_expires_at)s::timestamptz[]), unnest(%(d_reason)s::text[])
      ) WITH ORDINALITY
      AS d (notification_id, delivery_id, tenant_id, channel, criticality, lane, brand, program,
            address, body, due, not_before, expires_at, reason, place)
      JOIN address_keys(%(d_address)s::text[]) WITH ORDINALITY AS a (address_key, place)
        USING (place)
      JOIN taken USING (notification_id)
), delivered AS (
    INSERT INTO delivery (cell, criticality, tenant_id, id, channel, state, expires_at,
                          not_before, brand, program, address_key, reason)
    SELECT %(cell)s::int2, criticality, tenant_id, delivery_id, channel, 'pending', expires_at,
           not_before, brand, program, address_key, reason
      FROM parts
), kept AS (
    INSERT INTO content (cell, delivery_id, address, body)
    SELECT %(cell)s::int2, delivery_id, address, body FROM parts
), due AS (
    INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, criticality, lane, coalesce(due, now()), delivery_id, channel, 0, 0
      FROM parts
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, tenant_id, notification_id, notification_id, 'notification.accepted'
      FROM asked JOIN taken USING (notification_id)
)
SELECT notification_id FROM taken
"""

# Purpose: read what known keys hold, in a statement of its own (a new snapshot). The message is a
# WAL record: without one the commit of a replay would not wait for the standby, and a replay
# could confirm a row that only the old primary has.
KNOWN: LiteralString = """
SELECT asked.key_hash, asked.tenant_id, k.fingerprint, k.recovery_point = 'finished',
       k.notification_id, r.status, r.body, pg_logical_emit_message(true, 'notifyq', '')
  FROM unnest(%(tenant_id)s::int4[], %(key_hash)s::bytea[]) AS asked (tenant_id, key_hash),
       LATERAL (SELECT fingerprint, recovery_point, notification_id
                  FROM idempotency_key
                 WHERE cell = %(cell)s::int2 AND tenant_id = asked.tenant_id
                   AND operation = %(operation)s::text AND key_hash = asked.key_hash
                 LIMIT 1) AS k
       LEFT JOIN LATERAL (SELECT status, body
                            FROM stored_response
                           WHERE cell = %(cell)s::int2 AND notification_id = k.notification_id
                           LIMIT 1) AS r ON true
"""


async def accept(
    conn: Conn,
    *,
    cell: int,
    operation: str,
    keys: Sequence[KeyRow],
    notifications: Sequence[NotificationRow],
    deliveries: Sequence[DeliveryRow],
) -> set[UUID]:
    """Insert a batch of requests; return the notification ids whose keys were new.

    psycopg.errors.LockNotAvailable: somebody else holds one of the keys in an open transaction.
    """
    parameters: dict[str, Any] = {"cell": cell, "operation": operation}
    parameters |= _columns("k", KeyRow, keys)
    parameters |= _columns("n", NotificationRow, notifications)
    parameters |= _columns("d", DeliveryRow, deliveries)
    cursor = await conn.execute(ACCEPT, parameters)
    return {row[0] for row in await cursor.fetchall()}


async def known(
    conn: Conn, *, cell: int, operation: str, keys: Sequence[tuple[int, bytes]]
) -> dict[tuple[int, bytes], tuple[KnownKey, UUID]]:
    """Return what is stored under keys given as (tenant, hash), with their notifications."""
    parameters = {
        "cell": cell,
        "operation": operation,
        "tenant_id": [tenant_id for tenant_id, _ in keys],
        "key_hash": [key_hash for _, key_hash in keys],
    }
    cursor = await conn.execute(KNOWN, parameters)
    found = {}
    for (
        key_hash,
        tenant_id,
        print_,
        finished,
        notification_id,
        status,
        body,
        _,
    ) in await cursor.fetchall():
        row = KnownKey(print_, finished, status, body)
        found[tenant_id, key_hash] = (row, notification_id)
    return found


def _columns(prefix: str, row_type: type, found: Sequence[Any]) -> dict[str, list[Any]]:
    """Turn rows into one array per column, as unnest wants them."""
    return {
        f"{prefix}_{field.name}": [getattr(row, field.name) for row in found]
        for field in fields(row_type)
    }
