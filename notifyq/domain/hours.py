"""When a message may be sent: the hours of its category, where the recipient may be.

Nobody knows where a phone is. So there are candidates, and every one of them must be open.
The instant is turned into each candidate's local time; weekdays, dates and holidays are local.
What a category obeys (`any` for codes, `legal` for what sells) is the category's own setting.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from notifyq.domain.legal_hours import CENTRAL, TEXAS, legal_week
from notifyq.domain.windows import HORIZON, Span, Week, next_stretch


class Hours(StrEnum):
    """Which hours the messages of a category keep."""

    ANY = "any"
    RECIPIENT = "recipient"  # the person's own quiet hours, if there are any
    COURTESY = "courtesy"  # 8 to 21 where they are, and their own
    LEGAL = "legal"  # what their states allow for selling, and their own


class Why(StrEnum):
    """What closes."""

    QUIET_HOURS = "quiet_hours"
    COURTESY_HOURS = "courtesy_hours"
    LEGAL_HOURS = "legal_hours"
    NO_ZONE = "no_zone"  # nobody knows where the person is
    NO_COMMON_HOURS = "no_common_hours"  # the candidates are never open together


class BadQuiet(ValueError):
    """These are no quiet hours; the message says the mend."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A person's own quiet hours: from `start` to before `end`, local, past midnight or not.

    BadQuiet: both are the same, or one has a time zone of its own.
    """

    start: time
    end: time

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise BadQuiet("must be local times without a zone, like 22:00")
        if self.start == self.end:
            raise BadQuiet("must not start and end at the same time; leave them out for none")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of where a person is: IANA zones and US states that are all possible.

    own_zone is the one that the person set: then no other zone counts. The states still do: some
    presume that whoever has their area code lives there.
    """

    zones: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    own_zone: str | None = None
    quiet: Quiet | None = None
    unbound: bool = False  # by the hours of the law: then only their own count


@dataclass(frozen=True, slots=True)
class Open:
    """It may be sent now, and must have left before `until` (aware UTC; None: no end)."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Closed:
    """Not now. `until`: when everything is open next, aware UTC; None: not within HORIZON."""

    until: datetime | None
    reason: Why
    zone: str | None  # of those closed now, the one that opens last; None: not of one place


class _Rule(NamedTuple):
    """One thing that must be open: a week in a zone, and what it is called when it is not."""

    week: Week
    zone: str
    reason: Why


_COURTESY = Week((Span(time(8), time(21)),) * 7)
# For whom nobody knows the zone: within 8 to 20 in all of the lower 48 states, the whole year.
# In Alaska it begins at 7:00, in Hawaii at 5:00 or 6:00; hours that spare Hawaii too begin at
# 14:00 in summer, and everybody else would get nothing in the morning.
_ANYWHERE = _Rule(Week((Span(time(11), time(20)),) * 7), "America/New_York", Why.COURTESY_HOURS)
# The lower 48 again, for quiet hours of a person whose zone nobody knows.
_LOWER_48 = frozenset(
    {
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Phoenix",
        "America/Los_Angeles",
    }
)


def look(now: datetime, hours: Hours, where: Whereabouts, *, guard_s: float = 0) -> Open | Closed:
    """Say whether a message may be sent now, and if not, when.

    now: aware. guard_s: seconds (>= 0) that it may take to reach the phone, plus what our clock
    may be wrong by: closed within that time of either end of a window. `Open.until` is the window's
    own end, the guard not taken off. ValueError: `now` has no zone, guard_s is negative.
    zones.BadZone: one of the zones is not in the data.
    """
    if now.tzinfo is None or guard_s < 0:
        raise ValueError("needs an aware time, and a guard of 0 s or more")
    now, guard = now.astimezone(UTC), timedelta(seconds=guard_s)
    hours = Hours.RECIPIENT if where.unbound else hours
    zones = where.zones if where.own_zone is None else frozenset({where.own_zone})
    if hours is Hours.LEGAL and not zones:
        return Closed(None, Why.NO_ZONE, None)
    rules = _rules(hours, zones, where.states)
    if hours is Hours.COURTESY and (not rules or not _meet(rules, now)):
        rules = [_ANYWHERE]
    if where.quiet is not None and hours is not Hours.ANY:
        rules += _quiet_rules(where.quiet, zones or _LOWER_48)
    return _judge(rules, now, guard)


def _rules(hours: Hours, zones: frozenset[str], states: frozenset[str]) -> list[_Rule]:
    if hours is Hours.COURTESY:
        return [_Rule(_COURTESY, place, Why.COURTESY_HOURS) for place in sorted(zones)]
    if hours is not Hours.LEGAL:
        return []
    week = legal_week(states)
    places = zones | {CENTRAL} if TEXAS in states else zones
    return [_Rule(week, place, Why.LEGAL_HOURS) for place in sorted(places)]


def _meet(rules: list[_Rule], now: datetime) -> bool:
    """Say whether the hours of all have anything in common; those of one zone have.

    Without the guard: hours that are merely shorter than it stay the hours.
    """
    return len(rules) == 1 or _next_common(rules, now, timedelta(0)) is not None


def _quiet_rules(quiet: Quiet, zones: frozenset[str]) -> list[_Rule]:
    week = Week((Span(quiet.end, quiet.start),) * 7)
    return [_Rule(week, place, Why.QUIET_HOURS) for place in sorted(zones)]


def _judge(rules: list[_Rule], now: datetime, guard: timedelta) -> Open | Closed:
    """Return Open if all rules are open now; else when they will be, and which waits longest."""
    found = [(rule, next_stretch(rule.week, rule.zone, now, guard)) for rule in rules]
    waits = [(rule, stretch[0]) for rule, stretch in found if stretch and stretch[0] > now]
    closings = [stretch[1] for _, stretch in found if stretch]
    if not waits and len(closings) == len(rules):
        return Open(min(closings, default=None))
    until = _next_common(rules, now, guard)
    if until is None:
        return Closed(None, Why.NO_COMMON_HOURS, None)
    slowest = max(waits, key=lambda each: each[1])[0]
    return Closed(until, slowest.reason, slowest.zone)


def _next_common(rules: list[_Rule], now: datetime, guard: timedelta) -> datetime | None:
    """Return the first instant from `now` at which all rules are open; None: not within HORIZON.

    Whatever waits longest moves the instant on, and all are asked again there.
    """
    at = now
    while at <= now + HORIZON:
        found = [next_stretch(rule.week, rule.zone, at, guard) for rule in rules]
        usable = [stretch[0] for stretch in found if stretch is not None]
        if len(usable) < len(rules):
            return None
        latest = max(usable, default=at)
        if latest == at:
            return at
        at = latest
    return None
