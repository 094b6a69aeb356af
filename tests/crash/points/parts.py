"""What several scenarios, and recovery, are made of."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from random import Random
from typing import Any, LiteralString

from notifyq.entrypoints import janitor
from notifyq.entrypoints.api.asks import render_accepted
from notifyq.entrypoints.worker import lane, looking_up, settling
from notifyq.services import accept
from notifyq.store import db
from tests.crash.points.wire import Wire
from tests.crash.points.world import LOOK_UP_S, Look, World, duties, over_http, worker
from tests.store import helpers as h

ACT_S = 4.0  # an act that is not through by then is left to recovery
POLL_S = 0.02
APART_S = 0.1

_IDLE: LiteralString = """
    SELECT (SELECT count(*) FROM notifyq.job WHERE due <= now())
         + (SELECT count(*) FROM notifyq.attempt WHERE outcome = 'open') = 0
"""
_BEGUN: LiteralString = "SELECT count(*) = 0 FROM notifyq.job WHERE due <= now()"
AGED: LiteralString = """
    UPDATE notifyq.attempt SET send_by = now() - interval '1 ms',
           began_at = least(began_at, now() - interval '2 ms')
     WHERE outcome = 'open'
"""
_SWEPT: LiteralString = """
    SELECT (SELECT count(*) FROM notifyq.attempt WHERE outcome = 'open')
         + (SELECT count(*) FROM notifyq.timer) = 0
"""

render = partial(render_accepted, durability="local")


def hurry() -> None:
    """Shorten the waits of loops that start again; what they do is untouched."""
    lane.BROKEN_S = settling.BROKEN_S = 0.05
    lane.FENCED_S = 0.05
    janitor.BROKEN_S = 0.05
    looking_up.BROKEN_S = looking_up.FAILED_S = 0.05


async def nothing(world: World, wire: Wire) -> None:
    """Prepare nothing."""


def dice() -> Random:
    """Chance that differs from child to child, though all are forked from one process."""
    return Random(int.from_bytes(os.urandom(8)))


async def accepted(world: World, *numbers: int, at: datetime | None = None, **changes: Any) -> None:
    """Accept requests by number; at: the time in their ids."""
    async with await db.connect(world.url) as conn:
        replies = await accept.accept(
            conn,
            [world.ask(n, **changes) for n in numbers],
            now=at or h.database_now(),
            dice=dice().getrandbits,
            render=render,
        )
    assert all(isinstance(reply, accept.Answer) for reply in replies), replies


async def two(world: World, wire: Wire) -> None:
    """Two deliveries are due; they are answered, and so settled, one after the other."""
    await accepted(world, 1, 2)
    slow(world, 2, APART_S)


def slow(world: World, n: int, delay_s: float) -> None:
    """Let the answer about the n-th be slow, once; it is no fault of the provider's."""
    over_http("POST", f"{world.net}/slow", {"text": world.text(n), "delay_s": delay_s})


def answered_with(world: World, n: int, **fault: object) -> None:
    """Script a fault of the sandbox for the n-th message, once."""
    about = {"vendor": "twilio", "match": {"body_contains": world.text(n)}}
    over_http("POST", f"{world.sandbox}/sandbox/faults", about | fault)


async def run_worker(
    world: World,
    *,
    settled: bool = True,
    limit_s: float = ACT_S,
    look_up_s: tuple[float, ...] = LOOK_UP_S,
    idle: LiteralString = "",
) -> None:
    """Run a lane worker until nothing is due and nothing is open, or for so long.

    settled=False: dies without settling once its calls are over. idle: another end.
    """
    clock = db.DatabaseClock()
    made, provider = worker(world, clock, look_up_s=look_up_s)
    stop = asyncio.Event()
    if not settled:
        made._settler.add = lambda _: None  # type: ignore[method-assign]
    running = asyncio.create_task(made.run(stop))
    look = Look(world)
    await until(look, idle or (_IDLE if settled else _BEGUN), limit_s=limit_s)
    await look.close()
    stop.set()
    await running
    await provider.close()


async def until(look: Look, true: LiteralString, *, limit_s: float) -> bool:
    """Poll until a query says true; False when time was over."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while not await look.one(true):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def left_open(world: World, wire: Wire) -> None:
    """The provider has two; the worker died before it could say so; the leases are over."""
    await two(world, wire)
    await run_worker(world, settled=False)
    await age(world)


async def age(world: World) -> None:
    """Let time pass for what the dead left behind."""
    look = Look(world)
    await look.one(AGED)
    await look.close()


async def sweep_to_rest(world: World) -> None:
    """Sweep as the janitor does until leases, resends and windows are all over."""
    cares = duties(window_s=0.0)
    await janitor_until(world, False, lambda conn: janitor._sweep(conn, cares), _SWEPT)


async def janitor_until(
    world: World,
    autocommit: bool,
    duty: Callable[[db.Conn], Awaitable[None]],
    true: LiteralString,
) -> None:
    """Run one duty as the janitor does, again and again, until a query says true."""

    async def connect(autocommit: bool) -> db.Conn:
        return await db.connect(world.url, autocommit=autocommit)

    doing = asyncio.create_task(janitor._forever(connect, autocommit, 0.05, duty))
    look = Look(world)
    await until(look, true, limit_s=ACT_S)
    await look.close()
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
