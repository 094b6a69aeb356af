"""When what is parked is due again: soon after a midnight, spread, and before it expires."""

from datetime import UTC, datetime, timedelta

import pytest

from notifyq.domain.scheduling import SPREAD_S, after_midnight
from notifyq.domain.zones import BadZone

PACIFIC = "America/Los_Angeles"
SINCE = datetime(2026, 11, 23, 20, tzinfo=UTC)  # noon there
MIDNIGHT = datetime(2026, 11, 24, 8, tzinfo=UTC)
LATER = SINCE + timedelta(days=3)
WHO = b"a delivery's id "


@pytest.mark.parametrize(
    ("since", "midnight"),
    [
        ("2026-11-23T20:00", "2026-11-24T08:00"),
        ("2026-11-24T07:59", "2026-11-24T08:00"),
        ("2026-11-24T08:00", "2026-11-25T08:00"),  # at midnight a day begins
        ("2026-07-14T20:00", "2026-07-15T07:00"),  # in summer
        ("2026-11-01T07:30", "2026-11-02T08:00"),  # a day of 25 hours
        ("2026-03-08T09:00", "2026-03-09T07:00"),  # and one of 23
    ],
)
def test_it_is_the_next_midnight_of_that_place(since: str, midnight: str) -> None:
    start, end = (datetime.fromisoformat(f"{text}+00:00") for text in (since, midnight))
    at = after_midnight(start, PACIFIC, end + timedelta(days=3), WHO)
    assert at is not None
    assert end <= at < end + timedelta(seconds=SPREAD_S)


def test_many_are_spread_and_each_is_always_at_the_same_place() -> None:
    who = [n.to_bytes(16) for n in range(200)]
    found = [after_midnight(SINCE, PACIFIC, LATER, each) for each in who]
    assert found == [after_midnight(SINCE, PACIFIC, LATER, each) for each in who]
    ends = [(at - MIDNIGHT).total_seconds() for at in found if at is not None]
    assert 0 <= min(ends) < 30
    assert SPREAD_S - 30 < max(ends) < SPREAD_S
    assert len(set(ends)) == len(who)


@pytest.mark.parametrize(("left_s", "is_due"), [(-1, False), (0, False), (1, True), (60, True)])
def test_it_is_due_only_where_it_does_not_expire_before(left_s: int, is_due: bool) -> None:
    expires_at = MIDNIGHT + timedelta(seconds=left_s)
    at = after_midnight(SINCE, PACIFIC, expires_at, WHO)
    assert (at is not None) is is_due
    assert at is None or MIDNIGHT <= at < expires_at


def test_without_a_place_there_is_no_midnight_and_a_wrong_one_is_a_bug() -> None:
    assert after_midnight(SINCE, None, LATER, WHO) is None
    with pytest.raises(BadZone):
        after_midnight(SINCE, "Pacific/Nowhere", LATER, WHO)
