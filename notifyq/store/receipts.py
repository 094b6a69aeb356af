"""Receipts: what providers told us later, kept once each."""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Receipt
from notifyq.store.db import Conn

# The highest rank so far is read from the snapshot before the insert, so it is of the others.
KEEP: LiteralString = """
WITH kept AS (
    INSERT INTO receipt (cell, delivery_id, number, rank, provider, provider_id, status, code)
    VALUES (%(cell)s::int2, %(delivery_id)s::uuid, %(number)s::int2, %(rank)s::int2,
            %(provider)s::text, %(provider_id)s::text, %(status)s::text, %(code)s::text)
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM kept),
       coalesce((SELECT max(rank) FROM receipt
                  WHERE cell = %(cell)s::int2 AND delivery_id = %(delivery_id)s::uuid
                    AND number = %(number)s::int2), 0)
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether a receipt was new, and the highest rank known before it (0: none)."""

    fresh: bool
    rank_before: int


async def keep(
    conn: Conn,
    *,
    cell: int,
    delivery_id: UUID,
    number: int,
    provider: str,
    receipt: Receipt,
) -> Kept:
    """Store a receipt unless it is there already."""
    parameters = {
        "cell": cell,
        "delivery_id": delivery_id,
        "number": number,
        "rank": receipt.rank,
        "provider": provider,
        "provider_id": receipt.provider_id,
        "status": receipt.status,
        "code": receipt.code,
    }
    row = await (await conn.execute(KEEP, parameters)).fetchone()
    fresh, rank_before = row or (False, 0)
    return Kept(fresh, rank_before)
