"""What services know of a provider: how to send one message, look it up, read its callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notifyq.domain.content import Content
from notifyq.domain.message import Message
from notifyq.domain.model import Inbound, Receipt
from notifyq.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Callback:
    """A provider's request to us, as it came in: signatures are verified on the raw bytes."""

    url: str  # as the provider called it: scheme, public host, path and query
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Reported:
    """What a callback says, once it is known to be the provider's. Nothing at all is possible."""

    receipts: tuple[Receipt, ...] = ()
    inbound: tuple[Inbound, ...] = ()
    thanks: str = ""  # what the provider wants to read as the answer's body: XML, or nothing


@dataclass(frozen=True, slots=True)
class BadSignature:
    """The callback is not from the provider: nothing in it may be believed."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadCallback:
    """The provider signed it, but it says nothing that we can place."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unverified:
    """Whether the provider signed it cannot be told now: it should send it again."""

    reason: str


Reading = Reported | BadSignature | BadCallback | Unverified


@dataclass(frozen=True, slots=True)
class Sought:
    """The message of a doubtful attempt, as the provider would list it."""

    to: str  # E.164
    sender: str  # E.164
    body: str
    reference: str  # as it was planted
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
    reference: str | None = None  # where the provider's list gives back what was planted
    cap_zone: str | None = None  # as of a Receipt


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


@dataclass(frozen=True, slots=True)
class Check:
    """One step of asking an account whether it could send, without sending."""

    name: str  # reach, clock, credentials, permission …
    ok: bool
    detail: str  # what was found; with a fault, the mend


class Provider(Protocol):
    """One account at one vendor. Never raises for what the network or the vendor did."""

    @property
    def name(self) -> str:
        """The account's name in the settings, and in its callback path."""
        ...

    def refusal(self, content: Content) -> str | None:
        """Say why it would never send this content, with the mend; None if it would.

        For the API, which then refuses at once what would die later: size and reserved names.
        """
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

    async def read_callback(self, callback: Callback) -> Reading:
        """Verify a callback on its raw bytes and say what it reports.

        A vendor that signs by certificate fetches it here, from its own hosts only; one that asks
        whether a subscription is wanted is answered here.
        """
        ...

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Ask the vendor whether this account could send, step by step, without sending.

        Each call within `timeout_s` seconds. It ends with the first step that fails.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
