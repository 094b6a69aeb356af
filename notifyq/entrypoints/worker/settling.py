"""The settle loop: results wait here for the next commit, and survive a broken connection.

A result that cannot be written in time is not lost, it is overtaken: its attempt's lease ends and
the delivery is in doubt, which is what the database then knows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg

from notifyq.domain.model import Attempt, Post
from notifyq.running import keep_running_on
from notifyq.services import bounces
from notifyq.services.settle import Ended, Settled, SettleRules, settle
from notifyq.store.db import Conn, Unknown

BATCH_MAX = 256  # results in one transaction
BROKEN_S = 0.5  # before a broken connection is opened again

_log = logging.getLogger("notifyq.settle")


class Settler:
    """Writes the results of one lane."""

    def __init__(
        self,
        post: Post,
        *,
        connect: Callable[[], Awaitable[Conn]],
        dice: Callable[[], float],
        new_id: Callable[[], UUID],
        rules: SettleRules,
        written: Callable[[Attempt], None],
    ) -> None:
        """post: the lane; each result carries the epoch that its attempt was begun at.

        written: told each attempt that is closed.
        """
        self._post = post
        self._connect = connect
        self._dice = dice
        self._new_id = new_id
        self._rules = rules
        self._written = written
        self._waiting: asyncio.Queue[Ended] = asyncio.Queue()
        self._taken: dict[Attempt, Ended] = {}  # out of the queue and not written yet

    @property
    def unwritten(self) -> int:
        """How many results wait to be written."""
        return self._waiting.qsize() + len(self._taken)

    def add(self, ended: Ended) -> None:
        """Hand a result over; returns at once."""
        self._waiting.put_nowait(ended)

    async def drained(self) -> None:
        """Return once everything that was handed over is written."""
        await self._waiting.join()

    async def run(self) -> None:
        """Write results until cancelled, on one connection after another."""
        await keep_running_on("settle", self._connect, self._forever, pause_s=BROKEN_S)

    async def _forever(self, conn: Conn) -> None:
        while True:
            await self._turn(conn)

    async def _turn(self, conn: Conn) -> None:
        if not self._taken:
            self._take(await self._waiting.get())
        while len(self._taken) < BATCH_MAX and not self._waiting.empty():
            self._take(self._waiting.get_nowait())
        # One attempt of a delivery, the earliest: what the next one's result means depends on it.
        batch: dict[UUID, Ended] = {}
        for ended in self._taken.values():
            batch.setdefault(ended.ready.due.delivery_id, ended)
        # What is not written stays taken. Settling again is safe: an attempt that was closed is
        # not closed twice.
        await self._write(conn, list(batch.values()))

    def _take(self, ended: Ended) -> None:
        self._taken[ended.ready.attempt] = ended

    def _over(self, ended: Ended) -> None:
        del self._taken[ended.ready.attempt]
        self._waiting.task_done()

    async def _write(self, conn: Conn, batch: list[Ended]) -> None:
        """Write a batch; a row that the database refuses is found by halving, and reported."""
        try:
            done = await settle(
                conn,
                self._post,
                batch,
                self._rules,
                dice=self._dice,
                new_id=self._new_id,
            )
        except (psycopg.DataError, psycopg.IntegrityError):
            if len(batch) == 1:
                delivery = batch[0].ready.due.delivery_id
                _log.exception("event=settle.refused delivery=%s", delivery)
                self._over(batch[0])
                return
            half = len(batch) // 2
            await self._write(conn, batch[:half])
            await self._write(conn, batch[half:])
            return
        if isinstance(done, Unknown):
            raise psycopg.OperationalError(f"the fate of settle is not known: {done.reason}")
        _report(batch, done)
        try:
            told = [bounces.of_outcome(e.ready.due.delivery_id, e.outcome, e.at) for e in batch]
            await bounces.keep(
                conn, [n for n in told if n], cell=self._post.cell, new_id=self._new_id
            )
        finally:  # a drain waits for the news too; but it is not settled again for it
            for ended in batch:
                self._over(ended)
                self._written(ended.ready.attempt)


def _report(batch: list[Ended], done: Settled) -> None:
    """Log one event a state change; the usual ones at DEBUG, for they are thousands a second."""
    for ended in batch:
        delivery = ended.ready.due.delivery_id
        verdict = done.verdicts[delivery]
        written = delivery in done.done
        level = logging.DEBUG if written and verdict.provider_id else logging.WARNING
        if _log.isEnabledFor(level):
            _log.log(
                level,
                "event=attempt.%s delivery=%s attempt=%d code=%s written=%s",
                verdict.outcome.value,
                delivery,
                ended.ready.number,
                verdict.code,
                written,
            )
