"""Lists: requests to many recipients, accepted in phases, and gone on with by a completer."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import LiteralString
from uuid import uuid4

import psycopg

from notifyq.domain import asking
from notifyq.domain.asking import Ask
from notifyq.entrypoints import janitor
from notifyq.services import lists
from notifyq.store import db
from tests.crash.points.accepting import ASKING_MAX, tell_reply
from tests.crash.points.parts import dice, janitor_until, nothing, render
from tests.crash.points.registry import scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import Look, World, duties
from tests.store import helpers as h

RECIPIENTS = 3
_COMPLETED: LiteralString = "SELECT count(*) = 0 FROM notifyq.unfinished_key"
ABANDONED: LiteralString = """
    UPDATE notifyq.unfinished_key SET claimed_until = now() - interval '1 ms'
"""


def ask_of_many(world: World) -> Ask:
    """One request to several people, so short that each is a phase of its own."""
    asking.PHASE_RECIPIENTS = 1
    parts = tuple(world.ask(n).parts[0] for n in range(1, RECIPIENTS + 1))
    return replace(world.ask(1), parts=parts, recipients=RECIPIENTS)


@scenario("list", nothing, deliveries=RECIPIENTS)
async def _list(world: World, wire: Wire) -> None:
    """A request in phases; whoever heard nothing asks again under the same key."""
    for _ in range(ASKING_MAX):
        with suppress(psycopg.Error):
            async with await db.connect(world.url, hot=True) as conn:
                reply = await _take(conn, world)
            tell_reply(wire, world.text(1), reply)
            if isinstance(reply, lists.Answer):
                return
            await _abandon(world)  # or it is told for ten seconds that somebody is at it
        await asyncio.sleep(0.05)


async def _half_a_list(world: World, wire: Wire) -> None:
    """The first phase is written; then its process died, long ago."""
    right, lists._go_on = lists._go_on, _die_there
    async with await db.connect(world.url, hot=True) as conn:
        with suppress(_Died):
            await _take(conn, world)
    lists._go_on = right
    await _abandon(world)


@scenario("complete", _half_a_list, deliveries=RECIPIENTS)
async def _complete(world: World, wire: Wire) -> None:
    """What was begun is gone on with, though no client asks any more."""
    asking.PHASE_RECIPIENTS = 1
    cares = duties()
    await janitor_until(world, False, lambda conn: janitor._complete(conn, cares), _COMPLETED)


async def _half_an_unreadable_list(world: World, wire: Wire) -> None:
    await _half_a_list(world, wire)
    look = Look(world)
    await look.one(r"UPDATE notifyq.unfinished_key SET ask = '\x00'")
    await look.close()


@scenario("complete_unreadable", _half_an_unreadable_list)
async def _complete_unreadable(world: World, wire: Wire) -> None:
    """One that cannot be gone on with is put off, with the reason; what is there is sent."""
    cares = duties()
    await janitor_until(world, False, lambda conn: janitor._complete(conn, cares), _NOTED)


_NOTED: LiteralString = (
    "SELECT count(*) > 0 FROM notifyq.unfinished_key WHERE trouble LIKE 'it cannot%'"
)


class _Died(Exception):
    """The end of a process, for the one that prepares."""


async def _die_there(*_: object) -> lists.Reply:
    raise _Died


async def _take(conn: db.Conn, world: World) -> lists.Reply:
    return await lists.accept_list(
        conn,
        ask_of_many(world),
        now=h.database_now(),
        dice=dice().getrandbits,
        new_token=uuid4,
        render=render,
    )


async def _abandon(world: World) -> None:
    look = Look(world)
    await look.one(ABANDONED)
    await look.close()
