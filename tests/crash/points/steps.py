"""The steps of a run: every statement, commit, rollback, provider call and clock read.

Wraps what production code calls, from outside, before it runs. A step's name says what it is,
the function that did it, the service or loop on whose behalf, and how often that was so before:
`commit store/db.py:transact < services/deliver.py:begin_due #1`.
"""

import importlib
import inspect
import pkgutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

import notifyq
from notifyq import providers
from notifyq.boottime import boottime_s
from notifyq.domain.provider import Provider
from notifyq.store.db import Conn, DatabaseClock

ROOT = Path(notifyq.__file__).parent
# A step that came this often is a poll's, or one of a crowd that is like the others.
OFTEN = 3
# What a provider is asked for; a new kind of question needs a name here, and its faults.
KINDS = {"send": "call", "look_up": "look"}
# These change nothing here or there: what is done with a callback is stored by steps of its own.
NO_STEPS = ("read_callback", "check", "close")
_INNER = ("store/", "running.py")


@dataclass(frozen=True, slots=True)
class Step:
    """One step, as it was met."""

    kind: str  # execute, commit, rollback, call (a send), look (a look-up) or clock
    inner: str  # the function of notifyq that did it
    via: str  # the nearest one that is not the store: for whom
    count: int  # the how-manieth of these
    line: int
    writes: bool = False  # a commit of a transaction that wrote: it waits for a standby

    @property
    def name(self) -> str:
        behalf = "" if self.via == self.inner else f" < {self.via}"
        return f"{self.kind} {self.inner}{behalf} #{self.count}"


# Brings the fault about around the call; for a clock read there is nothing to await.
Strike = Callable[[Step, Any, Callable[[], Awaitable[Any]], dict[str, Any]], Awaitable[Any]]
StrikeClock = Callable[[Step], None]


@dataclass(slots=True)
class Plan:
    """A fault at a step; `strike_clock` is for clock reads, `strike` for the rest.

    writes_only: a commit that wrote nothing is passed by, for it waits for no standby; the next
    one of the same place is struck instead. A loop that polls may commit nothing in between, and
    how often it does depends on how fast the machine is.
    """

    name: str
    strike: Strike
    strike_clock: StrikeClock
    writes_only: bool = False


class Steps:
    """Counts steps while armed; strikes at the planned ones, once each.

    Numbers begin again once the faults that are a scenario's own (`first`) have struck.
    """

    def __init__(
        self,
        first: list[Plan],
        last: Plan | None = None,
        met: Callable[[Step], None] | None = None,
    ) -> None:
        """last: the case's own fault. met: told each step that is numbered, when recording."""
        self._first = first
        self._last = last
        self._met = met
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self.armed = False

    def install(self) -> None:
        """Wrap what production code calls; for the life of this process."""
        for kind in ("execute", "commit", "rollback"):
            setattr(Conn, kind, self._around(kind, getattr(Conn, kind)))
        for vendor in vendors():
            for name in provider_calls():
                if hasattr(vendor, name):
                    setattr(vendor, name, self._around(KINDS[name], getattr(vendor, name)))
        DatabaseClock.now = self._around_clock(DatabaseClock.now)  # type: ignore[method-assign]
        wrapped = self._around_clock(boottime_s)
        for name, module in list(sys.modules.items()):
            # The worker's own looks at it; not those of deadlines below a call.
            if name.startswith("notifyq.entrypoints.") and hasattr(module, "boottime_s"):
                module.boottime_s = wrapped  # type: ignore[attr-defined]

    def _around(self, kind: str, right: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        # Not a coroutine function: a commit is made a task of its own, and who asked for it can
        # only be seen here, before that.
        def wrapped(this: Any, *arguments: Any, **named: Any) -> Awaitable[Any]:
            found = self._meet(kind, sys._getframe(1))
            if found is None:
                return right(this, *arguments, **named)
            return self._struck(found, this, lambda: right(this, *arguments, **named), arguments)

        return wrapped

    async def _struck(
        self,
        found: tuple[Step, Plan | None],
        this: Any,
        call: Callable[[], Awaitable[Any]],
        arguments: tuple[Any, ...],
    ) -> Any:
        step, plan = found
        if plan is not None and plan.writes_only and not await _has_written(this):
            self._put_off(step, plan)
            return await call()
        if plan is not None:
            return await plan.strike(step, this, call, {"arguments": arguments})
        if self._met is not None:
            writes = step.kind == "commit" and await _has_written(this)
            self._met(Step(step.kind, step.inner, step.via, step.count, step.line, writes))
        return await call()

    def _put_off(self, step: Step, plan: Plan) -> None:
        """Let a plan strike when the same place comes next."""
        count = self._counts[step.kind, step.inner, step.via]
        plan.name = replace(step, count=count + 1).name
        self._last = plan

    def _around_clock(self, right: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            found = self._meet("clock", sys._getframe(1))
            if found is not None:
                step, plan = found
                if plan is not None:
                    plan.strike_clock(step)
                elif self._met is not None:
                    self._met(step)
            return right(*arguments)

        return wrapped

    def _meet(self, kind: str, frame: FrameType) -> tuple[Step, Plan | None] | None:
        """Count a step; return it if something is to be done about it."""
        if not self.armed:
            return None
        inner, via, line = _site(frame)
        if not inner:
            return None  # the harness's own
        self._counts[kind, inner, via] += 1
        step = Step(kind, inner, via, self._counts[kind, inner, via], line)
        if self._first:
            if self._first[0].name != step.name:
                return None
            plan = self._first.pop(0)
            if not self._first:
                self._counts.clear()
            return step, plan
        if self._last is not None and self._last.name == step.name:
            plan, self._last = self._last, None
            return step, plan
        return (step, None) if self._met is not None and step.count <= OFTEN else None


def vendors() -> list[type]:
    """Every provider's class."""
    found = []
    for module in pkgutil.walk_packages(providers.__path__, f"{providers.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        found += [
            m
            for m in members
            if inspect.isclass(m)
            and m.__module__.startswith(providers.__name__)
            and hasattr(m, "read_callback")
        ]
    return sorted(set(found), key=lambda m: m.__name__)


def provider_calls() -> list[str]:
    """The methods of a provider that ask the vendor for something."""
    return [
        name
        for name, member in vars(Provider).items()
        if inspect.iscoroutinefunction(member) and name not in NO_STEPS
    ]


def _site(frame: FrameType | None) -> tuple[str, str, int]:
    """Return (function of notifyq that is running, for whom, its line)."""
    inner, line = "", 0
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(f"{ROOT}/"):
            where = path[len(str(ROOT)) + 1 :]
            name = f"{where}:{frame.f_code.co_qualname.split('.<locals>')[0]}"
            if not inner:
                inner, line = name, frame.f_lineno
            if not where.startswith(_INNER):
                return inner, name, line
        frame = frame.f_back
    return inner, inner, line


async def _has_written(conn: Conn) -> bool:
    if conn.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
        return False
    cursor = conn.cursor()
    await cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
    row = await cursor.fetchone()
    return bool(row and row[0])
