"""Waiting: `Prefer: wait=N` holds an answer back until the notification has settled, or N s.

What is stored is the 202; waiting is a read on top of it. So a replay may wait too, and the
preference is no part of the request that a key stands for. One query asks for everybody who
waits in this process, and no connection is held between two of these.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

from starlette.requests import Request

from notifyq.running import keep_running

WAIT_S_MAX = 30  # a longer wish is cut to this: proxies end what stays silent for a minute
WAITING_MAX = 1_000  # requests that wait at a time; those beyond are answered at once
PREFER_LENGTH_MAX = 1_000  # characters; a longer header is not looked into
POLL_S = 0.05
BROKEN_S = 0.5

# RFC 7240: preferences stand between commas, each with parameters behind semicolons; a comma or
# semicolon in a quoted string counts for nothing.
_BETWEEN_COMMAS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+')
_PREFERENCE = re.compile(r'\s*([^\s=;"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*)))?\s*(?:;.*)?')


def read_wait(headers: Iterable[str]) -> int | None:
    """Return the seconds that the Prefer headers ask to wait, at most WAIT_S_MAX; None: not.

    The first `wait` counts. A value that is no whole number from 1 is ignored, as all of a
    preference that is not understood (RFC 7240).
    """
    text = ",".join(headers)
    for name, value in _preferences(text) if len(text) <= PREFER_LENGTH_MAX else ():
        if name == "wait":
            good = value.isascii() and value.isdigit() and len(value) <= 9 and int(value) > 0
            return min(int(value), WAIT_S_MAX) if good else None
    return None


def _preferences(text: str) -> Iterable[tuple[str, str]]:
    for one in _BETWEEN_COMMAS.findall(text):
        found = _PREFERENCE.fullmatch(one)
        if found:
            yield found[1].lower(), found[2] or found[3] or ""


Settled = Callable[[list[UUID]], Awaitable[set[UUID]]]


class WaitingRoom:
    """Where requests wait for their notifications to settle."""

    def __init__(self, settled: Settled) -> None:
        """settled: says which of these notifications have settled."""
        self._settled = settled
        self._waiting: dict[asyncio.Future[None], UUID] = {}
        self._somebody = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start looking, whenever somebody waits."""
        self._loop = asyncio.create_task(keep_running("waiting", self._look, pause_s=BROKEN_S))

    async def stop(self) -> None:
        """Stop looking; who waits still gets the stored answer when the time is over."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def wait(self, notification_id: UUID, wait_s: float, request: Request) -> bool | None:
        """Wait; True once it has settled, False if it has not in time, None if the room is full.

        Ends too when the client goes away, for then nobody reads the answer.
        """
        if len(self._waiting) >= WAITING_MAX:
            return None
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(_gone(request))
        self._waiting[told] = notification_id
        self._somebody.set()
        try:
            await asyncio.wait({told, gone}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            return told.done()
        finally:
            del self._waiting[told]
            gone.cancel()

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            if not self._waiting:
                self._somebody.clear()
                continue
            settled = await self._settled(list(set(self._waiting.values())))
            for told, notification_id in self._waiting.items():
                if notification_id in settled and not told.done():
                    told.set_result(None)
            await asyncio.sleep(POLL_S)


async def _gone(request: Request) -> None:
    """Return when the client has gone; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
