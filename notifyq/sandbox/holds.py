"""Holds: requests that are being held now, until somebody lets them go or their client is gone."""

import asyncio
from collections.abc import Iterator, Mapping

from notifyq.sandbox.faults import HOLD_S_MAX


class Holds:
    """Requests that are being held now."""

    def __init__(self) -> None:
        self._held: dict[asyncio.Event, Mapping[str, object]] = {}

    async def hold(self, about: Mapping[str, object], hold_s: float | None) -> None:
        """Return after `hold_s` seconds (None: HOLD_S_MAX) or when released.

        CancelledError: the client went away meanwhile.
        """
        released = asyncio.Event()
        self._held[released] = about
        try:
            async with asyncio.timeout(HOLD_S_MAX if hold_s is None else hold_s):
                await released.wait()
        except TimeoutError:
            return
        finally:
            del self._held[released]

    def release(self) -> int:
        """Let all go; return how many."""
        for released in self._held:
            released.set()
        return len(self._held)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return iter(self._held.values())
