"""What a producer asks for, once it is valid and nothing of it is left to look up."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifyq.domain.model import Category, Channel
from notifyq.domain.states import Reason


@dataclass(frozen=True, slots=True)
class Part:
    """What goes by one channel to one address."""

    channel: Channel
    lane: int
    address: str
    body: str
    standby: bool = False  # `strategy: first`, and not the first: its turn has not come


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid request, with nothing left to look up."""

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


@dataclass(frozen=True, slots=True)
class Planned:
    """An ask with its ids: what the answer to it is made from."""

    ask: Ask
    notification_id: UUID
    delivery_ids: tuple[UUID, ...]
    reason: Reason | None
