"""How long is waited before the next try."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.retry import BASE_S, CAP_S, TRIES_MAX, backoff_s, obeying

few = settings(max_examples=40, deadline=None)
ALMOST_1 = 1 - 2**-53
jitters = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("tries", "longest_s"),
    [(1, 2), (2, 4), (3, 8), (10, 1_024), (11, 2_048), (12, CAP_S), (33, CAP_S), (10**6, CAP_S)],
)
def test_the_longest_wait_doubles_up_to_the_cap(tries: int, longest_s: float) -> None:
    assert backoff_s(tries, jitter=0) == 0
    assert backoff_s(tries, jitter=0.5) == longest_s / 2
    assert backoff_s(tries, jitter=ALMOST_1) < longest_s


@few
@given(st.integers(1, 100), jitters)
def test_a_wait_lies_below_its_longest(tries: int, jitter: float) -> None:
    assert 0 <= backoff_s(tries, jitter=jitter) < min(CAP_S, BASE_S * 2 ** (tries - 1))


def test_the_waits_between_all_tries_sum_to_68_minutes_at_the_most_and_half_on_average() -> None:
    longest_s = sum(backoff_s(tries, jitter=1) for tries in range(1, TRIES_MAX))
    assert (TRIES_MAX, longest_s) == (12, 4_094)
    assert sum(backoff_s(tries, jitter=0.5) for tries in range(1, TRIES_MAX)) == longest_s / 2


@few
@given(st.none() | seconds, seconds, jitters)
def test_what_the_provider_asked_for_is_kept_and_a_quarter_more_at_the_most(
    asked_s: float | None, floor_s: float, jitter: float
) -> None:
    wait_s = obeying(asked_s, floor_s, jitter=jitter)
    least_s = max(asked_s or 0, floor_s)
    assert least_s <= wait_s <= least_s * 1.25


@pytest.mark.parametrize(
    ("asked_s", "floor_s", "jitter", "wait_s"),
    [
        (None, 4, 0, 4),
        (0, 4, 0, 4),
        (3, 4, 0, 4),
        (4, 4, 0, 4),
        (5, 4, 0, 5),
        (8, 4, 0.5, 9),
        (-1, 4, 0, 4),
    ],
)
def test_the_longer_of_asked_and_floor_is_spread(
    asked_s: float | None, floor_s: float, jitter: float, wait_s: float
) -> None:
    assert obeying(asked_s, floor_s, jitter=jitter) == wait_s


def test_those_who_were_told_the_same_second_do_not_come_back_in_it() -> None:
    assert len({obeying(60, 0, jitter=n / 10) for n in range(10)}) == 10
