"""What a record of consent holds, and what one needs to take an opt-out back. Pure.

A record is evidence for years: the words that the person saw or heard, which version of them, when,
by what, and where (47 CFR 64.1200; CTIA Messaging Principles 5.1; 16 CFR 310.5). Invariant: the
same record twice is one record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum

WORDING_LENGTH_MAX = 4_000
VERSION_LENGTH_MAX = 64
PAGE_LENGTH_MAX = 2_048
USER_AGENT_LENGTH_MAX = 512
NAME_LENGTH_MAX = 256  # of a campaign, and of who consented
# The law that asks for consent is of this day (47 USC 227); what is older is a slip of the pen.
EARLIEST = datetime(1991, 12, 20, tzinfo=UTC)


class Medium(StrEnum):
    """By what it was given."""

    WEB = "web"
    APP = "app"
    PAPER = "paper"
    VOICE = "voice"
    TEXT = "text"


# What must be known, beside the words and the time, before a record takes an opt-out back.
NEEDED: Mapping[Medium, tuple[str, ...]] = {
    Medium.WEB: ("wording_version", "identity", "page", "ip", "user_agent"),
    Medium.APP: ("wording_version", "identity", "page", "ip", "user_agent"),
    Medium.PAPER: ("wording_version", "identity"),
    Medium.VOICE: ("wording_version", "identity"),
    Medium.TEXT: ("wording_version", "identity"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """What somebody agreed or objected to, as it was documented."""

    at: datetime  # when they did; aware
    wording: str  # what they saw, heard or said
    medium: Medium
    wording_version: str | None = None
    page: str | None = None  # or the form, or where the recording lies
    ip: str | None = None
    user_agent: str | None = None
    campaign: str | None = None
    identity: str | None = None  # who they are to the producer

    def evidence(self) -> dict[str, str]:
        """Return it as it is kept with an event."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in found.items() if value is not None}
        return kept | {"at": self.at.astimezone(UTC).isoformat(), "medium": self.medium.value}

    def missing(self) -> list[str]:
        """Return the names of what it lacks to take an opt-out back."""
        return [name for name in NEEDED[self.medium] if not getattr(self, name)]

    def is_in(self, evidence: Mapping[str, object]) -> bool:
        """Whether evidence that is kept is of this record: time, version and medium say so."""
        own = self.evidence()
        return all(evidence.get(name) == own.get(name) for name in _NAMES)


_NAMES = ("at", "wording_version", "medium")
