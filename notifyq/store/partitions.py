"""Leaves of the partitioned tables: their names, making them ahead, dropping them behind.

The time inside a uuidv7 picks the leaf, so whoever holds an id can name the leaf without asking.
Hot statements do: they then lock and plan one table instead of every leaf there is. There is no
default leaf anywhere, because one would swallow rows quietly when leaves were not made.
"""

from collections.abc import Iterable
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

LEAVES: LiteralString = """
    SELECT p.relname, c.relname
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
      JOIN pg_class p ON p.oid = i.inhparent
     WHERE p.relnamespace = 'notifyq'::regnamespace
       AND p.relname = ANY (%(tables)s::text[])
     ORDER BY p.relname, c.relname
"""
_MAKE: LiteralString = (
    "CREATE TABLE IF NOT EXISTS notifyq.{leaf} PARTITION OF notifyq.{table} "
    "FOR VALUES FROM ({low}) TO ({high}) "
)


def leaf_sql(text: LiteralString, *, day: str = "", channel: Channel | None = None) -> sql.Composed:
    """Return a statement with the leaves it names filled in.

    `{day}` and `{month}` become a leaf's suffix, from `day` (as `day_of` gives it); `{channel}`
    the job table's. The result is cached: one prepared statement per text and leaf.
    """
    return _leaf_sql(text, day, channel)


def day_of(uuid7: UUID) -> str:
    """Return the suffix of the day leaf that an id belongs to, like `20261122`."""
    return _day_of_number((uuid7.int >> 80) // _DAY_MS)


async def make_leaves(conn: Conn, now: datetime) -> int:
    """Make the leaves from `now` to DAYS_AHEAD and MONTHS_AHEAD; return how many were missing.

    Idempotent. Each takes a short lock on its parent; `lock_timeout` bounds the wait, and the
    janitor comes again.
    """
    found = await _found(conn)
    missing = [w for h in HISTORIES for w in _wanted(h, now) if (h.table, w.name) not in found]
    for leaf in missing:
        await conn.execute(leaf.statement)
    return len(missing)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf to be made."""

    name: str
    statement: sql.Composed


def _wanted(history: History, now: datetime) -> Iterable[Leaf]:
    # From yesterday: around midnight another machine's clock may still say so.
    start = _start(history.span, now.astimezone(UTC) - timedelta(days=1))
    for _ in range((DAYS_AHEAD if history.span is Span.DAY else MONTHS_AHEAD) + 2):
        end = _next(history.span, start)
        name = f"{history.table}_{_suffix(history.span, start)}"
        text = sql.SQL(_MAKE).format(
            leaf=sql.Identifier(name),
            table=sql.Identifier(history.table),
            low=sql.Literal(str(floor_of(start))),
            high=sql.Literal(str(floor_of(end))),
        )
        yield Leaf(name, text + sql.SQL(history.options))
        start = end


async def drop_leaves(conn: Conn, history: History, before: datetime) -> list[str]:
    """Drop the leaves of one table that end at or before `before`; return their names.

    Whether anything in them is still needed is the caller's to know (services/maintain.py).
    """
    found = [leaf for table, leaf in await _found(conn) if table == history.table]
    old = [leaf for leaf in found if _next(history.span, _start_of(history, leaf)) <= before]
    for leaf in old:
        await conn.execute(sql.SQL("DROP TABLE notifyq.{}").format(sql.Identifier(leaf)))
    return old


async def _found(conn: Conn) -> set[tuple[str, str]]:
    cursor = await conn.execute(LEAVES, {"tables": [history.table for history in HISTORIES]})
    return {(table, leaf) for table, leaf in await cursor.fetchall()}


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
