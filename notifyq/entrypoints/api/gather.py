"""Gathering: requests that arrive while a commit is on its way share the next one.

A few loops, each with a connection of its own, take what waits (the first in an idle moment goes
at once) and accept it in one transaction. A request's answer waits for exactly that commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from notifyq.domain.asking import Ask, Planned
from notifyq.domain.idempotency import Answer
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.problems import Problem, unavailable
from notifyq.running import keep_running
from notifyq.services.accept import Reply, accept
from notifyq.store.db import Conn, Unknown

LOOPS = 2  # connections that accept, in one process
BATCH_MAX = 64  # requests in one transaction
WAITING_MAX = 2_000  # beyond this the answer is 503 at once: nobody would wait that long
BROKEN_S = 0.2  # before a broken connection is opened again


_Waiting = tuple[Ask, "asyncio.Future[Reply]"]


def busy() -> Problem:
    """Return the problem of a request that comes when too many wait already."""
    return unavailable("too many requests are waiting")


def tell_accepted(
    asks: Sequence[Ask], replies: Sequence[Reply], accepted: Callable[[Channel], None]
) -> None:
    """Tell `accepted` each channel that has new jobs by these replies."""
    for ask, reply in zip(asks, replies, strict=True):
        if isinstance(reply, Answer) and not reply.replayed:
            for channel in {part.channel for part in ask.parts}:
                accepted(channel)


class Gatherer:
    """Accepts requests in batches; `submit` is all that a route sees of it."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        *,
        now: Callable[[], datetime],
        dice: Callable[[int], int],
        render: Callable[[Planned], bytes],
        accepted: Callable[[Channel], None],
    ) -> None:
        """accepted: told each channel that has new jobs, after their commit."""
        self._connect = connect
        self._now = now
        self._dice = dice
        self._render = render
        self._accepted = accepted
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(WAITING_MAX)
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the loops; they connect when there is something to do."""
        self._loops = [asyncio.create_task(self._run()) for _ in range(LOOPS)]

    async def stop(self) -> None:
        """End the loops; the server has stopped taking requests before this."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def submit(self, ask: Ask) -> Reply:
        """Return the reply to an ask once its transaction is over; Problem if too many wait."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((ask, reply))
        except asyncio.QueueFull:
            raise busy() from None
        return await reply

    async def _run(self) -> None:
        await keep_running("accept", self._on_one_connection, pause_s=BROKEN_S)

    async def _on_one_connection(self) -> None:
        batch = await self._next()
        # Whatever goes wrong below, everybody who waits is answered; and nothing was accepted
        # then, for a commit that failed is Unknown and not an exception.
        replies: list[Reply] = [Unknown("the database does not answer")] * len(batch)
        try:
            async with await self._connect() as conn:
                while True:
                    replies = await self._accept(conn, [ask for ask, _ in batch])
                    _hand_out(batch, replies)
                    batch = await self._next()
                    replies = [Unknown("the database does not answer")] * len(batch)
        finally:
            _hand_out(batch, replies)

    async def _next(self) -> list[_Waiting]:
        batch = [await self._waiting.get()]
        while len(batch) < BATCH_MAX and not self._waiting.empty():
            batch.append(self._waiting.get_nowait())
        return batch

    async def _accept(self, conn: Conn, asks: list[Ask]) -> list[Reply]:
        replies = await accept(conn, asks, now=self._now(), dice=self._dice, render=self._render)
        tell_accepted(asks, replies, self._accepted)
        return replies


def _hand_out(batch: list[_Waiting], replies: list[Reply]) -> None:
    for (_, waiting), reply in zip(batch, replies, strict=True):
        if not waiting.done():  # the client may have gone, or was answered already
            waiting.set_result(reply)
