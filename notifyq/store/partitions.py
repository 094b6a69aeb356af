"""Leaves of the partitioned tables: their names, making them ahead, dropping them behind.

The time inside a uuidv7 picks the leaf, so whoever holds an id can name the leaf without asking.
Hot statements do: they then lock and plan one table instead of every leaf there is. There is no
default leaf anywhere, because one would swallow rows quietly when leaves were not made.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from notifyq.domain.ids import floor_of
from notifyq.domain.model import Channel
from notifyq.store.db import Conn

_DAY_MS = 86_400_000

# Leaves for this long ahead are always there; the janitor may then be down for as long.
DAYS_AHEAD = 7
MONTHS_AHEAD = 2


class Span(Enum):
    """How much time one leaf holds."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class History:
    """A table that is partitioned by time."""

    table: LiteralString
    span: Span
    options: LiteralString = ""


# Long evidence goes by the month, what is dropped to the day (content, answers) by the day.
# Deliveries are updated once or twice, soon after their insert: room on the page keeps that HOT.
HISTORIES = (
    History("notification", Span.MONTH),
    History("delivery", Span.MONTH, "WITH (fillfactor = 60)"),
    History("attempt", Span.MONTH, "WITH (fillfactor = 80)"),
    History("receipt", Span.MONTH),
    History("content", Span.DAY),
    History("stored_response", Span.DAY),
    History("outbox", Span.DAY),
)

# Every leaf with its table: attached, half detached (a detach that was interrupted), or apart.
LEAVES: LiteralString = """
    SELECT h.name, c.relname,
           CASE WHEN i.inhrelid IS NULL THEN 'apart'
                WHEN i.inhdetachpending THEN 'leaving' ELSE 'attached' END
      FROM unnest(%(tables)s::text[]) AS h (name)
      JOIN pg_class c ON c.relnamespace = 'notifyq'::regnamespace AND c.relkind = 'r'
                     AND c.relname ~ ('^' || h.name || '_[0-9]{6,8}$')
      LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
     ORDER BY h.name, c.relname
"""
# Made apart and then attached, detached concurrently and then dropped: neither waits for, nor
# holds up, anybody who reads or writes the table. In one step both would queue for ACCESS
# EXCLUSIVE on the parent, and all traffic would queue behind them and a long reader.
_MAKE: LiteralString = (
    "CREATE TABLE IF NOT EXISTS notifyq.{leaf} "
    "(LIKE notifyq.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) "
)
_ATTACH: LiteralString = (
    "ALTER TABLE notifyq.{table} ATTACH PARTITION notifyq.{leaf} "
    "FOR VALUES FROM ({low}) TO ({high})"
)
_DETACH: LiteralString = "ALTER TABLE notifyq.{table} DETACH PARTITION notifyq.{leaf} CONCURRENTLY"
_FINALIZE: LiteralString = "ALTER TABLE notifyq.{table} DETACH PARTITION notifyq.{leaf} FINALIZE"
_DROP: LiteralString = "DROP TABLE notifyq.{leaf}"
# Whoever makes or drops leaves does so alone: IF NOT EXISTS looks before it waits.
_LOCK: LiteralString = "SELECT pg_advisory_lock(hashtext('notifyq leaves'))"
_UNLOCK: LiteralString = "SELECT pg_advisory_unlock(hashtext('notifyq leaves'))"


def leaf_sql(text: LiteralString, *, day: str = "", channel: Channel | None = None) -> sql.Composed:
    """Return a statement with the leaves it names filled in.

    `{day}` and `{month}` become a leaf's suffix, from `day` (as `day_of` gives it); `{channel}`
    the job table's. The result is cached: one prepared statement per text and leaf.
    """
    return _leaf_sql(text, day, channel)


def day_of(uuid7: UUID) -> str:
    """Return the suffix of the day leaf that an id belongs to, like `20261122`."""
    return _day_of_number((uuid7.int >> 80) // _DAY_MS)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf: what it holds, and how it stands to its table (`absent` if it is not there)."""

    history: History
    start: datetime
    standing: str = "absent"

    @property
    def end(self) -> datetime:
        """The instant that it no longer holds."""
        return _next(self.history.span, self.start)

    @property
    def name(self) -> str:
        """Its table's name."""
        return f"{self.history.table}_{_suffix(self.history.span, self.start)}"


async def make_leaves(conn: Conn, now: datetime) -> int:
    """Make the leaves from `now` to DAYS_AHEAD and MONTHS_AHEAD; return how many were missing.

    On an autocommit connection. Idempotent; several at once take turns.
    """
    async with _alone(conn):
        standing = {leaf.name: leaf.standing for leaf in await _found(conn)}
        wanted = [leaf for history in HISTORIES for leaf in _wanted(history, now)]
        missing = [leaf for leaf in wanted if standing.get(leaf.name) != "attached"]
        for leaf in missing:
            await conn.execute(_filled(_MAKE, leaf) + sql.SQL(leaf.history.options))
            await conn.execute(_filled(_ATTACH, leaf))
    return len(missing)


async def old_leaves(conn: Conn, history: History, before: datetime) -> list[Leaf]:
    """Return the leaves of one table that end at or before `before`, however they stand."""
    found = await _found(conn)
    return [leaf for leaf in found if leaf.history is history and leaf.end <= before]


async def drop_leaf(conn: Conn, leaf: Leaf) -> None:
    """Drop a leaf, on an autocommit connection; goes on where an interrupted drop stopped.

    Whether anything in it is still needed is the caller's to know (services/maintain.py).
    """
    async with _alone(conn):
        if leaf.standing == "attached":
            await conn.execute(_filled(_DETACH, leaf))
        elif leaf.standing == "leaving":
            await conn.execute(_filled(_FINALIZE, leaf))
        await conn.execute(_filled(_DROP, leaf))


def _wanted(history: History, now: datetime) -> Iterable[Leaf]:
    # From yesterday: around midnight another machine's clock may still say so.
    start = _start(history.span, now.astimezone(UTC) - timedelta(days=1))
    for _ in range((DAYS_AHEAD if history.span is Span.DAY else MONTHS_AHEAD) + 2):
        yield Leaf(history, start)
        start = _next(history.span, start)


def _filled(text: LiteralString, leaf: Leaf) -> sql.Composed:
    return sql.SQL(text).format(
        leaf=sql.Identifier(leaf.name),
        table=sql.Identifier(leaf.history.table),
        low=sql.Literal(str(floor_of(leaf.start))),
        high=sql.Literal(str(floor_of(leaf.end))),
    )


@asynccontextmanager
async def _alone(conn: Conn) -> AsyncIterator[None]:
    if not conn.autocommit:
        raise RuntimeError("leaves are made and dropped on an autocommit connection")
    await conn.execute(_LOCK)
    try:
        yield
    finally:
        if not conn.closed:
            await conn.execute(_UNLOCK)


async def _found(conn: Conn) -> list[Leaf]:
    by_table = {history.table: history for history in HISTORIES}
    cursor = await conn.execute(LEAVES, {"tables": list(by_table)})
    return [
        Leaf(by_table[table], _start_of(by_table[table], leaf), standing)
        for table, leaf, standing in await cursor.fetchall()
    ]


def _suffix(span: Span, start: datetime) -> str:
    return start.strftime("%Y%m%d" if span is Span.DAY else "%Y%m")


def _start(span: Span, at: datetime) -> datetime:
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if span is Span.DAY else day.replace(day=1)


def _next(span: Span, start: datetime) -> datetime:
    if span is Span.DAY:
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)


def _start_of(history: History, leaf: str) -> datetime:
    form = "%Y%m%d" if history.span is Span.DAY else "%Y%m"
    return datetime.strptime(leaf.rpartition("_")[2], form).replace(tzinfo=UTC)


@cache
def _day_of_number(days: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)).strftime("%Y%m%d")


@lru_cache(maxsize=1_000)  # texts x the days that deliveries in work belong to
def _leaf_sql(text: LiteralString, day: str, channel: Channel | None) -> sql.Composed:
    return sql.SQL(text).format(
        day=sql.SQL(day), month=sql.SQL(day[:6]), channel=sql.SQL(channel or "")
    )
