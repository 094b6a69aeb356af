"""When the law lets a company text to sell, by the recipient's states.

Each state's hours are local to the recipient, and all candidate states must allow it. The floor
is the row of a state of which none is listed; a place outside the states and unknown states have
the strictest. Nobody is sold anything on a federal holiday, wherever they are: some states forbid
it, and a list of which would be wrong first.
Vendors' tables of these laws disagree in places: an operator's counsel confirms what is used.
"""

from collections.abc import Iterable
from datetime import time
from functools import lru_cache

from notifyq.domain.area_codes import STATES
from notifyq.domain.windows import Span, Week

# The hours of Texas may be those of Texas's own time, which is Central: El Paso is under both.
CENTRAL = "America/Chicago"
TEXAS = "TX"


def _week(weekdays: tuple[int, int], saturday: tuple[int, int], sunday: tuple[int, int]) -> Week:
    """Return a week from the hours of Monday to Friday, Saturday and Sunday; (0, 0): closed."""
    days = [weekdays] * 5 + [saturday, sunday]
    return Week(tuple(Span(time(a), time(b)) if b else None for a, b in days), on_holidays=False)


_CLOSED = (0, 0)
_FEDERAL = _week((8, 21), (8, 21), (8, 21))  # 47 CFR 64.1200(c)(1)
_FLOOR = _week((9, 20), (9, 20), (12, 20))
_STRICTEST = _week((10, 18), (10, 17), _CLOSED)  # within every other row
_EIGHT_TO_EIGHT = _week((8, 20), (8, 20), (8, 20))
_NO_SUNDAY = _week((8, 20), (8, 20), _CLOSED)
_FROM_NINE = _week((9, 21), (9, 21), (9, 21))
_NINE_TO_EIGHT = _week((9, 20), (9, 20), (9, 20))
_ROWS = {
    "FL": _EIGHT_TO_EIGHT,  # FTSA, 501.616(6)
    "OK": _EIGHT_TO_EIGHT,  # OTSA, since 1 November 2022
    "WA": _EIGHT_TO_EIGHT,  # HB 1497, since 9 June 2022
    "MD": _EIGHT_TO_EIGHT,  # since 1 January 2024
    "OR": _EIGHT_TO_EIGHT,  # HB 3865, since 1 January 2026
    "MA": _EIGHT_TO_EIGHT,
    "NJ": _EIGHT_TO_EIGHT,
    "TX": _week((9, 21), (9, 21), (12, 21)),  # SB 140, since 1 September 2025
    "CT": _NINE_TO_EIGHT,
    "NV": _NINE_TO_EIGHT,
    "VA": _FEDERAL,  # SB 1339, since 1 January 2026
    "RI": _week((9, 18), (10, 17), (10, 17)),
    "AL": _NO_SUNDAY,
    "LA": _NO_SUNDAY,
    "MS": _NO_SUNDAY,
    "KY": _week((10, 21), (10, 21), (10, 21)),
    "MI": _FROM_NINE,
    "MN": _FROM_NINE,
    "NM": _FROM_NINE,
}


@lru_cache(maxsize=1_024)
def legal_week(states: frozenset[str]) -> Week:
    """Return the hours that all of the states allow, never outside the federal ones.

    states: postal codes of two letters ("FL"); none known: the strictest hours.
    """
    rows = [_FEDERAL, *(_row(state) for state in states or {""})]
    return Week(tuple(_common(day) for day in zip(*(row.days for row in rows), strict=True)), False)


def _row(state: str) -> Week:
    return _ROWS.get(state, _FLOOR if state in STATES else _STRICTEST)


def _common(spans: Iterable[Span | None]) -> Span | None:
    """Return the hours that all have in common; every row has some around noon or is closed."""
    found = list(spans)
    hours = [span for span in found if span is not None]
    if len(hours) < len(found):
        return None
    return Span(max(span.opens for span in hours), min(span.closes for span in hours))
