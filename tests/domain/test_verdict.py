"""What an answer makes of a delivery: which are tried again, when, and which never."""

from collections.abc import Callable
from math import inf, nextafter
from typing import Any, cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.outcome import (
    Accepted,
    Capped,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.retry import MISCONFIGURED_S, THROTTLED_S, THROTTLED_S_MAX, TRIES_MAX
from notifyq.domain.states import LIVE, AttemptOutcome, Event, Reason, State, step
from notifyq.domain.verdict import Verdict, _wait, judge

few = settings(max_examples=40, deadline=None)
DAY_S = 86_400.0
codes = st.sampled_from(["", "429", "c" * 64])
waits = st.none() | st.floats(0, 2 * DAY_S)
carried_out = st.builds(Accepted, codes) | st.builds(InDoubt, codes)
refused = st.builds(Refused, st.sampled_from(Refusal), codes)
uncounted = st.builds(Throttled, codes, waits) | st.builds(Misconfigured, codes)
counted = st.builds(Unavailable, codes, waits) | st.builds(NotSent, codes)
outcomes = carried_out | refused | uncounted | counted
tries = st.integers(1, 2 * TRIES_MAX)
remaining = st.floats(-DAY_S, 3 * DAY_S)
jitters = st.floats(0, 1, exclude_max=True)

AGAIN = {
    Throttled: (AttemptOutcome.THROTTLED, Reason.RETRY_THROTTLED),
    Unavailable: (AttemptOutcome.UNAVAILABLE, Reason.RETRY_UNAVAILABLE),
    NotSent: (AttemptOutcome.NOT_SENT, Reason.RETRY_NOT_SENT),
    Misconfigured: (AttemptOutcome.MISCONFIGURED, Reason.RETRY_MISCONFIGURED),
}
# (answer, tries, jitter) and the seconds that a retry then waits.
WAITS: list[tuple[Outcome, int, float, float]] = [
    (Throttled("429"), 1, 0.0, THROTTLED_S),
    (Throttled("429"), 2, 0.0, THROTTLED_S * 2),  # it waits longer each time,
    (Throttled("429"), 7, 0.5, THROTTLED_S_MAX * 1.125),  # up to a minute
    (Throttled("429"), 9_999, 0.5, THROTTLED_S_MAX * 1.125),
    (Throttled("429", 30.0), 1, 0.0, 30.0),
    (Throttled("429", 0.5), 1, 0.0, THROTTLED_S),
    (Unavailable("503"), 1, 0.5, 1.0 * 1.125),
    (Unavailable("503"), 4, 0.5, 8.0 * 1.125),
    (Unavailable("503", 30.0), 1, 0.0, 30.0),
    (Unavailable("503", 1.0), 4, 0.5, 8.0 * 1.125),
    (NotSent("dns"), 1, 0.5, 1.0),
    (NotSent("dns"), 4, 0.5, 8.0),
    (NotSent("dns"), 0, 0.5, 1.0),  # no try is less than the first
    (Misconfigured("20003"), 1, 0.0, MISCONFIGURED_S),
    (Misconfigured("20003"), 9, 0.5, MISCONFIGURED_S * 1.125),
]


@few
@given(codes, tries, remaining, jitters)
def test_an_answer_lost_is_never_retried(
    code: str, tries: int, remaining_s: float, jitter: float
) -> None:
    found = judge(
        InDoubt(code), tries, attempts=max(tries, 1), remaining_s=remaining_s, jitter=jitter
    )
    assert found == Verdict(
        AttemptOutcome.IN_DOUBT, Event.LOSE_ANSWER, Reason.ANSWER_LOST, code=code
    )
    assert step(State.PENDING, found.event) is State.IN_DOUBT


@few
@given(codes, tries, remaining, jitters)
def test_an_acceptance_stands_however_late_it_comes(
    provider_id: str, tries: int, remaining_s: float, jitter: float
) -> None:
    found = judge(
        Accepted(provider_id), tries, attempts=max(tries, 1), remaining_s=remaining_s, jitter=jitter
    )
    assert found == Verdict(AttemptOutcome.ACCEPTED, Event.ACCEPT, None, provider_id=provider_id)


@pytest.mark.parametrize(
    ("refusal", "event", "reason"),
    [
        (Refusal.ADDRESS, Event.GIVE_UP, Reason.REFUSED_ADDRESS),
        (Refusal.CONTENT, Event.GIVE_UP, Reason.REFUSED_CONTENT),
        (Refusal.OPTED_OUT, Event.SUPPRESS, Reason.OPTED_OUT_AT_PROVIDER),
    ],
)
def test_a_refusal_ends_it_at_the_first_try(refusal: Refusal, event: Event, reason: Reason) -> None:
    found = judge(Refused(refusal, "21610"), 1, attempts=1, remaining_s=DAY_S, jitter=0.5)
    assert found == Verdict(AttemptOutcome.REFUSED, event, reason, code="21610")


def test_every_refusal_has_an_end() -> None:
    for refusal in Refusal:
        judge(Refused(refusal, "x"), 1, attempts=1, remaining_s=DAY_S, jitter=0)


@few
@given(outcomes, tries, remaining, jitters)
def test_the_attempt_stays_live_only_where_the_message_may_be_on_its_way(
    outcome: Outcome, tries: int, remaining_s: float, jitter: float
) -> None:
    found = judge(outcome, tries, attempts=max(tries, 1), remaining_s=remaining_s, jitter=jitter)
    assert (found.outcome in LIVE) == isinstance(outcome, Accepted | InDoubt)
    assert found.outcome is not AttemptOutcome.OPEN


@few
@given(outcomes, tries, remaining, jitters)
def test_whatever_is_judged_may_happen_to_a_pending_delivery(
    outcome: Outcome, tries: int, remaining_s: float, jitter: float
) -> None:
    found = judge(outcome, tries, attempts=max(tries, 1), remaining_s=remaining_s, jitter=jitter)
    state = step(State.PENDING, found.event)
    assert (found.reason is None) == (state is State.SENT)  # all else says why


@few
@given(outcomes, tries, remaining, jitters)
def test_a_retry_and_nothing_else_has_a_wait_and_it_ends_before_the_expiry(
    outcome: Outcome, tries: int, remaining_s: float, jitter: float
) -> None:
    found = judge(outcome, tries, attempts=max(tries, 1), remaining_s=remaining_s, jitter=jitter)
    assert (found.retry_in_s is not None) == (found.event is Event.RETRY)
    assert found.event is Event.RETRY or found.tries == 0
    if found.retry_in_s is not None:
        assert isinstance(outcome, Throttled | Unavailable | NotSent | Misconfigured)
        assert 0 <= found.retry_in_s < remaining_s
        asked_s = getattr(outcome, "retry_after_s", None) or 0.0
        assert found.retry_in_s >= asked_s


@pytest.mark.parametrize(("outcome", "tries", "jitter", "wait_s"), WAITS)
def test_a_retry_that_would_come_at_the_expiry_is_not_made(
    outcome: Outcome, tries: int, jitter: float, wait_s: float
) -> None:
    def at(remaining_s: float) -> Verdict:
        return judge(outcome, tries, attempts=max(tries, 1), remaining_s=remaining_s, jitter=jitter)

    word, reason = AGAIN[cast("Any", type(outcome))]
    after = at(nextafter(wait_s, inf))
    assert (after.outcome, after.event, after.reason) == (word, Event.RETRY, reason)
    assert after.retry_in_s == wait_s
    expired = Verdict(word, Event.EXPIRE, Reason.EXPIRED, code=cast("Any", outcome).code)
    assert at(wait_s) == at(nextafter(wait_s, 0)) == at(0) == at(-1) == expired


@few
@given(counted, jitters)
def test_counted_tries_end_at_their_limit(outcome: Outcome, jitter: float) -> None:
    def after(tries: int) -> Verdict:
        return judge(outcome, tries, attempts=max(tries, 1), remaining_s=inf, jitter=jitter)

    assert (after(TRIES_MAX - 1).event, after(TRIES_MAX - 1).tries) == (Event.RETRY, TRIES_MAX - 1)
    for tries in (TRIES_MAX, TRIES_MAX + 1):
        given_up = after(tries)
        assert (given_up.event, given_up.reason) == (Event.GIVE_UP, Reason.RETRIES_EXHAUSTED)
        assert given_up.retry_in_s is None


@few
@given(uncounted, st.sampled_from([1, TRIES_MAX - 1, TRIES_MAX, TRIES_MAX + 1, 1_000]), jitters)
def test_what_says_nothing_about_the_message_uses_up_no_try(
    outcome: Outcome, tries: int, jitter: float
) -> None:
    found = judge(outcome, tries, attempts=max(tries, 1), remaining_s=inf, jitter=jitter)
    assert (found.event, found.tries) == (Event.RETRY, tries - 1)


def test_the_tables_above_know_every_outcome() -> None:
    assert set(get_args(Outcome)) == {*AGAIN, Accepted, Capped, InDoubt, Refused}


@pytest.mark.parametrize("tries", [1, TRIES_MAX, TRIES_MAX + 1, 1_000])
def test_what_is_capped_waits_for_its_time_and_uses_up_no_try(tries: int) -> None:
    def at(remaining_s: float) -> Verdict:
        return judge(
            Capped("30023", "America/Los_Angeles"),
            tries,
            attempts=tries,
            remaining_s=remaining_s,
            jitter=0.5,
            lifts_in_s=3_600.0,
        )

    parked = at(nextafter(3_600.0, inf))
    assert (parked.outcome, parked.event) == (AttemptOutcome.THROTTLED, Event.RETRY)
    assert (parked.reason, parked.code) == (Reason.VENDOR_CAP, "30023")
    assert (parked.retry_in_s, parked.tries) == (3_600.0, tries - 1)
    assert (at(3_600.0).event, at(3_600.0).reason) == (Event.EXPIRE, Reason.EXPIRED)


def test_what_is_capped_until_it_expires_expires_now() -> None:
    capped = Capped("30023", "America/Los_Angeles")
    found = judge(capped, 1, attempts=1, remaining_s=DAY_S, jitter=0)
    assert (found.event, found.code) == (Event.EXPIRE, "30023")


@pytest.mark.parametrize(
    "judging",
    [
        lambda: judge(cast("Any", object()), 1, attempts=1, remaining_s=DAY_S, jitter=0),
        lambda: _wait(cast("Any", InDoubt("x")), 1, 1, 0, 0),
    ],
    ids=["judged", "waited for"],
)
def test_an_outcome_that_has_no_rule_is_a_bug(judging: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        judging()
