"""The pace of one lane: how many sends its vendor's quota lets begin now (domain/pace.py)."""

from collections.abc import Callable
from datetime import datetime

from notifyq.domain.pace import Pace

WAIT_S_MIN = 0.005  # a shorter wait for the next token costs more than it gains


class Pacer:
    """Grants sends; without a pace, as many as are wanted."""

    def __init__(self, pace: Pace | None, now: Callable[[], datetime]) -> None:
        """now: the database's time, aware."""
        self._pace, self._now = pace, now
        self._bucket = pace.idle(now()) if pace else None

    def take(self, wanted: int) -> int:
        """Return how many of `wanted` may be claimed now."""
        if self._pace is None or self._bucket is None:
            return wanted
        granted, self._bucket = self._pace.allow(self._bucket, self._now(), wanted)
        return granted

    def give_back(self, unused: int) -> None:
        """Take back grants that found no job."""
        if self._pace is not None and self._bucket is not None:
            self._bucket = self._pace.give_back(self._bucket, unused)

    def wait_s(self) -> float:
        """Return the seconds until one more is granted."""
        if self._pace is None or self._bucket is None:
            return 0.0
        return max(WAIT_S_MIN, self._pace.wait_s(self._bucket))
