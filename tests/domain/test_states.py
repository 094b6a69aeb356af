"""The life of a delivery: every state meets every event, and the promises hold over the table."""

from itertools import product

import pytest

from notifyq.domain.states import (
    AT_REST,
    DELIVERY,
    LIVE,
    AttemptOutcome,
    Event,
    State,
    may_become,
    sources,
    step,
)
from notifyq.errors import IllegalTransition

S = State
DOUBTED = {S.IN_DOUBT, S.UNKNOWN}
RECEIVED = {S.DELIVERED, S.UNDELIVERED}

# Drawn by hand: "-" is refused.
DRAWN = """
             advance accept lose_answer retry   park    resend  give_up suppress   expire
standby      pending -      -           -       -       -       -       -          -
pending      -       sent   in_doubt    pending pending -       dead    suppressed expired
in_doubt     -       sent   -           pending pending pending dead    suppressed expired
sent         -       -      -           -       pending -       -       -          -
delivered    -       -      -           -       -       -       -       -          -
undelivered  -       -      -           -       -       -       -       -          -
unknown      -       sent   -           -       -       -       -       -          -
suppressed   -       -      -           -       -       -       -       -          -
expired      -       -      -           -       -       -       -       -          -
canceled     -       -      -           -       -       -       -       -          -
dead         -       -      -           -       -       -       -       -          -
"""
DRAWN_TOO = """
             cancel   window_over end_in_doubt deliver   bounce      redrive refute
standby      canceled -           -            -         -           -       -
pending      canceled -           unknown      delivered undelivered -       -
in_doubt     canceled unknown     unknown      delivered undelivered -       pending
sent         -        -           unknown      delivered undelivered -       -
delivered    -        -           -            -         undelivered -       -
undelivered  -        -           -            delivered -           pending -
unknown      -        -           -            delivered undelivered -       pending
suppressed   -        -           -            -         -           -       -
expired      -        -           -            -         -           -       -
canceled     -        -           -            -         -           -       -
dead         -        -           -            -         -           pending -
"""


def drawn() -> dict[tuple[State, Event], str]:
    """Return the drawing's cells."""
    found = {}
    for drawing in (DRAWN, DRAWN_TOO):
        head, *lines = [line.split() for line in drawing.strip().splitlines()]
        for state, *targets in lines:
            for event, target in zip(head, targets, strict=True):
                found[State(state), Event(event)] = target
    return found


def reachable(start: State) -> set[State]:
    """Return the states that a delivery can come to, its own included."""
    found: set[State] = {start}
    before: set[State] = set()
    while found != before:
        before = set(found)
        found |= {target for (state, _), target in DELIVERY.items() if state in before}
    return found


def test_the_drawing_has_every_pair() -> None:
    assert set(drawn()) == set(product(State, Event))


@pytest.mark.parametrize(("state", "event"), [*product(State, Event)], ids=str)
def test_a_pair_does_what_is_drawn_or_is_refused(state: State, event: Event) -> None:
    target = drawn()[state, event]
    if target == "-":
        with pytest.raises(IllegalTransition, match=rf"^{event} cannot .* that is {state}$"):
            step(state, event)
    else:
        assert step(state, event) is State(target)


def test_every_state_is_reached_from_where_deliveries_begin() -> None:
    assert reachable(State.STANDBY) == set(State)
    assert set(State) - reachable(State.PENDING) == {State.STANDBY}


def test_whatever_is_not_at_rest_can_move_on() -> None:
    assert set(State) - AT_REST == {State.PENDING, State.IN_DOUBT}
    for state in set(State) - AT_REST:
        assert reachable(state) & AT_REST


@pytest.mark.parametrize("event", Event)
def test_the_sources_of_an_event_are_where_it_may_happen(event: Event) -> None:
    allowed = tuple(state for state in State if (state, event) in DELIVERY)
    assert sources(event) == allowed
    assert allowed  # an event that can never happen is dead code


def test_what_may_have_been_carried_out_becomes_due_again_on_four_conditions() -> None:
    """A definite answer, a cap that stopped it, a category that asks for it, a person's word."""
    back = {
        event for (state, event), to in DELIVERY.items() if to is S.PENDING and state in DOUBTED
    }
    assert back == {Event.RETRY, Event.PARK, Event.RESEND, Event.REFUTE}
    assert {event for state, event in DELIVERY if state is S.UNKNOWN} == {
        Event.ACCEPT,
        Event.DELIVER,
        Event.BOUNCE,
        Event.REFUTE,
    }


def test_what_the_provider_took_is_sent_again_only_where_it_bounced_or_a_cap_stopped_it() -> None:
    taken = {S.SENT, S.DELIVERED, S.UNDELIVERED}
    assert {pair for pair, to in DELIVERY.items() if to is S.PENDING and pair[0] in taken} == {
        (S.UNDELIVERED, Event.REDRIVE),
        (S.SENT, Event.PARK),
    }


def test_only_what_was_not_carried_out_fails_expires_or_is_called_back() -> None:
    for event in (Event.GIVE_UP, Event.EXPIRE, Event.SUPPRESS):
        assert sources(event) == (S.PENDING, S.IN_DOUBT)
    assert sources(Event.CANCEL) == (S.STANDBY, S.PENDING, S.IN_DOUBT)


def test_a_delivery_ends_unknown_by_its_window_or_beside_an_abandoned_attempt() -> None:
    assert {event for (_, event), to in DELIVERY.items() if to is S.UNKNOWN} == {
        Event.WINDOW_OVER,
        Event.END_IN_DOUBT,
    }
    assert sources(Event.WINDOW_OVER) == (S.IN_DOUBT,)
    assert sources(Event.END_IN_DOUBT) == (S.PENDING, S.IN_DOUBT, S.SENT)


def test_a_receipt_never_takes_a_delivery_back_to_sent() -> None:
    assert S.SENT not in {to for (state, _), to in DELIVERY.items() if state in RECEIVED}


def test_open_in_doubt_and_accepted_are_live_and_nothing_else_is() -> None:
    assert {str(outcome) for outcome in LIVE} == {"open", "in_doubt", "accepted"}
    assert len(AttemptOutcome) == 10


# What each outcome may still become; "closed" stays as it is whatever is learnt.
BECOMES = {
    "open": "in_doubt accepted bounced refused throttled unavailable not_sent misconfigured",
    "in_doubt": "accepted bounced refused throttled unavailable not_sent misconfigured abandoned",
    "accepted": "bounced",
    "bounced": "accepted",
    "abandoned": "not_sent",
}


@pytest.mark.parametrize(("outcome", "learnt"), [*product(AttemptOutcome, AttemptOutcome)], ids=str)
def test_an_attempt_becomes_what_is_drawn_or_stays(
    outcome: AttemptOutcome, learnt: AttemptOutcome
) -> None:
    assert may_become(outcome, learnt) is (learnt in BECOMES.get(outcome, "").split())


def test_no_closed_attempt_comes_alive_but_for_a_bounce_that_was_none() -> None:
    closed = set(AttemptOutcome) - LIVE
    alive = {(was, now) for was in closed for now in LIVE if may_become(was, now)}
    assert alive == {(AttemptOutcome.BOUNCED, AttemptOutcome.ACCEPTED)}


def test_only_a_doubt_is_abandoned() -> None:
    assert [o for o in AttemptOutcome if may_become(o, AttemptOutcome.ABANDONED)] == [
        AttemptOutcome.IN_DOUBT
    ]
