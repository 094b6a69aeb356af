"""What a producer asks for, once it is valid and nothing of it is left to look up."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from uuid import UUID

from notifyq.domain.content import Content
from notifyq.domain.ids import delivery_id, new_notification_id
from notifyq.domain.model import Category, Channel
from notifyq.domain.states import Reason, State
from notifyq.domain.terms import PLAIN, Terms

# A list of recipients is written so many at a time: one transaction then holds its locks, and
# keeps the standby waiting, for tenths of a second.
PHASE_RECIPIENTS = 1_000
RECIPIENTS_MAX = 10_000  # in one request


def operation_of(test: bool) -> str:
    """Return what a key is unique for: a test send never answers for a live one."""
    return "notify.test" if test else "notify"


@dataclass(frozen=True, slots=True)
class Part:
    """What goes by one channel to one address."""

    channel: Channel
    lane: int
    address: str
    content: Content
    standby: bool = False  # `strategy: first`, and not the first: its turn has not come
    registered_at: datetime | None = None  # since when the producer knows the address
    terms: Terms = PLAIN
    due: datetime | None = None  # it waits until then; None: until the request's not_before
    reason: Reason | None = None  # why it waits, or was never to be sent; None: only for that
    suppressed: bool = False  # not wanted: kept to be explained, and never due

    @property
    def state(self) -> State:
        """Its delivery's, when it is accepted."""
        if self.suppressed:
            return State.SUPPRESSED
        return State.STANDBY if self.standby else State.PENDING


@dataclass(frozen=True, slots=True)
class Dedupe:
    """The second net: the mark that stands for whom, what and which, and how long it lasts."""

    mark: bytes  # SHA-256; see domain/idempotency.py
    window_s: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid request, with nothing left to look up.

    parts: each recipient's, one recipient after the other.
    """

    cell: int
    tenant_id: int
    brand: str
    test: bool
    key_hash: bytes
    fingerprint: bytes
    category: Category
    recipient: str | None
    metadata: str | None
    not_before: datetime | None
    expires_at: datetime
    parts: tuple[Part, ...]
    warnings: tuple[str, ...]
    recipients: int | None = None  # of a list: how many
    dedupe: Dedupe | None = None  # never of several recipients
    widths: tuple[int, ...] = ()  # of a list: how many parts each recipient has; empty: one each

    @property
    def count(self) -> int:
        """How many recipients it has."""
        return 1 if self.recipients is None else self.recipients

    @property
    def operation(self) -> str:
        """What its key is unique for."""
        return operation_of(self.test)

    @property
    def key(self) -> tuple[int, str, bytes]:
        """Tenant, operation, SHA-256 of the key: unique in a cell."""
        return (self.tenant_id, self.operation, self.key_hash)


@dataclass(frozen=True, slots=True)
class Planned:
    """An ask with its ids: what the answer to it is made from."""

    ask: Ask
    notification_id: UUID
    delivery_ids: tuple[UUID, ...]
    held: bool  # it waited for its not_before when it was accepted

    def reason(self, part: Part) -> Reason | None:
        """Return why a part waits; None if it is due."""
        if part.standby:
            return Reason.EARLIER_CHANNEL
        return part.reason or (Reason.NOT_BEFORE if self.held else None)

    def due(self, part: Part) -> datetime | None:
        """Return when a part is due; None for at once."""
        return part.due or (self.ask.not_before if self.held else None)


def plan(ask: Ask, now: datetime, random_bits: int) -> Planned:
    """Give an ask its ids, made for the instant `now` (the database's); random_bits: 64 of them."""
    held = ask.not_before is not None and ask.not_before > now
    return planned_as(ask, new_notification_id(now, random_bits), held=held)


def planned_as(ask: Ask, notification_id: UUID, *, held: bool) -> Planned:
    """Give an ask these ids. held: it waited for its `not_before` when it was accepted."""
    ids = tuple(delivery_id(notification_id, n) for n in range(1, len(ask.parts) + 1))
    return Planned(ask, notification_id, ids, held)


def phase(planned: Planned, done: int) -> range:
    """Return the places of the parts that the phase after `done` recipients writes.

    Empty once every recipient is done.
    """
    ask = planned.ask
    beyond = min(done + PHASE_RECIPIENTS, ask.count)
    return range(_parts_of(ask, done), _parts_of(ask, beyond))


def recipients_before(ask: Ask, place: int) -> int:
    """Return how many recipients have all of their parts before this place."""
    starts = list(accumulate(ask.widths)) or list(range(1, ask.count + 1))
    return bisect_right(starts, place)


def _parts_of(ask: Ask, recipients: int) -> int:
    """Return how many parts the first so many recipients have."""
    if ask.recipients is None:
        return len(ask.parts) if recipients else 0
    return sum(ask.widths[:recipients]) if ask.widths else recipients


def in_turn(parts: Sequence[Part], strategy: str) -> tuple[Part, ...]:
    """Return one recipient's parts as the strategy has it.

    `all`: every part is due. `first`: only the first that is wanted; the others that are stand by
    for their turn.
    """
    if strategy != "first":
        return tuple(parts)
    first = next((n for n, part in enumerate(parts) if not part.suppressed), None)
    return tuple(
        part if part.suppressed or n == first else replace(part, standby=True)
        for n, part in enumerate(parts)
    )
