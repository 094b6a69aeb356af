"""The hours against the plainest reading of the clock, minute by minute, around clock changes.

A part of the changes by default; all of them with NOTIFYQ_TEST_FULL=1.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from itertools import product
from random import Random

import pytest

from notifyq.domain.hours import Closed, Hours, Open, Quiet, Whereabouts, look
from tests.domain.hours_reference import (
    MINUTE,
    YEARS,
    HoursOf,
    Strip,
    changes,
    guarded,
    is_holiday,
    next_false,
    next_true,
)

FULL = os.environ.get("NOTIFYQ_TEST_FULL") == "1"
CHANGES_A_ZONE = 10_000 if FULL else 2
PARTS = 10 if FULL else 1  # of them: no test takes a minute
QUIETS_A_CHANGE = 12 if FULL else 3  # other ones at every change
INSTANTS_A_ZONE = 60 if FULL else 1  # random ones, far from any change mostly
REGIONS = {
    "Africa": "Cairo Casablanca Johannesburg Khartoum Lagos",
    "America": (
        "Adak Anchorage Argentina/Buenos_Aires Asuncion Boise Caracas Chicago Denver Edmonton "
        "Halifax Havana Juneau Los_Angeles Mexico_City New_York North_Dakota/Center Nuuk "
        "Phoenix Puerto_Rico Santiago Sao_Paulo Scoresbysund St_Johns Vancouver Winnipeg"
    ),
    "Antarctica": "Casey Troll",
    "Asia": "Amman Beirut Dhaka Gaza Jerusalem Kathmandu Kolkata Pyongyang Tehran Tokyo",
    "Atlantic": "Azores",
    "Australia": "Adelaide Eucla Lord_Howe Sydney",
    "Europe": "Dublin Istanbul London Moscow Volgograd",
    "Pacific": "Apia Auckland Chatham Fiji Guam Honolulu Kiritimati Norfolk Tongatapu",
}
ZONES = [f"{region}/{name}" for region, names in REGIONS.items() for name in names.split()]
BEFORE, AFTER = timedelta(hours=30), timedelta(hours=46)  # of a change, in a strip
NOON, MIDNIGHT = time(12), time(0)
# Start and end of quiet hours: past midnight, at midnight, within hours that change, nearly always.
QUIETS = [
    *((time(22), time(7)), (time(22), time(2, 30)), (time(2, 15), time(2, 45))),
    *((time(1, 15), time(1, 45)), (time(1, 45), time(1, 15)), (MIDNIGHT, time(8))),
    *((time(20), MIDNIGHT), (time(23, 30), time(0, 15)), (time(0, 30), time(23, 45))),
]


def courtesy_of(day: date) -> tuple[time, time]:
    return time(8), time(21)


@cache
def no_data_of(day: date) -> tuple[time, time] | None:
    """Return the legal hours where no state is known."""
    if is_holiday(day) or day.weekday() == 6:
        return None
    return time(10), time(17) if day.weekday() == 5 else time(18)


def quiet_of(start: time, end: time) -> HoursOf:
    return lambda day: (end, start)


def quiets_at(change: datetime, place: str) -> Iterator[tuple[time, time]]:
    """Yield quiet hours with ends at, within and around what a change skips or repeats."""
    before, after = Strip(place, change - MINUTE, 2).walls
    low, high = sorted([before + MINUTE, after])
    inside = low + (high - low) // 2 // MINUTE * MINUTE
    edges = [each.time() for each in (low, inside, high, high + 3 * MINUTE)]
    for one, other in product(edges, [*edges, NOON]):
        if one != other:
            yield one, other
            if other == NOON:
                yield other, one


@dataclass(frozen=True)
class Told:
    """What the reference says of one place, to hold answers against."""

    start: datetime
    opens: list[bool]
    guard: int = 0  # minutes

    @cached_property
    def usable(self) -> list[bool]:
        return guarded(self.opens, self.guard)

    def check(self, now: datetime, hours: Hours, where: Whereabouts) -> None:
        """Compare one answer with a strip of what is open."""
        at = (now - self.start) // MINUTE
        answer = look(now, hours, where, guard_s=60 * self.guard)
        told = (where, hours, now.isoformat(), self.guard, answer)
        if self.usable[at]:
            closes = next_false(self.opens, at)
            assert closes is not None, told
            assert answer == Open(self.start + closes * MINUTE), told
            return
        assert isinstance(answer, Closed), told
        first = next_true(self.usable, at)
        if first is not None:
            assert answer.until == self.start + first * MINUTE, told
        elif answer.until is not None:  # the strip ends before
            assert answer.until >= self.start + (len(self.usable) - self.guard) * MINUTE, told


def instants(change: datetime, random: Random) -> list[datetime]:
    """Return instants near a change and some within 18 hours of it."""
    near = [-121, -61, -60, -46, -31, -30, -16, -1, 0, 1, 14, 15, 29, 30, 44, 59, 60, 75, 120]
    far = [random.randrange(-18 * 60, 18 * 60) for _ in range(12)]
    return [change + n * MINUTE for n in (*near, *far)]


@cache
def changes_of(place: str) -> list[datetime]:
    found = list(changes(place))
    return sorted(Random(place).sample(found, min(len(found), CHANGES_A_ZONE)))


def test_the_zones_are_of_all_kinds() -> None:
    assert len(ZONES) == len(set(ZONES)) >= 40


@pytest.mark.parametrize("place", ZONES)
@pytest.mark.parametrize("part", range(PARTS))
def test_around_clock_changes_look_says_what_the_clock_says(place: str, part: int) -> None:
    for change in changes_of(place)[part::PARTS]:
        random = Random(f"{place} {change}")
        strip = Strip(place, change - BEFORE, (BEFORE + AFTER) // MINUTE)
        asked = instants(change, random)
        told = Told(strip.start, strip.open_minutes(courtesy_of), random.choice((0, 1, 90)))
        for now in asked:
            told.check(now, Hours.COURTESY, Whereabouts(frozenset({place})))
        quiets = [*QUIETS, *quiets_at(change, place)]
        for start, end in random.sample(quiets, QUIETS_A_CHANGE):
            opens = strip.open_minutes(quiet_of(start, end))
            told = Told(strip.start, opens, random.choice((0, 0, 7)))
            for now in asked:
                where = Whereabouts(own_zone=place, quiet=Quiet(start, end))
                told.check(now, Hours.RECIPIENT, where)


@pytest.mark.parametrize("place", ZONES)
def test_at_any_time_of_fifty_years_look_says_what_the_clock_says(place: str) -> None:
    random = Random(place)
    first = datetime(YEARS[0], 1, 3, tzinfo=UTC)
    for _ in range(INSTANTS_A_ZONE):
        now = first + random.randrange(49 * 365 * 24 * 60) * MINUTE
        strip = Strip(place, now - timedelta(days=1), 6 * 24 * 60)  # longer than any closing
        where = Whereabouts(frozenset({place}))
        told = Told(strip.start, strip.open_minutes(no_data_of), random.choice((0, 5)))
        told.check(now, Hours.LEGAL, where)


@pytest.mark.parametrize("number", range(600 if FULL else 15))
def test_several_places_are_open_when_the_clock_of_each_says_so(number: int) -> None:
    random = Random(number)
    places = random.sample(ZONES, random.choice((2, 2, 3)))
    change = random.choice(changes_of(places[0]) or [datetime(2027, 3, 14, 7, tzinfo=UTC)])
    strips = [Strip(place, change - BEFORE, (BEFORE + AFTER) // MINUTE) for place in places]
    start, end = random.choice(QUIETS)
    each = [
        strip.open_minutes(hours_of)
        for strip in strips
        for hours_of in (courtesy_of, quiet_of(start, end))
    ]
    together = list(map(all, zip(*each[::2], strict=True)))
    opens = list(map(all, zip(*each, strict=True)))
    where = Whereabouts(frozenset(places), quiet=Quiet(start, end))
    told = Told(strips[0].start, opens)
    for now in instants(change, random):
        # Where they are never open together again, other hours count: see test_hours.
        if next_true(together, strips[0].at(now)) is not None:
            told.check(now, Hours.COURTESY, where)
