"""Redrive: make dead letters due again, or take them off the list. One transaction a delivery.

A run that breaks off half-way is continued by running it again: what was redriven has no dead
letter any more. The identity stays: the same delivery, the next attempt's number. A dry run takes
the same way up to the write, and rolls back.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from notifyq.domain.interventions import Dead, Kind, Letter, Refusal, refusal
from notifyq.domain.states import Event, sources
from notifyq.store import consents, dead_letters, held
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.dead_letters import Found, Wanted

PAGE = 500  # dead letters read, or discarded, at once
RATE_PER_S = 10.0  # slow beside the rest of a lane's traffic: 10 a second is 36,000 an hour


@dataclass(frozen=True, slots=True)
class Errand:
    """Who wants dead letters redriven, and how."""

    cell: int
    actor: str
    reason: str
    rate_per_s: float  # the jobs are due one after another, this many a second
    new_id: Callable[[], UUID]
    past_dedupe: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a redrive came to: made due, or refused."""

    delivery_id: UUID
    cause: str | None  # of its dead letter; None: it has none
    refusal: Refusal | None
    due: datetime | None  # of its job; in a dry run, as it would be


async def redrive_wanted(
    conn: Conn, wanted: Wanted, errand: Errand, *, limit: int
) -> AsyncIterator[Redriven | Unknown]:
    """Redrive wanted dead letters until `limit` of them are due again, and yield each result.

    Those that are refused do not count, so they cannot stand in the way of the others for ever.
    Ends with Unknown if the fate of a commit is not known: run it again.
    """
    done, after = 0, None
    while done < limit:
        page = await _page(conn, wanted, errand.cell, after)
        if isinstance(page, Unknown):
            yield page
            return
        for found in page:
            result = await redrive(conn, found.delivery_id, errand, before=done)
            yield result
            if isinstance(result, Unknown):
                return
            done += result.refusal is None
            if done == limit:
                return
        if len(page) < PAGE:
            return
        after = page[-1].delivery_id


async def redrive_each(
    conn: Conn, ids: Iterable[UUID], errand: Errand
) -> AsyncIterator[Redriven | Unknown]:
    """Redrive these, and yield each result. Ends with Unknown as redrive_wanted() does."""
    done = 0
    for delivery_id in ids:
        result = await redrive(conn, delivery_id, errand, before=done)
        yield result
        if isinstance(result, Unknown):
            return
        done += result.refusal is None


async def redrive(
    conn: Conn, delivery_id: UUID, errand: Errand, *, before: int = 0
) -> Redriven | Unknown:
    """Make one delivery due again, unless something speaks against it.

    before: those of the same errand that go first. Doing it again changes nothing: there is no
    dead letter then. Of two at once, one is refused.
    """

    async def work(conn: Conn) -> Redriven:
        its = await held.hold(conn, delivery_id, cell=errand.cell)
        result, order = await _decide(conn, delivery_id, its, errand, before)
        if errand.dry_run:
            raise _Rehearsed(result)
        if order is not None and not await dead_letters.redrive(conn, order, cell=errand.cell):
            return Redriven(delivery_id, None, Refusal.NOTHING, None)
        if order is not None and its is not None:
            # Whoever redrives says that the address is good: else it is suppressed at once.
            key = (its.brand, its.address_key)
            await consents.revive(conn, [key], cell=errand.cell, channel=its.channel)
        return result

    try:
        fate = await transact(conn, work)
    except _Rehearsed as rehearsed:
        return rehearsed.result
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        return Redriven(delivery_id, None, Refusal.BUSY, None)
    return fate.value if isinstance(fate, Committed) else fate


async def discard(
    conn: Conn, ids: Sequence[UUID], errand: Errand
) -> AsyncIterator[set[UUID] | Unknown]:
    """Take dead letters off the list, a page a transaction; yield those that were there."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), PAGE):
        page = ordered[start : start + PAGE]

        async def work(conn: Conn, page: Sequence[UUID] = page) -> set[UUID]:
            return await dead_letters.discard(
                conn,
                page,
                cell=errand.cell,
                intervention_ids=[errand.new_id() for _ in page],
                actor=errand.actor,
                reason=errand.reason,
            )

        fate = await transact(conn, work)
        yield fate.value if isinstance(fate, Committed) else fate


class _Rehearsed(Exception):
    """A dry run that has seen what it wanted: nothing of it is kept."""

    def __init__(self, result: Redriven) -> None:
        super().__init__()
        self.result = result


async def _decide(
    conn: Conn, delivery_id: UUID, its: held.Held | None, errand: Errand, before: int
) -> tuple[Redriven, dead_letters.Order | None]:
    """Lock what else speaks for or against a redrive, and decide. its: the delivery, held."""
    cell = errand.cell
    if its is None:
        return Redriven(delivery_id, None, Refusal.NOTHING, None), None
    if its.overtaken:
        return Redriven(delivery_id, None, Refusal.BUSY, None), None
    letter = await dead_letters.read(conn, delivery_id, cell=cell)
    due = its.now + timedelta(seconds=before / errand.rate_per_s)
    dead = Dead(
        letter,
        its.state,
        its.expires_at,
        its.cancel_requested,
        its.has_content,
        its.state in sources(Event.REDRIVE) and await _opted_out(conn, its, cell),
        its.attempts,
    )
    why = refusal(dead, now=its.now, due=due, past_dedupe=errand.past_dedupe)
    cause = letter.cause if letter else None
    if why is not None or letter is None:
        return Redriven(delivery_id, cause, why or Refusal.NOTHING, None), None
    order = dead_letters.Order(
        delivery_id,
        attempts=its.attempts[-1].number,
        lane=its.attempts[-1].lane,
        due=due,
        kind=_kind(letter, due),
        actor=errand.actor,
        reason=errand.reason,
        intervention_id=errand.new_id(),
        event_id=errand.new_id(),
    )
    return Redriven(delivery_id, cause, None, due), order


async def _opted_out(conn: Conn, its: held.Held, cell: int) -> bool:
    """Look under the consent row's lock: an opt-out is before this redrive, or sees its job.

    Of a delivery at rest only. Of one that is due a worker may hold the consent row and wait for
    the delivery that is held here.
    """
    key = (its.brand, its.address_key)
    consent = (await consents.lock(conn, {key: None}, cell=cell, channel=its.channel)).get(key)
    return consent is None or (
        not its.is_exempt and consent.blocks(its.program, separate=its.is_separate)
    )


def _kind(letter: Letter, due: datetime) -> Kind:
    return Kind.REDRIVE_PAST_DEDUPE if due >= letter.dedupe_until else Kind.REDRIVE


async def _page(conn: Conn, wanted: Wanted, cell: int, after: UUID | None) -> list[Found] | Unknown:
    async def work(conn: Conn) -> list[Found]:
        return await dead_letters.find(conn, wanted, cell=cell, after=after, limit=PAGE)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate
