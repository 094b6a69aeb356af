"""audit: what must not be, looked for in the rows."""

from typing import Any

import click

from notifyq import migrate
from notifyq.bootstrap.accounts import database_url
from notifyq.cli.output import Misused, json_option, running, settings, show
from notifyq.store import audits, db


@click.group()
def audit() -> None:
    """Audits: queries that return rows only when something is wrong. They change nothing."""


@audit.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Show every audit with the question it asks."""
    rows = [{"name": one.name, "question": one.question} for one in _all()]
    show(rows, as_json=as_json)


@audit.command("run")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Run every audit.")
@json_option
@running
async def run(name: str | None, every: bool, as_json: bool) -> None:
    """Run one audit by NAME, or every one; exit 1 if any returns a row."""
    chosen = _chosen(name, every)
    found: list[dict[str, Any]] = []
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        await audits.prepare(conn)
        for one in chosen:
            found.append({"audit": one.name, "rows": await audits.run(conn, one)})
    if as_json:
        show(found, as_json=True)
    else:
        _print(found)
    if any(one["rows"] for one in found):
        click.get_current_context().exit(1)


def _all() -> list[audits.Audit]:
    return audits.audits_in(migrate.files("sql") / "audit")


def _chosen(name: str | None, every: bool) -> list[audits.Audit]:
    if every is (name is not None):
        raise Misused("audit run: name one audit, or say --all: `notifyq audit list` shows them")
    known = {one.name: one for one in _all()}
    if name is None:
        return list(known.values())
    if name not in known:
        raise Misused(f"audit run: there is no audit {name!r}: `notifyq audit list` shows them")
    return [known[name]]


def _print(found: list[dict[str, Any]]) -> None:
    for one in found:
        count = len(one["rows"])
        click.echo(f"{one['audit']}: {f'{count} rows' if count else 'nothing'}")
        if count:
            show(one["rows"], as_json=False)
            click.echo(f"  what a row means, and what to do: sql/audit/{one['audit']}.sql\n")
