"""Deliver: claim due jobs of a lane, decide, begin attempts. What it returns may be sent.

One transaction: nothing is deleted by the claim, so whatever goes wrong rolls back to jobs that
are still due. The caller sends on the strength of the confirmed commit of *this* transaction and
of nothing else; an open attempt that it merely reads, after its own restart too, is in doubt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from notifyq.domain.assessing import Assessor
from notifyq.domain.evidence import NO_OTHERS, Others, beside
from notifyq.domain.model import Due, Post, Ready
from notifyq.domain.policy import Decision, Drop, End, Send, Wait
from notifyq.domain.states import FAILED, Event, Reason, State, step
from notifyq.domain.turn import Turn as Turn
from notifyq.errors import FenceLost
from notifyq.store import attempts, consents, facts, others, queue, standby
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.partitions import day_of

# A job whose delivery already has a live attempt is a bug somewhere; it is put aside for this
# long rather than claimed again at once, and reported.
BLOCKED_S = 60.0


@dataclass(frozen=True, slots=True)
class _Day:
    """The claimed jobs of one day, which lie on the same leaves, with what was decided."""

    day: str
    now: datetime
    decided: list[tuple[Due, Decision]]
    gone: list[queue.Claim]  # jobs without a delivery


async def begin_due(
    conn: Conn,
    post: Post,
    *,
    room: int,
    low_waters: Sequence[datetime],
    dedupe_days: int,
    new_id: Callable[[], UUID],
) -> Turn | Unknown:
    """Claim up to `room` due jobs of the post's lane, decide on each and begin what is sent.

    dedupe_days: how long the request of a dead letter is recognised at least.
    FenceLost: the fence does not let this region begin at this epoch; nothing was changed.
    Unknown: the commit's fate is not known; nothing may be sent.
    """

    async def work(conn: Conn) -> Turn:
        claims = await queue.claim(
            conn,
            channel=post.lane.channel,
            cell=post.cell,
            lane=post.lane.id,
            low_waters=low_waters,
            room=room,
        )
        turn = Turn(len(claims), [], 0, 0, (), (), {c.criticality: c.due for c in claims})
        for day in await _decide(conn, post, claims):
            turn = turn.plus(await _write(conn, post, day, dedupe_days, new_id))
        begun = [ready.due for ready in turn.ready]
        await consents.count(conn, begun, cell=post.cell, channel=post.lane.channel)
        return turn

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _decide(conn: Conn, post: Post, claims: list[queue.Claim]) -> list[_Day]:
    """Load the facts of all claims, lock all their consent rows, and only then decide."""
    claims.sort(key=lambda c: c.delivery_id)  # locks are taken in the order of ids
    days = [(day, list(group)) for day, group in groupby(claims, key=_day_of)]
    cell, channel = post.cell, post.lane.channel
    known = {
        day: await facts.load(conn, group, channel=channel, cell=cell, day=day)
        for day, group in days
    }
    people: dict[tuple[str, bytes], datetime | None] = {}
    for due in (due for dues in known.values() for due in dues):
        key, since = (due.brand, due.address_key), due.registered_at
        people[key] = max(filter(None, (people.get(key), since)), default=None)
    if not people:
        return [_Day(day, group[0].now, [], group) for day, group in days]
    assessor = Assessor(await consents.lock(conn, people, cell=cell, channel=channel), channel)
    made = []
    for day, group in days:
        now, there = group[0].now, {due.delivery_id for due in known[day]}
        decided = [(due, assessor.decide(due, now)) for due in known[day]]
        made.append(_Day(day, now, decided, [c for c in group if c.delivery_id not in there]))
    return made


async def _write(
    conn: Conn, post: Post, day: _Day, dedupe_days: int, new_id: Callable[[], UUID]
) -> Turn:
    """Write a day's decisions; each takes its job row, or the fence is lost."""
    tried = await _tried(conn, post, day)
    day = replace(day, decided=[(due, _heeding(due, d, tried)) for due, d in day.decided])
    ready, blocked = await _begin(conn, post, day)
    void = [due.delivery_id for due, decision in day.decided if isinstance(decision, Drop)]
    void += [claim.delivery_id for claim in day.gone]
    ended = await _end(conn, post, day, tried, dedupe_days=dedupe_days, new_id=new_id)
    waiting = [(due, wait) for due, wait in day.decided if isinstance(wait, Wait)]
    later = [(due.delivery_id, due.place, wait.until) for due, wait in waiting]
    later += [(d.delivery_id, d.place, day.now + timedelta(seconds=BLOCKED_S)) for d in blocked]
    if later:
        done = await queue.defer(
            conn,
            later,
            channel=post.lane.channel,
            cell=post.cell,
            epoch=post.epoch,
            region=post.region,
        )
        _fenced(done == len(later), post)
        why = [(due.delivery_id, wait.reason) for due, wait in waiting]
        await queue.say_why(conn, why, cell=post.cell, day=day.day)
    return Turn(0, ready, ended, len(later), tuple(d.delivery_id for d in blocked), tuple(void), {})


async def _begin(conn: Conn, post: Post, day: _Day) -> tuple[list[Ready], list[Due]]:
    """Return what may be sent, and what could not begin beside a live attempt."""
    to_send = [(due, decision) for due, decision in day.decided if isinstance(decision, Send)]
    if not to_send:
        return [], []
    begun = await attempts.begin(
        conn,
        [
            attempts.Beginning(due.delivery_id, due.attempts + 1, due.place, send.revision)
            for due, send in to_send
        ],
        channel=post.lane.channel,
        cell=post.cell,
        day=day.day,
        lane=post.lane.id,
        epoch=post.epoch,
        region=post.region,
        worker=post.worker,
        lease_s=post.lease_s,
    )
    _fenced(begun.allowed, post)
    if not all(begun.taken.values()):
        raise RuntimeError("a claimed job row was not where the claim saw it")
    ready = [
        Ready(due, due.attempts + 1, post.epoch, send.until)
        for due, send in to_send
        if due.delivery_id in begun.taken
    ]
    return ready, [due for due, _ in to_send if due.delivery_id not in begun.taken]


async def _tried(conn: Conn, post: Post, day: _Day) -> dict[UUID, Others]:
    """Say what the attempts of deliveries that were tried before may have done.

    Evidence about one could not take the job that is claimed here, and left it to us. With the
    deliveries locked it has come, or comes after the begin.
    """
    again = [
        due.delivery_id for due, d in day.decided if due.attempts and isinstance(d, Send | End)
    ]
    await queue.lock_pending(conn, again, cell=post.cell, day=day.day)
    return await others.look(conn, [(at, 0) for at in again], cell=post.cell)


def _heeding(due: Due, decision: Decision, tried: Mapping[UUID, Others]) -> Decision:
    """Send nothing that an earlier attempt is known to have carried out."""
    proven = tried.get(due.delivery_id, NO_OTHERS).proven
    return End(proven, None) if proven is not None and isinstance(decision, Send) else decision


async def _end(
    conn: Conn,
    post: Post,
    day: _Day,
    tried: Mapping[UUID, Others],
    *,
    dedupe_days: int,
    new_id: Callable[[], UUID],
) -> int:
    """Bring deliveries to rest, and drop void jobs; return how many deliveries ended."""
    over = [(due, decision) for due, decision in day.decided if isinstance(decision, End)]
    ids = [due.delivery_id for due, _ in over]
    places = await queue.lock_pending(conn, ids, cell=post.cell, day=day.day)
    endings = [_ending(due, end, places.get(due.delivery_id), tried, new_id()) for due, end in over]
    void: list[Due | queue.Claim] = [due for due, d in day.decided if isinstance(d, Drop)]
    void += day.gone
    endings += [queue.Ending(job.delivery_id, job.place, new_id()) for job in void]
    if endings:
        done = await queue.end_unsent(
            conn,
            endings,
            channel=post.lane.channel,
            cell=post.cell,
            day=day.day,
            epoch=post.epoch,
            region=post.region,
            dedupe_days=dedupe_days,
        )
        _fenced(done == len(endings), post)
    failed = [ending.delivery_id for ending in endings if ending.state in FAILED]
    await standby.advance(conn, failed, cell=post.cell)
    return len(over)


def _ending(
    due: Due, end: End, place: str | None, tried: Mapping[UUID, Others], event_id: UUID
) -> queue.Ending:
    """Say how a delivery ends unsent; with attempts before, that may be "nobody knows"."""
    event = beside(end.event, tried.get(due.delivery_id, NO_OTHERS)) or end.event
    reason, detail = end.reason, None
    if event is Event.END_IN_DOUBT:
        reason, detail = Reason.OUTCOME_UNKNOWN, end.reason
    told = None if event in (Event.ACCEPT, Event.DELIVER) else reason
    state = step(State.PENDING, event)
    return queue.Ending(due.delivery_id, due.place, event_id, place, state, told, detail)


def _fenced(held: bool, post: Post) -> None:
    if not held:
        raise FenceLost(f"epoch {post.epoch} of region {post.region} may change nothing")


def _day_of(claim: queue.Claim) -> str:
    return day_of(claim.delivery_id)
