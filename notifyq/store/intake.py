"""What a request leaves behind: key, notifications, deliveries, content, jobs, answer, event.

A batch of requests, one transaction: take the keys; write what the taken ones asked for; read what
the others already stood for. The last is a statement of its own, because the snapshot of the first
cannot see a row that another transaction committed while it waited.
"""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from notifyq.domain.asking import Planned
from notifyq.domain.idempotency import KnownKey
from notifyq.store.db import Conn
from notifyq.store.requests import (
    AnswerRow,
    DeliveryRow,
    KeyRow,
    NotificationRow,
    columns,
    delivery_rows,
    key_row,
    notification_row,
)

Key = tuple[int, str, bytes]  # tenant, operation, SHA-256 of the key: unique in a cell


# Purpose: take the keys of a batch of requests; the notifications whose keys were new come back.
# In the keys' order, so two batches cannot wait for each other in a circle. Waits while another
# transaction holds one of the keys, as long as lock_timeout lets it.
TAKE_KEYS: LiteralString = """
INSERT INTO idempotency_key (cell, tenant_id, operation, key_hash, fingerprint,
                             recovery_point, notification_id)
SELECT %(cell)s::int2, k.tenant_id, k.operation, k.key_hash, k.fingerprint,
       'finished', k.notification_id
  FROM unnest(%(tenant_id)s::int4[], %(operation)s::text[], %(key_hash)s::bytea[],
              %(fingerprint)s::bytea[], %(notification_id)s::uuid[])
    AS k (tenant_id, operation, key_hash, fingerprint, notification_id)
 ORDER BY k.tenant_id, k.operation, k.key_hash
ON CONFLICT DO NOTHING
RETURNING notification_id
"""

# Purpose: write what the taken keys asked for. Cost: inserts only, each from arrays side by side,
# nothing is looked up or joined. An array without entries writes nothing: the phases of a list
# write the notification first, deliveries each time, answer and event last.
WRITE: LiteralString = """
WITH answered AS (
    INSERT INTO stored_response (cell, notification_id, status, body)
    SELECT %(cell)s::int2, k.*
      FROM unnest(%(a_notification_id)s::uuid[], %(a_status)s::int2[], %(a_body)s::bytea[]) AS k
), told AS (
    INSERT INTO outbox (cell, tenant_id, id, about, kind)
    SELECT %(cell)s::int2, k.tenant_id, k.id, k.id, 'notification.accepted'
      FROM unnest(%(a_tenant_id)s::int4[], %(a_notification_id)s::uuid[]) AS k (tenant_id, id)
), noted AS (
    INSERT INTO notification (cell, id, tenant_id, test, class, category, recipient, metadata,
                              not_before, expires_at)
    SELECT %(cell)s::int2, n.*
      FROM unnest(
        %(n_notification_id)s::uuid[], %(n_tenant_id)s::int4[], %(n_test)s::bool[],
        %(n_message_class)s::message_class[], %(n_category)s::text[], %(n_recipient)s::text[],
        %(n_metadata)s::text[], %(n_not_before)s::timestamptz[], %(n_expires_at)s::timestamptz[])
      AS n
), delivered AS (
    INSERT INTO delivery (cell, id, tenant_id, channel, criticality, brand, program, not_before,
                          expires_at, reason, resend_after_s, registered_at, state, category,
                          recipient, hours, time_zone, cap, sender, is_marketing, is_mandatory,
                          is_separate, is_exempt, is_by_id, template, template_version,
                          locale, address_key)
    SELECT %(cell)s::int2, d.*
      FROM ROWS FROM (
        unnest(%(d_delivery_id)s::uuid[]), unnest(%(d_tenant_id)s::int4[]),
        unnest(%(d_channel)s::channel[]), unnest(%(d_criticality)s::int2[]),
        unnest(%(d_brand)s::text[]), unnest(%(d_program)s::text[]),
        unnest(%(d_not_before)s::timestamptz[]), unnest(%(d_expires_at)s::timestamptz[]),
        unnest(%(d_reason)s::text[]), unnest(%(d_resend_after_s)s::int4[]),
        unnest(%(d_registered_at)s::timestamptz[]),
        unnest(%(d_state)s::delivery_state[]), unnest(%(d_category)s::text[]),
        unnest(%(d_recipient)s::text[]), unnest(%(d_hours)s::text[]),
        unnest(%(d_time_zone)s::text[]), unnest(%(d_cap)s::int2[]), unnest(%(d_sender)s::text[]),
        unnest(%(d_is_marketing)s::bool[]), unnest(%(d_is_mandatory)s::bool[]),
        unnest(%(d_is_separate)s::bool[]), unnest(%(d_is_exempt)s::bool[]),
        unnest(%(d_is_by_id)s::bool[]),
        unnest(%(d_template)s::text[]), unnest(%(d_template_version)s::int4[]),
        unnest(%(d_locale)s::text[]), address_keys(%(d_address)s::text[])) AS d
), waiting AS (
    INSERT INTO standby (cell, delivery_id, lane)
    SELECT %(cell)s::int2, s.delivery_id, s.lane
      FROM unnest(%(d_delivery_id)s::uuid[], %(d_lane)s::int4[],
                  %(d_state)s::delivery_state[]) AS s (delivery_id, lane, state)
     WHERE s.state = 'standby'
), kept AS (
    INSERT INTO content (cell, delivery_id, address, body, more)
    SELECT %(cell)s::int2, c.*
      FROM unnest(%(d_delivery_id)s::uuid[], %(d_address)s::text[], %(d_body)s::text[],
                  %(d_more)s::text[]) AS c
)
INSERT INTO job (cell, delivery_id, channel, criticality, lane, due, attempts, tries)
SELECT %(cell)s::int2, j.delivery_id, j.channel, j.criticality, j.lane, coalesce(j.due, now()),
       0, 0
  FROM unnest(%(d_delivery_id)s::uuid[], %(d_channel)s::channel[], %(d_criticality)s::int2[],
              %(d_lane)s::int4[], %(d_due)s::timestamptz[], %(d_state)s::delivery_state[])
    AS j (delivery_id, channel, criticality, lane, due, state)
 WHERE j.state = 'pending'
"""

# Purpose: read what known keys hold, in a statement of its own (a new snapshot). The message is a
# WAL record: without one the commit of a replay would not wait for the standby, and a replay
# could confirm a row that only the old primary has.
KNOWN: LiteralString = """
SELECT asked.tenant_id, asked.operation, asked.key_hash, k.notification_id, k.fingerprint,
       k.recovery_point = 'finished', r.status, r.body,
       pg_logical_emit_message(true, 'notifyq', '')
  FROM unnest(%(tenant_id)s::int4[], %(operation)s::text[], %(key_hash)s::bytea[])
         AS asked (tenant_id, operation, key_hash),
       LATERAL (SELECT fingerprint, recovery_point, notification_id
                  FROM idempotency_key
                 WHERE cell = %(cell)s::int2 AND tenant_id = asked.tenant_id
                   AND operation = asked.operation AND key_hash = asked.key_hash
                 LIMIT 1) AS k
       LEFT JOIN LATERAL (SELECT status, body
                            FROM stored_response
                           WHERE cell = %(cell)s::int2 AND notification_id = k.notification_id
                           LIMIT 1) AS r ON true
"""


async def take_keys(conn: Conn, *, cell: int, planned: Sequence[Planned]) -> set[UUID]:
    """Insert the keys of requests; return the notification ids of those that were new.

    psycopg.errors.LockNotAvailable: somebody else holds one of the keys in an open transaction.
    """
    keys = columns("", KeyRow, [key_row(p) for p in planned])
    cursor = await conn.execute(TAKE_KEYS, {"cell": cell} | keys)
    return {row[0] for row in await cursor.fetchall()}


async def write(
    conn: Conn, *, cell: int, planned: Sequence[Planned], answers: Sequence[AnswerRow]
) -> None:
    """Write everything else of requests whose keys were taken in this same transaction."""
    await _write(
        conn,
        cell,
        answers,
        [notification_row(p) for p in planned],
        [row for p in planned for row in delivery_rows(p, range(len(p.ask.parts)))],
    )


async def write_phase(
    conn: Conn, planned: Planned, places: range, *, answers: Sequence[AnswerRow]
) -> None:
    """Write the deliveries at these places of a list; the notification with the very first.

    answers: the answer, with the last.
    """
    first = [notification_row(planned)] if places.start == 0 else []
    await _write(conn, planned.ask.cell, answers, first, delivery_rows(planned, places))


async def known(conn: Conn, *, cell: int, keys: Sequence[Key]) -> dict[Key, tuple[KnownKey, UUID]]:
    """Return what is stored under keys, with their notifications; unknown keys are missing."""
    parameters = {
        "cell": cell,
        "tenant_id": [tenant_id for tenant_id, _, _ in keys],
        "operation": [operation for _, operation, _ in keys],
        "key_hash": [key_hash for _, _, key_hash in keys],
    }
    cursor = await conn.execute(KNOWN, parameters)
    return {
        (tenant_id, operation, key_hash): (KnownKey(*held), notification_id)
        for tenant_id, operation, key_hash, notification_id, *held, _ in await cursor.fetchall()
    }


async def _write(
    conn: Conn,
    cell: int,
    answers: Sequence[AnswerRow],
    notifications: Sequence[NotificationRow],
    deliveries: Sequence[DeliveryRow],
) -> None:
    parameters: dict[str, Any] = {"cell": cell}
    parameters |= columns("a_", AnswerRow, answers)
    parameters |= columns("n_", NotificationRow, notifications)
    parameters |= columns("d_", DeliveryRow, deliveries)
    await conn.execute(WRITE, parameters)
