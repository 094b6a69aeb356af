"""Healthy code after the fault, to quiescence: what an operator has who starts everything again.

Time is moved in the rows, never in the code: the lease of a process that is known to be dead, a
retry's due time and a settle window are over as soon as nothing else is left to do.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import LiteralString

import psycopg

from notifyq.entrypoints import janitor
from notifyq.entrypoints.worker import looking_up
from notifyq.store import db
from tests.crash.points.accepting import ask_until_answered
from tests.crash.points.hearing import receive_all
from tests.crash.points.listing import ABANDONED
from tests.crash.points.parts import AGED, age, run_worker
from tests.crash.points.scenarios import SCENARIOS
from tests.crash.points.wire import Wire
from tests.crash.points.world import LOCK_TIMEOUT_MS, Look, World, duties, over_http

ROUNDS = 8
_DUE: LiteralString = "UPDATE notifyq.job SET due = now() WHERE due > now()"
_OPENING: LiteralString = """
    UPDATE notifyq.delivery SET not_before = now() - interval '1 ms' WHERE not_before > now()
"""
_LOOK_UPS: LiteralString = (
    "UPDATE notifyq.timer SET due = now() - interval '1 ms' WHERE kind = 'look_up'"
)
LOOK_UPS_S = (0.0, 0.2, 0.2)
_NO_DOUBT: LiteralString = "SELECT count(*) = 0 FROM notifyq.delivery WHERE state = 'in_doubt'"
_WINDOWS: LiteralString = "UPDATE notifyq.timer SET due = now() - interval '1 ms'"
_REST: LiteralString = """
    SELECT (SELECT count(*) FROM notifyq.job)
         + (SELECT count(*) FROM notifyq.attempt WHERE outcome = 'open')
         + (SELECT count(*) FROM notifyq.delivery WHERE state IN ('pending', 'in_doubt')) = 0
"""


class Recovery:
    """Healthy processes, for one case."""

    def __init__(self, world: World, wire: Wire, conn: db.Conn, heard: Collection[int]) -> None:
        """heard: callbacks that were answered 2xx before: the provider does not repeat them."""
        self._world, self._wire, self._conn = world, wire, conn
        self._look = Look(world)
        self._heard = set(heard)

    async def run(self, fault: str, evidence: str) -> bool:
        """Go round until everything rests; False if it does not."""
        rested = False
        for _ in range(ROUNDS):
            await self._look.one(AGED)
            await self._hear(evidence == "prompt")
            await self._sweep()
            if fault == "late":
                release(self._world)
                await self._hear(evidence == "prompt")
            for statement in (_OPENING, _DUE, ABANDONED):
                await self._look.one(statement)
            await janitor._complete(self._conn, duties())
            await run_worker(self._world, limit_s=2.0)
            await self._hear(evidence == "prompt")
            if evidence == "look_up":
                await self._look_up()
            await self._look.one(_WINDOWS)
            await self._sweep()
            if await self._look.one(_REST):
                rested = True
                break
        release(self._world)
        await self._hear(evidence in ("prompt", "late"))
        await self._look.close()
        return rested

    async def _hear(self, now: bool) -> None:
        if now:
            self._heard.update(await receive_all(self._world, self._wire, heard=self._heard))

    async def _look_up(self) -> None:
        looking_up.POLL_S = 0.05
        await self._look.one(_LOOK_UPS)
        await run_worker(self._world, look_up_s=LOOK_UPS_S, idle=_NO_DOUBT, limit_s=1.0)

    async def _sweep(self) -> None:
        await janitor._sweep(self._conn, duties())


async def recover(
    world: World, wire: Wire, scenario: str, fault: str, evidence: str, heard: Collection[int]
) -> None:
    """Bring the case to rest; says `rested`.

    evidence: prompt (callbacks before any window closes), late (after), look_up (no callback, but
    the provider's list), never. Requests that a network still holds arrive after the doubt or
    after the window, by the fault.
    """
    found = SCENARIOS[scenario]
    if found.asks:
        await ask_until_answered(world, wire, [found.ask(world, n) for n in found.asks])
    async with await db.connect(world.url) as conn:
        wire.tell(rested=await Recovery(world, wire, conn, heard).run(fault, evidence))


async def doubt(world: World) -> None:
    """Let every lease be over, and the janitor see it."""
    await age(world)
    async with await db.connect(world.url, lock_timeout_ms=LOCK_TIMEOUT_MS) as conn:
        with suppress(psycopg.OperationalError):
            await janitor._sweep(conn, duties())


async def meanwhile(world: World, wire: Wire) -> None:
    """What goes on while one process is frozen, or its commit still waits: all the others."""
    async with await db.connect(world.url, lock_timeout_ms=LOCK_TIMEOUT_MS) as conn:
        for _ in range(2):
            # What is frozen may hold locks; the janitor then begins anew, as its loop does.
            with suppress(psycopg.OperationalError):
                await janitor._sweep(conn, duties(window_s=0.0))
    await run_worker(world, limit_s=0.7)


def release(world: World) -> None:
    """Let every request of this case arrive that the network holds."""
    over_http("POST", f"{world.net}/release", {"texts": [world.text(n) for n in range(1, 6)]})
