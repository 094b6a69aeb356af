"""Addresses: refusals and receipts that call one dead, and registrations that are newer."""

import asyncio
from dataclasses import replace
from typing import LiteralString

from tests.crash.points.hearing import receive_all
from tests.crash.points.parts import accepted, answered_with, run_worker, until
from tests.crash.points.registry import SENT, scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import Look, World
from tests.store import helpers as h

MARKED: LiteralString = "SELECT count(*) > 0 FROM notifyq.consent WHERE dead_at IS NOT NULL"
_ENDED: LiteralString = """
    SELECT (SELECT count(*) FROM notifyq.job)
         + (SELECT count(*) FROM notifyq.attempt WHERE outcome = 'open') = 0
"""
MARKED_S = 0.5  # so long the second waits for what the first one's refusal says, and then goes


async def _two_to_one(world: World, wire: Wire) -> None:
    """Two to one number, which nobody has; the second is due once the first has ended."""
    await accepted(world, 1)
    await accepted(world, 2, to=world.phone(1))
    for n in (1, 2):
        answered_with(world, n, fault="refuse", code=21_211)
    look = Look(world)
    await look.one(
        "UPDATE notifyq.job SET due = now() + interval '1 hour' WHERE delivery_id ="
        " (SELECT id FROM notifyq.delivery ORDER BY id DESC LIMIT 1)"
    )
    await look.close()


@scenario(
    "refused_twice",
    _two_to_one,
    ends={1: frozenset({"dead"}), 2: frozenset({"dead", "suppressed"})},
    dead=(1,),
)
async def _refused_twice(world: World, wire: Wire) -> None:
    """The first is refused, so the second is not sent; or refused too, if that was forgotten."""
    making = asyncio.create_task(_due_once_marked(world))
    await run_worker(world, idle=_ENDED, limit_s=2.0)
    making.cancel()


async def _due_once_marked(world: World) -> None:
    look = Look(world)
    await until(look, MARKED, limit_s=MARKED_S)
    await look.one("UPDATE notifyq.job SET due = now()")
    await look.close()


async def _registered_anew(world: World, wire: Wire) -> None:
    await accepted(world, 1)
    answered_with(world, 1, fault="refuse", code=21_211)
    await run_worker(world, idle=MARKED)
    anew = replace(world.ask(2, to=world.phone(1)).parts[0], registered_at=h.database_now())
    await accepted(world, 2, parts=(anew,))


@scenario("registered_anew", _registered_anew, ends={1: frozenset({"dead"})}, alive=(2,))
async def _send_again(world: World, wire: Wire) -> None:
    """An address that died is registered again: what begins to it lifts the mark."""
    await run_worker(world)


async def _bounced(world: World, wire: Wire) -> None:
    """The number of the first is nobody's; the second's is out of reach, and then is not."""
    for n, code in ((1, 30_005), (2, 30_003)):
        answered_with(world, n, fault="undelivered", code=code)
    await accepted(world, 1, 2)
    await accepted(world, 3, to=world.phone(2))
    await run_worker(world)


@scenario(
    "receive_bounced",
    _bounced,
    ends={1: SENT | {"undelivered"}, 2: SENT | {"undelivered"}},
    dead=(1,),
)
async def _receive_bounced(world: World, wire: Wire) -> None:
    """What a receipt says of the address is kept after what it says of the message."""
    await receive_all(world, wire)
