"""optout import and export: files of other systems, and ours for them."""

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from notifyq.cli import main, optout_files
from notifyq.store import blocked, db
from notifyq.store.db import Conn
from tests.cli.conftest import Work
from tests.store import helpers as h

HEAD = "address,brand,happened_at,reason\n"
EVENTS = "SELECT brand, source, actor, reason, happened_at::text FROM consent_event ORDER BY id"


@pytest.fixture
def run(command: Callable[..., Result]) -> Callable[..., Result]:
    return partial(command, "optout")


@pytest.fixture
def shop(plant: Callable[[Work], Any]) -> None:
    plant(lambda conn: h.open_shop(conn, "acme"))


@pytest.fixture
def bring(run: Callable[..., Result], tmp_path: Path, shop: None) -> Callable[..., Result]:
    """bring(text, *options): import a file that says so."""

    def do(text: str, *options: str) -> Result:
        file = tmp_path / "optouts.csv"
        file.write_text(text, encoding="utf-8")
        return run("import", str(file), *options)

    return do


def kept(plant: Callable[[Work], Any]) -> Any:
    return plant(lambda conn: h.all_rows(conn, EVENTS))


def test_a_file_blocks_and_may_be_imported_again(
    bring: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    text = (
        f"{HEAD}+14155550123,acme,2026-11-01T10:00:00Z,letter\n"
        "Ann@Example.org,acme,2026-11-01T12:00:00+02:00,\n"
        "+1 415 555 0124,acme,,\n"
    )
    result = bring(text)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "3 lines: 3 blocked, 0 known, 0 bad\n"
    found = kept(plant)
    assert [(brand, source, actor) for brand, source, actor, _, _ in found] == [
        ("acme", "import", "jo")
    ] * 3
    assert sorted(row[3] for row in found) == ["imported", "imported", "letter"]
    assert [row[4] for row in found].count("2026-11-01 10:00:00+00") == 2
    again = bring(text)
    assert again.stdout == "3 lines: 0 blocked, 3 known, 0 bad\n"
    assert kept(plant) == found


def test_bad_lines_are_named_and_left_out(
    bring: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    bad = [
        ("4155550123,acme,,", "address must be in international form"),
        ("+14155550123,Acme,,", "brand must be"),
        ("+14155550123,acme:test,,", "brand must be"),
        ("+14155550123,acme,yesterday,", "happened_at must be a time"),
        ("+14155550123,acme,2026-11-01T10:00:00,", "happened_at must be a time"),
        ("+14155550123,acme,2126-11-01T10:00:00Z,", "until now"),
        ("+14155550123,acme,0001-01-01T00:00:00+14:00,", "from 1991-12-20"),
        (f"+14155550123,acme,,{'x' * 501}", "reason must have at most 500"),
        ("+14155550123,acme,,x\x1b[31m", "reason must be one line"),
        ("+14155550123,acme", "not as many fields"),
        ("+14155550123,acme,,x,y", "not as many fields"),
    ]
    good = "+14155550124,acme,,\n"
    result = bring(HEAD + good + "".join(f"{line}\n" for line, _ in bad))
    assert result.exit_code == 1
    assert result.stdout == f"{1 + len(bad)} lines: 1 blocked, 0 known, {len(bad)} bad\n"
    *named, last = result.stderr.splitlines()
    assert "mend them and run it again" in last
    assert [line.partition(":")[0] for line in named] == [f"line {n + 3}" for n in range(len(bad))]
    for said, (_, fault) in zip(named, bad, strict=True):
        assert fault in said
    assert "\x1b" not in result.output
    assert len(kept(plant)) == 1


def test_programs_get_the_same_as_json(bring: Callable[..., Result]) -> None:
    result = bring(f"{HEAD}+14155550123,acme,,\nnobody,acme,,\n", "--json")
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)
    assert (found["lines"], found["added"], found["known"]) == (2, 1, 0)
    (bad,) = found["bad"]
    assert bad["line"] == 3


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", 2, "columns address, brand"),
        ("address\n+14155550123\n", 2, "columns brand"),
        ("address,brand,phone\n", 2, "only address, brand, happened_at, reason"),
        ("address,brand,brand\n", 2, "each column once"),
        ('address,brand\n"+14155550123,acme\n', 1, "no CSV"),
    ],
)
def test_what_is_no_such_file_is_refused(
    bring: Callable[..., Result], plant: Callable[[Work], Any], text: str, code: int, says: str
) -> None:
    result = bring(text)
    assert (result.exit_code, says in result.stderr) == (code, True), result.output
    assert kept(plant) == []


def test_a_brand_that_nobody_has_is_stored_and_said_once(bring: Callable[..., Result]) -> None:
    result = bring(f"{HEAD}+14155550123,acmee,,\n+14155550124,acmee,,\n")
    assert result.exit_code == 0
    assert result.stderr == "notifyq: no tenant speaks as acmee; is it spelled right?\n"


def test_test_sends_are_imported_apart(bring: Callable[..., Result], run: Any) -> None:
    bring("address,brand\n+14155550123,acme\n", "--test")
    assert json.loads(run("check", "+14155550123", "--json").stdout) == []
    assert json.loads(run("check", "+14155550123", "--json", "--test").stdout)[0]["blocked"]


def test_batches_are_whole_and_what_is_before_a_break_stays(
    bring: Callable[..., Result], plant: Callable[[Work], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fate of the second batch is not known: it is said which lines, and it is run again."""
    right, calls = optout_files.store, []

    async def breaks(conn: Conn, lines: Any, **named: Any) -> Any:
        calls.append([line.number for line in lines])
        return db.Unknown("cut") if len(calls) == 2 else await right(conn, lines, **named)

    monkeypatch.setattr(optout_files, "BATCH", 2)
    monkeypatch.setattr(optout_files, "store", breaks)
    text = HEAD + "".join(f"+1415555{n:04},acme,,\n" for n in range(100, 105))
    result = bring(text)
    assert calls == [[2, 3], [4, 5]]
    assert result.exit_code == 1
    assert "lines 4 to 5:" in result.stderr
    assert "run it again" in result.stderr
    assert len(kept(plant)) == 2
    monkeypatch.undo()
    assert bring(text).stdout == "5 lines: 3 blocked, 2 known, 0 bad\n"


def test_it_reads_from_a_pipe(run: Callable[..., Result], database_url: str, shop: None) -> None:
    environ = {"NOTIFYQ_DATABASE_URL": database_url, "NOTIFYQ_ACTOR": "jo"}
    text = "\ufeffaddress,brand\r\n+14155550123,acme\r\n"
    result = CliRunner().invoke(main, ["optout", "import", "-"], env=environ, input=text)
    assert result.stdout == "1 lines: 1 blocked, 0 known, 0 bad\n", result.output


# ---------------------------------------------------------------------------------- export


def exported(run: Callable[..., Result], *options: str) -> list[dict[str, str]]:
    result = run("export", *options)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_everybody_who_is_blocked_is_exported_by_key(
    run: Callable[..., Result], bring: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    bring(f"{HEAD}+14155550123,acme,2026-11-01T10:00:00Z,\nann@example.org,beta,,\n")
    run("add", "+14155550123", "--brand", "acme", "--reason", "again")
    run("add", "+14155550124", "--brand", "acme", "--program", "codes", "--reason", "x")
    run("add", "+14155550125", "--brand", "acme", "--test", "--reason", "x")
    rows = exported(run)
    assert "+1415" not in str(rows)
    by_brand = {(row["brand"], row["channel"], row["program"]): row for row in rows}
    assert by_brand.keys() == {
        ("acme", "sms", ""), ("acme", "sms", "codes"), ("beta", "email", ""),
    }  # fmt: skip
    oldest = by_brand["acme", "sms", ""]
    assert (oldest["since"], oldest["source"]) == ("2026-11-01T10:00:00+00:00", "import")
    key = plant(lambda conn: h.one(conn, "SELECT encode(notifyq.address_key(%(a)s), 'hex')",
                                   a="+14155550123"))  # fmt: skip
    assert oldest["address_key"] == key
    assert {row["brand"] for row in exported(run, "--brand", "beta")} == {"beta"}
    assert [row["brand"] for row in exported(run, "--test")] == ["acme"]
    assert exported(run, "--brand", "nobody") == []


def test_pages_lose_nobody(
    run: Callable[..., Result],
    bring: Callable[..., Result],
    plant: Callable[[Work], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocked, "PAGE", 3)
    lines = [f"+1415555{n:04},{'acme' if n % 2 else 'beta'},," for n in range(100, 110)]
    lines += [f"somebody-{n}@example.org,{'acme' if n % 2 else 'beta'},," for n in range(10)]
    bring(HEAD + "\n".join(lines))
    rows = exported(run)
    assert len({row["address_key"] for row in rows}) == len(rows) == 20
