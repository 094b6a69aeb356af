"""Receive: what a provider tells us later, applied once, whatever order it comes in.

A receipt is evidence. It settles an attempt that is open or in doubt, moves a delivery on by its
rank, and corrects one that rests as unknown. A receipt for an attempt that was closed as not
carried out is kept and counted: it says that we were wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from notifyq.domain.ids import BadId, read_reference
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Channel, Receipt
from notifyq.domain.states import (
    DELIVERY,
    LIVE,
    AttemptOutcome,
    Event,
    Reason,
    State,
    sources,
    step,
)
from notifyq.store import evidence, receipts
from notifyq.store.db import Committed, Conn, Unknown, transact


class Applied(Enum):
    """What a receipt did."""

    MOVED = "moved"  # the delivery has a new state
    KNOWN = "known"  # it says nothing new
    LATE = "late"  # the attempt was closed as not carried out, and was carried out
    STRANGE = "strange"  # no attempt of ours


@dataclass(frozen=True, slots=True)
class Received:
    """What a receipt did, and to which delivery."""

    applied: Applied
    delivery_id: UUID | None
    state: str | None  # as it is now, where it was looked at


async def receive(
    conn: Conn, provider: str, receipt: Receipt, *, new_id: Callable[[], UUID]
) -> Received | Unknown:
    """Store a verified receipt and apply it; a second copy changes nothing.

    provider: the account whose signature it carries. A reference that names no attempt, or one
    that another account made, is strange: nothing is stored on its word.
    """
    try:
        cell, delivery_id, number = read_reference(receipt.reference)
    except BadId:
        return Received(Applied.STRANGE, None, None)

    async def work(conn: Conn) -> Received:
        at = _Place(cell, delivery_id, number)
        # The attempt is locked first: two receipts about it are then applied one after the other,
        # and the later one sees the rank of the one before.
        found = await evidence.lock_one(conn, cell=cell, delivery_id=delivery_id, number=number)
        if found is None or found.provider != provider:
            return Received(Applied.STRANGE, None, None)
        kept = await receipts.keep(
            conn,
            cell=cell,
            delivery_id=delivery_id,
            number=number,
            provider=provider,
            receipt=receipt,
        )
        if not kept.fresh or receipt.rank <= kept.rank_before:
            return Received(Applied.KNOWN, delivery_id, found.state)
        return await _apply(conn, at, found, receipt, new_id())

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


@dataclass(frozen=True, slots=True)
class _Place:
    cell: int
    delivery_id: UUID
    number: int


async def _apply(
    conn: Conn, at: _Place, found: evidence.Evidence, receipt: Receipt, event_id: UUID
) -> Received:
    outcome, state = AttemptOutcome(found.outcome), State(found.state)
    event = _event(receipt.rank)
    corrects = outcome is AttemptOutcome.BOUNCED and state is State.UNDELIVERED
    if outcome not in LIVE and not corrects:
        return await _late(conn, at, found, receipt, event_id)
    proven = AttemptOutcome.BOUNCED if event is Event.BOUNCE else AttemptOutcome.ACCEPTED
    if proven is not outcome:
        await evidence.close_one(
            conn,
            cell=at.cell,
            delivery_id=at.delivery_id,
            number=at.number,
            outcome=proven,
            provider_id=receipt.provider_id,
            code=receipt.code,
        )
    if (state, event) not in DELIVERY:  # already there, or further
        return Received(Applied.KNOWN, at.delivery_id, state)
    return Received(Applied.MOVED, at.delivery_id, await _move(conn, at, state, event, event_id))


async def _move(conn: Conn, at: _Place, state: State, event: Event, event_id: UUID) -> State:
    target = step(state, event)
    await evidence.move_one(
        conn,
        cell=at.cell,
        delivery_id=at.delivery_id,
        state=target,
        reason=Reason.UNDELIVERED if event is Event.BOUNCE else None,
        sources=sources(event),
        event_id=event_id,
    )
    return target


async def _late(
    conn: Conn, at: _Place, found: evidence.Evidence, receipt: Receipt, event_id: UUID
) -> Received:
    """Note that a closed attempt was carried out after all, and do not send a second one."""
    new = await evidence.note_late_acceptance(
        conn,
        cell=at.cell,
        delivery_id=at.delivery_id,
        number=at.number,
        provider_id=receipt.provider_id,
    )
    applied = Applied.LATE if new else Applied.KNOWN
    state, event = State(found.state), _event(receipt.rank)
    # A retry is waiting: what it would send has arrived. If a worker has just claimed it, this
    # came too late.
    stopped = state is State.PENDING and await evidence.take_back_job(
        conn, cell=at.cell, delivery_id=at.delivery_id, channel=Channel(found.channel)
    )
    if stopped or (state is State.SENT and event is not Event.ACCEPT):
        state = await _move(conn, at, state, event, event_id)
    return Received(applied, at.delivery_id, state)


def _event(rank: int) -> Event:
    if rank >= RANK_DELIVERED:
        return Event.DELIVER
    return Event.BOUNCE if rank == RANK_UNDELIVERED else Event.ACCEPT
