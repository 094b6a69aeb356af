"""What evidence changes: every outcome meets every state and every kind of evidence."""

from itertools import product

import pytest

from notifyq.domain.evidence import Bearing, event_of, weigh
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED
from notifyq.domain.states import (
    DELIVERY,
    LIVE,
    AttemptOutcome,
    Event,
    State,
    may_become,
    step,
)

S, O, E = State, AttemptOutcome, Event  # noqa: E741  # as the table writes them
EVIDENCE = (E.ACCEPT, E.DELIVER, E.BOUNCE)
EVERYTHING = [*product(AttemptOutcome, State, EVIDENCE)]


def test_a_rank_says_taken_then_bounced_then_arrived() -> None:
    assert [event_of(rank) for rank in range(1, RANK_UNDELIVERED)] == [E.ACCEPT] * 3
    assert event_of(RANK_UNDELIVERED) is E.BOUNCE
    assert [event_of(rank) for rank in (RANK_DELIVERED, RANK_DELIVERED + 1)] == [E.DELIVER] * 2


@pytest.mark.parametrize(("outcome", "state", "event"), EVERYTHING)
def test_whatever_comes_the_tables_allow_what_is_changed(
    outcome: AttemptOutcome, state: State, event: Event
) -> None:
    bearing = weigh(outcome, state, event)
    assert bearing.outcome is None or may_become(outcome, bearing.outcome)
    if bearing.event is not None:
        step(state, bearing.event)


@pytest.mark.parametrize(("outcome", "state", "event"), EVERYTHING)
def test_a_closed_attempt_stays_closed_and_its_evidence_is_late(
    outcome: AttemptOutcome, state: State, event: Event
) -> None:
    bearing = weigh(outcome, state, event)
    corrects = outcome is O.BOUNCED and state is S.UNDELIVERED
    closed = outcome not in LIVE and not corrects
    assert bearing.late is closed
    if closed:
        assert bearing.outcome is None
        # A retry is stopped only by taking its job: a worker may be at it.
        assert bearing.takes_job is (state is S.PENDING)


@pytest.mark.parametrize(
    ("outcome", "state", "event", "expected"),
    [
        (O.OPEN, S.PENDING, E.ACCEPT, Bearing(O.ACCEPTED, E.ACCEPT)),
        (O.OPEN, S.PENDING, E.BOUNCE, Bearing(O.BOUNCED, E.BOUNCE)),
        (O.IN_DOUBT, S.IN_DOUBT, E.DELIVER, Bearing(O.ACCEPTED, E.DELIVER)),
        (O.IN_DOUBT, S.UNKNOWN, E.ACCEPT, Bearing(O.ACCEPTED, E.ACCEPT)),
        (O.ACCEPTED, S.SENT, E.ACCEPT, Bearing(None, None)),
        (O.ACCEPTED, S.SENT, E.BOUNCE, Bearing(O.BOUNCED, E.BOUNCE)),
        (O.ACCEPTED, S.DELIVERED, E.DELIVER, Bearing(None, None)),
        (O.BOUNCED, S.UNDELIVERED, E.DELIVER, Bearing(O.ACCEPTED, E.DELIVER)),
        # redriven since: a second attempt may be live, so the first stays closed
        (O.BOUNCED, S.PENDING, E.DELIVER, Bearing(None, E.DELIVER, late=True, takes_job=True)),
        (O.ABANDONED, S.PENDING, E.ACCEPT, Bearing(None, E.ACCEPT, late=True, takes_job=True)),
        (O.ABANDONED, S.IN_DOUBT, E.DELIVER, Bearing(None, E.DELIVER, late=True)),
        (O.ABANDONED, S.SENT, E.ACCEPT, Bearing(None, None, late=True)),
        (O.ABANDONED, S.SENT, E.DELIVER, Bearing(None, E.DELIVER, late=True)),
        (O.UNAVAILABLE, S.DEAD, E.DELIVER, Bearing(None, None, late=True)),
        (O.NOT_SENT, S.CANCELED, E.ACCEPT, Bearing(None, None, late=True)),
    ],
)
def test_what_evidence_changes(
    outcome: AttemptOutcome, state: State, event: Event, expected: Bearing
) -> None:
    assert weigh(outcome, state, event) == expected


def test_evidence_never_makes_a_delivery_due() -> None:
    for outcome, state, event in EVERYTHING:
        bearing = weigh(outcome, state, event)
        if bearing.event is not None:
            assert DELIVERY[state, bearing.event] is not S.PENDING
