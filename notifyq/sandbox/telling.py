"""Telling: the callbacks about an accepted message, when they are made and how they go wrong.

Owns the order and the repeats; what is told, and signed, is the vendor's. What is still to be told
when the sandbox stops is never told.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import yarl

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.record import Acceptance, Record

DELAY_S = 0.05  # between two statuses; vendors take seconds, a test should not
TIMEOUT_S = 15.0  # Twilio's total; the others say less about it
TRIES = 2  # Twilio's default: once more when the connection failed


@dataclass(frozen=True, slots=True)
class Step:
    """A status that a message comes to, and the vendor's code for why."""

    word: str
    code: int | str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One callback, ready to be posted as often as it takes."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Teller:
    """Moves accepted messages on, and makes the calls about it."""

    def __init__(self, record: Record, *, delay_s: float = DELAY_S) -> None:
        self._record = record
        self._delay_s = delay_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def start(
        self,
        entry: Acceptance,
        good: Sequence[Step],
        bad: Sequence[Step],
        call: Callable[[Step], Call | None],
        fault: Fault | None,
    ) -> None:
        """Begin to move a message on, in the background.

        good, bad: its later statuses, and those if it is to be undelivered. call: what is told of
        one, made and signed when it is told; None for nobody.
        """
        name = fault.name if fault else ""
        steps = bad if name == "undelivered" else good
        told = list(reversed(steps)) if name == "reordered_callbacks" else list(steps)
        copies = {"no_callbacks": 0, "duplicate_callbacks": 2}.get(name, 1)

        async def run() -> None:
            for step, telling in zip(steps, told, strict=True):
                await asyncio.sleep(self._delay_s)
                self._record.move(entry.provider_id, step.word, step.code)
                if made := call(telling):
                    for _ in range(copies):
                        await self._tell(made)

        self.later(run())

    def later(self, work: Coroutine[None, None, None]) -> None:
        """Do something in the background, until the end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def post(self, call: Call) -> int | None:
        """Post once; return the status of the answer, None if none came."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._session.post(
                yarl.URL(call.url, encoded=True),
                data=call.body,
                headers=call.headers,
                allow_redirects=False,
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError):
            return None

    async def close(self) -> None:
        """Stop; what was not told yet never is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _tell(self, call: Call) -> None:
        """Post until an answer comes, whatever it says."""
        for _ in range(TRIES):
            if await self.post(call) is not None:
                return
