"""Settle: write how attempts ended, in batches, and what that makes of their deliveries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from math import inf
from uuid import UUID

from notifyq.domain.evidence import NO_OTHERS, Others, beside, weigh
from notifyq.domain.model import DoubtRules, Post, Ready
from notifyq.domain.outcome import Accepted, Capped, Outcome
from notifyq.domain.scheduling import after_midnight
from notifyq.domain.states import DELIVERY, FAILED, Event, Reason, State, step
from notifyq.domain.verdict import Verdict, judge
from notifyq.store import evidence, moves, others, results, standby
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
    done: set[UUID]  # those that were written; the rest was settled by evidence before


@dataclass(frozen=True, slots=True)
class SettleRules:
    """What is written beside a result, from the settings of its lane."""

    doubt: DoubtRules
    dedupe_days: int


async def settle(
    conn: Conn,
    post: Post,
    ended: Sequence[Ended],
    rules: SettleRules,
    *,
    dice: Callable[[], float],
    new_id: Callable[[], UUID],
) -> Settled | Unknown:
    """Write the outcomes of attempts of one lane, one of a delivery at most.

    dice(): [0, 1). Unknown: the commit's fate is not known; settling again is safe, because an
    attempt that was closed is not closed twice.
    """
    verdicts = {e.ready.due.delivery_id: _judged(e, dice()) for e in ended}
    if len(verdicts) < len(ended):
        raise ValueError("two attempts of one delivery: the later one comes after the commit")
    ordered = sorted(ended, key=lambda e: e.ready.due.delivery_id)

    async def work(conn: Conn) -> set[UUID]:
        done: set[UUID] = set()
        for day, group in groupby(ordered, key=lambda e: day_of(e.ready.due.delivery_id)):
            judged = [_Judged(e, verdicts[e.ready.due.delivery_id], new_id()) for e in group]
            done |= await _settle_day(conn, post, day, judged, rules)
        return done

    fate = await transact(conn, work)
    return Settled(verdicts, fate.value) if isinstance(fate, Committed) else fate


@dataclass(frozen=True, slots=True)
class _Judged:
    ended: Ended
    verdict: Verdict
    event_id: UUID

    @property
    def delivery_id(self) -> UUID:
        return self.ended.ready.due.delivery_id

    @property
    def number(self) -> int:
        return self.ended.ready.number


async def _settle_day(
    conn: Conn, post: Post, day: str, judged: list[_Judged], rules: SettleRules
) -> set[UUID]:
    """Write what ended on the leaves of one day; return the deliveries that were written."""
    keys = [(one.delivery_id, one.number, one.ended.ready.epoch) for one in judged]
    held = await results.hold(conn, keys, cell=post.cell, day=day)
    again = [(one.delivery_id, one.number) for one in judged if one.number > 1]
    tried = await others.look(conn, again, cell=post.cell)
    found = []
    for one in judged:
        its = held.get(one.delivery_id)
        if its is None:
            await _keep_as_evidence(conn, post.cell, one, rules.dedupe_days)
        # In doubt already, a lost answer says what the end of its lease said.
        elif its.state != State.IN_DOUBT or one.verdict.event is not Event.LOSE_ANSWER:
            found.append(_result(one, its, tried.get(one.delivery_id, NO_OTHERS)))
    moved = [result for result in found if result.delivery_place is not None]
    doubtful = [r.delivery_id for r in moved if held[r.delivery_id].state != State.PENDING]
    if doubtful:  # before a new dead letter is written
        await results.calm(conn, doubtful, cell=post.cell)
    if found:
        await results.settle(
            conn,
            found,
            channel=post.lane.channel,
            cell=post.cell,
            day=day,
            lane=post.lane.id,
            doubt=rules.doubt,
            dedupe_days=rules.dedupe_days,
        )
    failed = [result.delivery_id for result in moved if result.state in FAILED]
    await standby.advance(conn, failed, cell=post.cell)
    return {result.delivery_id for result in found}


def _judged(ended: Ended, jitter: float) -> Verdict:
    due = ended.ready.due
    remaining_s = (due.expires_at - ended.at).total_seconds()
    return judge(
        ended.outcome,
        due.tries + 1,
        attempts=ended.ready.number,
        remaining_s=remaining_s,
        jitter=jitter,
        lifts_in_s=_lifts_in_s(ended),
    )


def _lifts_in_s(ended: Ended) -> float:
    """Return the seconds until what was capped may go; inf: never, or not before it expires."""
    if not isinstance(ended.outcome, Capped):
        return inf
    due, place = ended.ready.due, ended.outcome.zone
    at = after_midnight(ended.at, place, due.expires_at, due.delivery_id.bytes)
    return inf if at is None else (at - ended.at).total_seconds()


def _result(one: _Judged, held: results.Held, others: Others) -> results.Result:
    due, state, verdict = one.ended.ready.due, State(held.state), one.verdict
    if verdict.event is Event.RETRY and held.cancel_requested:
        verdict = replace(verdict, event=Event.CANCEL, reason=Reason.CANCELED, retry_in_s=None)
    event = beside(verdict.event, others) or verdict.event
    if event is not verdict.event:
        reason = Reason.OUTCOME_UNKNOWN if event is Event.END_IN_DOUBT else None
        verdict = replace(verdict, event=event, reason=reason, retry_in_s=None)
    # Evidence about an earlier attempt may have moved the delivery: the attempt ends all the same.
    moves = (state, verdict.event) in DELIVERY
    return results.Result(
        delivery_id=one.delivery_id,
        number=one.number,
        outcome=verdict.outcome,
        provider_id=verdict.provider_id,
        code=verdict.code,
        state=step(state, verdict.event) if moves else state,
        reason=verdict.reason,
        event_id=one.event_id,
        retry_in_s=verdict.retry_in_s,
        criticality=due.criticality,
        tries=verdict.tries,
        cause=verdict.reason if verdict.event in _DEAD else None,
        attempt_place=held.attempt_place,
        delivery_place=held.delivery_place if moves else None,
    )


# These leave a dead letter, whose cause is the reason.
_DEAD = (Event.GIVE_UP, Event.END_IN_DOUBT)


async def _keep_as_evidence(conn: Conn, cell: int, one: _Judged, dedupe_days: int) -> None:
    """Let an acceptance count for an attempt that was settled, or abandoned, without it."""
    outcome, at = one.ended.outcome, evidence.Place(cell, one.delivery_id, one.number)
    standing = await evidence.lock(conn, at) if isinstance(outcome, Accepted) else None
    if standing is None or not isinstance(outcome, Accepted):
        return
    await evidence.apply(
        conn,
        at,
        standing,
        weigh(standing.outcome, standing.state, Event.ACCEPT, standing.others),
        evidence.Proof(outcome.provider_id),
        by=moves.Mover(cell, one.event_id, dedupe_days),
    )
