"""The federal holidays of the United States, on which nobody is sold anything."""

from datetime import date, timedelta
from functools import lru_cache

_DAY = timedelta(days=1)
# (month, day): New Year, Juneteenth, Independence, Veterans, Christmas. 5 U.S.C. 6103(a).
_FIXED = ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))
# (month, weekday from Monday 0, which): King, Washington, Labor, Columbus, Thanksgiving.
_NTH = ((1, 0, 3), (2, 0, 3), (9, 0, 1), (10, 0, 2), (11, 3, 4))


def is_federal_holiday(day: date) -> bool:
    """Say whether a date is a federal holiday, or the weekday on which one is observed.

    By today's law for every year. Inauguration Day is left out: it is a holiday in and around
    Washington only. A Saturday's is observed on Friday, a Sunday's on Monday (6103(b); Executive
    Order 11582); here the day itself counts too, which is the stricter reading.
    """
    return day in _holidays(day.year)


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    fixed = [date(year, month, day) for month, day in _FIXED]
    fixed.append(date(year + 1, 1, 1))  # observed on 31 December where it is a Saturday
    found = [*fixed, *(_nth(year, month, weekday, n) for month, weekday, n in _NTH)]
    memorial = _nth(year, 6, 0, 1) - 7 * _DAY  # the last Monday of May
    return frozenset([*found, memorial, *(_observed(day) for day in fixed)])


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + ((weekday - first.weekday()) % 7 + 7 * (n - 1)) * _DAY


def _observed(day: date) -> date:
    return day + {5: -_DAY, 6: _DAY}.get(day.weekday(), 0 * _DAY)
