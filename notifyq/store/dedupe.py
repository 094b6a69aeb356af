"""Dedupe marks: the second net, for producers that make a new key when they retry.

A mark is taken in the transaction that accepts its notification, after that transaction's keys and
in the marks' order, so two batches cannot wait for each other in a circle. Where another
notification has the mark, the new key stands for that one from then on.
"""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from notifyq.domain.asking import Dedupe, Planned
from notifyq.store.db import Conn

Mark = tuple[int, bytes]  # tenant, SHA-256: unique in a cell

# Purpose: take marks that nobody has, or whose time is over. Either way the row is locked until
# the commit, so it cannot go, or change hands, before what it stands for was read.
TAKE: LiteralString = """
INSERT INTO dedupe_mark AS held (cell, tenant_id, mark, notification_id, until)
SELECT %(cell)s::int2, m.tenant_id, m.mark, m.notification_id,
       now() + make_interval(secs => m.window_s)
  FROM unnest(%(tenant_ids)s::int4[], %(marks)s::bytea[], %(notification_ids)s::uuid[],
              %(windows_s)s::int4[]) AS m (tenant_id, mark, notification_id, window_s)
 ORDER BY m.tenant_id, m.mark
    ON CONFLICT (cell, tenant_id, mark) DO UPDATE
   SET notification_id = excluded.notification_id, until = excluded.until
 WHERE held.until <= now()
"""
# Purpose: say which notification has a mark. A statement of its own: the one that waited for a
# mark has an older snapshot, which does not know who took it.
HOLDERS: LiteralString = """
SELECT m.tenant_id, m.mark, held.notification_id
  FROM unnest(%(tenant_ids)s::int4[], %(marks)s::bytea[]) AS m (tenant_id, mark),
       LATERAL (SELECT notification_id FROM dedupe_mark
                 WHERE cell = %(cell)s::int2 AND tenant_id = m.tenant_id AND mark = m.mark
                 LIMIT 1) AS held
"""
# Purpose: let keys that this transaction took stand for the notifications that have their marks.
POINT: LiteralString = """
UPDATE idempotency_key AS k SET notification_id = p.notification_id
  FROM unnest(%(tenant_ids)s::int4[], %(operations)s::text[], %(key_hashes)s::bytea[],
              %(notification_ids)s::uuid[])
    AS p (tenant_id, operation, key_hash, notification_id)
 WHERE k.cell = %(cell)s::int2 AND k.tenant_id = p.tenant_id AND k.operation = p.operation
   AND k.key_hash = p.key_hash
"""


async def take(
    conn: Conn, marked: Sequence[tuple[Planned, Dedupe]], *, cell: int
) -> dict[Mark, UUID]:
    """Take the marks of new requests (one each); return which notification has each mark now.

    psycopg.errors.LockNotAvailable: somebody else is taking one of them.
    """
    parameters = {
        "cell": cell,
        "tenant_ids": [planned.ask.tenant_id for planned, _ in marked],
        "marks": [dedupe.mark for _, dedupe in marked],
        "notification_ids": [planned.notification_id for planned, _ in marked],
        "windows_s": [dedupe.window_s for _, dedupe in marked],
    }
    await conn.execute(TAKE, parameters)
    cursor = await conn.execute(HOLDERS, parameters)
    return {(tenant_id, mark): holder for tenant_id, mark, holder in await cursor.fetchall()}


async def point(conn: Conn, keys: Sequence[tuple[Planned, UUID]], *, cell: int) -> None:
    """Let the keys of these requests, taken by this transaction, stand for other notifications."""
    parameters = {
        "cell": cell,
        "tenant_ids": [planned.ask.tenant_id for planned, _ in keys],
        "operations": [planned.ask.operation for planned, _ in keys],
        "key_hashes": [planned.ask.key_hash for planned, _ in keys],
        "notification_ids": [holder for _, holder in keys],
    }
    await conn.execute(POINT, parameters)
