"""Maintain: what has to happen because time passed. Each `run_once` does one batch, counts it.

Nothing here calls a provider. Any number of janitors may run at once: every step is a
conditional change of locked rows, and making or dropping leaves is idempotent.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifyq.domain.evidence import beside
from notifyq.domain.ids import floor_of
from notifyq.domain.model import DoubtRules
from notifyq.domain.retention import Retention
from notifyq.domain.retry import TRIES_MAX
from notifyq.domain.states import Event, State
from notifyq.store import moves, others, partitions, unfinished, upkeep
from notifyq.store.db import Committed, Conn, transact

BATCH = 500
CHUNK = 20  # deliveries that one transaction of the janitor locks
# What is alive needs its content and its evidence, but no stored answer and no old event; only a
# request that is unfinished has yet to write these.
_ONLY_FOR_ANSWERS = frozenset({"stored_response", "outbox"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What time does, from the settings."""

    doubts: Mapping[str, DoubtRules]  # by provider
    doubt: DoubtRules  # of a provider that is not configured any more
    dedupe_days: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    leases: int  # open attempts that are now in doubt
    resends: int  # deliveries in doubt that are sent again
    windows: int  # deliveries in doubt that now rest as unknown


async def sweep(conn: Conn, rules: Rules, *, cell: int, new_id: Callable[[], UUID]) -> Swept:
    """Put attempts whose lease ran out in doubt; resend, or close, doubts whose time is over.

    A commit of unknown fate counts as nothing done: the next sweep looks again.
    """

    async def leases(conn: Conn) -> int:
        found = await upkeep.overdue(conn, cell=cell, limit=BATCH)
        if not found:
            return 0
        its = [rules.doubts.get(o.provider, rules.doubt) for o in found]
        ids = [new_id() for _ in found]
        doubted = await upkeep.doubt(conn, found, cell=cell, rules=its, event_ids=ids)
        again = [(o.delivery_id, o.number) for o in found if o.number > 1]
        for delivery_id, tried in (await others.look(conn, again, cell=cell)).items():
            event = beside(Event.LOSE_ANSWER, tried)
            if event is not None and event is not Event.LOSE_ANSWER:
                by = moves.Mover(cell, new_id(), rules.dedupe_days)
                await moves.move(conn, delivery_id, State.IN_DOUBT, event, by=by)
        return doubted

    async def resend(conn: Conn, due: Sequence[UUID]) -> int:
        done = 0
        for delivery_id in due:
            done += await upkeep.resend(
                conn,
                cell=cell,
                delivery_id=delivery_id,
                event_id=new_id(),
                attempts_max=TRIES_MAX,
            )
        return done

    async def close(conn: Conn, due: Sequence[UUID]) -> int:
        closed = 0
        for delivery_id in due:
            # The attempt stays in doubt, and so live: nothing may begin beside it. The delivery is
            # counted and listed, and may still be corrected.
            by = moves.Mover(cell, new_id(), rules.dedupe_days)
            closed += await moves.move(conn, delivery_id, State.IN_DOUBT, Event.WINDOW_OVER, by=by)
        return closed

    return Swept(
        await _count(conn, leases),
        await _each_due(conn, "resend", resend, cell=cell),
        await _each_due(conn, "settle_window", close, cell=cell),
    )


async def tend_leaves(
    conn: Conn, *, cell: int, now: datetime, retention: Retention
) -> tuple[int, list[str]]:
    """Make the leaves ahead, drop the ones past their time; return (made, names dropped).

    The connection must be in autocommit: each leaf's lock is then held for that leaf only.
    A leaf stays while anything of its time is still to be done.
    """
    made = await partitions.make_leaves(conn, now)
    evidence = timedelta(days=365 * retention.consent_years)
    ages = {
        "stored_response": timedelta(days=retention.replay_window_days),
        "outbox": timedelta(days=retention.content_days),
        "content": timedelta(days=retention.content_days),
    }
    dropped: list[str] = []
    for history in partitions.HISTORIES:
        before = now - ages.get(history.table, evidence)
        for leaf in await partitions.old_leaves(conn, history, before):
            low, high = floor_of(leaf.start), floor_of(leaf.end)
            unneeded = history.table in _ONLY_FOR_ANSWERS
            look = unfinished.unfinished_between if unneeded else upkeep.alive_between
            if not await look(conn, cell=cell, low=low, high=high):
                await partitions.drop_leaf(conn, leaf)
                dropped.append(leaf.name)
    return made, dropped


async def _each_due(
    conn: Conn, kind: str, work: Callable[[Conn, Sequence[UUID]], Awaitable[int]], *, cell: int
) -> int:
    """Do what a kind of timer asks for; return how many deliveries it was done to.

    A few in a transaction, in the order of ids in which everybody locks deliveries: settling and
    callbacks wait for these.
    """

    async def listed(conn: Conn) -> list[UUID]:
        return await upkeep.due(conn, kind, cell=cell, limit=BATCH)

    found = await transact(conn, listed)
    ids = sorted(found.value) if isinstance(found, Committed) else []
    done = 0
    for start in range(0, len(ids), CHUNK):

        async def chunk(conn: Conn, its: Sequence[UUID] = ids[start : start + CHUNK]) -> int:
            return await work(conn, its)

        done += await _count(conn, chunk)
    return done


async def _count(conn: Conn, work: Callable[[Conn], Awaitable[int]]) -> int:
    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else 0
