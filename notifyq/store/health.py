"""What an operator looks at first, as facts; which of them are bad is said in cli/findings.py."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg

from notifyq.domain.ids import floor_of
from notifyq.store import db, partitions
from notifyq.store.db import Conn

# A worker says that it lives every 5 s; three missed ones make it gone.
WORKER_SEEN_S = 15
IDLE_S = 60
REPEATS_DAYS = 7

_SERVER: LiteralString = """
SELECT current_setting('server_version_num')::int4, pg_is_in_recovery(),
       current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('synchronous_commit'), current_setting('synchronous_standby_names')
"""
_WAITING: LiteralString = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(due)), 0)::float8,
       (SELECT count(DISTINCT id) FROM worker
         WHERE cell = %(cell)s::int2 AND seen_at > now() - make_interval(secs => %(seen_s)s::int4))
  FROM job WHERE cell = %(cell)s::int2 AND due <= now()
"""
# Seconds past a lease or a settle window: only a janitor that does not run lets them grow.
_DOUBTS: LiteralString = """
SELECT (SELECT count(*) FROM delivery WHERE cell = %(cell)s::int2 AND state = 'in_doubt'),
       (SELECT coalesce(extract(epoch FROM now() - min(changed_at)), 0)::float8
          FROM delivery WHERE cell = %(cell)s::int2 AND state = 'in_doubt'),
       (SELECT greatest(0, extract(epoch FROM now() - min(due)))::float8
          FROM timer WHERE cell = %(cell)s::int2 AND kind = 'settle_window'),
       (SELECT greatest(0, extract(epoch FROM now() - min(send_by)))::float8
          FROM attempt WHERE cell = %(cell)s::int2 AND outcome = 'open')
"""
_DEAD: LiteralString = """
SELECT cause, count(*) FROM dead_letter WHERE cell = %(cell)s::int2 GROUP BY cause ORDER BY cause
"""
# An id's first 48 bits are milliseconds.
_UNFINISHED: LiteralString = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(to_timestamp(
           ('x' || translate(left(notification_id::text, 13), '-', ''))::bit(48)::int8 / 1000.0
       ))), 0)::float8, coalesce(max(tries), 0)
  FROM unfinished_key WHERE cell = %(cell)s::int2
"""
# Of the last days only: what is older was found then, and history is long. A second attempt is
# needed for a repeat, and most deliveries have none.
_REPEATS: LiteralString = """
SELECT count(*)
  FROM (SELECT DISTINCT delivery_id FROM attempt
         WHERE cell = %(cell)s::int2 AND delivery_id >= %(since)s::uuid AND number > 1) AS again
  JOIN delivery d ON d.cell = %(cell)s::int2 AND d.id = again.delivery_id
 WHERE d.resend_after_s IS NULL
   AND (SELECT count(*) FROM attempt a
         WHERE a.cell = d.cell AND a.delivery_id = d.id
           AND (a.outcome = 'accepted' OR a.late_at IS NOT NULL)) > 1
"""
_TIMEOUTS: LiteralString = """
SELECT name, setting::int4 FROM pg_settings WHERE name = ANY (%(names)s::text[])
"""
_SECRET: LiteralString = "SELECT address_key('+14155550100') IS NOT NULL"
_IDLE: LiteralString = """
SELECT pid, coalesce(usename, '?')::text, coalesce(application_name, ''),
       extract(epoch FROM now() - state_change)::float8
  FROM pg_stat_activity
 WHERE datname = current_database() AND state LIKE 'idle in transaction%%'
   AND state_change < now() - make_interval(secs => %(idle_s)s::int4)
 ORDER BY state_change
"""
_NOW: LiteralString = "SELECT clock_timestamp()"


@dataclass(frozen=True, slots=True)
class Server:
    """The server's version and what decides whether a commit survives a crash."""

    version: int  # 180001 is 18.1
    in_recovery: bool
    fsync: str
    full_page_writes: str
    synchronous_commit: str  # of a session like ours
    standby_names: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs that are due, and whether anybody is there for them."""

    due: int
    oldest_s: float
    workers: int  # seen within WORKER_SEEN_S


@dataclass(frozen=True, slots=True)
class Doubts:
    """Deliveries in doubt; how long ago a settle window, or a lease, was over. None: no such."""

    count: int
    oldest_s: float
    window_over_s: float | None
    lease_over_s: float | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Requests of which only a part is written, and the most tries that any of them took."""

    count: int
    oldest_s: float
    tries: int


@dataclass(frozen=True, slots=True)
class IdleSession:
    """A session that holds a transaction open and does nothing."""

    pid: int
    role: str
    application: str
    idle_s: float


async def server(conn: Conn) -> Server:
    """Return what the server says about itself."""
    return Server(*await _one(conn, _SERVER))


async def now(conn: Conn) -> datetime:
    """Return the database's clock, as it stands within the round trip."""
    found: datetime = (await _one(conn, _NOW))[0]
    return found


async def leaves(conn: Conn, at: datetime) -> tuple[list[str], str]:
    """Return (leaves that are missing for the day of `at`, the last day that has all of them)."""
    tables = [history.table for history in partitions.HISTORIES]
    cursor = await conn.execute(partitions.LEAVES, {"tables": tables})
    found = {leaf for _, leaf, standing in await cursor.fetchall() if standing == "attached"}

    def missing(day: datetime) -> list[str]:
        return sorted({_leaf(history, day) for history in partitions.HISTORIES} - found)

    last = at - timedelta(days=1)
    # Bounded: more than this is never made ahead (partitions.DAYS_AHEAD).
    while last < at + timedelta(days=366) and not missing(last + timedelta(days=1)):
        last += timedelta(days=1)
    return missing(at), last.strftime("%Y-%m-%d")


async def waiting(conn: Conn, *, cell: int) -> Waiting:
    """Return how many jobs are due, how old the oldest is, and how many workers live."""
    return Waiting(*await _one(conn, _WAITING, cell=cell, seen_s=WORKER_SEEN_S))


async def doubts(conn: Conn, *, cell: int) -> Doubts:
    """Return what is in doubt, and whether the time that ends it is past. Reads deliveries."""
    return Doubts(*await _one(conn, _DOUBTS, cell=cell))


async def unfinished(conn: Conn, *, cell: int) -> Unfinished:
    """Return how many requests are unfinished, and the oldest one's age."""
    return Unfinished(*await _one(conn, _UNFINISHED, cell=cell))


async def dead_letters(conn: Conn, *, cell: int) -> dict[str, int]:
    """Return the number of dead letters by cause."""
    return dict(await (await conn.execute(_DEAD, {"cell": cell})).fetchall())


async def repeats(conn: Conn, at: datetime, *, cell: int) -> int:
    """Return how many never_twice deliveries of the days before `at` reached somebody twice."""
    since = floor_of(at - timedelta(days=REPEATS_DAYS))
    found: int = (await _one(conn, _REPEATS, cell=cell, since=since))[0]
    return found


async def wrong_timeouts(conn: Conn) -> dict[str, int]:
    """Return the timeouts, in ms, that this session has and db.connect did not ask for.

    A pooler between us that hands sessions round in mid-use loses them.
    """
    wanted = {
        "idle_in_transaction_session_timeout": db.IDLE_IN_TRANSACTION_MS,
        "statement_timeout": db.STATEMENT_TIMEOUT_MS,
        "lock_timeout": db.LOCK_TIMEOUT_MS,
    }
    cursor = await conn.execute(_TIMEOUTS, {"names": list(wanted)})
    return {name: ms for name, ms in await cursor.fetchall() if ms != wanted[name]}


async def has_address_secret(conn: Conn) -> bool:
    """Whether numbers can be hashed: without the secret nobody is found and nothing accepted."""
    return bool((await _one(conn, _SECRET))[0])


async def idle_in_transaction(conn: Conn) -> list[IdleSession]:
    """Return the sessions of this database that were idle in a transaction for IDLE_S."""
    cursor = await conn.execute(_IDLE, {"idle_s": IDLE_S})
    return [IdleSession(*row) for row in await cursor.fetchall()]


def without_secrets(error: BaseException) -> str:
    """Return an error's first line; libpq repeats a connection string that it cannot read."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "NOTIFYQ_DATABASE_URL is no connection string: postgresql://user@host/database"
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _leaf(history: partitions.History, at: datetime) -> str:
    day = partitions.day_of(floor_of(at))
    return f"{history.table}_{day if history.span is partitions.Span.DAY else day[:6]}"


async def _one(conn: Conn, statement: LiteralString, **parameters: object) -> tuple[Any, ...]:
    row = await (await conn.execute(statement, parameters)).fetchone()
    assert row is not None  # each of these statements returns one row, always
    return row
