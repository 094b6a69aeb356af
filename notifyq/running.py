"""Keeping a loop alive: run it, and run it again when it dies. Let it crash, but not for good.

Loops that serve (claims, settling, sweeping, gathering) hold nothing that is not in the database
or handed over elsewhere, so starting afresh on a new connection is always right. A bug in one
lane then costs that lane a moment and a log line, and no other lane anything.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

C = TypeVar("C")
_log = logging.getLogger("notifyq.running")


async def keep_running(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    pause_s: float,
    stop: asyncio.Event | None = None,
) -> None:
    """Run `work` until it returns; after an error log it, wait `pause_s` and run it again.

    Ends when `work` returns, when `stop` is set between two runs, or by cancellation, which
    `work` sees too.
    """
    while stop is None or not stop.is_set():
        task = asyncio.ensure_future(work())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        error = task.exception()
        if error is None:
            return
        # With a traceback only where it tells something: a database that is away is no bug.
        away = isinstance(error, OSError) or type(error).__module__.startswith("psycopg")
        _log.error("event=%s.broken error=%s", name, error, exc_info=None if away else error)
        if stop is None:
            await asyncio.sleep(pause_s)
        else:
            await first_of(stop, timeout_s=pause_s)


async def keep_running_on(
    name: str,
    connect: Callable[[], Awaitable[AbstractAsyncContextManager[C]]],
    work: Callable[[C], Awaitable[None]],
    *,
    pause_s: float,
) -> None:
    """Run `work` on one connection after another, as keep_running() does."""

    async def once() -> None:
        async with await connect() as conn:
            await work(conn)

    await keep_running(name, once, pause_s=pause_s)


async def first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
