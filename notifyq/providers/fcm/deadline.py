"""A deadline by the clock that runs on while the machine sleeps, as the lease behind it does."""

import time

_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Deadline:
    """So many seconds from now, for more than one exchange."""

    def __init__(self, timeout_s: float) -> None:
        self._at_s = _boottime_s() + timeout_s

    def left_s(self) -> float:
        """Return the seconds that are left; 0 or less after it."""
        return self._at_s - _boottime_s()


def _boottime_s() -> float:
    return time.clock_gettime(_BOOTTIME)
