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
    sources,
    step,
)
from notifyq.errors import IllegalTransition

# design.md section 3, drawn by hand: "-" is refused.
DRAWN = """
             accept lose_answer retry   give_up suppress   expire  window_over deliver   bounce
standby      -      -           -       -       -          -       -           -         -
pending      sent   in_doubt    pending dead    suppressed expired -           delivered undelivered
in_doubt     sent   -           -       -       -          -       unknown     delivered undelivered
sent         -      -           -       -       -          -       -           delivered undelivered
delivered    -      -           -       -       -          -       -           -         undelivered
undelivered  -      -           -       -       -          -       -           delivered -
unknown      sent   -           -       -       -          -       -           delivered undelivered
suppressed   -      -           -       -       -          -       -           -         -
expired      -      -           -       -       -          -       -           -         -
canceled     -      -           -       -       -          -       -           -         -
dead         -      -           -       -       -          -       -           -         -
"""
# Words of the design whose events are not built yet: `strategy: first`, and cancel.
NOT_YET = {State.STANDBY, State.CANCELED}


def drawn() -> dict[tuple[State, Event], str]:
    """Return the drawing's cells."""
    head, *lines = [line.split() for line in DRAWN.strip().splitlines()]
    return {
        (State(state), Event(event)): target
        for state, *targets in lines
        for event, target in zip(head, targets, strict=True)
    }


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


def test_every_state_is_reached_from_pending_or_is_not_built_yet() -> None:
    assert set(State) - reachable(State.PENDING) == NOT_YET


def test_whatever_is_not_at_rest_can_move_on() -> None:
    assert set(State) - AT_REST == {State.PENDING, State.IN_DOUBT}
    for state in set(State) - AT_REST:
        assert reachable(state) & AT_REST


@pytest.mark.parametrize("event", Event)
def test_the_sources_of_an_event_are_where_it_may_happen(event: Event) -> None:
    allowed = tuple(state for state in State if (state, event) in DELIVERY)
    assert sources(event) == allowed
    assert allowed  # an event that can never happen is dead code


def test_a_delivery_that_left_pending_never_comes_back_by_itself() -> None:
    assert {state for (state, _), target in DELIVERY.items() if target is State.PENDING} == {
        State.PENDING
    }
    assert sources(Event.RETRY) == (State.PENDING,)


def test_only_what_was_never_sent_expires_or_is_suppressed() -> None:
    assert sources(Event.EXPIRE) == sources(Event.SUPPRESS) == (State.PENDING,)


def test_a_doubt_ends_by_evidence_or_by_its_window() -> None:
    events = {event for state, event in DELIVERY if state is State.IN_DOUBT}
    assert events == {Event.ACCEPT, Event.DELIVER, Event.BOUNCE, Event.WINDOW_OVER}
    assert sources(Event.WINDOW_OVER) == (State.IN_DOUBT,)


def test_a_receipt_never_takes_a_delivery_back_to_sent() -> None:
    assert State.SENT not in reachable(State.DELIVERED) | reachable(State.UNDELIVERED)


def test_open_in_doubt_and_accepted_are_live_and_nothing_else_is() -> None:
    assert {str(outcome) for outcome in LIVE} == {"open", "in_doubt", "accepted"}
    assert len(AttemptOutcome) == 10
