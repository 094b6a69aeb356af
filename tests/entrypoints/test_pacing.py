"""A lane claims no more than its vendor's quota lets begin."""

from datetime import UTC, datetime, timedelta

from notifyq.domain.pace import Pace
from notifyq.entrypoints.worker.pacing import WAIT_S_MIN, Pacer

NOON = datetime(2026, 11, 22, 12, 7, 30, tzinfo=UTC)  # no quarter of an hour


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


def test_without_a_pace_everything_that_is_wanted_is_granted() -> None:
    pacer = Pacer(None, Clock())
    assert (pacer.take(64), pacer.wait_s()) == (64, 0.0)
    pacer.give_back(64)


def test_no_more_is_granted_than_the_quota_has_and_the_wait_is_for_the_next() -> None:
    clock = Clock()
    pacer = Pacer(Pace(10.0, 10.0), clock)
    assert [pacer.take(8), pacer.take(8), pacer.take(8)] == [8, 2, 0]
    assert pacer.wait_s() == 0.1
    clock.at += timedelta(seconds=pacer.wait_s())
    assert pacer.take(8) == 1


def test_what_found_no_job_is_there_for_the_next_claim() -> None:
    pacer = Pacer(Pace(10.0, 10.0), Clock())
    assert pacer.take(8) == 8
    pacer.give_back(7)
    assert pacer.take(64) == 9


def test_an_idle_lane_is_let_to_look_again_and_again() -> None:
    """Every poll takes room and gives it back: none of it may be lost, or idling would tire it."""
    clock = Clock()
    pacer = Pacer(Pace(10_000.0, 10_000.0, ramp_s=60.0, quiet_share=0.5), clock)
    for _ in range(1_000):
        granted = pacer.take(64)
        assert granted == 64
        pacer.give_back(granted)
        clock.at += timedelta(milliseconds=1)


def test_a_wait_is_never_so_short_that_it_only_burns_time() -> None:
    pacer = Pacer(Pace(10_000.0, 1.0), Clock())
    assert pacer.take(1) == 1
    assert pacer.wait_s() == WAIT_S_MIN
