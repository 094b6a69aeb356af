"""Reconcile: look a doubtful attempt up at its provider; what is found there ends the doubt.

Three steps, and no transaction is open during the call: take a look-up that is due, list the
messages, apply what they prove. Nothing is sent, so neither fence nor region matters. A list that
shows nothing proves nothing: only the settle window, or a person, ends such a doubt. Whose a
message is gets decided on facts read after the list was (domain/matching.py says why).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from notifyq.domain.evidence import told, weigh
from notifyq.domain.ids import reference
from notifyq.domain.matching import Maker, Unclear, match
from notifyq.domain.message import Sender
from notifyq.domain.model import Lane, Receipt
from notifyq.domain.provider import LookUpFailed, Provider, Seen, Sighting, Sought
from notifyq.domain.states import State
from notifyq.store import evidence, look_ups, moves, receipts, standby
from notifyq.store.db import Committed, Conn, Unknown, transact

# Set before the provider's word in a receipt that nobody sent us: so one sees what settled it.
MARK = "look_up:"


@dataclass(frozen=True, slots=True)
class LookUpRules:
    """What bounds the look-ups of one lane, from the settings."""

    waits_s: tuple[float, ...]  # before the first, second … look-up
    timeout_s: float
    sender: Callable[[str, str], Sender | None]  # (brand, program) -> who speaks
    dedupe_days: int


class Result(Enum):
    """What a look-up came to."""

    SETTLED = "settled"  # the attempt's message is there, and that is written
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"  # nothing was learnt


@dataclass(frozen=True, slots=True)
class Looked:
    """One look-up: what it was about and what it came to."""

    delivery_id: UUID
    number: int
    step: int
    result: Result
    detail: str | None = None  # why it failed, or the delivery's state after it


async def reconcile_due(
    conn: Conn,
    provider: Provider,
    rules: LookUpRules,
    *,
    cell: int,
    lane: Lane,
    new_id: Callable[[], UUID],
) -> Looked | Unknown | None:
    """Make one look-up that is due; None if none is.

    Unknown: a commit's fate is not known. Nothing rests on it: the next step looks again.
    """
    claimed = await transact(
        conn, lambda c: look_ups.claim(c, cell=cell, lane=lane.id, waits_s=rules.waits_s)
    )
    if isinstance(claimed, Unknown):
        return claimed
    turn = claimed.value
    if turn is None:
        return None
    own = Maker(None, turn.began_at, turn.send_by)
    named = reference(cell, turn.delivery_id, turn.number)
    found = await _look(provider, rules, turn, own, named)
    if isinstance(found, LookUpFailed):
        return Looked(turn.delivery_id, turn.number, turn.step, Result.FAILED, found.code)
    if not found.messages:
        return Looked(turn.delivery_id, turn.number, turn.step, Result.NOT_FOUND)

    async def work(conn: Conn) -> Looked:
        return await _apply(conn, turn, found, rules, cell=cell, lane=lane, new_id=new_id)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _look(
    provider: Provider, rules: LookUpRules, turn: look_ups.Turn, own: Maker, named: str
) -> Seen | LookUpFailed:
    sender = rules.sender(turn.brand, turn.program)
    if sender is None:  # the settings no longer have the one it was sent by
        return LookUpFailed("no_sender")
    sought = Sought(turn.address, sender.address, turn.body, named, own.since, own.until)
    return await provider.look_up(sought, timeout_s=rules.timeout_s)


async def _apply(
    conn: Conn,
    turn: look_ups.Turn,
    found: Seen,
    rules: LookUpRules,
    *,
    cell: int,
    lane: Lane,
    new_id: Callable[[], UUID],
) -> Looked:
    """Find out whose the messages are, and let one that is the attempt's own count."""

    def looked(result: Result, detail: str | None = None) -> Looked:
        return Looked(turn.delivery_id, turn.number, turn.step, result, detail)

    at = evidence.Place(cell, turn.delivery_id, turn.number)
    standing = await evidence.lock(conn, at)
    if standing is None:
        return looked(Result.NOT_FOUND)
    own = Maker(standing.provider_id, turn.began_at, turn.send_by)
    others = await look_ups.others(conn, at, turn, found.messages, lane=lane.id)
    named = reference(cell, turn.delivery_id, turn.number)
    message = match(found.messages, own, others, reference=named)
    if isinstance(message, Unclear):
        return looked(Result(message.value))
    state = await _settle(conn, at, standing, message, rules, event_id=new_id())
    return looked(Result.SETTLED, state)


async def _settle(
    conn: Conn,
    at: evidence.Place,
    standing: evidence.Standing,
    message: Sighting,
    rules: LookUpRules,
    *,
    event_id: UUID,
) -> State:
    """Keep the message as a receipt and let it count as one; return the delivery's state."""
    named = reference(at.cell, at.delivery_id, at.number)
    status = MARK + message.status
    kept = await receipts.keep(
        conn,
        cell=at.cell,
        delivery_id=at.delivery_id,
        number=at.number,
        provider=standing.provider,
        receipt=Receipt(named, message.provider_id, status, message.rank, message.code),
    )
    if not kept.fresh or message.rank <= kept.rank_before:
        return standing.state  # a callback came first and said as much
    may_go_at = evidence.may_go_at(at, standing, message.cap_zone)
    state = await evidence.apply(
        conn,
        at,
        standing,
        weigh(standing.outcome, standing.state, told(message.rank, may_go_at), standing.others),
        evidence.Proof(message.provider_id, message.code, may_go_at),
        by=moves.Mover(at.cell, event_id, rules.dedupe_days),
    )
    if state is State.UNDELIVERED and state is not standing.state:
        await standby.advance(conn, [at.delivery_id], cell=at.cell)
    return state
