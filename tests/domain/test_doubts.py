"""Whose word ends a doubt: every state, every outcome, both claims."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from notifyq.domain.doubts import WHY, Claim, Doubt, Objection, Resolution, resolve
from notifyq.domain.states import DELIVERY, AttemptOutcome, Event, State, may_become

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
S, O, J = State, AttemptOutcome, Objection  # noqa: E741
DOUBT = Doubt(S.IN_DOUBT, O.IN_DOUBT, True, False, NOW + timedelta(seconds=1), True)
CARRIED, NOT = Claim.CARRIED_OUT, Claim.NOT_CARRIED_OUT
DOUBTED = (S.IN_DOUBT, S.UNKNOWN)
REFUTED = (O.REFUSED, O.THROTTLED, O.UNAVAILABLE, O.NOT_SENT, O.MISCONFIGURED)


def found(claim: Claim, **changes: Any) -> Resolution | Objection:
    return resolve(replace(DOUBT, **changes), claim, now=NOW)


@pytest.mark.parametrize("state", DOUBTED)
def test_evidence_ends_a_doubt_either_way(state: State) -> None:
    assert found(CARRIED, state=state) == Resolution(O.ACCEPTED, Event.ACCEPT)
    assert found(NOT, state=state) == Resolution(O.NOT_SENT, Event.REFUTE)


@pytest.mark.parametrize(("state", "outcome"), [*product(S, O)], ids=str)
def test_a_claim_changes_doubts_only_and_as_the_table_allows(
    state: State, outcome: AttemptOutcome
) -> None:
    for claim in Claim:
        result = found(claim, state=state, outcome=outcome)
        if isinstance(result, Resolution):
            assert (state, result.event) in DELIVERY
            assert state in DOUBTED
            assert outcome in (O.IN_DOUBT, O.ABANDONED, *REFUTED)
            assert result.late is (outcome is O.ABANDONED and claim is CARRIED)
            assert (result.outcome is None) == (outcome in REFUTED or result.late)
            assert result.outcome is None or may_become(outcome, result.outcome)
        elif outcome is O.OPEN:
            assert result is J.SENDING
        elif state in DOUBTED and outcome in REFUTED:
            assert (claim, result) == (CARRIED, J.ANSWERED)
        else:
            assert result is J.NO_DOUBT


def test_an_abandoned_attempt_stays_abandoned_though_it_was_carried_out() -> None:
    about = {"state": S.UNKNOWN, "outcome": O.ABANDONED}
    assert found(CARRIED, **about) == Resolution(None, Event.ACCEPT, late=True)
    assert found(NOT, **about) == Resolution(O.NOT_SENT, Event.REFUTE)


@pytest.mark.parametrize("claim", Claim)
def test_nobody_is_heard_while_the_worker_may_still_send(claim: Claim) -> None:
    assert found(claim, lease_over=False) is J.SENDING
    assert isinstance(found(claim, lease_over=True), Resolution)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        (J.CANCELED, {"cancel_requested": True}),
        (J.EXPIRED, {"expires_at": NOW}),
        (J.CONTENT_GONE, {"has_content": False}),
    ],
)
def test_what_may_not_be_sent_again_can_only_have_been_carried_out(
    why: Objection, changes: dict[str, Any]
) -> None:
    assert found(NOT, **changes) is why
    assert found(CARRIED, **changes) == Resolution(O.ACCEPTED, Event.ACCEPT)


def test_every_objection_says_what_to_do() -> None:
    assert set(WHY) == set(Objection)
