"""Pace: how many sends a vendor's own quota lets a lane begin now. Pure.

A token bucket that warms up. `level` is the share of the peak that is allowed: it climbs from next
to nothing to the whole over `ramp_s` seconds while more is wanted than allowed, and sinks as fast
while it is not. So a backlog that comes up from idle is not a wall of requests, and a lane that
merely ticks over has not earned its peak.

Around every quarter of an hour, when everybody's scheduled jobs start, the level is held to
`quiet_share` and climbs again from there.

Invariant: in any time no more is granted than `burst` and `per_second` times its length; a quota is
shared out to processes by whoever sets `per_second`.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime

# While it is asked at least this often, a lane whose wish was not met counts as busy.
BUSY_S = 2.0
# Seconds on either side of :00, :15, :30 and :45; firebase.google.com, "scale-fcm": avoid the two
# minutes around them.
QUIET_S = 60.0
_QUARTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of a lane's pace, at an instant."""

    at: datetime  # aware
    tokens: float  # sends that may begin at once
    level: float  # the share of the peak: above 0, to 1
    is_short: bool = False  # more was wanted than there was


@dataclass(frozen=True, slots=True)
class Pace:
    """A vendor's quota. ValueError: out of bounds."""

    per_second: float  # above 0
    burst: float  # at once, at the peak; 1 or more
    ramp_s: float = 0.0  # from idle to the peak; 0: none
    quiet_share: float = 1.0  # of the peak, around quarter hours: above 0, to 1

    def __post_init__(self) -> None:
        bounds = self.per_second > 0 and self.burst >= 1 and self.ramp_s >= 0
        if not (bounds and 0 < self.quiet_share <= 1):
            raise ValueError(f"out of bounds: {self}")

    def idle(self, now: datetime) -> Bucket:
        """Return the bucket of a lane that has sent nothing for long."""
        level = min(self._floor, self._ceiling(now))
        return Bucket(now, self._capacity(level), level)

    def allow(self, bucket: Bucket, now: datetime, wanted: int) -> tuple[int, Bucket]:
        """Return how many of `wanted` (0 or more) may begin now, and the bucket without them.

        now: aware; one that is earlier than the bucket's counts as the bucket's.
        """
        filled = self._filled(bucket, now)
        granted = min(wanted, math.floor(filled.tokens))
        left = replace(filled, tokens=filled.tokens - granted, is_short=granted < wanted)
        return granted, left

    def give_back(self, bucket: Bucket, unused: int) -> Bucket:
        """Return the bucket with grants that nobody used: there was not so much to send."""
        tokens = min(bucket.tokens + unused, self._capacity(bucket.level))
        return replace(bucket, tokens=tokens, is_short=bucket.is_short and unused == 0)

    def wait_s(self, bucket: Bucket) -> float:
        """Return the seconds after `bucket.at` until one may begin, at the bucket's level."""
        return max(0.0, 1 - bucket.tokens) / (self.per_second * bucket.level)

    def _filled(self, bucket: Bucket, now: datetime) -> Bucket:
        passed_s = max(0.0, (now - bucket.at).total_seconds())
        now = max(now, bucket.at)
        level = min(self._next_level(bucket, passed_s), self._ceiling(now))
        refill = self.per_second * min(bucket.level, level) * passed_s
        tokens = min(bucket.tokens + refill, self._capacity(level))
        return Bucket(now, tokens, level, bucket.is_short)

    def _next_level(self, bucket: Bucket, passed_s: float) -> float:
        if self.ramp_s == 0:
            return 1.0
        is_busy = bucket.is_short and passed_s <= BUSY_S
        step = passed_s / self.ramp_s
        return min(1.0, max(self._floor, bucket.level + (step if is_busy else -step)))

    @property
    def _floor(self) -> float:
        """The level at idle: a second's climb, and one a second where the peak is not below."""
        if self.ramp_s == 0:
            return 1.0
        return min(1.0, max(1 / self.ramp_s, 1 / self.per_second))

    def _ceiling(self, now: datetime) -> float:
        into_s = now.minute % 15 * 60 + now.second + now.microsecond / 1e6
        is_quiet = into_s < QUIET_S or into_s >= _QUARTER_S - QUIET_S
        return self.quiet_share if is_quiet else 1.0

    def _capacity(self, level: float) -> float:
        return max(1.0, self.burst * level)
