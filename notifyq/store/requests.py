"""Requests as rows: which part of a planned request goes into which column."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from notifyq.domain.asking import Planned
from notifyq.domain.content import kept
from notifyq.domain.hours import Hours
from notifyq.domain.idempotency import ACCEPTED_STATUS
from notifyq.domain.terms import Terms


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One request's key, and the notification that it stands for if it is new."""

    tenant_id: int
    operation: str
    key_hash: bytes
    fingerprint: bytes
    notification_id: UUID


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What is answered, now and to every replay."""

    tenant_id: int
    notification_id: UUID
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """What was asked for."""

    notification_id: UUID
    tenant_id: int
    test: bool
    message_class: str
    category: str
    recipient: str | None
    metadata: str | None
    not_before: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """Its part for one channel and one address, with the job that makes it due."""

    delivery_id: UUID
    tenant_id: int
    channel: str
    criticality: int
    lane: int
    brand: str
    program: str
    address: str
    body: str
    more: str | None
    due: datetime | None  # None: at once, by the database's clock
    not_before: datetime | None
    expires_at: datetime
    reason: str | None
    resend_after_s: int | None
    registered_at: datetime | None
    state: str
    category: str | None
    recipient: str | None
    hours: str | None
    time_zone: str | None
    cap: int | None
    sender: str | None
    is_marketing: bool
    is_mandatory: bool
    is_separate: bool
    is_exempt: bool
    is_by_id: bool
    template: str | None
    template_version: int | None
    locale: str | None


def key_row(planned: Planned) -> KeyRow:
    """Return the key's row."""
    ask = planned.ask
    return KeyRow(*ask.key, ask.fingerprint, planned.notification_id)


def answer_row(planned: Planned, body: bytes) -> AnswerRow:
    """Return the row of the 202."""
    return AnswerRow(planned.ask.tenant_id, planned.notification_id, ACCEPTED_STATUS, body)


def notification_row(planned: Planned) -> NotificationRow:
    """Return the notification's row."""
    ask = planned.ask
    return NotificationRow(
        planned.notification_id,
        ask.tenant_id,
        ask.test,
        ask.category.message_class,
        ask.category.name,
        ask.recipient,
        ask.metadata,
        ask.not_before,
        ask.expires_at,
    )


def delivery_rows(planned: Planned, places: Iterable[int]) -> list[DeliveryRow]:
    """Return the rows of the deliveries at these places of the request's parts."""
    ask = planned.ask
    parts = [(place, ask.parts[place]) for place in places]
    contents = {id(part.content): part.content for _, part in parts}  # mostly one, of thousands
    packed = {key: kept(content) for key, content in contents.items()}
    return [
        DeliveryRow(
            planned.delivery_ids[place],
            ask.tenant_id,
            part.channel,
            ask.category.criticality,
            part.lane,
            ask.brand,
            ask.category.program,
            part.address,
            *packed[id(part.content)],
            planned.due(part),
            ask.not_before,
            ask.expires_at,
            planned.reason(part),
            ask.category.resend_after_s,
            part.registered_at,
            part.state,
            *_said(part.terms),
        )
        for place, part in parts
    ]


def _said(terms: Terms) -> tuple[Any, ...]:
    """Return the columns of a delivery's terms."""
    hours = None if terms.hours is Hours.ANY else terms.hours
    stamp = terms.stamp
    return (
        terms.category,
        terms.recipient,
        hours,
        terms.time_zone,
        terms.cap,
        terms.sender,
        terms.is_marketing,
        terms.is_mandatory,
        terms.is_separate,
        terms.is_exempt,
        terms.is_by_id,
        stamp and stamp.template,
        stamp and stamp.version,
        stamp and stamp.locale,
    )


def columns(prefix: str, kind: type[Any], rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Turn rows of a kind into one array per column, as unnest wants them."""
    return {
        prefix + field.name: [getattr(row, field.name) for row in rows] for field in fields(kind)
    }
