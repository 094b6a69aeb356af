"""How many sends a vendor's quota lets begin: the quota, the ramp, the quiet minutes."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.pace import BUSY_S, QUIET_S, Bucket, Pace

few = settings(max_examples=60, deadline=None)
LOUD = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)  # far from a quarter of an hour
FCM = Pace(per_second=10_000, burst=10_000, ramp_s=60, quiet_share=0.5)

paces = st.builds(
    Pace,
    per_second=st.floats(0.01, 20_000),
    burst=st.floats(1, 20_000),
    ramp_s=st.just(0.0) | st.floats(1, 120),
    quiet_share=st.floats(0.01, 1),
)
starts = st.floats(0, 31_536_000).map(
    lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
)
asks = st.lists(st.tuples(st.floats(0, 200), st.integers(0, 50_000)), min_size=1, max_size=30)


def after(start: datetime, seconds: float) -> datetime:
    return start + timedelta(seconds=seconds)


def run(
    pace: Pace, start: datetime, asked: Iterable[tuple[float, int]]
) -> list[tuple[datetime, int, Bucket]]:
    """Ask after each wait; return when, what was granted and what is left."""
    bucket, now, found = pace.idle(start), start, []
    for wait_s, wanted in asked:
        now = after(now, wait_s)
        granted, bucket = pace.allow(bucket, now, wanted)
        found.append((now, granted, bucket))
    return found


def greedy(seconds: float, step_s: float = 0.1) -> list[tuple[float, int]]:
    return [(step_s, 10**9)] * round(seconds / step_s)


def is_quiet(at: datetime) -> bool:
    into_s = (at.minute % 15) * 60 + at.second + at.microsecond / 1e6
    return into_s < QUIET_S or into_s >= 900 - QUIET_S


@few
@given(paces, starts, asks)
def test_in_no_time_is_more_granted_than_the_quota(
    pace: Pace, start: datetime, asked: list[tuple[float, int]]
) -> None:
    found = run(pace, start, asked)
    for first, last in itertools.combinations_with_replacement(range(len(found)), 2):
        length_s = (found[last][0] - found[first][0]).total_seconds()
        granted = sum(count for _, count, _ in found[first : last + 1])
        assert granted <= (pace.burst + pace.per_second * length_s) * (1 + 1e-9)


@few
@given(paces, starts, asks)
def test_no_more_is_granted_than_wanted_and_the_rest_is_kept(
    pace: Pace, start: datetime, asked: list[tuple[float, int]]
) -> None:
    for (_, wanted), (_, granted, bucket) in zip(asked, run(pace, start, asked), strict=True):
        assert 0 <= granted <= wanted
        assert bucket.is_short is (granted < wanted)
        assert not bucket.is_short or bucket.tokens < 1
        assert 0 <= bucket.tokens <= max(1, pace.burst * bucket.level)
        assert 0 < bucket.level <= 1


@few
@given(paces, starts, asks)
def test_in_the_quiet_minutes_the_level_is_held_to_the_share(
    pace: Pace, start: datetime, asked: list[tuple[float, int]]
) -> None:
    for at, granted, bucket in run(pace, start, asked):
        if is_quiet(at):
            assert bucket.level <= pace.quiet_share
            assert granted <= max(1, pace.burst * pace.quiet_share)


@few
@given(
    st.floats(1, 20_000),
    st.floats(1, 20_000),
    st.floats(1, 120),
    st.lists(st.floats(0.01, BUSY_S), max_size=60),
)
def test_from_idle_the_peak_is_climbed_to_no_faster_than_the_ramp(
    per_second: float, burst: float, ramp_s: float, waits_s: list[float]
) -> None:
    pace = Pace(per_second, burst, ramp_s)
    start_level = min(1.0, max(1 / ramp_s, 1 / per_second))
    at_s, total = 0.0, 0
    for (wait_s, _), (_, granted, bucket) in zip(
        [(wait_s, 0) for wait_s in waits_s],
        run(pace, LOUD, [(wait_s, 10**9) for wait_s in waits_s]),
        strict=True,
    ):
        at_s, total = at_s + wait_s, total + granted
        level = min(1.0, start_level + at_s / ramp_s)
        assert bucket.level <= level + 1e-6
        climbed = per_second * (start_level * at_s + at_s**2 / (2 * ramp_s))
        assert total <= (max(1, burst * level) + climbed) * (1 + 1e-6) + 1e-6


def test_a_backlog_reaches_the_peak_after_the_ramp_and_not_before() -> None:
    found = run(FCM, LOUD, greedy(90))
    by_second = [sum(count for _, count, _ in found[n * 10 : n * 10 + 10]) for n in range(90)]
    assert by_second[0] < 600  # a sixtieth of the peak, and its burst
    assert 4_500 < by_second[29] < 5_500
    assert by_second == sorted(by_second)
    assert {round(count, -2) for count in by_second[61:]} == {10_000}


def test_a_lane_that_ticks_over_has_not_earned_its_peak() -> None:
    """A mutant that warms up by time alone would grant all of it."""
    found = run(FCM, LOUD, [*[(1.0, 1)] * 300, (1.0, 10**9)])
    assert [count for _, count, _ in found[:-1]] == [1] * 300
    assert found[-1][1] < 400


def test_a_pause_lets_the_level_sink_again() -> None:
    busy = run(FCM, LOUD, greedy(70))
    _, _, bucket = busy[-1]
    assert bucket.level == 1
    for pause_s, level in [(BUSY_S, 1.0), (BUSY_S + 28, 0.5), (3_600, 1 / 60)]:
        _, later = FCM.allow(bucket, after(bucket.at, pause_s), 0)
        assert later.level == pytest.approx(level)


def test_after_the_quiet_minutes_it_climbs_from_the_share() -> None:
    start = datetime(2026, 11, 23, 12, 12, tzinfo=UTC)
    found = run(FCM, start, greedy(6 * 60))
    levels = {at: bucket.level for at, _, bucket in found}
    at = datetime(2026, 11, 23, 12, 13, 59, tzinfo=UTC)
    assert levels[at] == 1
    assert {level for when, level in levels.items() if is_quiet(when)} == {0.5}
    out = datetime(2026, 11, 23, 12, 16, tzinfo=UTC)
    assert levels[after(out, 15)] == pytest.approx(0.75, abs=0.01)
    assert levels[after(out, 31)] == 1


@pytest.mark.parametrize("minute", [0, 15, 30, 45])
@pytest.mark.parametrize(
    ("offset_s", "quiet"), [(-60.001, False), (-60, True), (0, True), (59.999, True), (60, False)]
)
def test_the_minute_on_either_side_of_a_quarter_is_quiet(
    minute: int, offset_s: float, quiet: bool
) -> None:
    at = after(datetime(2026, 11, 23, 12, minute, tzinfo=UTC), offset_s)
    pace = Pace(100, 100, quiet_share=0.25)
    assert pace.idle(at).level == (0.25 if quiet else 1)
    assert pace.allow(pace.idle(after(at, -300)), at, 1_000)[0] == (25 if quiet else 100)


def test_without_a_ramp_it_is_a_token_bucket() -> None:
    pace = Pace(per_second=10, burst=5)
    granted, bucket = pace.allow(pace.idle(LOUD), LOUD, 7)
    assert (granted, bucket.tokens, bucket.is_short) == (5, 0, True)
    granted, bucket = pace.allow(bucket, after(LOUD, 0.35), 7)
    assert granted == 3
    assert bucket.tokens == pytest.approx(0.5)
    assert pace.wait_s(bucket) == pytest.approx(0.05)
    assert pace.wait_s(pace.idle(LOUD)) == 0


def test_a_slow_vendor_lets_one_begin_at_idle_and_the_next_in_time() -> None:
    pace = Pace(per_second=0.1, burst=1, ramp_s=60)
    granted, bucket = pace.allow(pace.idle(LOUD), LOUD, 3)
    assert (granted, pace.wait_s(bucket)) == (1, 10)
    assert pace.allow(bucket, after(LOUD, 9.9), 3)[0] == 0
    assert pace.allow(bucket, after(LOUD, 10), 3)[0] == 1


def test_what_was_not_used_is_given_back_and_was_no_hunger() -> None:
    pace = Pace(per_second=10, burst=5)
    granted, bucket = pace.allow(pace.idle(LOUD), LOUD, 7)
    assert pace.give_back(bucket, 0) == bucket
    back = pace.give_back(bucket, 2)
    assert (granted, back.tokens, back.is_short) == (5, 2, False)
    assert pace.give_back(bucket, 99).tokens == 5


def test_a_clock_that_goes_back_grants_nothing_for_it() -> None:
    pace = Pace(per_second=10, burst=5)
    _, bucket = pace.allow(pace.idle(LOUD), LOUD, 5)
    granted, same = pace.allow(bucket, after(LOUD, -100), 5)
    assert (granted, same.at) == (0, LOUD)
    assert pace.allow(same, after(LOUD, 0.1), 5)[0] == 1


@pytest.mark.parametrize(
    ("per_second", "burst", "ramp_s", "quiet_share"),
    [(0, 1, 0, 1), (1, 0.9, 0, 1), (1, 1, -1, 1), (1, 1, 0, 0), (1, 1, 0, 1.1)],
)
def test_a_pace_out_of_bounds_is_refused(
    per_second: float, burst: float, ramp_s: float, quiet_share: float
) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        Pace(per_second, burst, ramp_s, quiet_share)
