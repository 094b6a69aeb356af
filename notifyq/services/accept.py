"""Accept: a batch of requests becomes keys, notifications, deliveries, jobs and answers.

One transaction, one atomic phase: no foreign call is made, so `finished` is the only recovery
point. A 202 rests on a confirmed commit; of anything less the caller learns that nobody knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from notifyq.domain.idempotency import Judgement, KnownKey, judge
from notifyq.domain.ids import delivery_id, new_notification_id
from notifyq.domain.model import Category, Channel
from notifyq.domain.states import Reason
from notifyq.store import intake
from notifyq.store.db import Committed, Conn, Unknown, transact

OPERATION = "notify"
ACCEPTED_STATUS = 202
# How long a batch waits for keys that another transaction holds before it goes one by one, so
# that one slow key does not stall the others.
LOCK_TIMEOUT_MS = 250


@dataclass(frozen=True, slots=True)
class Part:
    """What goes by one channel to one address."""

    channel: Channel
    lane: int
    address: str
    body: str


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


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer, given now or before."""

    status: int
    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """The key stands in the way; the notification is the one that has it."""

    judgement: Judgement
    notification_id: UUID | None


Reply = Answer | Refusal | Unknown
_Key = tuple[int, bytes]


async def accept(
    conn: Conn,
    asks: Sequence[Ask],
    *,
    now: datetime,
    dice: Callable[[int], int],
    render: Callable[[Planned], bytes],
) -> list[Reply]:
    """Accept asks of one cell and return a reply to each, in their order.

    now: the database's time, for the ids. dice(n): n random bits. render: the 202's body.
    Several asks under one key in the batch are judged as if they had come one after another.
    """
    first: dict[_Key, Planned] = {}
    for ask in asks:
        key = (ask.tenant_id, ask.key_hash)
        if key not in first:
            first[key] = _plan(ask, now, dice)
    try:
        found = await _write(conn, list(first.values()), render)
    except psycopg.errors.LockNotAvailable:
        if len(first) == 1:
            return [Refusal(Judgement.RUNNING, None)] * len(asks)
        # Each alone: only those whose key is really held wait and are told so.
        return [
            reply
            for ask in asks
            for reply in await accept(conn, [ask], now=now, dice=dice, render=render)
        ]
    if isinstance(found, Unknown):
        return [found] * len(asks)
    return _replies(asks, first, found, render)


def _plan(ask: Ask, now: datetime, dice: Callable[[int], int]) -> Planned:
    notification_id = new_notification_id(now, dice(64))
    ids = tuple(delivery_id(notification_id, n) for n in range(1, len(ask.parts) + 1))
    held = ask.not_before is not None and ask.not_before > now
    return Planned(ask, notification_id, ids, Reason.NOT_BEFORE if held else None)


_Known = dict[_Key, tuple[KnownKey, UUID]]


async def _write(
    conn: Conn, planned: list[Planned], render: Callable[[Planned], bytes]
) -> _Known | Unknown:
    """Write what is new; return what the other keys already held."""
    cell = planned[0].ask.cell

    async def work(conn: Conn) -> _Known:
        keys = [_key_row(p, render) for p in planned]
        taken = await intake.take_keys(conn, cell=cell, operation=OPERATION, keys=keys)
        new = [p for p in planned if p.notification_id in taken]
        if new:
            await intake.write(
                conn,
                cell=cell,
                keys=[key for key in keys if key.notification_id in taken],
                notifications=[_notification_row(p) for p in new],
                deliveries=[row for p in new for row in _delivery_rows(p)],
            )
        if len(new) == len(planned):
            return {}
        rest = [(key.tenant_id, key.key_hash) for key in keys if key.notification_id not in taken]
        return await intake.known(conn, cell=cell, operation=OPERATION, keys=rest)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


def _replies(
    asks: Sequence[Ask],
    first: dict[_Key, Planned],
    found: _Known,
    render: Callable[[Planned], bytes],
) -> list[Reply]:
    replies: list[Reply] = []
    for ask in asks:
        key = (ask.tenant_id, ask.key_hash)
        planned = first[key]
        if key in found:
            replies.append(_reply_to_known(ask, *found[key]))
        elif planned.ask is ask:
            replies.append(Answer(ACCEPTED_STATUS, render(planned), replayed=False))
        elif planned.ask.fingerprint == ask.fingerprint:
            replies.append(Answer(ACCEPTED_STATUS, render(planned), replayed=True))
        else:
            replies.append(Refusal(Judgement.REUSED, planned.notification_id))
    return replies


def _reply_to_known(ask: Ask, known: KnownKey, notification_id: UUID) -> Reply:
    judgement = judge(known, ask.fingerprint)
    if judgement is Judgement.REPLAY and known.status is not None and known.body is not None:
        return Answer(known.status, known.body, replayed=True)
    return Refusal(judgement, notification_id)


def _key_row(planned: Planned, render: Callable[[Planned], bytes]) -> intake.KeyRow:
    ask = planned.ask
    return intake.KeyRow(
        ask.tenant_id,
        ask.key_hash,
        ask.fingerprint,
        planned.notification_id,
        ACCEPTED_STATUS,
        render(planned),
    )


def _notification_row(planned: Planned) -> intake.NotificationRow:
    ask = planned.ask
    return intake.NotificationRow(
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


def _delivery_rows(planned: Planned) -> list[intake.DeliveryRow]:
    ask = planned.ask
    due = ask.not_before if planned.reason is not None else None
    return [
        intake.DeliveryRow(
            delivery,
            ask.tenant_id,
            part.channel,
            ask.category.criticality,
            part.lane,
            ask.brand,
            ask.category.program,
            part.address,
            part.body,
            due,
            ask.not_before,
            ask.expires_at,
            planned.reason,
        )
        for delivery, part in zip(planned.delivery_ids, ask.parts, strict=True)
    ]
