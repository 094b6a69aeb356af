"""What evidence changes: every outcome meets every state and every kind of evidence."""

from datetime import UTC, datetime
from itertools import product

import pytest

from notifyq.domain.evidence import (
    NO_OTHERS,
    Bearing,
    Other,
    Others,
    beside,
    event_of,
    sum_up,
    told,
    weigh,
)
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
EVIDENCE = (E.ACCEPT, E.DELIVER, E.BOUNCE, E.PARK)
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
    overtaken = outcome is O.BOUNCED and event is E.ACCEPT
    assert bearing.late is (closed and not overtaken)
    if closed:
        assert bearing.outcome is None
        # A retry is stopped only by taking its job: a worker may be at it.
        stops = state is S.PENDING and event is not E.PARK and not overtaken
        assert bearing.takes_job is stops


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
        # a receipt came before the answer to the request it is about, which says nothing new
        (O.BOUNCED, S.UNDELIVERED, E.ACCEPT, Bearing(None, None)),
        (O.BOUNCED, S.PENDING, E.ACCEPT, Bearing(None, None)),
        (O.OPEN, S.PENDING, E.PARK, Bearing(O.BOUNCED, E.PARK)),
        (O.IN_DOUBT, S.IN_DOUBT, E.PARK, Bearing(O.BOUNCED, E.PARK)),
        (O.ACCEPTED, S.SENT, E.PARK, Bearing(O.BOUNCED, E.PARK)),
        # whoever asked for it was told that nobody knows: it is theirs to send again
        (O.IN_DOUBT, S.UNKNOWN, E.PARK, Bearing(O.BOUNCED, E.BOUNCE)),
        # what ended the doubt about an abandoned one came to nothing
        (O.ABANDONED, S.SENT, E.PARK, Bearing(None, E.PARK, late=True)),
        # its repeat waits by a job already
        (O.ABANDONED, S.PENDING, E.PARK, Bearing(None, None, late=True)),
        (O.UNAVAILABLE, S.DEAD, E.PARK, Bearing(None, None, late=True)),
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


@pytest.mark.parametrize("rank", range(1, RANK_DELIVERED + 2))
def test_only_what_did_not_arrive_is_parked_and_only_while_it_is_worth_it(rank: int) -> None:
    assert told(rank, None) is event_of(rank)
    parked = E.PARK if rank == RANK_UNDELIVERED else event_of(rank)
    assert told(rank, datetime(2026, 11, 23, 8, tzinfo=UTC)) is parked


def test_evidence_makes_nothing_due_but_what_a_cap_stopped() -> None:
    for outcome, state, event in EVERYTHING:
        bearing = weigh(outcome, state, event)
        if bearing.event is not None and DELIVERY[state, bearing.event] is S.PENDING:
            assert bearing.event is event is E.PARK


def test_what_a_cap_stopped_is_not_due_beside_an_attempt_that_may_have_arrived() -> None:
    for outcome, state in product(AttemptOutcome, State):
        for others in OTHERS:
            if others.proven or others.accepted or others.doubtful:
                assert weigh(outcome, state, E.PARK, others).event is not E.PARK


# ------------------------------------------------------------------- beside other attempts

ENDS = (E.GIVE_UP, E.SUPPRESS, E.EXPIRE, E.CANCEL, E.BOUNCE)
GOES_ON = (E.RETRY, E.PARK, E.LOSE_ANSWER)
OTHERS = [
    Others(proven, *flags)
    for proven, flags in product((None, E.ACCEPT, E.DELIVER), product((False, True), repeat=3))
]


@pytest.mark.parametrize("others", OTHERS, ids=str)
def test_what_is_neither_an_end_nor_a_wait_happens_whatever_the_others_did(others: Others) -> None:
    for event in set(E) - {*ENDS, *GOES_ON}:
        assert beside(event, others) is event


@pytest.mark.parametrize("event", ENDS + GOES_ON)
def test_an_end_is_one_only_if_no_other_attempt_can_have_arrived(event: Event) -> None:
    assert beside(event, NO_OTHERS) is event
    for unproven in (False, True):
        assert beside(event, Others(accepted=True, unproven=unproven)) is None
        assert beside(event, Others(doubtful=True, unproven=unproven)) is None
    wanted = E.END_IN_DOUBT if event in ENDS else event
    assert beside(event, Others(unproven=True)) is wanted
    for proven in (E.ACCEPT, E.DELIVER):
        for flags in product((False, True), repeat=3):
            assert beside(event, Others(proven, *flags)) is proven


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], NO_OTHERS),
        ([Other(O.UNAVAILABLE, False, 0)], NO_OTHERS),
        ([Other(O.ABANDONED, False, 0)], Others(unproven=True)),
        ([Other(O.ABANDONED, True, 0)], Others(E.ACCEPT)),  # the answer of its own worker
        ([Other(O.ABANDONED, True, RANK_DELIVERED)], Others(E.DELIVER)),
        ([Other(O.ABANDONED, True, RANK_UNDELIVERED)], NO_OTHERS),  # carried out, and in vain
        ([Other(O.NOT_SENT, True, 1)], Others(E.ACCEPT)),
        ([Other(O.OPEN, False, 0)], Others(doubtful=True)),
        ([Other(O.IN_DOUBT, False, 0)], Others(doubtful=True)),
        ([Other(O.ACCEPTED, False, RANK_DELIVERED)], Others(accepted=True)),
        (
            [Other(O.ABANDONED, True, 1), Other(O.ABANDONED, True, RANK_DELIVERED)],
            Others(E.DELIVER),
        ),
        (
            [Other(O.ABANDONED, True, RANK_UNDELIVERED), Other(O.ABANDONED, False, 0)],
            Others(unproven=True),
        ),
    ],
)
def test_what_several_attempts_may_have_done(others: list[Other], expected: Others) -> None:
    assert sum_up(others) == expected


@pytest.mark.parametrize("others", OTHERS, ids=str)
def test_beside_others_too_the_tables_allow_what_is_changed(others: Others) -> None:
    for outcome, state, event in EVERYTHING:
        bearing = weigh(outcome, state, event, others)
        assert bearing.outcome is None or may_become(outcome, bearing.outcome)
        if bearing.event is not None:
            step(state, bearing.event)
        else:
            assert not bearing.takes_job


@pytest.mark.parametrize(
    ("outcome", "state", "others", "expected"),
    [
        # attempt 2 may yet arrive: the bounce of attempt 1 says nothing about the delivery
        (O.ABANDONED, S.PENDING, Others(doubtful=True), Bearing(None, None, late=True)),
        (O.ABANDONED, S.IN_DOUBT, Others(doubtful=True), Bearing(None, None, late=True)),
        (O.ABANDONED, S.SENT, Others(accepted=True), Bearing(None, None, late=True)),
        (O.ABANDONED, S.UNKNOWN, Others(doubtful=True), Bearing(None, None, late=True)),
        # the first was what ended the doubt about the second, and came to nothing
        (O.ABANDONED, S.SENT, Others(doubtful=True), Bearing(None, E.END_IN_DOUBT, late=True)),
        (O.ABANDONED, S.SENT, Others(accepted=True, doubtful=True), Bearing(None, None, late=True)),
        (O.ABANDONED, S.UNKNOWN, NO_OTHERS, Bearing(None, E.BOUNCE, late=True)),
        (O.ABANDONED, S.SENT, NO_OTHERS, Bearing(None, E.BOUNCE, late=True)),
        # attempt 1 may have arrived: the bounce of attempt 2 leaves that open
        (O.ACCEPTED, S.SENT, Others(unproven=True), Bearing(O.BOUNCED, E.END_IN_DOUBT)),
        (O.ACCEPTED, S.SENT, Others(E.DELIVER), Bearing(O.BOUNCED, E.DELIVER)),
        (O.ACCEPTED, S.SENT, Others(E.ACCEPT), Bearing(O.BOUNCED, None)),
    ],
)
def test_a_bounce_ends_a_delivery_only_if_nothing_else_may_have_arrived(
    outcome: AttemptOutcome, state: State, others: Others, expected: Bearing
) -> None:
    assert weigh(outcome, state, E.BOUNCE, others) == expected
