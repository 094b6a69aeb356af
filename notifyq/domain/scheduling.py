"""When a delivery that is accepted now will be due, and why it waits. Pure.

What is said here is looked at again before each send (policy.py): wishes change, and so do clocks.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from hashlib import sha256

from notifyq.domain.hours import Closed, Hours, Whereabouts, look
from notifyq.domain.states import Reason
from notifyq.domain.zones import local_instant, zone

# Everybody's window opens on the hour. What waited for it is spread over so many seconds.
SPREAD_S = 600


@dataclass(frozen=True, slots=True)
class Schedule:
    """When it is due; None: at once. Never, where it is suppressed."""

    due: datetime | None = None
    reason: Reason | None = None
    suppressed: bool = False


AT_ONCE = Schedule()


def schedule(
    now: datetime,
    not_before: datetime | None,
    expires_at: datetime,
    hours: Hours,
    where: Whereabouts | None,
    *,
    who: bytes,
    guard_s: float,
) -> Schedule:
    """Return when a delivery is due.

    not_before: later than now, or None. who: spreads what opens at one time.
    """
    start = not_before or now
    asked = Schedule(not_before, Reason.NOT_BEFORE) if not_before else AT_ONCE
    if hours is Hours.ANY or where is None:
        return asked
    found = look(start, hours, where, guard_s=guard_s)
    if not isinstance(found, Closed):
        return asked
    reason = Reason(found.reason)
    if found.until is None or found.until >= expires_at:
        return Schedule(None, reason, suppressed=True)
    return Schedule(spread(found.until, expires_at, who), reason)


def after_midnight(
    since: datetime, place: str | None, expires_at: datetime, who: bytes
) -> datetime | None:
    """Return an instant soon after the midnight in a time zone that follows `since`.

    None: it would have expired by then, or there is no zone. who: spreads what opens at one time.
    """
    if place is None:
        return None
    tomorrow = since.astimezone(zone(place)).date() + timedelta(days=1)
    midnight = local_instant(tomorrow, time.min, place)
    return spread(midnight, expires_at, who) if midnight < expires_at else None


def spread(opens: datetime, expires_at: datetime, who: bytes) -> datetime:
    """Return an instant soon after an opening, always the same for one `who`, before it expires."""
    place = int.from_bytes(sha256(who).digest()[:4]) / 2**32
    room_s = min(SPREAD_S, (expires_at - opens).total_seconds() / 2)
    return opens + timedelta(seconds=place * room_s)
