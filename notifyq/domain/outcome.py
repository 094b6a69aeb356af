"""What became of one attempt, as a provider's answer tells it.

A provider client returns one of these and never raises for what the network or the vendor did.
The line that matters runs between `InDoubt` and everything else: in doubt means that the message
may have been carried out, so it is never sent again blindly. Every other outcome is definite.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Refusal(StrEnum):
    """Whom a definite refusal is about."""

    ADDRESS = "address"  # the number is dead or cannot get this kind of message
    OPTED_OUT = "opted_out"  # the recipient said STOP to this sender, the provider knows
    CONTENT = "content"  # this message can never succeed as it is


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it and named it."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will not carry it out, today or ever."""

    refusal: Refusal
    code: str
    since: datetime | None = None  # the address is dead since then, where the provider says so
    # Of an address: whether it is dead whatever our settings are. A token of another environment,
    # or of another project, is refused in nearly the same words; it must not be given up for ever.
    for_good: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Throttled:
    """Definitely not carried out: too fast. Does not use up a try."""

    code: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Capped:
    """Definitely not carried out: what we may send in a day is used up. Does not use up a try."""

    code: str
    zone: str  # at midnight there it begins anew


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Definitely not carried out: the provider says that it cannot now."""

    code: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """We know that no byte of the request left: nobody can have carried it out."""

    code: str


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Definitely not carried out, and ours to mend: credentials, sender or account."""

    code: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The request may have been carried out: the answer was lost or says nothing."""

    code: str


Outcome = Accepted | Refused | Throttled | Capped | Unavailable | NotSent | Misconfigured | InDoubt
