"""The nouns: what a notification, a delivery, an attempt and a message to a provider are.

Frozen values only. Whoever wants to change one makes a new one; the database holds the truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from notifyq.domain.hours import Hours
from notifyq.domain.terms import PLAIN, Terms


class Channel(StrEnum):
    """A way to reach somebody; one partition of the job table each."""

    SMS = "sms"
    EMAIL = "email"
    PUSH = "push"
    WEBHOOK = "webhook"


class MessageClass(StrEnum):
    """The rules a category follows: how urgent it is and how long it may live."""

    EMERGENCY = "emergency"
    OTP = "otp"
    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


# 0 is sent first. Emergencies and codes share the top: somebody is waiting for either.
CRITICALITY = {
    MessageClass.EMERGENCY: 0,
    MessageClass.OTP: 0,
    MessageClass.TRANSACTIONAL: 1,
    MessageClass.MARKETING: 2,
}

# The longest that an attempt may be open, in seconds: what the settings allow a lease at the most.
LEASE_S_MAX = 300

# How long after acceptance (or after `not_before`) a message is still worth sending, in seconds:
# the default where the request and the category say nothing, and the most either may ask for.
LIFETIME_S_MAX = {
    MessageClass.EMERGENCY: 3_600,
    MessageClass.OTP: 600,
    MessageClass.TRANSACTIONAL: 86_400,
    MessageClass.MARKETING: 259_200,
}

# The hours that a class obeys, where its category does not say.
HOURS = {
    MessageClass.EMERGENCY: Hours.ANY,
    MessageClass.OTP: Hours.ANY,
    MessageClass.TRANSACTIONAL: Hours.RECIPIENT,
    MessageClass.MARKETING: Hours.LEGAL,
}
MANDATORY = frozenset({MessageClass.EMERGENCY, MessageClass.OTP})


@dataclass(frozen=True, slots=True)
class Category:
    """A producer's name for a kind of message, with its rules."""

    name: str
    message_class: MessageClass = MessageClass.TRANSACTIONAL
    program: str = "default"
    expires_in_s: int = LIFETIME_S_MAX[MessageClass.TRANSACTIONAL]
    # None: never_twice. Else at_least_once: an attempt in doubt is abandoned after this long and
    # the message sent again, which may be a second time.
    resend_after_s: int | None = None
    # By channel, the accounts that it goes by, in order; a channel that is missing has the route
    # of everybody.
    routes: Mapping[Channel, tuple[str, ...]] = field(default_factory=dict)
    hours: Hours = Hours.ANY
    cap: int | None = None  # begins in 24 hours, to one address of one brand
    is_mandatory: bool = False  # no preference turns it off
    is_separate: bool = False  # its program stands apart from a STOP of its brand
    is_wanted: bool = True  # where no preference says anything
    # Texts that go out whatever was opted out, as Stamp.of() names them: emergencies.
    approved: tuple[str, ...] = ()

    @property
    def criticality(self) -> int:
        """0 (first) to 3 (last)."""
        return CRITICALITY[self.message_class]


class Bounce(StrEnum):
    """Why an accepted message did not arrive, as far as it is about more than this message."""

    DEAD = "dead"  # the address will never work
    SOFT = "soft"  # not this time; several of them in a row are as good as dead
    OPTED_OUT = "opted_out"  # the recipient objects: a STOP, a complaint, an unsubscribe
    CONTENT = "content"  # what it says was refused
    OURS = "ours"  # our registration, account or settings


# Ranks of receipts: a later stage of a message has the higher one. Below these the provider says
# that it has the message. Delivered beats undelivered: a handset said so.
RANK_UNDELIVERED = 4
RANK_DELIVERED = 5


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider told us later about one attempt, by callback."""

    reference: str
    provider_id: str
    status: str  # the provider's own word
    rank: int  # a later stage of the same message has the higher rank: RANK_*
    code: str | None
    bounce: Bounce | None = None
    at: datetime | None = None  # when it happened, by the provider's clock, where it says so
    cap_zone: str | None = None  # a daily cap was used up; at midnight there it begins anew


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text message that somebody sent to one of our numbers."""

    provider_id: str
    sender: str  # E.164: who wrote
    to: str  # E.164: our number
    body: str
    at: datetime | None = None  # by the provider's clock, where it says so


@dataclass(frozen=True, slots=True)
class Due:
    """A claimed job with what is needed to decide about it."""

    delivery_id: UUID
    attempts: int  # begun so far
    tries: int  # of these, the ones that count
    criticality: int
    place: str  # the job row's ctid; valid while this transaction holds the row's lock
    tenant_id: int
    brand: str
    program: str
    address_key: bytes
    address: str | None  # None once the content was erased or its leaf was dropped
    body: str | None
    state: str
    expires_at: datetime
    not_before: datetime | None
    cancel_requested: bool
    more: str | None = None  # of the content, beside its body: see domain/content.py
    registered_at: datetime | None = None  # since when the producer knows the address
    terms: Terms = PLAIN
    profile: str | None = None  # of its recipient, as it is kept: domain/profile.py
    unsubscribe: str | None = None  # the token of a mail that one click unsubscribes from
    begun_at: datetime | None = None  # its last begin, of what is capped; None: there was none
    is_erased: bool = False  # its address was its recipient's, who is erased since


@dataclass(frozen=True, slots=True)
class Lane:
    """A bulkhead: one channel of one provider account."""

    id: int
    channel: Channel
    provider: str


@dataclass(frozen=True, slots=True)
class DoubtRules:
    """How long, and how often, evidence about an attempt in doubt is looked for at a provider."""

    settle_window_s: float  # then a never_twice delivery rests as unknown
    look_up_s: tuple[float, ...] = ()  # waits before the first, second … look-up; empty: none


@dataclass(frozen=True, slots=True)
class Post:
    """Where a worker stands: what its attempts are stamped with and fenced by."""

    cell: int
    lane: Lane
    worker: UUID
    region: str
    epoch: int
    lease_s: float


Attempt: TypeAlias = tuple[UUID, int]  # of which delivery, and its number there, from 1


@dataclass(frozen=True, slots=True)
class Ready:
    """An attempt that was begun and committed: sent once, by this process, within its lease."""

    due: Due
    number: int
    epoch: int  # the fence's, when it was begun
    until: datetime | None = None  # the hours of its recipient close then

    @property
    def attempt(self) -> Attempt:
        """Which one."""
        return self.due.delivery_id, self.number
