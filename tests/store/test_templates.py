"""Templates as rows: a version stays what it is, whoever tries, and the next comes after it."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from notifyq.store import db, templates
from notifyq.store.templates import Shelf
from tests.store import helpers as h


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def shelf(conn: db.Conn) -> Shelf:
    return Shelf(0, (await h.open_shop(conn)).tenant_id, False)


async def add(conn: db.Conn, shelf: Shelf, name: str, body: str) -> templates.VersionRow:
    await templates.hold(conn, shelf, name)
    mark = hashlib.sha256(body.encode()).digest()
    return await templates.add(conn, shelf, name, digest=mark, body=body, actor="nq_live_1")


async def test_versions_count_up_and_each_stays_readable(conn: db.Conn, shelf: Shelf) -> None:
    made = [await add(conn, shelf, "a", body) for body in ("one", "two", "one")]
    assert [row.version for row in made] == [1, 2, 3]
    assert [row.created_by for row in made] == ["nq_live_1"] * 3
    times = [row.created_at for row in made]
    assert times == sorted(times)
    found = [await templates.find(conn, shelf, "a", n) for n in (1, 2, 3)]
    assert [row.body for row in found if row] == ["one", "two", "one"]
    assert await templates.find(conn, shelf, "a", 4) is None
    assert await templates.hold(conn, shelf, "a") == 3
    assert await templates.hold(conn, shelf, "new") == 0


async def test_the_newest_of_many_names_come_by_one_statement(conn: db.Conn, shelf: Shelf) -> None:
    for name in ("a", "b", "b"):
        await add(conn, shelf, name, f"{name} says")
    rows = await templates.newest(conn, shelf, {"a": None, "b": 1, "c": None})
    assert sorted((row.name, row.version, row.body) for row in rows) == [
        ("a", 1, "a says"),
        ("b", 2, "b says"),
    ]
    rows = await templates.newest(conn, shelf, {"a": 1, "b": 2})
    assert [row.body for row in rows] == [None, None]
    assert await templates.newest(conn, shelf, {}) == []


async def test_each_tenant_and_mode_has_its_own(conn: db.Conn, shelf: Shelf) -> None:
    other = Shelf(0, (await h.open_shop(conn, "globex")).tenant_id, False)
    test = Shelf(0, shelf.tenant_id, True)
    await add(conn, shelf, "a", "live")
    await add(conn, test, "a", "test")
    for whose, body in ((shelf, "live"), (test, "test")):
        (row,) = await templates.newest(conn, whose, {"a": None})
        assert (row.version, row.body) == (1, body)
    assert await templates.newest(conn, other, {"a": None}) == []
    assert await templates.find(conn, other, "a", 1) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE template_version SET body = 'other'",
        "UPDATE template_version SET created_by = 'somebody'",
        "DELETE FROM template_version",
        "TRUNCATE template_version",
        "TRUNCATE template CASCADE",
    ],
)
async def test_a_version_is_never_changed_or_removed(
    conn: db.Conn, shelf: Shelf, change: Any
) -> None:
    await add(conn, shelf, "a", "one")
    with pytest.raises(psycopg.errors.RestrictViolation, match="template_version is never changed"):
        await conn.execute(change)
    assert await h.all_rows(conn, "SELECT version, body FROM template_version") == [(1, "one")]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE template SET name = 'A B'", "template_name_is_a_name"),
        ("UPDATE template SET version = -1", "template_version_from_0"),
        ("DELETE FROM template", "template_version_of_template"),
        ("DELETE FROM tenant", "template_of_tenant"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    conn: db.Conn, shelf: Shelf, change: Any, constraint: str
) -> None:
    await add(conn, shelf, "a", "one")
    with pytest.raises(psycopg.errors.IntegrityError) as caught:
        await conn.execute(change)
    assert caught.value.diag.constraint_name == constraint


async def test_a_version_is_only_added_to_a_template_that_is_there(
    conn: db.Conn, shelf: Shelf
) -> None:
    with pytest.raises(RuntimeError, match="held"):
        await templates.add(conn, shelf, "a", digest=b"x" * 32, body="b", actor="x")
