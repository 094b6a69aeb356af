"""Whether a due delivery is sent: what is not known is never taken for a yes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain import policy
from notifyq.domain.model import Channel, Due
from notifyq.domain.policy import Consent, Decision, End, Facts, Send, Wait
from notifyq.domain.states import Event, Reason, State, step
from notifyq.domain.terms import Terms

few = settings(max_examples=40, deadline=None)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DUE = Due(
    delivery_id=UUID(int=1),
    attempts=0,
    tries=0,
    criticality=1,
    place="(0,1)",
    tenant_id=1,
    brand="acme",
    program="default",
    address_key=b"key",
    address="+14155550123",
    body="hello",
    state="pending",
    expires_at=NOW + timedelta(hours=1),
    not_before=None,
    cancel_requested=False,
)
ALLOWED, BLOCKED = Consent(blocked=False, revision=7), Consent(blocked=True, revision=8)
EXPIRED = End(Event.EXPIRE, Reason.EXPIRED)
OPTED_OUT = End(Event.SUPPRESS, Reason.OPTED_OUT)

moments = st.integers(-2, 2).map(lambda ticks: NOW + ticks * TICK)
consents = st.none() | st.builds(Consent, st.booleans(), st.integers(0, 99))


def decide(due: Due, consent: Consent | None, *, now: datetime) -> Decision:
    return policy.decide(due, Facts(now, Channel.SMS, consent))


def test_a_send_says_which_state_of_the_consent_row_allowed_it() -> None:
    assert decide(DUE, ALLOWED, now=NOW) == Send(revision=7)


def test_what_was_called_back_is_not_sent_whatever_else_holds() -> None:
    canceled = End(Event.CANCEL, Reason.CANCELED)
    for consent, now in ((ALLOWED, NOW), (BLOCKED, NOW), (ALLOWED, DUE.expires_at)):
        assert decide(replace(DUE, cancel_requested=True), consent, now=now) == canceled


@pytest.mark.parametrize("consent", [None, BLOCKED], ids=["no row", "blocked"])
def test_without_a_consent_row_that_allows_it_nothing_is_sent(consent: Consent | None) -> None:
    assert decide(DUE, consent, now=NOW) == OPTED_OUT


@pytest.mark.parametrize(
    ("expires_at", "decision"),
    [(NOW - TICK, EXPIRED), (NOW, EXPIRED), (NOW + TICK, Send(7))],
    ids=["past", "now", "next"],
)
def test_nothing_is_sent_from_its_expiry_on(expires_at: datetime, decision: Decision) -> None:
    assert decide(replace(DUE, expires_at=expires_at), ALLOWED, now=NOW) == decision


@pytest.mark.parametrize(
    ("not_before", "decision"),
    [
        (NOW - TICK, Send(7)),
        (NOW, Send(7)),
        (NOW + TICK, Wait(NOW + TICK, Reason.NOT_BEFORE)),
        (None, Send(7)),
    ],
    ids=["past", "now", "next", "none"],
)
def test_nothing_is_sent_before_its_time(not_before: datetime | None, decision: Decision) -> None:
    assert decide(replace(DUE, not_before=not_before), ALLOWED, now=NOW) == decision


def test_expired_is_said_before_opted_out_and_opted_out_before_too_early() -> None:
    early = replace(DUE, not_before=NOW + TICK)
    assert decide(replace(early, expires_at=NOW), BLOCKED, now=NOW) == EXPIRED
    assert decide(early, BLOCKED, now=NOW) == OPTED_OUT
    assert decide(early, None, now=NOW) == OPTED_OUT


@few
@given(moments, st.none() | moments, consents)
def test_a_send_needs_a_yes_to_every_question(
    expires_at: datetime, not_before: datetime | None, consent: Consent | None
) -> None:
    found = decide(replace(DUE, expires_at=expires_at, not_before=not_before), consent, now=NOW)
    allowed = consent is not None and not consent.blocked
    in_time = expires_at > NOW and (not_before is None or not_before <= NOW)
    assert isinstance(found, Send) == (allowed and in_time)
    if isinstance(found, Wait):
        assert found.until > NOW
    if isinstance(found, End):
        assert step(State.PENDING, found.event) in {State.EXPIRED, State.SUPPRESSED}


# ---------------------------------------------------------------------------------- cap

HOUR = timedelta(hours=1)
CAPPED = replace(DUE, terms=Terms(cap=2), expires_at=NOW + timedelta(days=9))


def begun(*hours_ago: float) -> Consent:
    return replace(ALLOWED, begun_at=tuple(NOW - hours * HOUR for hours in hours_ago))


@pytest.mark.parametrize(
    ("consent", "own_h_ago", "waits_h"),
    [
        (begun(), None, None),
        (begun(3), None, None),
        (begun(3, 2), None, 21),
        (begun(2, 3), None, 21),  # whatever their order
        (begun(5, 3, 2), None, 21),  # more than the cap: another category has a higher one
        (begun(24, 2), None, None),  # a day ago is over
        (begun(3, 2), 3, None),  # a retry has its own place
        (begun(3, 2), 30, 21),  # which it has lost after a day
    ],
)
def test_a_cap_is_of_other_messages_within_a_day(
    consent: Consent, own_h_ago: float | None, waits_h: float | None
) -> None:
    own = None if own_h_ago is None else NOW - own_h_ago * HOUR
    found = decide(replace(CAPPED, begun_at=own), consent, now=NOW)
    wait = None if waits_h is None else Wait(NOW + waits_h * HOUR, Reason.CAPPED)
    assert found == (wait or Send(ALLOWED.revision))


def test_a_begin_takes_the_place_of_the_one_before_it() -> None:
    at = NOW - HOUR
    assert begun(3).with_begin(NOW, None).begun_at == (NOW - 3 * HOUR, NOW)
    assert begun(1, 1).with_begin(NOW, at).begun_at == (at, NOW)
    assert begun(3, 1).with_begin(NOW, NOW - 30 * HOUR).begun_at == (NOW - 3 * HOUR, at, NOW)


def test_whoever_is_erased_since_gets_nothing_where_it_was_kept_mandatory_or_not() -> None:
    off = End(Event.SUPPRESS, Reason.PREFERENCE_OFF)
    for terms in (Terms(), Terms(is_mandatory=True)):
        early = replace(DUE, terms=terms, not_before=NOW + TICK)
        assert decide(replace(early, is_erased=True), ALLOWED, now=NOW) == off
