"""The hours once more, by the plainest code: minute after minute, read from the clock on the wall.

It shares nothing with notifyq.domain.hours but the zone data. A strip is a run of UTC minutes with
what the clocks of a place show at each. A minute is open when its clock says so, except where an
end of the hours is shown twice: everything between the two times is closed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from notifyq.domain.zones import zone

MINUTE = timedelta(minutes=1)
YEARS = range(2000, 2050)

# From a local date to when it opens and closes, both on the clock; None: closed all day. Where
# the closing is not later than the opening, the pause lies between the two.
HoursOf = Callable[[date], tuple[time, time] | None]


@dataclass(frozen=True)
class Strip:
    """A run of minutes in a place."""

    place: str
    start: datetime
    minutes: int

    @cached_property
    def walls(self) -> list[datetime]:
        """What the clocks show at each minute."""
        there = zone(self.place)
        instants = (self.start + n * MINUTE for n in range(self.minutes))
        return [instant.astimezone(there).replace(tzinfo=None, fold=0) for instant in instants]

    def at(self, instant: datetime) -> int:
        """Return the number of the minute that an instant is in."""
        return (instant - self.start) // MINUTE

    def open_minutes(self, hours_of: HoursOf) -> list[bool]:
        """Say for each minute whether it is open."""
        found: list[bool] = []
        seen: dict[datetime, int] = {}
        for number, wall in enumerate(self.walls):
            hours, shown = hours_of(wall.date()), wall.time()
            found.append(hours is not None and is_open_on_the_wall(shown, *hours))
            if hours is not None and shown in hours:
                first = seen.setdefault(wall, number)
                found[first:number] = [False] * (number - first)
        return found


def is_open_on_the_wall(shown: time, opens: time, closes: time) -> bool:
    """Say what the clock alone says."""
    if opens < closes:
        return opens <= shown < closes
    return not closes <= shown < opens


def guarded(found: list[bool], minutes: int) -> list[bool]:
    """Close what is within so many minutes of an end (of the strip, too)."""
    if not minutes:
        return found
    result, run = [], 0
    for number, is_open in enumerate(found):
        run = run + 1 if is_open else 0
        if number >= minutes:
            result.append(run > 2 * minutes)
    return result + [False] * minutes


def next_true(found: list[bool], number: int) -> int | None:
    """Return the first open minute from one on."""
    return next((n for n in range(number, len(found)) if found[n]), None)


def next_false(found: list[bool], number: int) -> int | None:
    """Return the first closed minute from one on."""
    return next((n for n in range(number, len(found)) if not found[n]), None)


def changes(place: str) -> Iterator[datetime]:
    """Yield the instants, to the minute, at which the clocks of a place are changed."""
    there = zone(place)
    step = timedelta(hours=12)
    at, end = datetime(YEARS[0], 1, 1, tzinfo=UTC), datetime(YEARS[-1], 12, 31, tzinfo=UTC)
    offset = at.astimezone(there).utcoffset()
    while at < end:
        later = at + step
        new = later.astimezone(there).utcoffset()
        if new != offset:
            yield _first_with(place, new, at)
        at, offset = later, new


def _first_with(place: str, offset: timedelta | None, at: datetime) -> datetime:
    there = zone(place)
    while at.astimezone(there).utcoffset() != offset:
        at += MINUTE
    return at


def is_holiday(day: date) -> bool:
    """Say whether a date is a federal holiday or the day on which one is observed."""
    if _is_holiday_itself(day):
        return True
    if day.weekday() == 4:
        return _is_fixed_holiday(day + timedelta(days=1))
    return day.weekday() == 0 and _is_fixed_holiday(day - timedelta(days=1))


def _is_fixed_holiday(day: date) -> bool:
    return (day.month, day.day) in {(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)}


def _is_holiday_itself(day: date) -> bool:
    monday, thursday = day.weekday() == 0, day.weekday() == 3
    return (
        _is_fixed_holiday(day)
        or (monday and day.month in (1, 2) and 15 <= day.day <= 21)
        or (monday and day.month == 5 and day.day >= 25)
        or (monday and day.month == 9 and day.day <= 7)
        or (monday and day.month == 10 and 8 <= day.day <= 14)
        or (thursday and day.month == 11 and 22 <= day.day <= 28)
    )
