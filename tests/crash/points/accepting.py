"""Accepting: requests through the API's gatherer, replays, and what a client does meanwhile."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256

import psycopg

from notifyq.domain.asking import Ask, Dedupe
from notifyq.entrypoints.api.gather import Gatherer
from notifyq.services import accept
from notifyq.store import db
from tests.crash.points.parts import dice, nothing, render, two
from tests.crash.points.registry import scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import World
from tests.store import helpers as h

ASKING_MAX = 20


@scenario("accept", nothing, asks=(1, 2, 3))
async def _accept(world: World, wire: Wire) -> None:
    """Two at once, one of them again, the key of one for something else, and one more."""
    gatherer = _gatherer(world)
    gatherer.start()
    first = world.ask(1)
    other = world.ask(1, body="something else")
    for group in ((first, world.ask(2)), (first,), (other,), (world.ask(3),)):
        await asyncio.gather(*(_answered(gatherer, wire, ask) for ask in group))
    await gatherer.stop()


@scenario("recall", two, asks=(1, 2))
async def _recall(world: World, wire: Wire) -> None:
    """A request that would be refused by now is answered as it was the first time."""
    ask = world.ask(1)
    key = (ask.tenant_id, accept.operation_of(ask.test), ask.key_hash)
    with suppress(psycopg.Error):  # the API's answer to that is an error, and promises nothing
        async with await db.connect(world.url) as conn:
            told = await accept.recall(conn, key, ask.fingerprint, cell=0)
        if told is not None:
            tell_reply(wire, world.text(1), told)


def _gatherer(world: World) -> Gatherer:
    return Gatherer(
        partial(db.connect, world.url, hot=True, lock_timeout_ms=accept.LOCK_TIMEOUT_MS),
        now=h.database_now,
        dice=dice().getrandbits,
        render=render,
        accepted=lambda _channel: None,
    )


def _marked(world: World, n: int) -> Ask:
    return replace(world.ask(n), dedupe=Dedupe(sha256(world.label.encode()).digest(), 3_600))


@scenario("accept_marked", nothing, asks=(1, 2), ask=_marked, deliveries=1)
async def _accept_marked(world: World, wire: Wire) -> None:
    """A producer that mints a new key when it retries: the mark says that it is the same."""
    gatherer = _gatherer(world)
    gatherer.start()
    for n in (1, 2):
        await _answered(gatherer, wire, _marked(world, n))
    await gatherer.stop()


async def ask_until_answered(world: World, wire: Wire, asks: Iterable[Ask]) -> None:
    """What a client does that heard nothing: the same again under the same key."""
    gatherer = _gatherer(world)
    gatherer.start()
    for ask in asks:
        await _answered(gatherer, wire, ask)
    await gatherer.stop()


async def _answered(gatherer: Gatherer, wire: Wire, ask: Ask) -> None:
    """Ask, and ask again while nobody knows."""
    for _ in range(ASKING_MAX):
        reply = await gatherer.submit(ask)
        tell_reply(wire, ask.parts[0].content.body, reply)
        if not isinstance(reply, db.Unknown):
            return
        await asyncio.sleep(0.05)


def tell_reply(wire: Wire, text: str, reply: accept.Reply) -> None:
    """Say what the client was told."""
    body = reply.body.decode() if isinstance(reply, accept.Answer) else None
    wire.tell(reply=type(reply).__name__, text=text, body=body)
