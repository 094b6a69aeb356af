"""Whose a listed message is, where the provider's list does not name the attempt. Pure.

A list without our reference proves that somebody's message was taken; it is ours only when no
other attempt can have made it. The facts about other attempts must be read after the list was:
an attempt is a row before it is a call, so that all who can have made what is listed are known.
It rests on the sender numbers being used by this installation alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from notifyq.domain.provider import Sighting

# The provider's clock against the database's, with its times cut to whole seconds.
SKEW = timedelta(seconds=10)
# After `send_by` nothing leaves us; what left before may be created this much later (Twilio takes
# up to 26 s before it answers 500).
LAG = timedelta(seconds=60)


class Unclear(Enum):
    """Why a look-up settles nothing."""

    NOT_FOUND = "not_found"  # no proof of anything: the list may lag
    AMBIGUOUS = "ambiguous"  # several messages, or several attempts that may have made it


@dataclass(frozen=True, slots=True)
class Maker:
    """An attempt that may have made a listed message."""

    provider_id: str | None  # the name of its message, where it is known
    began_at: datetime
    send_by: datetime

    @property
    def since(self) -> datetime:
        """The earliest that the provider can have created its message."""
        return self.began_at - SKEW

    @property
    def until(self) -> datetime:
        """The latest."""
        return self.send_by + LAG

    def may_have_made(self, message: Sighting) -> bool:
        """Whether the message can be this attempt's. An attempt makes one message, no more."""
        if self.provider_id is not None:
            return message.provider_id == self.provider_id
        return self.since <= message.created_at <= self.until


def match(
    seen: Sequence[Sighting], own: Maker, others: Sequence[Maker], *, reference: str
) -> Sighting | Unclear:
    """Say which of the listed messages is our attempt's own.

    others: every other attempt that has one of these messages by name, or has no name yet and
    could have sent this text to this address: open, in doubt or abandoned. reference: ours; a
    message that carries one is its attempt's and nobody else's.
    """
    ours = [message for message in seen if message.reference == reference]
    if ours:
        return max(ours, key=lambda message: message.rank)
    seen = [message for message in seen if message.reference is None]
    taken = {other.provider_id for other in others}
    free = [m for m in seen if own.may_have_made(m) and m.provider_id not in taken]
    if not free:
        return Unclear.NOT_FOUND
    if len(free) > 1 or any(other.may_have_made(free[0]) for other in others):
        return Unclear.AMBIGUOUS
    return free[0]
