"""Migrations: up, up again, two at once, down; and the schema is what the code believes it is."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any

import psycopg
import pytest
import sqlalchemy
from alembic import command
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy.dialects import postgresql

from notifyq import migrate
from notifyq.domain.model import Channel, MessageClass
from notifyq.domain.states import AttemptOutcome, State
from notifyq.store import db, partitions, tables
from tests.races.interleave import until_blocked
from tests.store import helpers as h

# Keys that do not start with the cell, with the reason.
CELLLESS = {"address_secret": "one secret of the whole database: addresses hash alike in all cells"}
_HISTORIES = {history.table for history in partitions.HISTORIES}
_CHANNELS = {f"job_{channel}" for channel in Channel}


@pytest.fixture
def empty_url(server: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without anything in it."""
    name = f"notifyq_empty_{abs(hash(request.node.nodeid))}"
    with DatabaseJanitor(dbname=name, **server):
        where = {**server, "dbname": name}
        del where["maintenance_dbname"]
        yield psycopg.conninfo.make_conninfo(**{k: v for k, v in where.items() if v})


def dump(url: str) -> set[tuple[Any, ...]]:
    """Every table, column, constraint and index there is, by name and definition."""
    text = """
        SELECT 'column', attrelid::regclass::text, attname::text,
               format_type(atttypid, atttypmod) || ' ' || attnotnull
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
         WHERE relnamespace = 'notifyq'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p')
        UNION ALL
        SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'notifyq'::regnamespace
        UNION ALL
        SELECT 'index', tablename::text, indexname::text, indexdef
          FROM pg_indexes WHERE schemaname = 'notifyq'
    """
    return set(ask(url, text))


def ask(url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as conn:
        return conn.execute(text.encode()).fetchall()


# ---------------------------------------------------------------------------- up and down


def test_up_from_nothing_and_up_again_changes_nothing(empty_url: str) -> None:
    assert migrate.versions(empty_url)[0] is None
    migrate.upgrade(empty_url)
    there, newest = migrate.versions(empty_url)
    assert there == newest is not None
    before = dump(empty_url)
    secret = ask(empty_url, "SELECT * FROM notifyq.address_secret")
    fence = ask(empty_url, "SELECT * FROM notifyq.fence")
    migrate.upgrade(empty_url, region="another", actor="somebody else")
    assert dump(empty_url) == before
    assert ask(empty_url, "SELECT * FROM notifyq.address_secret") == secret
    assert ask(empty_url, "SELECT * FROM notifyq.fence") == fence


# Not strict: the two have to meet between looking for the leaves and making them. The one below
# makes them meet.
async def test_two_at_once_both_succeed(empty_url: str) -> None:
    # Two processes, as two deploys are: alembic keeps its context in globals.
    code = "import sys; from notifyq import migrate; migrate.upgrade(sys.argv[1])"
    both = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_url)
        for _ in range(2)
    ]
    assert [await process.wait() for process in both] == [0, 0]
    assert migrate.versions(empty_url)[0] == migrate.versions(empty_url)[1]
    assert len(ask(empty_url, "SELECT * FROM notifyq.address_secret")) == 1


def test_down_leaves_nothing_and_up_comes_again(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    before = dump(empty_url)
    command.downgrade(migrate._config(empty_url), "base")
    assert ask(empty_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'notifyq'") == []
    assert migrate.versions(empty_url)[0] is None
    migrate.upgrade(empty_url)
    assert dump(empty_url) == before


# ------------------------------------------------------------------- as the code sees it


def differences(url: str) -> list[str]:
    """What differs between the migrated database and `notifyq/store/tables.py`."""
    engine = migrate._engine(url)
    with engine.connect() as connection:
        inspector = sqlalchemy.inspect(connection)
        found: list[str] = []
        there = {
            name
            for name in inspector.get_table_names(schema="notifyq")
            if name not in _CHANNELS and name.rpartition("_")[0] not in _HISTORIES
        }
        known = {table.name: table for table in tables.metadata.tables.values()}
        found += [f"{name}: not in tables.py" for name in sorted(there - known.keys())]
        found += [f"{name}: not in the database" for name in sorted(known.keys() - there)]
        for name in sorted(there & known.keys()):
            found += _column_differences(name, inspector.get_columns(name, "notifyq"), known[name])
            key = inspector.get_pk_constraint(name, "notifyq")["constrained_columns"]
            ours = [column.name for column in known[name].primary_key]
            if set(key) != set(ours):
                found.append(f"{name}: primary key {key} there, {ours} here")
    engine.dispose()
    return found


def _column_differences(name: str, there: Iterable[Any], table: sqlalchemy.Table) -> Iterable[str]:
    there = list(there)
    if [c["name"] for c in there] != [c.name for c in table.columns]:
        yield f"{name}: columns {[c['name'] for c in there]}, here {table.columns.keys()}"
        return
    for column, ours in zip(there, table.columns, strict=True):
        if _shown(column["type"]) != _shown(ours.type):
            yield f"{name}.{ours.name}: {_shown(column['type'])} there, {_shown(ours.type)} here"
        if column["nullable"] != ours.nullable:
            yield f"{name}.{ours.name}: nullable {column['nullable']} there, {ours.nullable} here"


def _shown(kind: Any) -> str:
    text: str = kind.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    return text.removeprefix("notifyq.")


def test_the_migrated_database_is_what_tables_py_says(database_url: str) -> None:
    assert differences(database_url) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE notifyq.lane ADD COLUMN extra int", "lane: columns"),
        ("ALTER TABLE notifyq.lane ALTER COLUMN provider DROP NOT NULL", "lane.provider: nullable"),
        ("ALTER TABLE notifyq.fence ALTER COLUMN epoch TYPE int", "fence.epoch: INTEGER there"),
        ("ALTER TABLE notifyq.timer DROP CONSTRAINT timer_pk", "timer: primary key [] there"),
        ("CREATE TABLE notifyq.stray (cell smallint)", "stray: not in tables.py"),
        ("DROP TABLE notifyq.dead_letter", "dead_letter: not in the database"),
    ],
)
def test_a_planted_difference_is_found(database_url: str, change: str, told: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(change.encode())
    found = differences(database_url)
    assert len(found) == 1
    assert found[0].startswith(told)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("channel", Channel),
        ("message_class", MessageClass),
        ("delivery_state", State),
        ("outcome", AttemptOutcome),
    ],
)
def test_enums_are_the_codes_own(database_url: str, name: str, words: type[StrEnum]) -> None:
    text = f"SELECT unnest(enum_range(NULL::notifyq.{name}))::text"
    assert [row[0] for row in ask(database_url, text)] == list(words)


# ------------------------------------------------------------------------------ conventions

_CONSTRAINTS = """
SELECT conname, conrelid::regclass::text, contype::text FROM pg_constraint
 WHERE connamespace = 'notifyq'::regnamespace AND conparentid = 0 AND coninhcount = 0
   AND conrelid <> 0 AND contype <> 'n'
"""


def test_every_constraint_has_a_name_that_somebody_chose(database_url: str) -> None:
    found = ask(database_url, _CONSTRAINTS)
    assert len(found) > 40
    made_up = [row for row in found if row[0].endswith(("_check", "_key", "_pkey", "_fkey"))]
    assert made_up == []


_KEYS = """
SELECT i.indexrelid::regclass::text, c.relname, a.attname
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE c.relnamespace = 'notifyq'::regnamespace
"""


def test_cell_is_the_first_column_of_every_key_and_index(database_url: str) -> None:
    found = ask(database_url, _KEYS)
    assert len(found) > 40
    others = {table for _, table, first in found if first != "cell"}
    assert others == CELLLESS.keys()


def test_job_leaves_have_the_same_indexes_and_settings(database_url: str) -> None:
    text = """
        SELECT c.relname, i.indexdef, c.reloptions FROM pg_class c
          JOIN pg_indexes i ON i.tablename = c.relname AND i.schemaname = 'notifyq'
         WHERE c.relname LIKE 'job\\_%' AND c.relkind = 'r'
    """
    leaves: dict[str, set[tuple[str, str]]] = {}
    for leaf, index, options in ask(database_url, text):
        seen = (index.replace(leaf, "LEAF"), str(options))
        leaves.setdefault(leaf, set()).add(seen)
    assert leaves.keys() == _CHANNELS
    assert len({frozenset(found) for found in leaves.values()}) == 1
    assert len(leaves["job_sms"]) == 2


# ------------------------------------------------------------------------------------ leaves


async def test_leaves_are_made_ahead_and_making_them_again_makes_none(database_url: str) -> None:
    async with await db.connect(database_url, autocommit=True) as conn:
        clock = db.DatabaseClock()
        assert await partitions.make_leaves(conn, clock.now()) == 0
        later = clock.now() + timedelta(days=40)
        made = await partitions.make_leaves(conn, later)
        assert made >= 3 * (partitions.DAYS_AHEAD + 2)
        assert await partitions.make_leaves(conn, later) == 0


async def test_two_janitors_make_the_same_leaves_at_once(database_url: str) -> None:
    async with (
        await db.connect(database_url, autocommit=True) as first,
        await db.connect(database_url, autocommit=True) as second,
        h.looking(database_url) as look,
    ):
        later = h.database_now() + timedelta(days=400)
        await look.execute(partitions._LOCK)
        both = [asyncio.create_task(partitions.make_leaves(c, later)) for c in (first, second)]
        await until_blocked(first, look)
        await until_blocked(second, look)
        await look.execute(partitions._UNLOCK)
        made = await asyncio.gather(*both)
        assert sorted(made)[0] == 0 < sorted(made)[1]


async def test_leaves_are_not_made_inside_a_transaction(database_url: str) -> None:
    async with await db.connect(database_url) as conn:
        with pytest.raises(RuntimeError, match="autocommit"):
            await partitions.make_leaves(conn, h.database_now())
