"""Cancel: a producer calls a notification back. It says of each delivery what that came to.

Canceled: its job, or its place behind another channel, was taken, so it will never be sent.
Requested: an attempt of it may reach somebody, or has; none comes after it. Too late: it is at
rest; where somebody could still make it due again by hand it is marked, so that nobody does. What
was done stays done: asking again is safe, and says how it stands by then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from uuid import UUID

import psycopg

from notifyq.domain.evidence import beside
from notifyq.domain.model import Channel
from notifyq.domain.states import AT_REST, Event, Reason, State, sources, step
from notifyq.store import cancels, moves, others
from notifyq.store.cancels import By, Part
from notifyq.store.db import Committed, Conn, Unknown, transact

BATCH = 100  # deliveries in one transaction
_OVER = AT_REST - {State.STANDBY}
# At rest, but a redrive or a person's word leads back from there: their producer's word is kept.
_MAY_RETURN = _OVER & {*sources(Event.REDRIVE), *sources(Event.REFUTE)}


class Came(StrEnum):
    """What calling a delivery back came to."""

    CANCELED = "canceled"
    REQUESTED = "requested"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True)
class Called:
    """A delivery that was called back."""

    delivery_id: UUID
    channel: Channel
    state: str  # as it is now
    came: Came


class Running:
    """The notification is still being accepted; it can be called back once that is over."""


async def cancel(
    conn: Conn,
    notification_id: UUID,
    by: By,
    *,
    cell: int,
    dedupe_days: int,
    new_id: Callable[[], UUID],
) -> list[Called] | Running | Unknown:
    """Call back every delivery of a notification, in order.

    dedupe_days: how long the request of a dead letter is recognised at least.
    psycopg.errors.LockNotAvailable: somebody holds a delivery for long; nothing of it was changed,
    and what was done before it stays.
    """

    async def look(conn: Conn) -> list[Part] | None:
        # In this order: what is not running now has all its deliveries in the next statement.
        if await cancels.is_running(conn, notification_id, cell=cell):
            return None
        return await cancels.parts(conn, notification_id, cell=cell)

    found = await transact(conn, look)
    if isinstance(found, Unknown):
        return found
    if found.value is None:
        return Running()
    called = []
    caller = _Caller(conn, by, cell, dedupe_days, new_id)
    for start in range(0, len(found.value), BATCH):
        batch = found.value[start : start + BATCH]
        taken = await caller.take([p for p in batch if p.state in (State.PENDING, State.STANDBY)])
        if isinstance(taken, Unknown):
            return taken
        for part in batch:
            told = await caller.tell(part, taken.get(part.delivery_id))
            if isinstance(told, Unknown):
                return told
            called.append(told)
    return called


@dataclass(frozen=True, slots=True)
class _Caller:
    conn: Conn
    by: By
    cell: int
    dedupe_days: int
    new_id: Callable[[], UUID]

    async def take(self, due: Sequence[Part]) -> dict[UUID, State] | Unknown:
        """End what has a job or a standby row; return these deliveries with what they are now."""
        if not due:
            return {}

        async def work(conn: Conn) -> dict[UUID, State]:
            jobs: set[UUID] = set()
            for channel, parts in groupby(sorted(due, key=_by_channel), key=lambda p: p.channel):
                ids = [part.delivery_id for part in parts]
                jobs |= await cancels.take_jobs(
                    conn, ids, cell=self.cell, channel=channel, wait=True
                )
            behind = {part.delivery_id for part in due if part.state is State.STANDBY}
            wanted = sorted(jobs | behind)
            locked = await cancels.lock(conn, wanted, cell=self.cell) if wanted else {}
            waiting = [at for at, (state, _) in locked.items() if state is State.STANDBY]
            taken = await cancels.take_standby(conn, waiting, cell=self.cell) if waiting else set()
            taken |= {at for at in jobs if locked[at][0] is State.PENDING}
            return await self._end(conn, sorted(taken))

        try:
            fate = await transact(self.conn, work)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if len(due) == 1:
                raise
            return await self._one_by_one(due)
        return fate.value if isinstance(fate, Committed) else fate

    async def _one_by_one(self, due: Sequence[Part]) -> dict[UUID, State] | Unknown:
        """Take each alone: only one that is really held is in the way."""
        taken: dict[UUID, State] = {}
        for part in due:
            found = await self.take([part])
            if isinstance(found, Unknown):
                return found
            taken |= found
        return taken

    async def tell(self, part: Part, ended: State | None) -> Called | Unknown:
        """Say what became of a delivery; mark it if it may be sent again. ended: by this cancel."""
        if ended is not None:
            return _ended(part, ended)
        if part.state in _OVER - _MAY_RETURN:
            return _called(part, part.state)

        async def work(conn: Conn) -> Called:
            at = part.delivery_id
            locked = await cancels.lock(conn, [at], cell=self.cell)
            state, _ = locked.get(at, (part.state, False))
            if state in _OVER:
                if state in _MAY_RETURN:
                    await self._request(conn, at)
                return _called(part, state)
            # Nobody makes a job for a locked delivery; one that a worker holds is the worker's,
            # who begins, or reads the mark.
            if await self._take_one(conn, part, state):
                return _ended(part, (await self._end(conn, [at]))[at])
            is_open = await self._request(conn, at)
            shown = "sending" if is_open and state is State.PENDING else state
            return Called(at, part.channel, shown, Came.REQUESTED)

        fate = await transact(self.conn, work)
        return fate.value if isinstance(fate, Committed) else fate

    async def _request(self, conn: Conn, at: UUID) -> bool:
        return await cancels.request(
            conn, at, self.by, cell=self.cell, intervention_id=self.new_id()
        )

    async def _take_one(self, conn: Conn, part: Part, state: State) -> bool:
        if state is State.STANDBY:
            return bool(await cancels.take_standby(conn, [part.delivery_id], cell=self.cell))
        if state is not State.PENDING:
            return False
        found = await cancels.take_jobs(
            conn, [part.delivery_id], cell=self.cell, channel=part.channel, wait=False
        )
        return bool(found)

    async def _end(self, conn: Conn, taken: Sequence[UUID]) -> dict[UUID, State]:
        """Bring deliveries whose job or standby row was taken to rest; return what they are now."""
        tried = await others.look(conn, [(at, 0) for at in taken], cell=self.cell)
        events = {at: beside(Event.CANCEL, its) or Event.CANCEL for at, its in tried.items()}
        events = {at: event for at, event in events.items() if event is not Event.CANCEL}
        await self._cancel(conn, [at for at in taken if at not in events])
        for at, event in events.items():  # an attempt before, given up, may have reached somebody
            await self._request(conn, at)
            by = moves.Mover(self.cell, self.new_id(), self.dedupe_days)
            await moves.move(conn, at, State.PENDING, event, by=by, detail=Reason.CANCELED)
        return {at: step(State.PENDING, events.get(at, Event.CANCEL)) for at in taken}

    async def _cancel(self, conn: Conn, ids: Sequence[UUID]) -> None:
        if ids:
            await cancels.cancel(
                conn,
                ids,
                self.by,
                cell=self.cell,
                event_ids=[self.new_id() for _ in ids],
                intervention_ids=[self.new_id() for _ in ids],
            )


def _ended(part: Part, state: State) -> Called:
    if state is State.UNKNOWN:
        return Called(part.delivery_id, part.channel, state, Came.REQUESTED)
    return _called(part, state)


def _called(part: Part, state: State) -> Called:
    came = Came.CANCELED if state is State.CANCELED else Came.TOO_LATE
    return Called(part.delivery_id, part.channel, state, came)


def _by_channel(part: Part) -> tuple[str, UUID]:
    return part.channel, part.delivery_id
