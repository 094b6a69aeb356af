"""Waking workers: a hint that jobs of a channel are due, never the only way to find them.

NOTIFY takes a lock of the whole cluster that lasts until its transaction has flushed its WAL. So
it is sent apart from the transactions that made the jobs, at most once per channel and interval,
and without waiting for its own flush: a lost hint costs one poll.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import LiteralString

from notifyq.domain.model import Channel
from notifyq.store.db import Conn

INTERVAL_S = 0.025

_HINT: LiteralString = "SELECT pg_notify('notifyq_due', %(channel)s::text)"
_LISTEN: LiteralString = "LISTEN notifyq_due"
_LAZY: LiteralString = "SET synchronous_commit = off"


class Hints:
    """Collects channels and sends one hint each per interval."""

    def __init__(self) -> None:
        """Start with nothing to say."""
        self._channels: set[Channel] = set()
        self._something = asyncio.Event()

    def add(self, channel: Channel) -> None:
        """Ask for a hint; returns at once."""
        self._channels.add(channel)
        self._something.set()

    async def send_forever(self, conn: Conn) -> None:
        """Send hints on an autocommit connection until cancelled; raises psycopg.Error."""
        await conn.execute(_LAZY)
        while True:
            await self._something.wait()
            self._something.clear()
            channels, self._channels = self._channels, set()
            for channel in channels:
                await conn.execute(_HINT, {"channel": channel})
            await asyncio.sleep(INTERVAL_S)


async def hints(conn: Conn) -> AsyncIterator[Channel]:
    """Yield the channel of every hint that comes in on an autocommit connection."""
    await conn.execute(_LISTEN)
    async for notice in conn.notifies():
        yield Channel(notice.payload)
