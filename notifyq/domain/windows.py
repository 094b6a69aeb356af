"""Weeks of opening hours on the clocks of a place, as stretches of real time.

Instants are turned into local time, and local time into instants only for the two ends of a
window. An end that the clocks skip is the first instant after the skip. One that they show twice
is the second time for an opening and the first for a closing: of two readings the quieter one. So
what lies between the two is closed, even where the clock alone would say open.
"""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from notifyq.domain.holidays import is_federal_holiday
from notifyq.domain.zones import local_instant, zone

# How far ahead an opening is looked for. One place is never closed for four days (the longest is a
# holiday observed on Friday, then a Sunday); several may have only one weekday in common.
HORIZON = timedelta(days=8)
_DAY = timedelta(days=1)


class Span(NamedTuple):
    """From `opens` to before `closes`, local; where that is not later, `closes` of the next day."""

    opens: time
    closes: time


class Week(NamedTuple):
    """The hours of Monday to Sunday (None: closed), and whether they hold on holidays."""

    days: tuple[Span | None, ...]
    on_holidays: bool = True

    def span(self, day: date) -> Span | None:
        """Return the hours of a local date."""
        if not self.on_holidays and is_federal_holiday(day):
            return None
        return self.days[day.weekday()]


def next_stretch(
    week: Week, place: str, at: datetime, guard: timedelta
) -> tuple[datetime, datetime] | None:
    """Return the first stretch that is usable at `at` or later: from when, and when it closes.

    It is usable from `guard` after it opens to before `guard` before it closes; `from` is `at` if
    it is usable then. None: there is none within HORIZON. BadZone: see zones.zone().
    """
    day = at.astimezone(zone(place)).date() - 2 * _DAY  # that day's may last into this one
    span = week.span(day)
    for _ in range(HORIZON.days + 4):
        following = week.span(day + _DAY)
        if span is not None:
            opens, closes = _stretch(span, following, place, day)
            usable = max(at, opens + guard)
            if usable + guard < closes:
                return usable, closes
        day, span = day + _DAY, following
    return None


@lru_cache(maxsize=4_096)  # a few days, a few spans, of every zone that is in use
def _stretch(
    span: Span, following: Span | None, place: str, day: date
) -> tuple[datetime, datetime]:
    """Return when the hours of a local date open and close, in UTC; not open if not before.

    Where the clocks skip all of the pause before the next day's hours, those go with them: there
    is no end to keep a guard from.
    """
    opens, closes = _ends(span, place, day)
    if following is not None:
        reopens, later = _ends(following, place, day + _DAY)
        if reopens <= closes:
            return opens, later
    return opens, closes


def _ends(span: Span, place: str, day: date) -> tuple[datetime, datetime]:
    opens = local_instant(day, span.opens, place, last=True)
    last = day if span.opens < span.closes else day + _DAY
    return opens, local_instant(last, span.closes, place)
