"""Whether a due delivery is sent now. Pure: facts and the time in, one decision out.

The rules stand in RULES, in their order; the first that objects decides, and `explain` tells what
each of them says. What is not known is never taken for a yes: no consent row means do not send.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifyq.domain.hours import Closed, Hours, Open, Whereabouts, look
from notifyq.domain.model import Channel, Due
from notifyq.domain.preferences import Verdict
from notifyq.domain.scheduling import spread
from notifyq.domain.states import Event, Reason, State

CAP_HOURS = 24  # elapsed hours, whatever the wall clock did meanwhile
# How often a delivery that waits for a person's decision is looked at again.
REVIEW_S = 3_600.0
# A provider may keep a message for so long, and the clocks may be apart: the window must not close
# meanwhile. It is told to give up by then (Twilio's ValidityPeriod; consent.md has 15 minutes).
HOURS_GUARD_S = 60.0


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent row as it was read under its lock."""

    blocked: bool
    revision: int
    dead_at: datetime | None = None  # since when a provider calls the address dead
    programs: tuple[str, ...] = ()  # those that are blocked by themselves
    held: bool = False  # a person has yet to read what was written to us
    consented: bool = False  # to marketing, in writing
    begun_at: tuple[datetime, ...] = ()  # of what is capped, each one's last, oldest first

    def with_begin(self, now: datetime, before: datetime | None) -> "Consent":
        """Return it with a begin that counts. before: when that message last began, if it did."""
        begun = list(self.begun_at)
        if before in begun:
            begun.remove(before)
        return replace(self, begun_at=tuple(sorted([*begun, now])))

    def blocks(self, program: str, *, separate: bool) -> bool:
        """Whether a program may not be sent. separate: a STOP of its brand does not reach it."""
        return program in self.programs or (self.blocked and not separate)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision is made from, beside the delivery itself."""

    now: datetime  # the database's time, aware UTC
    channel: Channel
    consent: Consent | None
    where: Whereabouts | None = None  # None: hours do not matter
    preference: Verdict | None = None  # None: none is kept


@dataclass(frozen=True, slots=True)
class Send:
    """Begin an attempt; `revision` says which state of the consent row allowed it."""

    revision: int
    until: datetime | None = None  # the hours close then; None: they do not


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: due again at `until`."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class End:
    """Never: the delivery comes to rest unsent, or was sent before as it turned out."""

    event: Event
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Drop:
    """The job is void: its delivery is not pending any more, and stays as it is."""


Objection = Wait | End | Drop
Decision = Send | Objection


def decide(due: Due, facts: Facts) -> Decision:
    """Say what becomes of a due delivery: what the first rule that objects says, else send it."""
    for rule in RULES.values():
        if (objection := rule(due, facts)) is not None:
            return objection
    assert facts.consent is not None  # the rule of opt-outs objects to None
    hours = _hours(due, facts)
    return Send(facts.consent.revision, hours.until if isinstance(hours, Open) else None)


def explain(due: Due, facts: Facts) -> Iterator[tuple[str, Objection | None]]:
    """Tell every rule by name with what it says, in their order."""
    for name, rule in RULES.items():
        yield name, rule(due, facts)


def _is_over(due: Due, _: Facts) -> Objection | None:
    return Drop() if due.state != State.PENDING else None


def _called_back(due: Due, _: Facts) -> Objection | None:
    return End(Event.CANCEL, Reason.CANCELED) if due.cancel_requested else None


def _expired(due: Due, facts: Facts) -> Objection | None:
    return End(Event.EXPIRE, Reason.EXPIRED) if facts.now >= due.expires_at else None


def _opted_out(due: Due, facts: Facts) -> Objection | None:
    """An unreadable consent row is a bug in the caller; it ends as opted out, unsent."""
    said = facts.consent
    if said is None:
        return End(Event.SUPPRESS, Reason.OPTED_OUT)
    if due.terms.is_exempt:
        return None
    stopped = said.blocks(due.program, separate=due.terms.is_separate)
    return End(Event.SUPPRESS, Reason.OPTED_OUT) if stopped else None


def _needs_consent(due: Due, facts: Facts) -> Objection | None:
    """Marketing by text needs written consent: 47 CFR 64.1200(a)(2), (f)(9)."""
    if facts.consent is None or not due.terms.is_marketing or facts.channel is not Channel.SMS:
        return None
    if facts.consent.held:
        return _wait(due, facts.now + timedelta(seconds=REVIEW_S), Reason.HELD_FOR_REVIEW)
    return None if facts.consent.consented else End(Event.SUPPRESS, Reason.NO_CONSENT)


def _dead(_: Due, facts: Facts) -> Objection | None:
    is_dead = facts.consent is not None and facts.consent.dead_at is not None
    return End(Event.SUPPRESS, Reason.ADDRESS_DEAD) if is_dead else None


def _not_wanted(due: Due, facts: Facts) -> Objection | None:
    """Whoever is erased wants nothing at the address that was kept, though it be mandatory."""
    wanted = facts.preference is None or facts.preference.on or due.terms.is_mandatory
    return End(Event.SUPPRESS, Reason.PREFERENCE_OFF) if due.is_erased or not wanted else None


def _too_early(due: Due, facts: Facts) -> Objection | None:
    early = due.not_before is not None and facts.now < due.not_before
    return Wait(due.not_before, Reason.NOT_BEFORE) if early and due.not_before else None


def _wrong_hour(due: Due, facts: Facts) -> Objection | None:
    found = _hours(due, facts)
    if not isinstance(found, Closed):
        return None
    reason = Reason(found.reason)
    if found.until is None or found.until >= due.expires_at:
        return End(Event.SUPPRESS, reason)
    return Wait(spread(found.until, due.expires_at, due.delivery_id.bytes), reason)


def _hours(due: Due, facts: Facts) -> Open | Closed | None:
    if due.terms.hours is Hours.ANY or facts.where is None:
        return None
    return look(facts.now, due.terms.hours, facts.where, guard_s=HOURS_GUARD_S)


def _capped(due: Due, facts: Facts) -> Objection | None:
    """Count begins, not arrivals: a message that may have arrived counts, once, at its last begin.

    A retry whose own begin still counts takes its own place. A later one needs one like any other.
    """
    cap = due.terms.cap
    if cap is None or facts.consent is None:
        return None
    day = timedelta(hours=CAP_HOURS)
    recent = sorted(at for at in facts.consent.begun_at if at > facts.now - day)
    if len(recent) < cap or due.begun_at in recent:
        return None
    return _wait(due, recent[-cap] + day, Reason.CAPPED)


def _wait(due: Due, until: datetime, reason: Reason) -> Objection:
    """Return a wait; what would expire while it waits comes to rest with the reason at once."""
    return Wait(until, reason) if until < due.expires_at else End(Event.SUPPRESS, reason)


RULES: dict[str, Callable[[Due, Facts], Objection | None]] = {
    "state": _is_over,
    "cancel": _called_back,
    "expiry": _expired,
    "opt_out": _opted_out,
    "consent": _needs_consent,
    "address": _dead,
    "preference": _not_wanted,
    "not_before": _too_early,
    "hours": _wrong_hour,
    "cap": _capped,
}
