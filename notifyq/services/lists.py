"""Lists: a request to many recipients is accepted in phases, and gone on with if it stops.

Each phase is one transaction: up to 1,000 recipients, and the key moves to the next recovery
point, if the claim still stands. The last one stores the answer. Whoever finds the claim run out
takes it over and goes on from the recovery point: the client's retry, or the completer, which
needs no client. So nothing is written twice, and nothing that was begun is left half done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import psycopg

from notifyq.domain.asking import Ask, Planned, phase, plan, recipients_before
from notifyq.domain.idempotency import (
    ACCEPTED_STATUS,
    FINISHED,
    Answer,
    Judgement,
    KnownKey,
    Refusal,
    after_recipients,
    judged,
    recipients_done,
)
from notifyq.store import intake, unfinished
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.requests import answer_row
from notifyq.store.stored_ask import BadAsk, pack, unpack

Reply = Answer | Refusal | Unknown


async def accept_list(
    conn: Conn,
    ask: Ask,
    *,
    now: datetime,
    dice: Callable[[int], int],
    new_token: Callable[[], UUID],
    render: Callable[[Planned], bytes],
) -> Reply:
    """Accept a request to many recipients; the answer rests on the commit of its last phase.

    now, dice, render: as accept() has them. new_token: makes the name of a claim. A known key
    whose request was begun and abandoned is taken over. Refusal RUNNING: somebody else is at it.
    """
    planned = plan(ask, now, dice(64))
    try:
        begun = await _begin(conn, planned, render(planned), new_token())
        if not isinstance(begun, tuple):
            return begun if isinstance(begun, Unknown) else await _go_on(conn, begun)
        known, notification_id = begun
        reply = judged(ask.fingerprint, known, notification_id)
        if reply != Refusal(Judgement.RUNNING, notification_id):
            return reply
        claim = await _claimed(conn, ask.cell, new_token(), only=notification_id)
        if not isinstance(claim, unfinished.Claim):
            return claim or reply
        return await _go_on(conn, _work_of(claim))
    except (psycopg.errors.LockNotAvailable, BadAsk):
        # Somebody else is at it; or nobody here can be, and the completer tells why.
        return Refusal(Judgement.RUNNING, None)


@dataclass(frozen=True, slots=True)
class Completed:
    """What one cycle of the completer did."""

    finished: int
    failed: int


async def complete(
    conn: Conn, *, cell: int, new_token: Callable[[], UUID], limit: int
) -> Completed:
    """Go on with up to `limit` abandoned requests, the longest abandoned first; count them.

    Each in transactions of its own. A try is counted, and the next one put off, when it begins:
    a request that makes it fail, in whatever way, holds up no other. A bug is raised, after that.
    """
    finished = failed = 0
    while finished + failed < limit:
        claim = await _claimed(conn, cell, new_token())
        if not isinstance(claim, unfinished.Claim):
            break
        trouble = await _tried(conn, claim)
        if trouble is None:
            finished += 1
            continue
        failed += 1
        await _note(conn, cell, claim.notification_id, trouble)
    return Completed(finished, failed)


async def _tried(conn: Conn, claim: unfinished.Claim) -> str | None:
    """Finish a claimed request; return what went wrong with it, None if nothing did."""
    try:
        reply = await _go_on(conn, _work_of(claim))
    except BadAsk as error:
        return f"it cannot be read: {error}"
    except psycopg.Error as error:
        if conn.closed:
            raise  # not the request's fault
        # Not the error's own text: it may show the row, and addresses stand in no log.
        named = error.diag.constraint_name or error.diag.table_name or ""
        return f"{type(error).__name__} {error.sqlstate} {named}".rstrip()
    match reply:
        case Answer():
            return None
        case Unknown(reason):
            return reason
        case Refusal():
            return "taken over by somebody else"


@dataclass(frozen=True, slots=True)
class _Work:
    """A claimed request, with what is left of it."""

    planned: Planned
    answer: bytes
    token: UUID
    recovery_point: str


def _work_of(claim: unfinished.Claim) -> _Work:
    """Read a claimed request; BadAsk if it cannot be gone on with."""
    planned, answer = unpack(claim.ask)
    if planned.notification_id != claim.notification_id:
        raise BadAsk("it is another notification's")
    if claim.recovery_point is None:
        raise BadAsk("its key is not there, or finished")
    try:
        recipients_done(claim.recovery_point)
    except ValueError:
        raise BadAsk(f"{claim.recovery_point!r} is no recovery point of a list") from None
    return _Work(planned, answer, claim.token, claim.recovery_point)


async def _begin(
    conn: Conn, planned: Planned, answer: bytes, token: UUID
) -> _Work | tuple[KnownKey, UUID] | Unknown:
    """Take the key and write the first phase; or return what the key stands for."""
    ask = planned.ask
    places = phase(planned, 0)
    point = after_recipients(_recipients(planned, places), ask.count)

    async def work(conn: Conn) -> _Work | tuple[KnownKey, UUID] | None:
        if not await _take(conn, planned, answer, token, point):
            return (await intake.known(conn, cell=ask.cell, keys=[ask.key])).get(ask.key)
        answers = [answer_row(planned, answer)] if point == FINISHED else []
        await intake.write_phase(conn, planned, places, answers=answers)
        return _Work(planned, answer, token, point)

    fate = await transact(conn, work)
    if isinstance(fate, Unknown):
        return fate
    return fate.value or Unknown("the key was forgotten while it was looked up")


async def _take(conn: Conn, planned: Planned, answer: bytes, token: UUID, point: str) -> bool:
    """Take the key at its first recovery point; False if it is known."""
    if point == FINISHED:  # short enough for one phase: nobody ever has to go on
        return bool(await intake.take_keys(conn, cell=planned.ask.cell, planned=[planned]))
    ask = pack(planned, answer)
    return await unfinished.take(conn, planned, recovery_point=point, token=token, ask=ask)


async def _go_on(conn: Conn, work: _Work) -> Reply:
    """Write what is left, phase by phase."""
    point = work.recovery_point
    while point != FINISHED:
        fate = await transact(conn, partial(_next, work, point))
        if isinstance(fate, Unknown):
            return fate
        if fate.value is None:  # somebody else has the claim
            return Refusal(Judgement.RUNNING, work.planned.notification_id)
        point = fate.value
    return Answer(ACCEPTED_STATUS, work.answer, replayed=False)


async def _next(work: _Work, point: str, conn: Conn) -> str | None:
    """Write one phase; return the recovery point after it, None if the claim is lost."""
    planned = work.planned
    places = phase(planned, recipients_done(point))
    to = after_recipients(_recipients(planned, places), planned.ask.count)
    if not await unfinished.advance(
        conn,
        cell=planned.ask.cell,
        notification_id=planned.notification_id,
        token=work.token,
        recovery_point=point,
        to=to,
    ):
        return None
    answers = [answer_row(planned, work.answer)] if to == FINISHED else []
    await intake.write_phase(conn, planned, places, answers=answers)
    return to


def _recipients(planned: Planned, places: range) -> int:
    """Return how many recipients are done once these places are written."""
    return recipients_before(planned.ask, places.stop)


async def _claimed(
    conn: Conn, cell: int, token: UUID, only: UUID | None = None
) -> unfinished.Claim | Unknown | None:
    async def work(conn: Conn) -> unfinished.Claim | None:
        return await unfinished.take_over(conn, cell=cell, token=token, only=only)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _note(conn: Conn, cell: int, notification_id: UUID, trouble: str) -> None:
    async def work(conn: Conn) -> None:
        await unfinished.note_trouble(
            conn, cell=cell, notification_id=notification_id, trouble=trouble
        )

    await transact(conn, work)
