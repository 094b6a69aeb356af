"""Saving versions and having them at hand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from notifyq.domain.model import Channel
from notifyq.domain.template import Template
from notifyq.domain.template_checks import read_kept
from notifyq.services import templates as service
from notifyq.services.templates import Library, Saved, Stale, save
from notifyq.store import db, templates
from notifyq.store.templates import Shelf
from tests.store import helpers as h


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url) as connection:
        yield connection


@pytest.fixture
async def shelf(conn: db.Conn) -> Shelf:
    return Shelf(0, (await h.open_shop(conn)).tenant_id, False)


def saying(text: str, name: str = "a") -> Template:
    return Template(name, 0, "en", {"en": {Channel.SMS: {"body": text}}})


async def saved(conn: db.Conn, shelf: Shelf, text: str, **more: Any) -> tuple[int, bool]:
    name = more.pop("name", "a")
    found = await save(
        conn, shelf, saying(text, name), **{"replaces": None, "actor": "nq_live_1"} | more
    )
    assert isinstance(found, Saved), found
    return found.version, found.changed


async def test_the_same_again_is_the_same_version(conn: db.Conn, shelf: Shelf) -> None:
    assert await saved(conn, shelf, "one") == (1, True)
    assert await saved(conn, shelf, "one", actor="nq_live_2") == (1, False)
    assert await saved(conn, shelf, "two") == (2, True)
    assert await saved(conn, shelf, "one") == (3, True)
    rows = await h.all_rows(conn, "SELECT version, created_by FROM template_version ORDER BY 1")
    assert rows == [(1, "nq_live_1"), (2, "nq_live_1"), (3, "nq_live_1")]


async def test_what_is_replaced_must_be_the_newest(conn: db.Conn, shelf: Shelf) -> None:
    again = {"replaces": None, "actor": "x"}
    assert await save(conn, shelf, saying("one"), **again | {"replaces": 1}) == Stale(0)  # type: ignore[arg-type]
    assert await h.all_rows(conn, "SELECT 1 FROM template") == []
    assert await saved(conn, shelf, "one", replaces=0) == (1, True)
    assert await saved(conn, shelf, "two", replaces=1) == (2, True)
    assert await saved(conn, shelf, "two", replaces=1) == (2, False)  # a retry of the same
    for replaces in (0, 1, 3):
        found = await save(conn, shelf, saying("three"), replaces=replaces, actor="x")
        assert found == Stale(2)
    assert await h.one(conn, "SELECT count(*) FROM template_version") == 2


async def test_many_at_once_each_get_a_number_of_their_own(
    conn: db.Conn, shelf: Shelf, database_url: str
) -> None:
    async def one(text: str) -> int:
        async with await db.connect(database_url) as own:
            return (await saved(own, shelf, text))[0]

    numbers = await asyncio.gather(*(one(f"text {n}") for n in range(8)))
    assert sorted(numbers) == list(range(1, 9))
    rows = await h.all_rows(conn, "SELECT version FROM template_version ORDER BY created_at")
    assert [version for (version,) in rows] == list(range(1, 9))
    same = await asyncio.gather(*(one("the same") for _ in range(8)))
    assert same == [9] * 8


async def test_one_of_two_that_replace_the_same_is_stale(
    conn: db.Conn, shelf: Shelf, database_url: str
) -> None:
    await saved(conn, shelf, "one")

    async def one(text: str) -> Any:
        async with await db.connect(database_url) as own:
            return await save(own, shelf, saying(text), replaces=1, actor="x")

    found = await asyncio.gather(*(one(f"text {n}") for n in range(6)))
    assert sorted(type(each).__name__ for each in found) == ["Saved", *["Stale"] * 5]


async def test_a_library_reads_a_body_once_and_sees_every_new_version(
    conn: db.Conn, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []

    def counting(name: str, version: int, text: str) -> Template:
        read.append((name, version))
        return read_kept(name, version, text)

    monkeypatch.setattr(service, "read_kept", counting)
    library = Library()
    await saved(conn, shelf, "one")
    await saved(conn, shelf, "b", name="b")
    first = await library.load(conn, shelf, ["a", "b", "none"])
    assert {name: found.version for name, found in first.items()} == {"a": 1, "b": 1}
    assert (await library.load(conn, shelf, ["a"]))["a"] is first["a"]
    await saved(conn, shelf, "two")
    second = await library.load(conn, shelf, ["a", "b"])
    assert (second["a"].version, second["b"]) == (2, first["b"])
    assert read == [("a", 1), ("b", 1), ("a", 2)]
    assert await library.load(conn, replace(shelf, test=True), ["a"]) == {}


async def test_a_version_is_found_by_its_number(conn: db.Conn, shelf: Shelf) -> None:
    library = Library()
    await saved(conn, shelf, "one")
    await saved(conn, shelf, "two")
    texts = []
    for version in (1, 2, None):
        found = await library.find(conn, shelf, "a", version)
        assert found is not None
        assert found.created_by == "nq_live_1"
        texts.append(found.template.sources["en"][Channel.SMS]["body"])
    assert texts == ["one", "two", "two"]
    assert await library.find(conn, shelf, "a", 3) is None
    assert await library.find(conn, shelf, "b") is None


async def test_a_full_library_lets_the_least_used_go(conn: db.Conn, shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        await saved(conn, shelf, f"{name} {{{{ x }}}} {'.' * 300}", name=name)
    library = Library(weight_max=1_000)  # two of them
    loaded = await library.load(conn, shelf, ["a"])
    await library.load(conn, shelf, ["b"])
    assert (await library.load(conn, shelf, ["a"]))["a"] is loaded["a"]
    await library.load(conn, shelf, ["c"])
    assert (await library.load(conn, shelf, ["a"]))["a"] is loaded["a"]
    assert {name for _, name in library._kept} == {"a", "c"}
    assert library._weight <= 1_000
    for n in range(20):
        await saved(conn, shelf, f"{n} {'.' * 300}")
        await library.load(conn, shelf, ["a"])
    assert library._weight == sum(weight for _, weight in library._kept.values()) <= 1_000
    assert await templates.hold(conn, shelf, "a") == 21
