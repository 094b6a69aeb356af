"""Accept: a batch of requests becomes keys, notifications, deliveries, jobs and answers.

One transaction, one atomic phase: no foreign call is made, so `finished` is the only recovery
point. A 202 rests on a confirmed commit; of anything less the caller learns that nobody knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from notifyq.domain.asking import Ask, Planned
from notifyq.domain.idempotency import Judgement, KnownKey, judge
from notifyq.domain.ids import delivery_id, new_notification_id
from notifyq.domain.states import Reason, State
from notifyq.store import intake
from notifyq.store.db import Committed, Conn, Unknown, transact

ACCEPTED_STATUS = 202
# How long a batch waits for keys that another transaction holds before it goes one by one, so
# that one slow key does not stall the others.
LOCK_TIMEOUT_MS = 250


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
_Key = intake.Key


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
        if _key_of(ask) not in first:
            first[_key_of(ask)] = _plan(ask, now, dice)
    answers = {planned.notification_id: render(planned) for planned in first.values()}
    try:
        found = await _write(conn, list(first.values()), answers)
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
    return _replies(asks, first, found, answers)


def _plan(ask: Ask, now: datetime, dice: Callable[[int], int]) -> Planned:
    notification_id = new_notification_id(now, dice(64))
    ids = tuple(delivery_id(notification_id, n) for n in range(1, len(ask.parts) + 1))
    held = ask.not_before is not None and ask.not_before > now
    return Planned(ask, notification_id, ids, Reason.NOT_BEFORE if held else None)


_Known = dict[_Key, tuple[KnownKey, UUID]]


@dataclass(frozen=True, slots=True)
class _Written:
    new: set[UUID]  # the notifications whose keys were new
    known: _Known  # what the other keys already stood for


async def _write(
    conn: Conn, planned: list[Planned], answers: dict[UUID, bytes]
) -> _Written | Unknown:
    """Write what is new; return what the other keys already held."""
    (cell,) = {p.ask.cell for p in planned}  # every transaction touches one cell

    async def work(conn: Conn) -> _Written:
        keys = [_key_row(p, answers) for p in planned]
        taken = await intake.take_keys(conn, cell=cell, keys=keys)
        new = [p for p in planned if p.notification_id in taken]
        if new:
            await intake.write(
                conn,
                cell=cell,
                keys=[key for key in keys if key.notification_id in taken],
                notifications=[_notification_row(p) for p in new],
                deliveries=[row for p in new for row in _delivery_rows(p)],
            )
        rest = [_key_of(p.ask) for p in planned if p.notification_id not in taken]
        return _Written(taken, await intake.known(conn, cell=cell, keys=rest) if rest else {})

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def recall(
    conn: Conn, key: intake.Key, asked: bytes, *, cell: int
) -> Answer | Refusal | None:
    """Return what a request whose key is known gets; None if the key is new.

    asked: the request's fingerprint. For requests that would be refused today: what was accepted
    stays accepted, whatever the clock and the settings say by now. Its commit writes WAL, so a
    replay waits for the standby as the first answer did.
    """

    async def work(conn: Conn) -> _Known:
        return await intake.known(conn, cell=cell, keys=[key])

    fate = await transact(conn, work)
    if isinstance(fate, Unknown) or key not in fate.value:
        return None
    return _judged(asked, *fate.value[key])


def _replies(
    asks: Sequence[Ask],
    first: dict[_Key, Planned],
    written: _Written,
    answers: dict[UUID, bytes],
) -> list[Reply]:
    replies: list[Reply] = []
    for ask in asks:
        planned = first[_key_of(ask)]
        if _key_of(ask) in written.known:
            replies.append(_judged(ask.fingerprint, *written.known[_key_of(ask)]))
        elif planned.notification_id not in written.new:
            replies.append(Unknown("the key was forgotten while it was looked up"))
        elif planned.ask is ask or planned.ask.fingerprint == ask.fingerprint:
            again = planned.ask is not ask
            body = answers[planned.notification_id]
            replies.append(Answer(ACCEPTED_STATUS, body, replayed=again))
        else:
            replies.append(Refusal(Judgement.REUSED, planned.notification_id))
    return replies


def _judged(asked: bytes, known: KnownKey, notification_id: UUID) -> Answer | Refusal:
    judgement = judge(known, asked)
    if judgement is Judgement.REPLAY and known.status is not None and known.body is not None:
        return Answer(known.status, known.body, replayed=True)
    return Refusal(judgement, notification_id)


def _key_of(ask: Ask) -> intake.Key:
    return (ask.tenant_id, operation_of(ask.test), ask.key_hash)


def operation_of(test: bool) -> str:
    """Return what a key is unique for: a test send never answers for a live one."""
    return "notify.test" if test else "notify"


def _key_row(planned: Planned, answers: dict[UUID, bytes]) -> intake.KeyRow:
    ask = planned.ask
    return intake.KeyRow(
        ask.tenant_id,
        operation_of(ask.test),
        ask.key_hash,
        ask.fingerprint,
        planned.notification_id,
        ACCEPTED_STATUS,
        answers[planned.notification_id],
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
            Reason.EARLIER_CHANNEL if part.standby else planned.reason,
            ask.category.resend_after_s,
            State.STANDBY if part.standby else State.PENDING,
        )
        for delivery, part in zip(planned.delivery_ids, ask.parts, strict=True)
    ]
