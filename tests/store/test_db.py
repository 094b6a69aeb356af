"""The commit wrapper: confirmed, failed, or nobody knows; and the session that it runs in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from notifyq import migrate
from notifyq.domain.asking import Ask
from notifyq.embedded import EmbeddedPostgres
from notifyq.store import db
from notifyq.store.db import Committed, Conn, Unknown, transact
from tests.conftest import SETTINGS, test_major
from tests.store import helpers as h

_WAITS = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %(pid)s"


async def write(conn: Conn) -> int:
    await conn.execute(
        "INSERT INTO tenant (cell, name, brand, created_by) VALUES (0, 'acme', 'acme', 'test')"
    )
    return 7


async def count(url: str) -> int:
    async with h.looking(url) as look:
        return int(await h.one(look, "SELECT count(*) FROM tenant"))


async def test_a_confirmed_commit_gives_the_works_value(database_url: str) -> None:
    async with await db.connect(database_url) as conn:
        assert await transact(conn, write) == Committed(7)
    assert await count(database_url) == 1


async def test_what_the_work_raises_comes_out_and_nothing_is_written(database_url: str) -> None:
    async with await db.connect(database_url) as conn:

        async def work(conn: Conn) -> None:
            await write(conn)
            raise KeyError("a bug")

        with pytest.raises(KeyError, match="a bug"):
            await transact(conn, work)
        assert await count(database_url) == 0
        assert await transact(conn, write) == Committed(7)


async def test_a_commit_that_a_deferred_constraint_refuses_raises(database_url: str) -> None:
    async with await db.connect(database_url) as conn:
        await conn.execute("CREATE TEMP TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        await conn.commit()

        async def work(conn: Conn) -> None:
            await write(conn)
            await conn.execute("INSERT INTO t VALUES (1), (1)")

        with pytest.raises(psycopg.errors.UniqueViolation):
            await transact(conn, work)
    assert await count(database_url) == 0


async def test_a_backend_that_is_ended_before_the_commit_leaves_an_unknown(
    database_url: str,
) -> None:
    async with await db.connect(database_url) as conn, h.looking(database_url) as look:

        async def work(conn: Conn) -> None:
            await write(conn)
            pid = conn.info.backend_pid
            await h.one(look, "SELECT pg_terminate_backend(%(pid)s, 5000)", pid=pid)

        fate = await transact(conn, work)
        assert isinstance(fate, Unknown)
        assert conn.closed
    assert await count(database_url) == 0


async def test_a_backend_that_is_ended_in_the_work_raises(database_url: str) -> None:
    async with await db.connect(database_url) as conn, h.looking(database_url) as look:

        async def work(conn: Conn) -> None:
            await write(conn)
            pid = conn.info.backend_pid
            await h.one(look, "SELECT pg_terminate_backend(%(pid)s, 5000)", pid=pid)
            await conn.execute("SELECT 1")

        with pytest.raises(psycopg.OperationalError):
            await transact(conn, work)
        assert conn.closed


async def test_a_task_that_is_cancelled_in_the_work_writes_nothing(database_url: str) -> None:
    async with await db.connect(database_url) as conn:
        begun = asyncio.Event()

        async def work(conn: Conn) -> None:
            await write(conn)
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(transact(conn, work))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await count(database_url) == 0
        assert await transact(conn, write) == Committed(7)


# --------------------------------------------------------------------------- with a standby


@pytest.fixture(scope="module")
def synchronous_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of its own that waits for a standby which is not there, unless told otherwise."""
    settings = {**SETTINGS, "max_wal_senders": "2"}
    with EmbeddedPostgres.start(major=test_major(), settings=settings) as server:
        migrate.upgrade(server.url())
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
            conn.execute("SELECT pg_reload_conf()")
        yield server.url()


@asynccontextmanager
async def local(url: str) -> AsyncIterator[Conn]:
    """A connection that waits for no standby."""
    async with await db.connect(url, autocommit=True) as conn:
        await conn.execute("SET synchronous_commit = local")
        yield conn


async def until_waiting(look: Conn, conn: Conn) -> None:
    async with asyncio.timeout(20):
        while not await h.one(look, _WAITS, pid=conn.info.backend_pid):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def named_tenants(look: Conn, name: str) -> int:
    return int(await h.one(look, "SELECT count(*) FROM tenant WHERE name = %(name)s", name=name))


def writing(name: str) -> Callable[[Conn], Awaitable[None]]:
    async def work(conn: Conn) -> None:
        await conn.execute(
            "INSERT INTO tenant (cell, name, brand, created_by) VALUES (0, %s, 'x', 'test')",
            [name],
        )

    return work


async def test_a_wait_for_the_standby_that_was_cut_short_is_unknown(synchronous_url: str) -> None:
    async with await db.connect(synchronous_url) as conn, local(synchronous_url) as look:
        task = asyncio.create_task(transact(conn, writing("cut")))
        await until_waiting(look, conn)
        assert not task.done()
        await look.execute("SELECT pg_cancel_backend(%s)", [conn.info.backend_pid])
        fate = await task
        assert isinstance(fate, Unknown), "the server said COMMIT, with nothing but a notice"
        assert await named_tenants(look, "cut") == 1
        # The connection is good, and a commit that waits for nobody is confirmed again.
        await conn.execute("SET synchronous_commit = local")
        assert isinstance(await transact(conn, writing("next")), Committed)


async def test_a_task_that_is_cancelled_in_the_commit_sees_it_through(
    synchronous_url: str,
) -> None:
    async with await db.connect(synchronous_url) as conn, local(synchronous_url) as look:
        task = asyncio.create_task(transact(conn, writing("shielded")))
        await until_waiting(look, conn)
        for _ in range(3):  # whoever insists
            task.cancel()
            await asyncio.sleep(0)
        assert await h.one(look, _WAITS, pid=conn.info.backend_pid), "no cancel was sent"
        assert not task.done()
        await look.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await look.execute("SELECT pg_reload_conf()")
        try:
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not conn.unreplicated
            assert await named_tenants(look, "shielded") == 1
            assert isinstance(await transact(conn, writing("after")), Committed)
        finally:
            await look.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
            await look.execute("SELECT pg_reload_conf()")
            async with asyncio.timeout(20):
                while await h.one(look, "SHOW synchronous_standby_names") != "ghost":  # noqa: ASYNC110
                    await asyncio.sleep(0.005)


async def test_a_backend_that_is_ended_in_the_commit_leaves_an_unknown(
    synchronous_url: str,
) -> None:
    async with await db.connect(synchronous_url) as conn, local(synchronous_url) as look:
        task = asyncio.create_task(transact(conn, writing("ended")))
        await until_waiting(look, conn)
        await look.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        assert isinstance(await task, Unknown)
        assert await named_tenants(look, "ended") == 1


async def test_a_cancellation_is_not_lost_when_the_commit_breaks(synchronous_url: str) -> None:
    async with await db.connect(synchronous_url) as conn, local(synchronous_url) as look:
        task = asyncio.create_task(transact(conn, writing("lost")))
        await until_waiting(look, conn)
        task.cancel()
        await asyncio.sleep(0)
        await look.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        await asyncio.wait([task])
        assert task.cancelled()


async def test_no_timeout_of_the_session_cuts_a_commits_wait_short(synchronous_url: str) -> None:
    """The server ends its statement timeout before it commits: only a standby ends the wait."""
    async with await db.connect(synchronous_url) as conn, local(synchronous_url) as look:
        await conn.execute("SET statement_timeout = 50")
        await conn.execute("SET lock_timeout = 50")
        await conn.commit()
        pid = conn.info.backend_pid
        task = asyncio.create_task(transact(conn, writing("timed-out")))
        await until_waiting(look, conn)
        waited = (
            "SELECT now() - query_start > interval '500 ms' FROM pg_stat_activity "
            "WHERE pid = %(pid)s AND wait_event = 'SyncRep'"
        )
        async with asyncio.timeout(20):
            while not await h.one(look, waited, pid=pid):
                assert not task.done()
                await asyncio.sleep(0.02)
        await look.execute("SELECT pg_cancel_backend(%s)", [pid])
        assert isinstance(await task, Unknown)


async def test_a_replay_waits_for_the_standby_as_well(synchronous_url: str) -> None:
    """A replay that was confirmed without waiting would confirm a row that only we have."""
    async with await db.connect(synchronous_url, hot=True) as conn, local(synchronous_url) as look:
        shop, phone = await h.own_shop(look)
        ask: Ask = h.make_ask(shop, "key", to=phone)
        await conn.execute("SET synchronous_commit = local")
        await conn.commit()
        await h.accepted(conn, ask)
        await conn.execute("SET synchronous_commit = on")
        task = asyncio.create_task(h.submit(conn, [ask]))
        await until_waiting(look, conn)
        await look.execute("SELECT pg_cancel_backend(%s)", [conn.info.backend_pid])
        (reply,) = await task
        assert isinstance(reply, Unknown)


# ---------------------------------------------------------------------------------- session


async def test_a_session_bounds_every_wait(database_url: str) -> None:
    async with await db.connect(database_url, hot=True) as conn:
        names = ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")
        for name in names:
            assert await h.one(
                conn, f"SELECT setting::int > 0 FROM pg_settings WHERE name = '{name}'"
            )
        assert await h.one(conn, "SHOW plan_cache_mode") == "force_generic_plan"


async def test_a_worker_that_freezes_in_a_transaction_does_not_hold_its_locks(
    database_url: str,
) -> None:
    frozen = await db.connect(database_url)
    await frozen.execute("SET idle_in_transaction_session_timeout = 50")
    await frozen.commit()
    await write(frozen)
    pid = frozen.info.backend_pid
    there = "SELECT count(*) FROM pg_stat_activity WHERE pid = %(pid)s"
    async with h.looking(database_url) as look, asyncio.timeout(20):
        while await h.one(look, there, pid=pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await count(database_url) == 0
    await frozen.close()


async def test_a_savepoint_is_one_of_an_open_transaction(database_url: str) -> None:
    """Without one it would be a transaction itself, whose commit nobody looks at."""
    async with await db.connect(database_url) as conn:
        with pytest.raises(RuntimeError):
            db.savepoint(conn)
        await conn.execute("CREATE TEMP TABLE t (n int)")
        await conn.execute("INSERT INTO t VALUES (1)")

        async def fail() -> None:
            async with db.savepoint(conn):
                await conn.execute("INSERT INTO t VALUES (2)")
                await conn.execute("SELECT 1 / 0")

        with pytest.raises(psycopg.errors.DivisionByZero):
            await fail()
        assert await (await conn.execute("SELECT n FROM t")).fetchall() == [(1,)]
