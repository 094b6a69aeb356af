"""The look-up loop of one lane: one at a time, beside the sends and never in their place.

It holds nothing: a look-up that is cut short by a stop, or by a broken connection, has lost one
step of its schedule and is made again at the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg

from notifyq.domain.model import Lane
from notifyq.domain.provider import Provider
from notifyq.running import keep_running_on
from notifyq.services.reconcile import Looked, LookUpRules, Result, reconcile_due
from notifyq.store.db import Conn, Unknown

POLL_S = 1.0  # between looks at the timers while none is due
FAILED_S = 5.0  # before the next look-up at a provider that has just failed one
BROKEN_S = 0.5  # before a broken connection is opened again

_LEVELS = {
    Result.SETTLED: logging.INFO,
    Result.NOT_FOUND: logging.DEBUG,
    Result.AMBIGUOUS: logging.WARNING,
    Result.FAILED: logging.WARNING,
}
_log = logging.getLogger("notifyq.reconcile")


async def look_up_forever(
    connect: Callable[[], Awaitable[Conn]],
    provider: Provider,
    rules: LookUpRules,
    *,
    cell: int,
    lane: Lane,
    new_id: Callable[[], UUID],
) -> None:
    """Make look-ups as they fall due until cancelled; returns at once without a schedule."""
    if not rules.waits_s:
        return

    async def forever(conn: Conn) -> None:
        while True:
            looked = await reconcile_due(conn, provider, rules, cell=cell, lane=lane, new_id=new_id)
            if isinstance(looked, Unknown):
                raise psycopg.OperationalError(f"the fate of it is not known: {looked.reason}")
            if looked is None:
                await asyncio.sleep(POLL_S)
                continue
            _report(looked)
            if looked.result is Result.FAILED:
                await asyncio.sleep(FAILED_S)

    await keep_running_on(f"look_up.{provider.name}", connect, forever, pause_s=BROKEN_S)


def _report(looked: Looked) -> None:
    _log.log(
        _LEVELS[looked.result],
        "event=look_up.%s delivery=%s attempt=%d step=%d detail=%s",
        looked.result.value,
        looked.delivery_id,
        looked.number,
        looked.step,
        looked.detail,
    )
