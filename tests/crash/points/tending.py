"""Tending: what the janitor does about doubts and old leaves; and an opt-out."""

from contextlib import suppress
from datetime import timedelta
from typing import LiteralString
from uuid import uuid4

import psycopg

from notifyq.domain.asking import Dedupe
from notifyq.domain.model import Channel
from notifyq.entrypoints import janitor
from notifyq.store import db, lanes, ledger, partitions
from tests.crash.points.parts import (
    accepted,
    answered_with,
    janitor_until,
    left_open,
    run_worker,
    sweep_to_rest,
    two,
)
from tests.crash.points.registry import SENT, scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import Look, World, duties
from tests.store import helpers as h


@scenario("sweep", left_open)
async def _sweep(world: World, wire: Wire) -> None:
    """Leases that ran out are in doubt; their windows close; they rest as unknown."""
    await sweep_to_rest(world)


OLD = timedelta(days=45)  # its content would be gone, were it at rest
_REAPED: LiteralString = """
    SELECT (SELECT count(*) FROM pg_class
             WHERE relnamespace = 'notifyq'::regnamespace AND relname ~ '^outbox_[0-9]{8}$'
               AND right(relname, 8) < to_char(now() - interval '31 days', 'YYYYMMDD'))
         + (SELECT count(*) FROM notifyq.worker) = 0
"""


async def _old(world: World, wire: Wire) -> None:
    async with await db.connect(world.url, autocommit=True) as conn:
        await partitions.make_leaves(conn, h.database_now() - OLD)
        await partitions.make_leaves(conn, h.database_now())
        await partitions.drop_leaf(conn, await _last_leaf(conn))
        await lanes.beat(
            conn, cell=0, worker=uuid4(), channel=Channel.SMS, region=h.REGION, epoch=1
        )
        await conn.execute("UPDATE worker SET seen_at = now() - interval '2 hours'")
    await accepted(world, 1, at=h.database_now() - OLD)
    await accepted(world, 2)


async def _last_leaf(conn: db.Conn) -> partitions.Leaf:
    """A leaf of days to come, which the janitor will find missing."""
    (content,) = (history for history in partitions.HISTORIES if history.table == "content")
    ever = h.database_now() + timedelta(days=99)
    return (await partitions.old_leaves(conn, content, ever))[-1]


@scenario("leaves", _old)
async def _leaves(world: World, wire: Wire) -> None:
    """Old leaves are dropped; what is still to be sent keeps its own."""
    cares, clock = duties(), db.DatabaseClock()
    await janitor_until(world, True, lambda conn: janitor._leaves(conn, cares, clock), _REAPED)


_KEPT: LiteralString = """
    SELECT (SELECT count(*) FROM notifyq.dead_letter WHERE at < now() - interval '90 days')
         + (SELECT count(*) FROM notifyq.dedupe_mark WHERE until < now())
         + (SELECT count(*) - 1 FROM notifyq.idempotency_key) = 0
"""


async def _old_keys(world: World, wire: Wire) -> None:
    """A key, a mark and a dead letter that nothing can replay any more; and a new delivery."""
    at = h.database_now() - timedelta(days=100)
    async with await db.connect(world.url, autocommit=True) as conn:
        await partitions.make_leaves(conn, at)
    await accepted(world, 1, at=at, dedupe=Dedupe(b"m" * 32, 60))
    answered_with(world, 1, fault="refuse", code=21_211)
    await run_worker(world)
    look = Look(world)
    await look.one("UPDATE notifyq.dead_letter SET at = now() - interval '99 days'")
    await look.one("UPDATE notifyq.dedupe_mark SET until = now() - interval '1 s'")
    await look.one("DELETE FROM notifyq.stored_response")  # its leaf went long before
    await look.close()
    await accepted(world, 2)


@scenario("reap", _old_keys, ends={1: frozenset({"dead"})})
async def _reap(world: World, wire: Wire) -> None:
    """Dead letters, keys and marks go when their time is over, in that order."""
    cares, clock = duties(), db.DatabaseClock()
    await janitor_until(world, False, lambda conn: janitor._reap(conn, cares, clock), _KEPT)


@scenario("opt_out", two, ends={1: SENT | {"suppressed"}})
async def _opt_out(world: World, wire: Wire) -> None:
    """A STOP that was acknowledged wins over what is due."""
    with suppress(psycopg.Error):  # the command ends with an error, and acknowledges nothing
        if await _stopped(world):
            wire.tell(promised=world.text(1), ends=["suppressed"], unless_frozen=True)
    await run_worker(world)


async def _stopped(world: World) -> bool:
    async def work(conn: db.Conn) -> bool:
        return await ledger.opt_out(
            conn,
            cell=0,
            brand="acme",
            channel=world.shop.lane.channel,
            address=world.phone(1),
            actor="test",
            reason="STOP",
            event_id=h.new_id(),
        )

    async with await db.connect(world.url) as conn:
        return isinstance(await db.transact(conn, work), db.Committed)
