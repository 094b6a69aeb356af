"""optout import and export: opt-outs that other systems know of, and ours for them."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TextIO

import click

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.consenting import (
    any_brand_option,
    brands,
    is_word,
    plain,
    reason_fault,
    scope_given,
    stored,
    test_option,
    utc,
    warn_of_unknown,
    word_fault,
)
from notifyq.cli.handling import at_hand
from notifyq.cli.output import Failed, Misused, actor, json_option, running, settings, show
from notifyq.domain.address import BadAddress, channel_of, normal
from notifyq.domain.consent import Said, brand_of, in_force, is_test, scope_of
from notifyq.domain.consent_record import EARLIEST
from notifyq.services.optout_import import BATCH, Line, store
from notifyq.store import blocked, db, dossier
from notifyq.store.dossier import Event
from notifyq.store.ledger import Person

COLUMNS = ("address", "brand", "happened_at", "reason")
NEEDED = ("address", "brand")
IMPORTED = "imported"  # the reason of a line that gives none


@dataclass
class _Report:
    lines: int = 0
    added: int = 0
    known: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return it for programs."""
        bad = [{"line": number, "fault": fault} for number, fault in self.bad]
        return {"lines": self.lines, "added": self.added, "known": self.known, "bad": bad}


@click.command("import")
@click.argument("source", metavar="FILE.csv|-", type=click.File("r", encoding="utf-8-sig"))
@test_option
@json_option
@running
async def import_command(source: TextIO, test: bool, as_json: bool) -> None:
    """Block the addresses of a CSV file: columns address, brand, happened_at?, reason?.

    1,000 lines at a time are stored, all of them or none; bad ones are named by their numbers and
    left out. Safe to run again: what is there adds nothing. It never lifts. A line without
    happened_at (like 2026-11-22T18:00:00Z) counts as said now: it blocks a person again who has
    written START since.
    """
    report, now = _Report(), datetime.now(UTC)
    found = _lines(source, report, test=test, now=now)
    async with at_hand() as (conn, new_id):
        known = await brands(conn)
        unknown: set[str] = set()
        while batch := list(islice(found, BATCH)):
            done = await store(conn, batch, actor=actor(), cell=CELL, new_id=new_id)
            if isinstance(done, db.Unknown):
                click.echo(f"notifyq: lines {batch[0].number} to {batch[-1].number}:", err=True)
            imported = stored(done)
            report.added += imported.added
            report.known += imported.known
            unknown |= {brand_of(line.scope) for line in batch} - known
    for brand in sorted(unknown):
        warn_of_unknown(brand)
    if as_json:
        show([report.row()], as_json=True)
    else:
        told = f"{report.added} blocked, {report.known} known, {len(report.bad)} bad"
        click.echo(f"{report.lines} lines: {told}")
    if report.bad:
        raise Failed("the bad lines were not stored: mend them and run it again")


def _lines(source: TextIO, report: _Report, *, test: bool, now: datetime) -> Iterator[Line]:
    """Yield the good lines; count them all, and name the bad ones."""
    rows = csv.DictReader(source, strict=True)
    try:
        _check_columns(rows.fieldnames or ())
        for row in rows:
            report.lines += 1
            line = _line(row, rows.line_num, test=test, now=now)
            if isinstance(line, Line):
                yield line
                continue
            report.bad.append((rows.line_num, line))
            click.echo(f"line {rows.line_num}: {plain(line)}", err=True)
    except (csv.Error, UnicodeDecodeError) as error:
        why = f"after line {rows.line_num} it is no CSV in UTF-8: {error}"
        raise Failed(f"{why}; the lines before it may be stored") from None


def _check_columns(names: Any) -> None:
    missing = [name for name in NEEDED if name not in names]
    strange = [str(name) for name in names if name not in COLUMNS]
    if missing:
        raise Misused(f"FILE: the first line must name the columns {', '.join(missing)}")
    if strange or len(set(names)) != len(names):
        raise Misused(f"FILE: must have each column once, and only {', '.join(COLUMNS)}")


def _line(row: dict[Any, Any], number: int, *, test: bool, now: datetime) -> Line | str:
    """Return a line, or what is wrong with it."""
    if None in row or None in row.values():
        return "has not as many fields as the first line"
    address, brand = row["address"].strip(), row["brand"].strip()
    channel = channel_of(address)
    try:
        address = normal(channel, address)
    except BadAddress as error:
        return f"address {error}"
    if not is_word(brand):
        return f"brand {word_fault(brand)}"
    happened_at = _time((row.get("happened_at") or "").strip(), now)
    if isinstance(happened_at, str):
        return happened_at
    reason = (row.get("reason") or "").strip() or IMPORTED
    if fault := reason_fault(reason):
        return f"reason {fault}"
    return Line(number, scope_of(brand, test=test), channel, address, happened_at, reason)


def _time(text: str, now: datetime) -> datetime | str | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        return "happened_at must be a time with its offset, like 2026-11-22T18:00:00Z"
    if not EARLIEST <= at <= now:
        return f"happened_at must be from {EARLIEST.date()} until now"
    return at


@click.command("export")
@any_brand_option
@test_option
@running
async def export(brand: str | None, test: bool) -> None:
    """Print everybody who is blocked, as CSV: by address keys, for numbers are not kept.

    An address key is what notifyq.address_key('+14155550123') says in this database. program:
    empty means the whole brand. since, source: the oldest opt-out that stands.
    """
    scope = None if brand is None else scope_given(brand, test=test)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["address_key", "channel", "brand", "program", "since", "source"])
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        async for page in blocked.pages(conn, cell=CELL, scope=scope):
            people = [person for person in page if is_test(person.brand) is test]
            found = await dossier.events(conn, people, cell=CELL)
            out.writerows(row for person, events in found.items() for row in _rows(person, events))


def _rows(person: Person, events: list[Event]) -> Iterator[list[str]]:
    about = [person.address_key.hex(), person.channel.value, brand_of(person.brand)]
    for stop in _oldest([event.said for event in events]):
        yield [*about, stop.program or "", utc(stop.at).isoformat(), stop.source.value]


def _oldest(said: list[Said]) -> Iterator[Said]:
    """Yield for the brand and for each program the oldest opt-out that stands."""
    programs = sorted({one.program or "" for one in said})
    for program in programs:
        stops = in_force(said, program or None)
        if stops:
            yield min(stops, key=lambda stop: stop.at)
