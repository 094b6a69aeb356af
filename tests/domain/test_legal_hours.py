"""The hours of each state, and of several; and the holidays on which there are none."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from notifyq.domain.area_codes import STATES
from notifyq.domain.holidays import is_federal_holiday
from notifyq.domain.hours import Hours, Open, Whereabouts, look
from notifyq.domain.legal_hours import legal_week
from notifyq.domain.windows import Week
from notifyq.domain.zones import local_instant
from tests.domain.hours_reference import YEARS, is_holiday

MONDAY, SATURDAY, SUNDAY = 0, 5, 6
DAY = timedelta(days=1)


def told(states: str) -> tuple[str, ...]:
    """Return the hours of weekdays, Saturday and Sunday for states as in "FL WA"."""
    week = legal_week(frozenset(states.split()))
    assert len(set(week.days[:5])) == 1
    assert not week.on_holidays
    return tuple(
        "closed" if span is None else f"{span.opens:%H}-{span.closes:%H}" for span in week.days[4:]
    )


@pytest.mark.parametrize(
    ("states", "hours"),
    [
        ("FL", ("08-20", "08-20", "08-20")),
        ("OK", ("08-20", "08-20", "08-20")),
        ("WA", ("08-20", "08-20", "08-20")),
        ("MD", ("08-20", "08-20", "08-20")),
        ("OR", ("08-20", "08-20", "08-20")),
        ("NJ", ("08-20", "08-20", "08-20")),
        ("MA", ("08-20", "08-20", "08-20")),
        ("TX", ("09-21", "09-21", "12-21")),
        ("CT", ("09-20", "09-20", "09-20")),
        ("NV", ("09-20", "09-20", "09-20")),
        ("VA", ("08-21", "08-21", "08-21")),
        ("RI", ("09-18", "10-17", "10-17")),
        ("AL", ("08-20", "08-20", "closed")),
        ("LA", ("08-20", "08-20", "closed")),
        ("MS", ("08-20", "08-20", "closed")),
        ("KY", ("10-21", "10-21", "10-21")),
        ("MI", ("09-21", "09-21", "09-21")),
        ("MN", ("09-21", "09-21", "09-21")),
        ("NM", ("09-21", "09-21", "09-21")),
        # The floor, where no row is known of a state.
        ("CA", ("09-20", "09-20", "12-20")),
        ("DC", ("09-20", "09-20", "12-20")),
        # No state data: the strictest. Guam and what is no state are as good as none.
        ("", ("10-18", "10-17", "closed")),
        ("GU", ("10-18", "10-17", "closed")),
        ("ZZ", ("10-18", "10-17", "closed")),
        # Several: what all allow.
        ("FL WA", ("08-20", "08-20", "08-20")),
        ("TX FL", ("09-20", "09-20", "12-20")),
        ("KY RI", ("10-18", "10-17", "10-17")),
        ("VA AL", ("08-20", "08-20", "closed")),
        ("VA GU", ("10-18", "10-17", "closed")),
    ],
)
def test_the_hours_of_states(states: str, hours: tuple[str, ...]) -> None:
    assert told(states) == hours


def is_within(inner: Week, outer: Week) -> bool:
    return all(
        small is None
        or (large is not None and large.opens <= small.opens < small.closes <= large.closes)
        for small, large in zip(inner.days, outer.days, strict=True)
    )


def test_the_strictest_hours_are_within_those_of_every_state_and_all_within_the_federal() -> None:
    federal = legal_week(frozenset({"VA"}))
    for state in STATES:
        week = legal_week(frozenset({state}))
        assert is_within(legal_week(frozenset()), week), state
        assert is_within(week, federal), state


def test_more_candidate_states_never_open_more() -> None:
    for one in sorted(STATES):
        for other in sorted(STATES):
            both = legal_week(frozenset({one, other}))
            assert is_within(both, legal_week(frozenset({one})))


@pytest.mark.parametrize("state", ["FL", "CA", "AL", ""])
def test_on_a_federal_holiday_there_are_no_hours_anywhere(state: str) -> None:
    week = legal_week(frozenset(state.split()))
    thanksgiving = date(2026, 11, 26)
    assert week.span(thanksgiving) is None
    assert week.span(thanksgiving - DAY) is not None


def test_the_longest_that_law_closes_is_well_within_the_horizon() -> None:
    """Independence Day of 2026 is a Saturday, observed on Friday, before a Sunday."""
    where = Whereabouts(frozenset({"America/New_York"}))
    thursday = local_instant(date(2026, 7, 2), time(18), "America/New_York")
    answer = look(thursday, Hours.LEGAL, where)
    assert not isinstance(answer, Open)
    assert answer.until == datetime(2026, 7, 6, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-03"),
        *("2026-07-04", "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25"),
        *("2021-12-31", "2022-01-01", "2023-01-01", "2023-01-02", "2022-06-20", "2021-12-24"),
    ],
)
def test_a_holiday_and_the_day_on_which_it_is_observed(text: str) -> None:
    assert is_federal_holiday(date.fromisoformat(text))


def test_the_holidays_of_fifty_years_are_those_that_a_calendar_shows() -> None:
    day = date(YEARS[0], 1, 1)
    while day.year in YEARS:
        assert is_federal_holiday(day) == is_holiday(day), day
        day += DAY
