"""Lanes and the workers that serve them."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Channel, Lane
from notifyq.store.db import Conn

_ADD: LiteralString = """
INSERT INTO lane (cell, channel, provider)
SELECT %(cell)s::int2, l.channel, l.provider
  FROM unnest(%(channels)s::channel[], %(providers)s::text[]) AS l (channel, provider)
 WHERE NOT EXISTS (SELECT 1 FROM lane
                    WHERE cell = %(cell)s::int2 AND channel = l.channel
                      AND provider = l.provider)
 ORDER BY l.channel, l.provider
ON CONFLICT DO NOTHING
"""
_READ: LiteralString = """
SELECT id, channel::text, provider FROM lane WHERE cell = %(cell)s::int2 ORDER BY id
"""
_BEAT: LiteralString = """
INSERT INTO worker AS w (cell, id, channel, region, epoch)
VALUES (%(cell)s::int2, %(id)s::uuid, %(channel)s::channel, %(region)s::text, %(epoch)s::int8)
ON CONFLICT (cell, id, channel) DO UPDATE SET seen_at = now(), epoch = excluded.epoch
"""
_LEAVE: LiteralString = "DELETE FROM worker WHERE cell = %(cell)s::int2 AND id = %(id)s::uuid"


async def ensure(
    conn: Conn, wanted: Sequence[tuple[Channel, str]], *, cell: int
) -> dict[tuple[Channel, str], Lane]:
    """Make sure that every (channel, provider) has its lane; return all lanes of the cell."""
    parameters = {
        "cell": cell,
        "channels": [channel for channel, _ in wanted],
        "providers": [provider for _, provider in wanted],
    }
    await conn.execute(_ADD, parameters)
    found = await (await conn.execute(_READ, {"cell": cell})).fetchall()
    lanes = [Lane(number, Channel(channel), provider) for number, channel, provider in found]
    return {(lane.channel, lane.provider): lane for lane in lanes}


async def beat(
    conn: Conn, *, cell: int, worker: UUID, channel: Channel, region: str, epoch: int
) -> None:
    """Say that a worker lives. Every few seconds: the row is updated in place."""
    parameters = {
        "cell": cell,
        "id": worker,
        "channel": channel,
        "region": region,
        "epoch": epoch,
    }
    await conn.execute(_BEAT, parameters)


async def leave(conn: Conn, *, cell: int, worker: UUID) -> None:
    """Say that a worker has stopped in order."""
    await conn.execute(_LEAVE, {"cell": cell, "id": worker})
