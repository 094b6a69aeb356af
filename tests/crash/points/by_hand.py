"""By hand: what people and producers do to deliveries: redrive, discard, resolve, cancel.

Whatever was acknowledged is told through the wire as a promise, and the judge holds it.
"""

import asyncio
from contextlib import suppress
from typing import LiteralString
from uuid import UUID

import psycopg

from notifyq.domain.doubts import Claim
from notifyq.domain.ids import notification_of
from notifyq.services import cancel, redrive, resolve
from notifyq.store import cancels, db
from notifyq.store.dead_letters import Wanted
from tests.crash.points.parts import (
    APART_S,
    accepted,
    age,
    answered_with,
    run_worker,
    slow,
    sweep_to_rest,
    two,
    until,
)
from tests.crash.points.registry import SENT, scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import Look, World
from tests.store import helpers as h

DEAD = frozenset({"dead"})
CANCELED = frozenset({"canceled"})
_MARKED: LiteralString = "SELECT count(*) = 2 FROM notifyq.consent WHERE dead_at IS NOT NULL"
_OPEN: LiteralString = "SELECT count(*) > 0 FROM notifyq.attempt WHERE outcome = 'open'"


async def _deliveries(world: World) -> dict[str, UUID]:
    """The deliveries by their texts."""
    async with await psycopg.AsyncConnection.connect(world.url) as conn:
        cursor = await conn.execute("SELECT body, delivery_id FROM notifyq.content")
        return {row[0]: row[1] for row in await cursor.fetchall()}


# -------------------------------------------------------------------------- dead letters


async def _refused(world: World, wire: Wire) -> None:
    for n in (1, 2):
        answered_with(world, n, fault="refuse", code=21_211)
    await two(world, wire)
    await run_worker(world, idle=_MARKED)
    slow(world, 2, APART_S)


def _errand() -> redrive.Errand:
    return redrive.Errand(0, "test", "the number is back", 1_000.0, h.new_id)


@scenario("redrive", _refused, ends={1: SENT | DEAD, 2: SENT | DEAD})
async def _redrive(world: World, wire: Wire) -> None:
    """Dead letters are made due again, once; a run that broke off is run again.

    Their addresses were called dead, and are not any more: else nothing would be sent.
    """
    texts = {at: text for text, at in (await _deliveries(world)).items()}
    for _ in range(2):
        with suppress(psycopg.Error):
            async with await db.connect(world.url) as conn:
                async for done in redrive.redrive_wanted(conn, Wanted(), _errand(), limit=10):
                    if isinstance(done, redrive.Redriven) and done.refusal is None:
                        text = texts[done.delivery_id]
                        wire.tell(promised=text, ends=sorted(SENT), alive=True)
    await run_worker(world)


@scenario("discard", _refused, ends={1: DEAD, 2: DEAD}, dead=(1, 2))
async def _discard(world: World, wire: Wire) -> None:
    """Dead letters are taken off the list, and their deliveries stay as they are."""
    ids = list((await _deliveries(world)).values())
    with suppress(psycopg.Error):
        async with await db.connect(world.url) as conn:
            async for _ in redrive.discard(conn, ids, _errand()):
                pass


# -------------------------------------------------------------------------------- doubts


async def _two_unknown(world: World, wire: Wire) -> None:
    """The provider never had the first, and has the second; nobody here knows either."""
    answered_with(world, 1, fault="drop_before_accept")
    await two(world, wire)
    await run_worker(world, settled=False)
    await age(world)
    await sweep_to_rest(world)


@scenario("resolve", _two_unknown)
async def _resolve(world: World, wire: Wire) -> None:
    """Somebody proves what became of each; only what was not carried out is sent again."""
    at = await _deliveries(world)
    taken = {row["body"] for row in world.outside().taken}  # who testifies has asked the vendor
    for n in (1, 2):
        claim = Claim.CARRIED_OUT if world.text(n) in taken else Claim.NOT_CARRIED_OUT
        witness = resolve.Witness(claim, "test", "asked the vendor", "ticket 7")
        with suppress(psycopg.Error):
            async with await db.connect(world.url) as conn:
                await resolve.resolve(conn, at[world.text(n)], witness, cell=0, new_id=h.new_id)
    await run_worker(world)


# -------------------------------------------------------------------------------- cancel


async def _one_and_one_behind(world: World, wire: Wire) -> None:
    first, second = world.ask(1).parts[0], world.ask(2).parts[0]
    await accepted(world, 1, parts=(first, h.replace(second, standby=True)))


@scenario(
    "cancel", _one_and_one_behind, ends={1: SENT | CANCELED, 2: SENT | CANCELED | {"standby"}}
)
async def _cancel(world: World, wire: Wire) -> None:
    """A notification is called back before anybody began it."""
    await _call_back(world, wire)
    await run_worker(world)


async def _one_throttled(world: World, wire: Wire) -> None:
    await accepted(world, 1)
    answered_with(world, 1, fault="throttle")
    slow(world, 1, 4 * APART_S)


@scenario("cancel_sending", _one_throttled, ends={1: SENT | CANCELED})
async def _cancel_sending(world: World, wire: Wire) -> None:
    """It is on its way when it is called back: no other attempt comes after this one."""
    calling = asyncio.create_task(_call_back_once_open(world, wire))
    await run_worker(world)
    await asyncio.wait([calling], timeout=1.0)
    calling.cancel()


async def _call_back_once_open(world: World, wire: Wire) -> None:
    look = Look(world)
    await until(look, _OPEN, limit_s=2.0)
    await look.close()
    await _call_back(world, wire)


async def _call_back(world: World, wire: Wire) -> None:
    at = await _deliveries(world)
    texts = {delivery: text for text, delivery in at.items()}
    by = cancels.By("test", "changed my mind")
    with suppress(psycopg.Error):
        async with await db.connect(world.url) as conn:
            called = await cancel.cancel(
                conn,
                notification_of(at[world.text(1)]),
                by,
                cell=0,
                dedupe_days=h.DEDUPE_DAYS,
                new_id=h.new_id,
            )
        for one in called if isinstance(called, list) else []:
            if one.came is cancel.Came.CANCELED:
                wire.tell(promised=texts[one.delivery_id], ends=["canceled"])
            if one.came is cancel.Came.REQUESTED:
                wire.tell(promised=texts[one.delivery_id], attempts=1)
