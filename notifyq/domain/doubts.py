"""How a person's evidence ends a doubt, and when it does not. Pure.

An attempt in doubt may have been carried out, and so may one that was abandoned. Whoever says that
it was, or was not, has looked it up at the provider. A "not" makes the delivery due again, so it is
heard only once nothing else can have reached the recipient.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifyq.domain.states import AttemptOutcome, Event, State

# Begins the name of a message that somebody says was taken, where the provider's own name for it
# is not known; the intervention's id follows. It is no provider's word: it claims no message.
BY_HAND = "by-hand:"


class Claim(StrEnum):
    """What a person says of an attempt in doubt."""

    CARRIED_OUT = "carried-out"
    NOT_CARRIED_OUT = "not-carried-out"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A delivery with the attempt that the claim is about, both locked."""

    state: State
    outcome: AttemptOutcome
    lease_over: bool  # until then its worker may still be sending
    cancel_requested: bool
    expires_at: datetime
    has_content: bool


O = AttemptOutcome  # noqa: E741  # read in the next line only
# The provider's own word that it was not carried out.
_REFUTED = (O.REFUSED, O.THROTTLED, O.UNAVAILABLE, O.NOT_SENT, O.MISCONFIGURED)


class Objection(StrEnum):
    """Why a claim changes nothing."""

    NO_DOUBT = "not_in_doubt"
    SENDING = "sending"
    ANSWERED = "answered"
    CANCELED = "canceled"
    EXPIRED = "expired"
    CONTENT_GONE = "content_gone"


# What is the matter, and what to do about it.
WHY: dict[Objection, str] = {
    Objection.NO_DOUBT: "it is not in doubt (any more): evidence may have come first",
    Objection.SENDING: "its attempt may still be on its way: wait until its lease is over",
    Objection.ANSWERED: "the provider itself answered that its attempt was not carried out: "
    "resolve it --as not-carried-out",
    Objection.CANCELED: "its producer called it back, so it is not to be sent again: leave it, or "
    "resolve it --as carried-out",
    Objection.EXPIRED: "its expires_at has passed, so it is not to be sent again: leave it, or "
    "resolve it --as carried-out",
    Objection.CONTENT_GONE: "its text is no longer kept, so it cannot be sent again: leave it, or "
    "resolve it --as carried-out",
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a claim changes."""

    outcome: AttemptOutcome | None  # the attempt's new one; None: it is closed already
    event: Event
    late: bool = False  # it was abandoned, and was carried out: noted beside its outcome


def resolve(doubt: Doubt, claim: Claim, *, now: datetime) -> Resolution | Objection:
    """Say what a claim changes about a doubt. now: the database's time.

    An attempt of an unknown delivery may have been closed since by its own worker's late answer;
    only "not carried out" fits that. A doubt beside an attempt that is known to have been carried
    out does not exist: that evidence ended it (domain/evidence.py).
    """
    refuted = doubt.outcome in _REFUTED
    if doubt.outcome is AttemptOutcome.OPEN:
        return Objection.SENDING
    doubtful = refuted or doubt.outcome in (AttemptOutcome.IN_DOUBT, AttemptOutcome.ABANDONED)
    if doubt.state not in (State.IN_DOUBT, State.UNKNOWN) or not doubtful:
        return Objection.NO_DOUBT
    if not refuted and not doubt.lease_over:
        return Objection.SENDING
    if claim is Claim.CARRIED_OUT:
        return Objection.ANSWERED if refuted else _carried_out(doubt)
    outcome = None if refuted else AttemptOutcome.NOT_SENT
    return _resent(doubt, now) or Resolution(outcome, Event.REFUTE)


def _carried_out(doubt: Doubt) -> Resolution:
    if doubt.outcome is AttemptOutcome.ABANDONED:
        return Resolution(None, Event.ACCEPT, late=True)
    return Resolution(AttemptOutcome.ACCEPTED, Event.ACCEPT)


def _resent(doubt: Doubt, now: datetime) -> Objection | None:
    """Return why a delivery is not to be sent again; None if it is."""
    if doubt.cancel_requested:
        return Objection.CANCELED
    if now >= doubt.expires_at:
        return Objection.EXPIRED
    return None if doubt.has_content else Objection.CONTENT_GONE
