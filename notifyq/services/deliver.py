"""Deliver: claim due jobs of a lane, decide, begin attempts. What it returns may be sent.

One transaction: nothing is deleted by the claim, so whatever goes wrong rolls back to jobs that
are still due. The caller sends on the strength of the confirmed commit of *this* transaction and
of nothing else; an open attempt that it merely reads, after its own restart too, is in doubt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from notifyq.domain.model import Due, Post, Ready
from notifyq.domain.policy import Decision, End, Send, Wait, decide
from notifyq.domain.states import State, step
from notifyq.errors import FenceLost
from notifyq.store import attempts, consents, queue
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.partitions import day_of

# A job whose delivery already has a live attempt is a bug somewhere; it is put aside for this
# long rather than claimed again at once, and reported.
BLOCKED_S = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one claim came to."""

    claimed: int
    ready: list[Ready]
    ended: int
    deferred: int
    blocked: tuple[UUID, ...]  # deliveries that could not begin beside a live attempt
    last_due: dict[int, datetime]  # per criticality, the latest due that was claimed


async def begin_due(
    conn: Conn,
    post: Post,
    *,
    room: int,
    low_waters: Sequence[datetime],
    new_id: Callable[[], UUID],
) -> Turn | Unknown:
    """Claim up to `room` due jobs of the post's lane, decide on each and begin what is sent.

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
        turn = Turn(len(claims), [], 0, 0, (), {c.criticality: c.due for c in claims})
        claims.sort(key=lambda c: c.delivery_id)  # locks are taken in the order of ids
        for day, group in groupby(claims, key=lambda c: day_of(c.delivery_id)):
            turn = _sum(turn, await _begin_day(conn, post, day, list(group), new_id))
        return turn

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _begin_day(
    conn: Conn, post: Post, day: str, claims: list[queue.Claim], new_id: Callable[[], UUID]
) -> Turn:
    now = claims[0].now
    found = await queue.facts(conn, claims, channel=post.lane.channel, cell=post.cell, day=day)
    consent = await consents.lock(
        conn,
        ((due.brand, due.address_key) for due in found),
        cell=post.cell,
        channel=post.lane.channel,
    )
    decided = [
        (due, decide(due, consent.get((due.brand, due.address_key)), now=now)) for due in found
    ]
    ready, blocked = await _begin(conn, post, day, decided)
    ended = await _end(conn, post, day, decided, new_id)
    later = [(d.delivery_id, d.place, c.until) for d, c in decided if isinstance(c, Wait)]
    later += [(d.delivery_id, d.place, now + timedelta(seconds=BLOCKED_S)) for d in blocked]
    if later:
        done = await queue.defer(
            conn,
            later,
            channel=post.lane.channel,
            cell=post.cell,
            epoch=post.epoch,
            region=post.region,
        )
        _fenced(done, len(later), post)
    return Turn(0, ready, ended, len(later), tuple(d.delivery_id for d in blocked), {})


async def _begin(
    conn: Conn, post: Post, day: str, decided: list[tuple[Due, Decision]]
) -> tuple[list[Ready], list[Due]]:
    """Return what may be sent, and what could not begin beside a live attempt."""
    to_send = [(due, decision) for due, decision in decided if isinstance(decision, Send)]
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
        day=day,
        lane=post.lane.id,
        epoch=post.epoch,
        region=post.region,
        worker=post.worker,
        lease_s=post.lease_s,
    )
    if not begun:
        raise FenceLost(f"epoch {post.epoch} of region {post.region} may begin nothing")
    if not all(begun.values()):
        raise RuntimeError("a claimed job row was not where the claim saw it")
    ready = [
        Ready(due, due.attempts + 1, post.epoch) for due, _ in to_send if due.delivery_id in begun
    ]
    return ready, [due for due, _ in to_send if due.delivery_id not in begun]


async def _end(
    conn: Conn,
    post: Post,
    day: str,
    decided: list[tuple[Due, Decision]],
    new_id: Callable[[], UUID],
) -> int:
    endings = [
        queue.Ending(
            due.delivery_id,
            due.place,
            step(State.PENDING, decision.event),
            decision.reason,
            new_id(),
        )
        for due, decision in decided
        if isinstance(decision, End)
    ]
    if endings:
        done = await queue.end_unsent(
            conn,
            endings,
            channel=post.lane.channel,
            cell=post.cell,
            day=day,
            epoch=post.epoch,
            region=post.region,
        )
        _fenced(done, len(endings), post)
    return len(endings)


def _fenced(done: int, asked: int, post: Post) -> None:
    if done != asked:
        raise FenceLost(f"epoch {post.epoch} of region {post.region} may change nothing")


def _sum(one: Turn, other: Turn) -> Turn:
    return Turn(
        one.claimed,
        one.ready + other.ready,
        one.ended + other.ended,
        one.deferred + other.deferred,
        one.blocked + other.blocked,
        one.last_due,
    )
