"""Bulk: lists of recipients and batches of notifications, on connections of their own.

They are long, and would hold up the small requests that are gathered together. So a few run at a
time, a few more wait for their turn, and beyond that the answer is 503 at once.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from notifyq.domain.asking import Ask, Planned
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.gather import busy, tell_accepted
from notifyq.services.accept import Reply, accept
from notifyq.services.lists import accept_list
from notifyq.store.db import Conn, Pool

AT_ONCE = 2  # connections: the size of the pool
WAITING_MAX = 16  # requests that wait for one of these
BATCH_MAX = 250  # notifications in one transaction


class Bulk:
    """Accepts what is too long to be gathered."""

    def __init__(
        self,
        pool: Pool,
        *,
        now: Callable[[], datetime],
        dice: Callable[[int], int],
        new_token: Callable[[], UUID],
        render: Callable[[Planned], bytes],
        accepted: Callable[[Channel], None],
    ) -> None:
        """pool: of AT_ONCE hot connections. accepted: told each channel that has new jobs."""
        self._pool = pool
        self._now = now
        self._dice = dice
        self._new_token = new_token
        self._render = render
        self._accepted = accepted
        self._count = 0  # of requests that run or wait

    async def take_list(self, ask: Ask) -> Reply:
        """Return the reply to a request to many recipients; Problem if too many wait."""
        async with self._turn() as conn:
            reply = await accept_list(
                conn,
                ask,
                now=self._now(),
                dice=self._dice,
                new_token=self._new_token,
                render=self._render,
            )
        tell_accepted([ask], [reply], self._accepted)
        return reply

    async def take_batch(self, asks: Sequence[Ask]) -> list[Reply]:
        """Return the replies to requests under keys of their own; Problem if too many wait.

        They are judged as if they had come one after another, in their order.
        """
        replies: list[Reply] = []
        async with self._turn() as conn:
            for start in range(0, len(asks), BATCH_MAX):
                replies += await accept(
                    conn,
                    asks[start : start + BATCH_MAX],
                    now=self._now(),
                    dice=self._dice,
                    render=self._render,
                )
        tell_accepted(asks, replies, self._accepted)
        return replies

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Conn]:
        if self._count >= AT_ONCE + WAITING_MAX:
            raise busy()
        self._count += 1
        try:
            async with self._pool.connection() as conn:
                yield conn
        finally:
            self._count -= 1
