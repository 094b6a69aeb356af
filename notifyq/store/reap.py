"""Reaping: what nothing can replay any more goes, a bounded piece at a time.

Deletion order: the dead letter, then the stored response (its leaf), then the key and the dedupe
mark last. A key goes only when it is finished, older than every replay, and nothing of its
notification is under way or listed as dead; an unfinished one never does.
"""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.store.db import Conn

# Purpose: delete keys in a stretch of the table's blocks. The table has no index by age, which
# the hot insert would pay for: it is walked instead, block by block. Finished keys are never
# updated, so each is met once. Cost: the blocks; what is looked up is for keys past their time.
KEYS: LiteralString = """
DELETE FROM idempotency_key AS k
 WHERE k.ctid >= %(first)s::tid
   AND k.ctid < %(beyond)s::tid
   AND k.cell = %(cell)s::int2 AND k.recovery_point = 'finished'
   AND k.notification_id < %(before)s::uuid
   AND NOT EXISTS (SELECT 1 FROM stored_response AS x
                    WHERE x.cell = k.cell AND x.notification_id = k.notification_id)
   AND NOT EXISTS (SELECT 1 FROM dead_letter AS x
                    WHERE x.cell = k.cell AND x.delivery_id > k.notification_id
                      AND x.delivery_id <= (left(k.notification_id::text, 32) || 'ffff')::uuid)
   AND NOT EXISTS (SELECT 1 FROM job AS x
                    WHERE x.cell = k.cell AND x.delivery_id > k.notification_id
                      AND x.delivery_id <= (left(k.notification_id::text, 32) || 'ffff')::uuid)
   AND NOT EXISTS (SELECT 1 FROM timer AS x
                    WHERE x.cell = k.cell AND x.delivery_id > k.notification_id
                      AND x.delivery_id <= (left(k.notification_id::text, 32) || 'ffff')::uuid)
   AND NOT EXISTS (SELECT 1 FROM standby AS x
                    WHERE x.cell = k.cell AND x.delivery_id > k.notification_id
                      AND x.delivery_id <= (left(k.notification_id::text, 32) || 'ffff')::uuid)
   AND NOT EXISTS (SELECT 1 FROM attempt AS x
                    WHERE x.cell = k.cell AND x.delivery_id > k.notification_id
                      AND x.delivery_id <= (left(k.notification_id::text, 32) || 'ffff')::uuid
                      AND x.outcome = 'open')
"""
MARKS: LiteralString = """
DELETE FROM dedupe_mark AS m
 USING (SELECT cell, tenant_id, mark FROM dedupe_mark
         WHERE cell = %(cell)s::int2 AND until < %(before)s::timestamptz
         ORDER BY until
         LIMIT %(limit)s::int4
           FOR UPDATE SKIP LOCKED) AS old
 WHERE m.cell = old.cell AND m.tenant_id = old.tenant_id AND m.mark = old.mark
"""
DEAD_LETTERS: LiteralString = """
DELETE FROM dead_letter AS d
 USING (SELECT cell, delivery_id FROM dead_letter
         WHERE cell = %(cell)s::int2 AND at < %(before)s::timestamptz
         ORDER BY at
         LIMIT %(limit)s::int4
           FOR UPDATE SKIP LOCKED) AS old
 WHERE d.cell = old.cell AND d.delivery_id = old.delivery_id
"""
_BLOCKS: LiteralString = """
SELECT pg_relation_size('idempotency_key') / current_setting('block_size')::int8
"""


async def blocks(conn: Conn) -> int:
    """Return how many blocks the table of keys has."""
    row = await (await conn.execute(_BLOCKS)).fetchone()
    return int(row[0]) if row else 0


async def keys(conn: Conn, *, cell: int, first: int, beyond: int, before: UUID) -> int:
    """Delete keys of notifications older than `before` from blocks [first, beyond); count them."""
    stretch = {"first": f"({first},0)", "beyond": f"({beyond},0)"}
    parameters = {"cell": cell, "before": before} | stretch
    return (await conn.execute(KEYS, parameters)).rowcount


async def marks(conn: Conn, *, cell: int, before: datetime, limit: int) -> int:
    """Delete dedupe marks whose time was over then; return how many."""
    parameters = {"cell": cell, "before": before, "limit": limit}
    return (await conn.execute(MARKS, parameters)).rowcount


async def dead_letters(conn: Conn, *, cell: int, before: datetime, limit: int) -> int:
    """Delete dead letters from before then; return how many."""
    parameters = {"cell": cell, "before": before, "limit": limit}
    return (await conn.execute(DEAD_LETTERS, parameters)).rowcount
