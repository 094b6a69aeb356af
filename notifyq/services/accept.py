"""Accept: a batch of requests becomes keys, notifications, deliveries, jobs and answers.

One transaction, one atomic phase: no foreign call is made, so `finished` is the only recovery
point. (Lists of recipients have more of them: services/lists.py.) A 202 rests on a confirmed
commit; of anything less the caller learns that nobody knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from notifyq.domain.asking import Ask, Dedupe, Planned, plan
from notifyq.domain.asking import operation_of as operation_of
from notifyq.domain.idempotency import (
    ACCEPTED_STATUS,
    Answer,
    Judgement,
    KnownKey,
    Refusal,
    judged,
)
from notifyq.store import dedupe, intake
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.requests import answer_row

# How long a batch waits for keys that another transaction holds before it goes one by one, so
# that one slow key does not stall the others.
LOCK_TIMEOUT_MS = 250

Reply = Answer | Refusal | Unknown
_Key = intake.Key
_Known = dict[_Key, tuple[KnownKey, UUID]]


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
    Several asks under one key, or with one dedupe mark, in the batch are judged as if they had
    come one after another.
    """
    first: dict[_Key, Planned] = {}
    for ask in asks:
        if ask.key not in first:
            first[ask.key] = plan(ask, now, dice(64))
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


@dataclass(frozen=True, slots=True)
class _Written:
    new: set[UUID]  # the notifications that are there now and were not before
    known: _Known  # what the other keys stand for


async def _write(
    conn: Conn, planned: list[Planned], answers: dict[UUID, bytes]
) -> _Written | Unknown:
    """Write what is new; return what the other keys stand for."""
    (cell,) = {p.ask.cell for p in planned}  # every transaction touches one cell

    async def work(conn: Conn) -> _Written:
        taken = await intake.take_keys(conn, cell=cell, planned=planned)
        new = [p for p in planned if p.notification_id in taken]
        if any(p.ask.dedupe for p in new):
            new = await _unmarked(conn, new, cell=cell)
        if new:
            rows = [answer_row(p, answers[p.notification_id]) for p in new]
            await intake.write(conn, cell=cell, planned=new, answers=rows)
        written = {p.notification_id for p in new}
        rest = [p.ask.key for p in planned if p.notification_id not in written]
        return _Written(written, await intake.known(conn, cell=cell, keys=rest) if rest else {})

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _unmarked(conn: Conn, new: list[Planned], *, cell: int) -> list[Planned]:
    """Return the requests whose mark is theirs, or who have none.

    The keys of the others stand for the notification that has their mark, from here on.
    """
    marked: dict[dedupe.Mark, tuple[Planned, Dedupe]] = {}
    for p in new:
        if p.ask.dedupe:  # of two with one mark, the first takes it
            marked.setdefault((p.ask.tenant_id, p.ask.dedupe.mark), (p, p.ask.dedupe))
    holders = await dedupe.take(conn, list(marked.values()), cell=cell)

    def holder(p: Planned) -> UUID:
        if p.ask.dedupe is None:
            return p.notification_id
        return holders[p.ask.tenant_id, p.ask.dedupe.mark]

    others = [(p, holder(p)) for p in new if holder(p) != p.notification_id]
    if others:
        await dedupe.point(conn, others, cell=cell)
    return [p for p in new if holder(p) == p.notification_id]


async def recall(conn: Conn, key: intake.Key, asked: bytes, *, cell: int) -> Reply | None:
    """Return what a request whose key is known gets; None if the key is new. See recall_each."""
    return (await recall_each(conn, [(key, asked)], cell=cell))[0]


async def recall_each(
    conn: Conn, asked: Sequence[tuple[intake.Key, bytes]], *, cell: int
) -> Sequence[Reply | None]:
    """Return what requests get whose keys are known, in their order; None where the key is new.

    Unknown, for all of them, where the commit's fate is: a key that may be known is not new.

    asked: keys and fingerprints. For requests that would be refused today: what was accepted
    stays accepted, whatever the clock and the settings say by now. Its commit writes WAL, so a
    replay waits for the standby as the first answer did.
    """

    async def work(conn: Conn) -> _Known:
        return await intake.known(conn, cell=cell, keys=[key for key, _ in asked])

    fate = await transact(conn, work)
    if isinstance(fate, Unknown):
        return [fate] * len(asked)
    found = fate.value
    return [judged(mine, *found[key]) if key in found else None for key, mine in asked]


def _replies(
    asks: Sequence[Ask],
    first: dict[_Key, Planned],
    written: _Written,
    answers: dict[UUID, bytes],
) -> list[Reply]:
    replies: list[Reply] = []
    for ask in asks:
        planned = first[ask.key]
        if ask.key in written.known:
            replies.append(judged(ask.fingerprint, *written.known[ask.key]))
        elif planned.notification_id not in written.new:
            replies.append(Unknown("the key was forgotten while it was looked up"))
        elif planned.ask is ask or planned.ask.fingerprint == ask.fingerprint:
            again = planned.ask is not ask
            body = answers[planned.notification_id]
            replies.append(Answer(ACCEPTED_STATUS, body, replayed=again))
        else:
            replies.append(Refusal(Judgement.REUSED, planned.notification_id))
    return replies
