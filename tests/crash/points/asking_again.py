"""Asking the provider: look-ups of what is in doubt, in the worker's own loop."""

from typing import LiteralString

from notifyq.entrypoints import janitor
from notifyq.entrypoints.worker import looking_up
from notifyq.store import db
from tests.crash.points.parts import answered_with, left_open, run_worker
from tests.crash.points.registry import scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import World, duties

AT_ONCE = (0.0, 0.05, 0.2, 0.5, 1.0)  # waits before the first, second … look-up
_LOOKED: LiteralString = "SELECT count(*) = 0 FROM notifyq.timer WHERE kind = 'look_up'"


async def _in_doubt(world: World, wire: Wire) -> None:
    await left_open(world, wire)
    await _doubted(world)


async def _doubted(world: World) -> None:
    async with await db.connect(world.url) as conn:
        await janitor._sweep(conn, duties(look_up_s=AT_ONCE))


@scenario("look_up", _in_doubt)
async def _look_up(world: World, wire: Wire) -> None:
    """What the provider lists ends the doubts."""
    looking_up.POLL_S = 0.05
    await run_worker(world, look_up_s=AT_ONCE, idle=_LOOKED)


async def _listed_late(world: World, wire: Wire) -> None:
    answered_with(world, 1, fault="lookup_lag", lag_s=0.4)
    await left_open(world, wire)
    await _doubted(world)


@scenario("look_up_lag", _listed_late)
async def _look_up_lag(world: World, wire: Wire) -> None:
    """One is listed only after a while: that it is not there proves nothing."""
    looking_up.POLL_S = 0.05
    await run_worker(world, look_up_s=AT_ONCE, idle=_LOOKED)
