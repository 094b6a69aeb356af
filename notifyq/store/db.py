"""Connections and commits: the only file that opens the one or makes the other.

A commit has three ends, not two. It is confirmed; or it failed, which raises; or nobody knows:
the connection broke while it was on its way, or the wait for the synchronous standby was
cancelled (PostgreSQL then answers COMMIT, with nothing but a notice). The third is a value,
`Unknown`, because neither a 202 nor a send may rest on it and no caller may overlook it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, LiteralString, Self, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import psycopg as postgresql_dialect

# A server that answers nothing for this long is gone, as far as opening a connection goes.
CONNECT_TIMEOUT_S = 5
# A frozen process inside a transaction must not keep a STOP waiting for its row lock.
IDLE_IN_TRANSACTION_MS = 2_000
STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 5_000

# Statements are prepared and planned once, on tables that may then still be empty, so the plan
# must not depend on what the planner believes about sizes: nested loops over the primary key
# for everything, which is what the statements are written for (see tests/store/test_plans.py).
_HOT_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_SETTINGS = {
    "search_path": "notifyq",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
}
_SET: LiteralString = """
    SELECT set_config(s.name, s.value, false)
      FROM unnest(%(names)s::text[], %(values)s::text[]) AS s (name, value)
"""
T = TypeVar("T")
_DIALECT = postgresql_dialect.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here


class Conn(AsyncConnection[TupleRow]):
    """A connection that knows whether its last commit was cut short of the standby."""

    unreplicated: bool = False

    def watch_notices(self) -> None:
        """Start looking for the notice of a cancelled wait for the standby."""
        self.add_notice_handler(self._on_notice)

    def _on_notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        # The text is translated and 01000 is generic; the function's name is neither.
        if diagnostic.source_function == "SyncRepWaitForLSN":
            self.unreplicated = True


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """The transaction is durable, on the standby too where one is asked for."""

    value: T


@dataclass(frozen=True, slots=True)
class Unknown:
    """The transaction may or may not be there: act on nothing in it."""

    reason: str


# A server that is cut off answers nothing: after half a minute of that a connection is broken, so
# that its process opens another one.
_SILENCE = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": 30_000,  # ms
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 4,
}


def conninfo(url: str) -> str:
    """Return what to connect by: the URL, and when silence is a broken connection if it is mute."""
    named = conninfo_to_dict(url)
    return make_conninfo(url, **{k: v for k, v in _SILENCE.items() if k not in named})


async def connect(
    url: str,
    *,
    hot: bool = False,
    autocommit: bool = False,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
) -> Conn:
    """Open a connection with the session settings of this module.

    hot: for the statements of the send path, prepared once with plans that stay as they are.
    """
    conn = await Conn.connect(conninfo(url), autocommit=True)
    try:
        await prepare_session(conn, hot=hot, lock_timeout_ms=lock_timeout_ms)
        await conn.set_autocommit(autocommit)
    except BaseException:
        await conn.close()
        raise
    return conn


async def prepare_session(
    conn: Conn, *, hot: bool = False, lock_timeout_ms: int = LOCK_TIMEOUT_MS
) -> None:
    """Give a fresh connection its session settings; it must be in autocommit or idle."""
    wanted = _SETTINGS | {"lock_timeout": str(lock_timeout_ms)} | (_HOT_SETTINGS if hot else {})
    conn.watch_notices()
    conn.prepare_threshold = 0 if hot else conn.prepare_threshold
    await conn.execute(_SET, {"names": list(wanted), "values": list(wanted.values())})
    if not conn.autocommit:
        await conn.commit()


async def transact(conn: Conn, work: Callable[[Conn], Awaitable[T]]) -> Committed[T] | Unknown:
    """Run `work` in one transaction and say what became of its commit.

    Raises what `work` raises, after a rollback: then nothing was written. A cancellation that
    comes during the commit is held back until the server has answered, for psycopg would turn
    it into a cancel request, and a cancelled commit is one nobody knows the fate of.
    """
    if conn.autocommit:
        raise RuntimeError("an autocommit connection has no transaction to commit")
    try:
        value = await work(conn)
    except BaseException:
        await _forget(conn)
        raise
    conn.unreplicated = False
    try:
        await _shielded(conn.commit())
    except psycopg.OperationalError as error:
        return Unknown(f"the connection broke in the commit: {type(error).__name__}")
    if conn.unreplicated:
        return Unknown("the wait for the synchronous standby was cancelled")
    return Committed(value)


def savepoint(conn: Conn) -> AbstractAsyncContextManager[object]:
    """Within a transaction: what is done under it is undone if it raises, and nothing else is."""
    if conn.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
        raise RuntimeError("a savepoint is one of an open transaction, which somebody commits")
    return conn.transaction()


async def rows(conn: Conn, statement: ClauseElement) -> list[dict[str, Any]]:
    """Run a SQLAlchemy Core statement (cold queries only) and return its rows as dicts."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    cursor = await conn.execute(str(compiled).encode(), compiled.params)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


class Pool:
    """Connections for requests and commands; workers hold connections of their own."""

    def __init__(
        self,
        url: str,
        *,
        size_max: int,
        hot: bool = False,
        lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    ) -> None:
        """size_max: connections at the most; the database has to have room for them."""
        self._pool = AsyncConnectionPool(
            conninfo(url),
            connection_class=Conn,
            min_size=1,
            max_size=size_max,
            configure=partial(prepare_session, hot=hot, lock_timeout_ms=lock_timeout_ms),
            open=False,
        )
        self.connection = self._pool.connection

    async def __aenter__(self) -> Self:
        """Open the pool."""
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self._pool.close()


class DatabaseClock:
    """The database's time as this process knows it: for ids and for deadlines it only bounds.

    Rows are stamped, and leases judged, by the database itself.
    """

    def __init__(self) -> None:
        """Start with this machine's own time until `set_by` was called."""
        self._ahead = timedelta(0)

    async def set_by(self, conn: Conn) -> None:
        """Read the database's clock; the error is at most the round trip."""
        ((now,),) = await (await conn.execute("SELECT clock_timestamp()")).fetchall()
        self._ahead = now - datetime.now(UTC)

    def now(self) -> datetime:
        """Return the database's time, aware UTC."""
        return datetime.now(UTC) + self._ahead


async def _forget(conn: Conn) -> None:
    """Roll back what is open; a connection that cannot even do that is closed."""
    try:
        await _shielded(conn.rollback())
    except psycopg.Error:
        await conn.close()


async def _shielded(awaitable: Awaitable[None]) -> None:
    """Await to the end whatever happens to the caller, then let its cancellation through."""
    task = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except psycopg.Error:
            break  # the task is done; its result is raised below
    if cancelled is not None:
        task.exception()  # looked at, so that it is not reported as forgotten
        raise cancelled
    task.result()
