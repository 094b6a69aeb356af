"""What services know of a provider: how to send one message, look it up, read its callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notifyq.domain.model import Message, Receipt
from notifyq.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Callback:
    """A provider's request to us, as it came in: signatures are verified on the raw bytes."""

    url: str  # as the provider called it: scheme, public host, path and query
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class BadSignature:
    """The callback is not from the provider: nothing in it may be believed."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadCallback:
    """The provider signed it, but it says nothing that we can place."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sought:
    """The message of a doubtful attempt, as the provider would list it."""

    to: str  # E.164
    sender: str  # E.164
    body: str
    since: datetime  # it was created between these two, or not by this attempt
    until: datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """One message that the provider lists: it took it, and says how far it got."""

    provider_id: str
    created_at: datetime  # by the provider's clock
    status: str  # the provider's own word
    rank: int  # as of a Receipt
    code: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Every listed message that could be the one sought. None at all proves nothing: lists lag.

    Whose they are is not the provider's to say: see domain/matching.py.
    """

    messages: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class LookUpFailed:
    """No list, or not all of it: nothing was learnt."""

    code: str


class Provider(Protocol):
    """One account at one vendor. Never raises for what the network or the vendor did."""

    @property
    def name(self) -> str:
        """The account's name in the settings, and in its callback path."""
        ...

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Hand one message over and say what became of it, within `timeout_s` seconds.

        One request, never repeated here: the job table is the only layer that retries.
        """
        ...

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """List what could be the message sought, within `timeout_s` seconds.

        It reads only, so it may be repeated. Asked only where the account's `DoubtRules` have a
        schedule; a vendor that lists nothing has none.
        """
        ...

    def read_callback(self, callback: Callback) -> Receipt | BadSignature | BadCallback:
        """Verify a callback and say what it reports."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
