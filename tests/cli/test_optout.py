"""Opt-outs by hand: stored once, with evidence, and found again."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from notifyq.cli.optout import optout
from notifyq.store import db
from tests.store import helpers as h

NUMBER = "+14155550123"


@pytest.fixture
def run(database_url: str) -> Callable[..., Result]:
    def invoke(*arguments: str, **environ: str) -> Result:
        environ = {"NOTIFYQ_DATABASE_URL": database_url, "NOTIFYQ_ACTOR": "jo"} | environ
        return CliRunner().invoke(optout, arguments, env=environ)

    return invoke


@pytest.fixture
def brand(database_url: str) -> str:
    async def make() -> None:
        async with h.looking(database_url) as conn:
            await h.open_shop(conn, "acme")

    asyncio.run(make())
    return "acme"


def add(
    run: Callable[..., Result], brand: str, phone: str = NUMBER, reason: str = "call"
) -> Result:
    return run("add", phone, "--brand", brand, "--reason", reason)


def checked(run: Callable[..., Result], *more: str) -> list[dict[str, Any]]:
    result = run("check", NUMBER, "--json", *more)
    assert result.exit_code == 0
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_what_is_added_is_blocked_with_who_and_why(run: Callable[..., Result], brand: str) -> None:
    result = add(run, brand, reason="asked by phone")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"blocked {NUMBER} for acme (sms)\n"
    (found,) = checked(run)
    assert (found["brand"], found["channel"], found["blocked"]) == ("acme", "sms", True)
    (event,) = found["history"]
    assert (event["kind"], event["actor"], event["reason"]) == ("opt_out", "jo", "asked by phone")
    text = run("check", NUMBER).stdout
    assert text.startswith("acme (sms): blocked\n")
    assert "opt_out by jo: asked by phone" in text


def test_adding_it_again_changes_nothing_and_says_so(
    run: Callable[..., Result], brand: str
) -> None:
    add(run, brand)
    before = checked(run)
    result = add(run, brand, phone="+1 (415) 555-0123", reason="again")
    assert result.exit_code == 0
    assert result.stdout == f"{NUMBER} for acme (sms) was blocked already\n"
    assert checked(run) == before


def test_a_block_reaches_as_far_as_its_brand(run: Callable[..., Result], brand: str) -> None:
    add(run, brand)
    add(run, "other")
    assert [one["brand"] for one in checked(run)] == ["acme", "other"]
    assert [one["brand"] for one in checked(run, "--brand", "other")] == ["other"]


def test_a_brand_that_nobody_has_is_stored_and_said(run: Callable[..., Result], brand: str) -> None:
    result = add(run, "acmee")
    assert result.exit_code == 0
    assert "no tenant speaks as acmee" in result.stderr
    assert checked(run, "--brand", "acmee")[0]["blocked"]


def test_of_an_unknown_number_nothing_is_known(run: Callable[..., Result]) -> None:
    result = run("check", NUMBER)
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing known")
    assert checked(run) == []


def test_who_was_written_to_and_never_opted_out_is_not_blocked(
    run: Callable[..., Result], database_url: str
) -> None:
    async def sent() -> None:
        async with await db.connect(database_url) as conn:
            shop = await h.open_shop(conn, "acme")
            await h.begun(conn, shop, h.make_ask(shop, to=NUMBER))

    asyncio.run(sent())
    assert run("check", NUMBER).stdout == "acme (sms): not blocked\n"
    assert checked(run)[0]["history"] == []


@pytest.mark.parametrize("phone", ["4155550123", "nobody", "+999", "", "+1415555012\x1b[31m"])
def test_what_is_no_number_is_misused(run: Callable[..., Result], phone: str) -> None:
    for result in (run("check", phone), add(run, "acme", phone=phone)):
        assert result.exit_code == 2
        assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", NUMBER, "--brand", "acme"],
        ["add", NUMBER, "--brand", "acme", "--reason", "  "],
        ["add", NUMBER, "--reason", "call"],
        ["add", NUMBER, "--brand", "acme", "--channel", "pigeon", "--reason", "call"],
    ],
)
def test_a_change_needs_brand_channel_and_reason(
    run: Callable[..., Result], arguments: list[str]
) -> None:
    assert run(*arguments).exit_code == 2
    assert checked(run) == []


def test_a_commit_of_unknown_fate_is_a_failure_that_may_be_repeated(
    run: Callable[..., Result], brand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = db.transact

    async def cut_short(conn: db.Conn, work: Any) -> object:
        await right(conn, work)
        return db.Unknown("the connection broke in the commit")

    monkeypatch.setattr(db, "transact", cut_short)
    result = add(run, brand)
    assert result.exit_code == 1
    assert "not known to be stored" in result.stderr
    assert "run it again" in result.stderr
    monkeypatch.undo()
    assert add(run, brand).exit_code == 0


def test_without_a_database_it_fails_in_one_line(run: Callable[..., Result]) -> None:
    result = run("check", NUMBER, NOTIFYQ_DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert result.exit_code == 1
    assert result.stderr.startswith("notifyq: the database")
