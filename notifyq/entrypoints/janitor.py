"""The janitor's loops, on one connection each: sweep and complete often, tend the leaves and reap
now and then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from notifyq.domain.retention import Retention
from notifyq.running import keep_running_on
from notifyq.services import lists, maintain, reap
from notifyq.store import upkeep
from notifyq.store.db import Conn, DatabaseClock

SWEEP_S = 1.0  # a lease that ran out is in doubt within this
COMPLETE_S = 1.0  # an abandoned request goes on within this
COMPLETE_MAX = 1_000  # requests gone on with in one cycle
LEAVES_S = 600.0
REAP_S = 10.0
BROKEN_S = 1.0

_log = logging.getLogger("notifyq.maintain")


@dataclass(frozen=True, slots=True)
class Duties:
    """What one janitor looks after."""

    cell: int
    retention: Retention
    rules: maintain.Rules
    new_id: Callable[[], UUID]
    walk: reap.Walk


async def serve(
    duties: Duties,
    *,
    connect: Callable[[bool], Awaitable[Conn]],
    clock: DatabaseClock,
    stop: asyncio.Event,
) -> None:
    """Do the duties until `stop`. connect(autocommit) opens a connection."""
    loops = [
        asyncio.create_task(_forever(connect, False, SWEEP_S, lambda c: _sweep(c, duties))),
        asyncio.create_task(_forever(connect, True, LEAVES_S, lambda c: _leaves(c, duties, clock))),
        asyncio.create_task(_forever(connect, False, COMPLETE_S, lambda c: _complete(c, duties))),
        asyncio.create_task(_forever(connect, False, REAP_S, lambda c: _reap(c, duties, clock))),
    ]
    await stop.wait()
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


async def _forever(
    connect: Callable[[bool], Awaitable[Conn]],
    autocommit: bool,
    every_s: float,
    duty: Callable[[Conn], Awaitable[None]],
) -> None:
    async def on_a_connection(conn: Conn) -> None:
        while True:
            await duty(conn)
            await asyncio.sleep(every_s)

    await keep_running_on("janitor", lambda: connect(autocommit), on_a_connection, pause_s=BROKEN_S)


async def _sweep(conn: Conn, duties: Duties) -> None:
    swept = await maintain.sweep(conn, duties.rules, cell=duties.cell, new_id=duties.new_id)
    if swept != maintain.Swept(0, 0, 0):
        told = (swept.leases, swept.resends, swept.windows)
        _log.warning("event=swept leases=%d resends=%d windows=%d", *told)


async def _leaves(conn: Conn, duties: Duties, clock: DatabaseClock) -> None:
    await clock.set_by(conn)
    made, dropped = await maintain.tend_leaves(
        conn, cell=duties.cell, now=clock.now(), retention=duties.retention
    )
    gone = await upkeep.forget_workers(conn, cell=duties.cell)
    if made or dropped or gone:
        _log.info("event=leaves made=%d dropped=%s workers=%d", made, dropped, gone)


async def _complete(conn: Conn, duties: Duties) -> None:
    done = await lists.complete(conn, cell=duties.cell, new_token=duties.new_id, limit=COMPLETE_MAX)
    if done.finished:
        _log.info("event=completed requests=%d", done.finished)
    if done.failed:  # why stands in their rows; doctor and sql/audit/unfinished_key.sql show it
        _log.error("event=completer.trouble requests=%d", done.failed)


async def _reap(conn: Conn, duties: Duties, clock: DatabaseClock) -> None:
    gone = await reap.run_once(
        conn, duties.walk, cell=duties.cell, now=clock.now(), retention=duties.retention
    )
    if gone != reap.Reaped(0, 0, 0):
        told = (gone.dead_letters, gone.keys, gone.marks)
        _log.info("event=reaped dead_letters=%d keys=%d marks=%d", *told)
