"""The claim loop of one lane, its bounded sends, and the loops beside it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import psycopg

from notifyq.boottime import boottime_s
from notifyq.domain.ids import new_notification_id
from notifyq.domain.model import Attempt, Post, Ready
from notifyq.domain.provider import Provider
from notifyq.entrypoints.worker.looking_up import look_up_forever
from notifyq.entrypoints.worker.pacing import Pacer
from notifyq.entrypoints.worker.rules import LaneRules
from notifyq.entrypoints.worker.sending import send
from notifyq.entrypoints.worker.settling import BATCH_MAX, Settler
from notifyq.errors import FenceLost
from notifyq.running import first_of, keep_running
from notifyq.services.deliver import Turn, begin_due
from notifyq.services.disown import disown_unsent
from notifyq.services.settle import Ended
from notifyq.store import fence
from notifyq.store.db import Conn, DatabaseClock, Unknown

# An idle lane looks again after 25 ms, then less and less often, never less than every 250 ms.
POLL_S_MIN = 0.025
POLL_S_MAX = 0.25
# Every so often a claim starts from the very beginning, for jobs that were made due in the past.
SWEEP_S = 5.0
# How far before the last claimed job a claim starts: a job may commit this much after its due.
LOW_WATER_MARGIN = timedelta(seconds=2)
BROKEN_S = 0.5  # before a broken connection is opened again
FENCED_S = 0.5  # between looks at a fence that does not let us
CRITICALITIES = 4
_EVER = datetime(2000, 1, 1, tzinfo=UTC)

_log = logging.getLogger("notifyq.deliver")


class LaneWorker:
    """Serves one lane until `stop` is set, then lets what is on its way end."""

    def __init__(
        self,
        post: Post,
        provider: Provider,
        rules: LaneRules,
        *,
        connect: Callable[[], Awaitable[Conn]],
        clock: DatabaseClock,
        dice: Random,
    ) -> None:
        """post: where it stands first; its epoch follows the fence."""
        self.post = post
        self.wake = asyncio.Event()
        self._provider = provider
        self._rules = rules
        self._connect = connect
        self._clock = clock
        self._pacer = Pacer(rules.pace, clock.now)
        self._dice = dice
        self._sends: set[asyncio.Task[None]] = set()
        self._room_again = asyncio.Event()
        self._low_waters = [_EVER] * CRITICALITIES
        self._swept_at_s = float("-inf")
        # What this process saw committed and has not seen closed: it may have been sent. An open
        # attempt of ours that is not in here is of a begin whose commit was unclear, and was not.
        self._begun: set[Attempt] = set()
        self._unclear_until_s = float("-inf")
        self._settler = Settler(
            post,
            connect=connect,
            dice=dice.random,
            new_id=self._new_id,
            rules=rules.settle,
            written=self._closed,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; returns when every send has ended and was settled."""
        settling = asyncio.create_task(self._settler.run())
        looking = asyncio.create_task(self._look_up())
        await keep_running(
            f"claim.{self._provider.name}",
            lambda: self._claim_until(stop),
            pause_s=BROKEN_S,
            stop=stop,
        )
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        while self._sends:
            await asyncio.wait(self._sends)
        # A result that cannot be written within a lease is overtaken by it anyway.
        try:
            await asyncio.wait_for(self._settler.drained(), self.post.lease_s)
        except TimeoutError:
            _log.error("event=drain.unfinished lane=%s", self._provider.name)
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)

    async def _look_up(self) -> None:
        await look_up_forever(
            self._connect,
            self._provider,
            self._rules.look_up,
            cell=self.post.cell,
            lane=self.post.lane,
            new_id=self._new_id,
        )

    async def _claim_until(self, stop: asyncio.Event) -> None:
        async with await self._connect() as conn:
            await self._heed_fence(conn, stop)
            await self._claim_on(conn, stop)

    async def _claim_on(self, conn: Conn, stop: asyncio.Event) -> None:
        poll_s = POLL_S_MIN
        # A claim for one free slot costs as much as one for many: wait for an eighth.
        least_room = max(1, self._rules.max_in_flight // 8)
        while not stop.is_set():
            if (room := self._room()) < least_room:
                self._room_again.clear()
                await first_of(self._room_again, stop)
                continue
            if (room := self._pacer.take(room)) == 0:
                await first_of(stop, timeout_s=self._pacer.wait_s())
                continue
            self.wake.clear()
            try:
                await self._disown_unsent(conn)
                claimed = await self._claim(conn, room)
            except FenceLost as error:
                _log.warning("event=fence.lost lane=%s why=%s", self._provider.name, error)
                await self._heed_fence(conn, stop)
                continue
            self._pacer.give_back(room - claimed)
            if claimed < room:
                poll_s = POLL_S_MIN if claimed else min(POLL_S_MAX, poll_s * 2)
                await first_of(self.wake, stop, timeout_s=poll_s * self._dice.uniform(0.8, 1.2))

    async def _claim(self, conn: Conn, room: int) -> int:
        """Claim once and start what may be sent; return how many jobs were claimed."""
        started_s = boottime_s()  # before begin: the lease in the row ends later than ours
        turn = await begin_due(
            conn,
            self.post,
            room=room,
            low_waters=self._waters(),
            dedupe_days=self._rules.settle.dedupe_days,
            new_id=self._new_id,
        )
        if isinstance(turn, Unknown):
            # Nothing is sent. What was begun, if it was, is closed on the next connection; the
            # server may take until then to commit it, so it is looked for as long as a lease.
            _log.error("event=begin.unknown lane=%s why=%s", self._provider.name, turn.reason)
            self._unclear_until_s = boottime_s() + self.post.lease_s
            self._swept_at_s = float("-inf")
            raise psycopg.OperationalError("the fate of begin is not known")
        self._note(turn)
        for ready in turn.ready:
            self._begun.add(ready.attempt)
            task = asyncio.create_task(self._slot(ready, started_s + self.post.lease_s))
            self._sends.add(task)
            task.add_done_callback(self._sent)
        return turn.claimed

    async def _disown_unsent(self, conn: Conn) -> None:
        """With each sweep, while a begin of unknown fate is recent, close what it left behind."""
        if boottime_s() > self._unclear_until_s or not self._sweep_is_due():
            return
        done = await disown_unsent(conn, self.post, list(self._begun))
        _log.warning("event=begin.disowned lane=%s attempts=%s", self._provider.name, done)

    async def _slot(self, ready: Ready, deadline_s: float) -> None:
        try:
            outcome = await send(
                ready,
                self._provider,
                self._rules.send,
                cell=self.post.cell,
                deadline_s=deadline_s,
                now=self._clock.now,
            )
        except Exception:
            # A bug: whether bytes left is not known. The lease will put the attempt in doubt.
            _log.exception("event=send.crashed delivery=%s", ready.due.delivery_id)
            return
        self._settler.add(Ended(ready, outcome, self._clock.now()))

    def _room(self) -> int:
        """How many may begin. Results beyond a batch that wait to be written keep their slots.

        Else, when none can be written, everything due would be sent, and be in doubt.
        """
        unwritten = max(0, self._settler.unwritten - BATCH_MAX)
        return self._rules.max_in_flight - len(self._sends) - unwritten

    def _closed(self, attempt: Attempt) -> None:
        self._begun.discard(attempt)
        self._room_again.set()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._room_again.set()

    async def _heed_fence(self, conn: Conn, stop: asyncio.Event) -> None:
        """Wait until the fence lets this region begin, and take on its epoch."""
        while not stop.is_set():
            found = await fence.read(conn, cell=self.post.cell)
            await conn.rollback()
            if found is not None and found.lets(self.post.region):
                self.post = replace(self.post, epoch=found.epoch)
                return
            await first_of(stop, timeout_s=FENCED_S)

    def _sweep_is_due(self) -> bool:
        return time.monotonic() - self._swept_at_s > SWEEP_S

    def _waters(self) -> list[datetime]:
        if self._sweep_is_due():
            self._swept_at_s = time.monotonic()
            self._low_waters = [_EVER] * CRITICALITIES
        return self._low_waters

    def _note(self, turn: Turn) -> None:
        for criticality, due in turn.last_due.items():
            self._low_waters[criticality] = due - LOW_WATER_MARGIN
        if turn.claimed:
            _log.debug(
                "event=lane.claimed lane=%s claimed=%d begun=%d ended=%d deferred=%d",
                self._provider.name,
                turn.claimed,
                len(turn.ready),
                turn.ended,
                turn.deferred,
            )
        for delivery in turn.blocked:
            _log.error("event=attempt.blocked delivery=%s why=one_live_attempt", delivery)
        for delivery in turn.void:
            _log.error("event=job.void delivery=%s why=not_pending", delivery)

    def _new_id(self) -> UUID:
        return new_notification_id(self._clock.now(), self._dice.getrandbits(64))
