"""Receive: what a provider tells us later, applied once, whatever order it comes in.

A receipt is evidence. It settles an attempt that is open or in doubt, moves a delivery on by its
rank, and corrects one that rests as unknown. A receipt for an attempt that was closed as not
carried out is kept and counted: it says that we were wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from notifyq.domain.evidence import Bearing, told, weigh
from notifyq.domain.ids import BadId, read_reference
from notifyq.domain.model import Receipt
from notifyq.domain.states import Event, State
from notifyq.store import evidence, moves, receipts, standby
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
    fresh: bool = False  # this is its first copy


async def receive(
    conn: Conn,
    provider: str,
    receipt: Receipt,
    *,
    new_id: Callable[[], UUID],
    dedupe_days: int,
) -> Received | Unknown:
    """Store a verified receipt and apply it; a second copy changes nothing.

    provider: the account whose signature it carries. A reference that names no attempt, or one
    that another account made, is strange: nothing is stored on its word.
    """
    try:
        at = evidence.Place(*read_reference(receipt.reference))
    except BadId:
        return Received(Applied.STRANGE, None, None)

    async def work(conn: Conn) -> Received:
        # The attempt is locked first: two receipts about it are then applied one after the other,
        # and the later one sees the rank of the one before.
        found = await evidence.lock(conn, at)
        if found is None or found.provider != provider:
            return Received(Applied.STRANGE, None, None)
        kept = await receipts.keep(
            conn,
            cell=at.cell,
            delivery_id=at.delivery_id,
            number=at.number,
            provider=provider,
            receipt=receipt,
        )
        if not kept.fresh or receipt.rank <= kept.rank_before:
            return Received(Applied.KNOWN, at.delivery_id, found.state, kept.fresh)
        may_go_at = evidence.may_go_at(at, found, receipt.cap_zone)
        bearing = weigh(found.outcome, found.state, told(receipt.rank, may_go_at), found.others)
        proof = evidence.Proof(receipt.provider_id, receipt.code, may_go_at)
        by = moves.Mover(at.cell, new_id(), dedupe_days)
        state = await evidence.apply(conn, at, found, bearing, proof, by=by)
        if state is State.UNDELIVERED and state is not found.state:
            await standby.advance(conn, [at.delivery_id], cell=at.cell)
        return Received(_applied(bearing, found, state), at.delivery_id, state, fresh=True)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


def _applied(bearing: Bearing, before: evidence.Standing, after: State) -> Applied:
    if bearing.late and not before.late:
        return Applied.LATE
    moved = after is not before.state or bearing.event is Event.PARK
    return Applied.MOVED if moved else Applied.KNOWN
