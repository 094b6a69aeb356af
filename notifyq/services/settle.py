"""Settle: write how attempts ended, in batches, and what that makes of their deliveries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from notifyq.domain.model import Post, Ready
from notifyq.domain.outcome import Outcome
from notifyq.domain.states import AttemptOutcome, Event, State, sources, step
from notifyq.domain.verdict import Verdict, judge
from notifyq.store import attempts, evidence
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.partitions import day_of


@dataclass(frozen=True, slots=True)
class Ended:
    """A send that is over."""

    ready: Ready
    outcome: Outcome
    at: datetime  # the database's time, as this process knows it


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch."""

    verdicts: dict[UUID, Verdict]  # as judged
    done: set[UUID]  # those that were still open; the rest was settled by evidence, or fenced off


async def settle(
    conn: Conn,
    post: Post,
    ended: Sequence[Ended],
    *,
    settle_window_s: float,
    dedupe_days: int,
    dice: Callable[[], float],
    new_id: Callable[[], UUID],
) -> Settled | Unknown:
    """Write the outcomes of attempts of one lane.

    dice(): [0, 1). Unknown: the commit's fate is not known; settling again is safe, because an
    attempt that was closed is not closed twice.
    """
    verdicts = {e.ready.due.delivery_id: _judged(e, dice()) for e in ended}
    ordered = sorted(ended, key=lambda e: e.ready.due.delivery_id)

    async def work(conn: Conn) -> set[UUID]:
        done: set[UUID] = set()
        for day, group in groupby(ordered, key=lambda e: day_of(e.ready.due.delivery_id)):
            results = [_result(e, verdicts[e.ready.due.delivery_id], new_id()) for e in group]
            done |= await attempts.settle(
                conn,
                results,
                channel=post.lane.channel,
                cell=post.cell,
                day=day,
                lane=post.lane.id,
                settle_window_s=settle_window_s,
                dedupe_days=dedupe_days,
            )
            for result in results:
                if result.delivery_id not in done:
                    await _keep_as_evidence(conn, post.cell, result)
        return done

    fate = await transact(conn, work)
    return Settled(verdicts, fate.value) if isinstance(fate, Committed) else fate


def _judged(ended: Ended, jitter: float) -> Verdict:
    due = ended.ready.due
    remaining_s = (due.expires_at - ended.at).total_seconds()
    return judge(
        ended.outcome,
        due.tries + 1,
        attempts=ended.ready.number,
        remaining_s=remaining_s,
        jitter=jitter,
    )


def _result(ended: Ended, verdict: Verdict, event_id: UUID) -> attempts.Result:
    due = ended.ready.due
    return attempts.Result(
        delivery_id=due.delivery_id,
        number=ended.ready.number,
        epoch=ended.ready.epoch,
        outcome=verdict.outcome,
        provider_id=verdict.provider_id,
        code=verdict.code,
        state=step(State.PENDING, verdict.event),
        reason=verdict.reason,
        event_id=event_id,
        retry_in_s=verdict.retry_in_s,
        criticality=due.criticality,
        tries=verdict.tries,
        cause=verdict.reason if verdict.event is Event.GIVE_UP else None,
    )


async def _keep_as_evidence(conn: Conn, cell: int, result: attempts.Result) -> None:
    """An acceptance that came after its lease settles the doubt that the lease left."""
    if result.provider_id is None:
        return
    at = (result.delivery_id, result.number)
    found = await evidence.lock_one(conn, cell=cell, delivery_id=at[0], number=at[1])
    if found is None or found.outcome != AttemptOutcome.IN_DOUBT:
        return
    await evidence.close_one(
        conn,
        cell=cell,
        delivery_id=at[0],
        number=at[1],
        outcome=AttemptOutcome.ACCEPTED,
        provider_id=result.provider_id,
        code=None,
    )
    await evidence.move_one(
        conn,
        cell=cell,
        delivery_id=at[0],
        state=State.SENT,
        reason=None,
        sources=sources(Event.ACCEPT),
        event_id=result.event_id,
    )
