"""Every merge of a few sessions' steps, on a real server.

A session is production code on a connection whose calls wait at a gate: each statement and each
commit needs a permit. A step gives permits; an order of steps is one test. A session that waits
for another's lock is recognised by `pg_blocking_pids`, which says so from the moment it waits to
the moment the lock is free, and its later permits are kept for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from notifyq.store.db import Conn

DEADLINE_S = 20.0
_BLOCKED = "SELECT cardinality(pg_blocking_pids(%(pid)s)) > 0"


class Step(Enum):
    """How far one step lets a session go."""

    ONE = "one call"
    TO_COMMIT = "all calls before the next commit"
    END = "to its end"


ONE, TO_COMMIT, END = Step.ONE, Step.TO_COMMIT, Step.END
Go = Step | int  # int: so many calls


@dataclass
class Session:
    """Production code at a gate. `trace` is shared: who was let through, in which order."""

    name: str
    conn: Conn
    work: Callable[[Conn], Awaitable[Any]]
    trace: list[str] = field(default_factory=list)
    result: Any = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.pid = self.conn.info.backend_pid
        self._permits: list[Step] = []
        self._changed = asyncio.Condition()
        self._at_gate: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._execute, self._commit = self.conn.execute, self.conn.commit
        self.conn.execute = self._gated_execute  # type: ignore[method-assign]
        self.conn.commit = self._gated_commit  # type: ignore[method-assign]

    async def allow(self, step: Go) -> None:
        """Give a step's permits; the work starts with the first."""
        async with self._changed:
            self._permits += [ONE] * step if isinstance(step, int) else [step]
            self._changed.notify_all()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def idle(self) -> bool:
        """Whether it has ended, or stands at the gate without a permit for what it wants."""
        if self._task is None or self._task.done():
            return True
        return self._at_gate is not None and not self._may(self._at_gate)

    async def ended(self) -> None:
        """Let it go to its end and wait for it."""
        await self.allow(END)
        assert self._task is not None
        await asyncio.wait_for(self._task, DEADLINE_S)

    async def _run(self) -> None:
        try:
            self.result = await self.work(self.conn)
        except Exception as error:  # a test looks at it
            self.error = error
        finally:
            self.conn.execute, self.conn.commit = self._execute, self._commit  # type: ignore[method-assign]

    async def _gated_execute(self, *arguments: Any, **named: Any) -> Any:
        await self._pass("call")
        return await self._execute(*arguments, **named)

    async def _gated_commit(self) -> None:
        await self._pass("commit")
        await self._commit()
        self.trace.append(f"{self.name} committed")

    async def _pass(self, gate: str) -> None:
        async with self._changed:
            self._at_gate = gate
            await self._changed.wait_for(lambda: self._may(gate))
            self._at_gate = None
            if self._permits[0] is ONE:
                self._permits.pop(0)
        self.trace.append(f"{self.name} {gate}")

    def _may(self, gate: str) -> bool:
        if gate == "commit":  # a step that ends before the commit is over; the next one counts
            while self._permits[:1] == [TO_COMMIT] and len(self._permits) > 1:
                self._permits.pop(0)
            return bool(self._permits) and self._permits[0] is not TO_COMMIT
        return bool(self._permits)


def merges(lengths: Sequence[int]) -> list[tuple[int, ...]]:
    """Every order of the sessions' steps that keeps each session's own order."""
    if not any(lengths):
        return [()]
    found = []
    for n, left in enumerate(lengths):
        if left:
            rest = [length - (m == n) for m, length in enumerate(lengths)]
            found += [(n, *order) for order in merges(rest)]
    return found


def named(names: str, order: Sequence[int]) -> str:
    """A test id: one letter of `names` a step."""
    return "".join(names[n] for n in order)


def symmetric(length: int) -> list[tuple[int, ...]]:
    """The orders of two sessions that do the same: the ones that the first begins."""
    return [order for order in merges([length] * 2) if order[0] == 0]


def in_each(orders: Sequence[Sequence[int]], names: str) -> pytest.MarkDecorator:
    """Run a test once for each `order`; its id has one letter of `names` a step."""
    return pytest.mark.parametrize("order", orders, ids=[named(names, o) for o in orders])


async def some_fail(
    orders: Sequence[tuple[int, ...]], claim: Callable[[tuple[int, ...]], Awaitable[bool]]
) -> bool:
    """Whether a claim is untrue of an order, or fails an assertion on the way to it."""
    for order in orders:
        try:
            if not await claim(order):
                return True
        except AssertionError:
            return True
    return False


async def run(
    order: Sequence[int], sessions: Sequence[tuple[Session, Sequence[Go]]], watcher: Conn
) -> list[str]:
    """Run the sessions' steps in this order to their ends; return the trace."""
    trace: list[str] = []
    steps = []
    for session, its_steps in sessions:
        session.trace = trace
        steps.append(iter(its_steps))
    for n in order:
        await sessions[n][0].allow(next(steps[n]))
        await _still([session for session, _ in sessions], watcher)
    await asyncio.gather(*(session.ended() for session, _ in sessions))
    return trace


async def _still(sessions: Sequence[Session], watcher: Conn) -> None:
    """Wait until every session is idle or waits for another's lock.

    Twice in a row: a session may be seen to wait just before another one's commit frees it.
    """
    deadline = time.monotonic() + DEADLINE_S
    seen = 0
    while seen < 2:
        still = [session.idle() or await _blocked(session, watcher) for session in sessions]
        seen = seen + 1 if all(still) else 0
        if not seen:
            names = [s.name for s, is_still in zip(sessions, still, strict=True) if not is_still]
            assert time.monotonic() < deadline, f"{names} neither end nor wait"
            await asyncio.sleep(0.001)


async def _blocked(session: Session, watcher: Conn) -> bool:
    row = await (await watcher.execute(_BLOCKED, {"pid": session.pid})).fetchone()
    return bool(row and row[0])


async def until_blocked(conn: Conn, watcher: Conn) -> None:
    """Wait until `conn`'s backend waits for another's lock."""
    deadline = time.monotonic() + DEADLINE_S
    pid = conn.info.backend_pid
    while True:
        row = await (await watcher.execute(_BLOCKED, {"pid": pid})).fetchone()
        if row and row[0]:
            return
        assert time.monotonic() < deadline, "it does not wait for a lock"
        await asyncio.sleep(0.001)
