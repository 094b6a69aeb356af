"""The clock that runs on while the machine sleeps, as leases in the database do."""

import time

# Elsewhere than on Linux the monotonic clock has to do; it stops while the machine sleeps.
_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime_s() -> float:
    """Return seconds since boot, suspended time included."""
    return time.clock_gettime(_BOOTTIME)


class Deadline:
    """So many seconds from now."""

    __slots__ = ("at_s",)

    def __init__(self, timeout_s: float) -> None:
        self.at_s = boottime_s() + timeout_s

    def left_s(self) -> float:
        """Return the seconds that are left; 0 or less after it."""
        return self.at_s - boottime_s()
