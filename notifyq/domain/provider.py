"""What services know of a provider: how to send one message and how to read its callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass
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

    def read_callback(self, callback: Callback) -> Receipt | BadSignature | BadCallback:
        """Verify a callback and say what it reports."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
