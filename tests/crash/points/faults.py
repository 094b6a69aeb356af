"""What may go wrong at a step, and how it is brought about: by the kernel, by the server, by the
network, or by the child itself on the spot. `FAULTS` is the list; a fault says which steps it
can strike at.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from notifyq.domain.provider import LookUpFailed
from notifyq.store.db import Conn
from tests.crash.points.steps import Plan, Step
from tests.crash.points.wire import Wire

Call = Callable[[], Awaitable[Any]]
Do = Callable[[Wire, Step, Any, Call, Mapping[str, Any]], Awaitable[Any]]
DATABASE = frozenset({"execute", "commit"})
BEGIN = "services/deliver.py:begin_due"


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault."""

    title: str
    kinds: frozenset[str]  # of steps that it can strike at
    do: Do
    writes_only: bool = False  # only commits that write something wait for a standby
    often: int = 2  # struck at a site's first so many occurrences
    unclear: bool = False  # at a commit: production code must not know its fate
    crash: bool = False  # needs a server of its own
    idle_ms: int | None = None  # the sessions' idle_in_transaction_session_timeout


def _on(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


def plan(name: str, fault: Fault, wire: Wire) -> Plan:
    """A fault at a named step, ready to strike."""

    async def strike(step: Step, this: Any, call: Call, about: dict[str, Any]) -> Any:
        begun = await _begun(this) if fault.unclear and step.via == BEGIN else []
        wire.tell(struck=name)
        try:
            return await fault.do(wire, step, this, call, about)
        finally:
            if begun:
                wire.ask("look", begun=begun)

    def strike_clock(step: Step) -> None:
        wire.tell(struck=name)
        if fault is FAULTS["stop"]:
            _freeze(wire)
        else:
            _die()

    return Plan(name, strike, strike_clock, fault.writes_only)


async def _begun(conn: Conn) -> list[tuple[str, int]]:
    """The attempts that the open transaction has begun."""
    if conn.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
        return []
    cursor = conn.cursor()
    await cursor.execute(
        "SELECT delivery_id::text, number FROM attempt"
        " WHERE xmin::text::int8 = pg_current_xact_id_if_assigned()::text::int8 % (1::int8 << 32)"
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


# ------------------------------------------------------------------------------- process


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze(wire: Wire) -> None:
    wire.tell(stopping=True)
    os.kill(os.getpid(), signal.SIGSTOP)


async def _kill_before(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
    _die()


async def _kill_after(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
    await call()
    _die()


async def _stop(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
    _freeze(wire)
    return await call()


async def _stop_after(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
    answer = await call()
    _freeze(wire)
    return answer


# ------------------------------------------------------------------------------ database


async def _break_before(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
    await conn.close()
    raise psycopg.OperationalError("the connection broke before this was sent")


async def _break_after(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
    await call()
    await conn.close()
    raise psycopg.OperationalError("the connection broke before the answer came")


async def _unclear_begin(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
    """The reply of the commit that follows is lost; for a commit that has no number of its own."""
    answer, right = await call(), conn.commit

    async def commit() -> None:
        await right()
        await conn.close()
        raise psycopg.OperationalError("the connection broke before the answer came")

    conn.commit = commit  # type: ignore[method-assign]
    return answer


async def _terminate(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
    wire.ask("terminate", pid=conn.info.backend_pid)
    return await call()


async def _crash_before(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
    wire.ask("crash")
    return await call()


async def _crash_after(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
    answer = await call()
    wire.ask("crash")
    return answer


def _in_the_wait(want: str) -> Do:
    async def do(wire: Wire, step: Step, conn: Conn, call: Call, about: Any) -> Any:
        cursor = conn.cursor()  # a statement of the harness, past the wrapper
        await cursor.execute("SET LOCAL synchronous_commit = on")
        commit = asyncio.ensure_future(call())
        await wire.ask_meanwhile(want, pid=conn.info.backend_pid)
        return await commit

    return do


# ------------------------------------------------------------------------------ provider


def _scripted(*scripts: Mapping[str, object], late: bool = False) -> Do:
    async def do(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
        text = about["arguments"][0].content.body
        wire.ask("script", text=text, scripts=list(scripts), late=late)
        return await call()

    return do


async def _kill_accepted(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
    """The provider has it and its answer is on the way when the process dies."""
    message = about["arguments"][0]
    held = [{"fault": "hold_after_accept"}]
    wire.ask("script", text=message.content.body, scripts=held, late=False)
    sending = asyncio.ensure_future(call())
    await wire.ask_meanwhile("until accepted", to=message.to)
    _die()
    return await sending


async def _look_lost(wire: Wire, step: Step, this: Any, call: Call, about: Any) -> Any:
    """The vendor answers, and nobody hears it."""
    await call()
    return LookUpFailed("closed")


_LOST = {"fault": "drop_after_accept"}

FAULTS: dict[str, Fault] = {
    "kill_before": Fault(
        "SIGKILL before",
        _on("execute", "commit", "rollback", "call", "look", "clock"),
        _kill_before,
    ),
    "kill_after": Fault(
        "SIGKILL after", _on("execute", "commit", "rollback", "call", "look"), _kill_after
    ),
    "stop": Fault(
        "SIGSTOP past the lease, SIGCONT", _on("execute", "commit", "call", "look", "clock"), _stop
    ),
    "stop_after": Fault("the same, after the step", _on("commit", "call", "look"), _stop_after),
    "stop_idle": Fault(
        "SIGSTOP past the idle time-out, SIGCONT", DATABASE, _stop, idle_ms=300, often=1
    ),
    "break_before": Fault("connection lost before", _on("commit"), _break_before, unclear=True),
    "break_after": Fault("reply lost", DATABASE, _break_after, unclear=True),
    "terminate": Fault("backend terminated", DATABASE, _terminate, unclear=True),
    "cancel_wait": Fault(
        "commit wait cancelled",
        _on("commit"),
        _in_the_wait("cancel"),
        writes_only=True,
        unclear=True,
    ),
    "terminate_wait": Fault(
        "terminated in the commit wait",
        _on("commit"),
        _in_the_wait("terminate wait"),
        writes_only=True,
        unclear=True,
    ),
    "kill_wait": Fault(
        "SIGKILL in the commit wait", _on("commit"), _in_the_wait("kill"), writes_only=True
    ),
    "crash_before": Fault(
        "postmaster killed before", DATABASE, _crash_before, often=1, unclear=True, crash=True
    ),
    "crash_after": Fault(
        "postmaster killed after", _on("commit"), _crash_after, often=1, crash=True
    ),
    "reply_lost": Fault("provider accepted, reply lost", _on("call"), _scripted(_LOST)),
    "reply_slow": Fault(
        "provider accepted, answers too late",
        _on("call"),
        _scripted({"fault": "hold_after_accept"}),
    ),
    "late": Fault("accepted late, after the doubt", _on("call"), _scripted(late=True)),
    "later": Fault("accepted late, after the window", _on("call"), _scripted(late=True)),
    "error_after": Fault(
        "5xx after acceptance", _on("call"), _scripted({"fault": "error_after_accept"})
    ),
    "error_before": Fault(
        "5xx, not accepted", _on("call"), _scripted({"fault": "error_before_accept"})
    ),
    "dropped": Fault(
        "connection broken, not accepted", _on("call"), _scripted({"fault": "drop_before_accept"})
    ),
    "look_up_lags": Fault(
        "reply lost, look-up lagging",
        _on("call"),
        _scripted(_LOST, {"fault": "lookup_lag", "lag_s": 2.0}),
    ),
    "look_lost": Fault("answer of a look-up lost", _on("look"), _look_lost),
    "unclear_begin": Fault("for scenarios only", _on(), _unclear_begin),
    "kill_accepted": Fault("SIGKILL, reply on the way", _on("call"), _kill_accepted),
}


def fits(fault: Fault, step: Step) -> bool:
    """Whether a fault can strike at a step, and is tried there."""
    return (
        step.kind in fault.kinds
        and step.count <= fault.often
        and (step.writes or not fault.writes_only)
    )
