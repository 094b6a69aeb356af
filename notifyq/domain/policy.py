"""Whether a due delivery is sent now. Pure: facts and the time in, one decision out.

What is not known is never taken for a yes: no consent row or no content means do not send.
"""

from dataclasses import dataclass
from datetime import datetime

from notifyq.domain.model import Due
from notifyq.domain.states import Event, Reason, State


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent row as it was read under its lock."""

    blocked: bool
    revision: int
    dead_at: datetime | None = None  # since when a provider calls the address dead


@dataclass(frozen=True, slots=True)
class Send:
    """Begin an attempt; `revision` says which state of the consent row allowed it."""

    revision: int


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


Decision = Send | Wait | End | Drop


def decide(due: Due, consent: Consent | None, *, now: datetime) -> Decision:
    """Say what becomes of a due delivery.

    now: the database's time, aware UTC. The rules in order: not pending any more, called back,
    expired, opted out, dead, too early.
    An unreadable consent row (None) is a bug in the caller; it ends as opted out, unsent.
    """
    if due.state != State.PENDING:
        return Drop()
    if due.cancel_requested:
        return End(Event.CANCEL, Reason.CANCELED)
    if now >= due.expires_at:
        return End(Event.EXPIRE, Reason.EXPIRED)
    if consent is None or consent.blocked:
        return End(Event.SUPPRESS, Reason.OPTED_OUT)
    if consent.dead_at is not None:
        return End(Event.SUPPRESS, Reason.ADDRESS_DEAD)
    if due.not_before is not None and now < due.not_before:
        return Wait(due.not_before, Reason.NOT_BEFORE)
    return Send(consent.revision)
