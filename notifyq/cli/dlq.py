"""dlq: what was given up on, by cause; made due again, or taken off the list."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

import click

from notifyq.bootstrap.accounts import CELL
from notifyq.cli.handling import at_hand, delivery_named, reason_given
from notifyq.cli.narrowing import (
    chosen,
    dry_run_option,
    ends_in_time,
    ids_argument,
    narrowed_by,
    narrowing,
    reason_unless_dry,
)
from notifyq.cli.output import Failed, Misused, actor, brief, json_option, running, show
from notifyq.domain.ids import public_id
from notifyq.domain.interventions import OUTCOME_UNKNOWN, WHY, Refusal
from notifyq.services import redrive as service
from notifyq.services.redrive import RATE_PER_S, Errand, Redriven
from notifyq.store import db, dead_letters, views
from notifyq.store.dead_letters import Found, Wanted


@click.group()
def dlq() -> None:
    """Dead letters: deliveries that were given up on."""


@dlq.command("list")
@narrowing
@click.option("--each", is_flag=True, help="One by one, not by cause.")
@json_option
@running
async def list_command(limit: int, each: bool, as_json: bool, **narrowed: Any) -> None:
    """Count dead letters by cause, or show each."""
    wanted = narrowed_by(narrowed)
    async with at_hand() as (conn, _):
        if each:
            found = await dead_letters.find(conn, wanted, cell=CELL, limit=limit)
            rows = [_row(one) for one in found]
        else:
            rows = [asdict(one) for one in await dead_letters.groups(conn, wanted, cell=CELL)]
    show(rows if as_json else _short(rows), as_json=as_json, empty="no dead letters")


@dlq.command("show")
@click.argument("what", metavar="ID")
@json_option
@running
async def show_command(what: str, as_json: bool) -> None:
    """Show a dead letter, what was tried, and what a redrive would say."""
    at = delivery_named(what)
    async with at_hand() as (conn, new_id):
        found = await dead_letters.find(conn, Wanted(ids=(at,)), cell=CELL, limit=1)
        tried = await views.attempts_of(conn, cell=CELL, delivery_ids=[at])
        done = await views.interventions_of(conn, cell=CELL, delivery_ids=[at])
        if not found:
            raise Failed(f"there is no dead letter of {_name(at)}: `notifyq show {_name(at)}`")
        dry = Errand(CELL, actor(), "", RATE_PER_S, new_id, dry_run=True)
        rehearsed = _result(await service.redrive(conn, at, dry), dry_run=True)
    names = ("number", "provider", "began_at", "outcome", "provider_id", "code", "late_at")
    attempts = [{name: one[name] for name in names} for one in tried]
    by_hand = [{name: one[name] for name in one if name != "delivery_id"} for one in done]
    told = {name: rehearsed[name] for name in ("result", "refused", "why")}
    if as_json:
        whole = _row(found[0]) | {"redrive": told, "attempts": attempts, "interventions": by_hand}
        show([whole], as_json=True)
        return
    for name, value in (_row(found[0]) | {"redrive": told["why"] or told["result"]}).items():
        click.echo(f"{name.replace('_', ' '):13} {'' if value is None else value}")
    click.echo()
    show(_short(attempts), as_json=False, empty="no attempts")
    if by_hand:
        click.echo()
        show(_short(by_hand), as_json=False)


@dlq.command("redrive")
@ids_argument
@narrowing
@click.option("--rate", type=click.FloatRange(0.01, 1_000), default=RATE_PER_S, show_default=True,
              help="Jobs that come due in a second.")  # fmt: skip
@click.option("--past-dedupe", is_flag=True, help="Even past dedupe_until; with IDs only.")
@dry_run_option
@reason_unless_dry
@json_option
@running
async def redrive(
    *,
    ids: tuple[str, ...],
    limit: int,
    rate: float,
    past_dedupe: bool,
    dry_run: bool,
    reason: str | None,
    as_json: bool,
    **narrowed: Any,
) -> None:
    """Make dead letters due again: those with these IDs, or those that the options name.

    Each keeps its identity, and is refused if it has expired or its recipient has opted out. Safe
    to run again: what was redriven is no dead letter any more.
    """
    wanted = chosen(ids, narrowed)
    if past_dedupe and not ids:
        raise Misused("--past-dedupe: goes with IDs, one by one: a replay would not be recognised")
    count = len(wanted.ids or ()) or limit
    ends_in_time(count, rate)
    why = "" if dry_run else reason_given(reason)
    results: list[Redriven | db.Unknown] = []
    async with at_hand() as (conn, new_id):
        errand = Errand(CELL, actor(), why, rate, new_id, past_dedupe, dry_run)
        if wanted.ids is not None:
            results += [one async for one in service.redrive_each(conn, wanted.ids, errand)]
        else:
            await _say_what_is_left_out(conn, wanted)
            found = service.redrive_wanted(conn, wanted, errand, limit=limit)
            results += [one async for one in found]
    rows = [_result(result, dry_run) for result in results if isinstance(result, Redriven)]
    show(rows if as_json else _summed(rows), as_json=as_json, empty="nothing to redrive")
    if any(isinstance(result, db.Unknown) for result in results):
        raise Failed("the last one is not known to be stored; run it again")
    if ids and any(row["refused"] not in (None, Refusal.NOTHING) for row in rows):
        click.get_current_context().exit(1)


@dlq.command("discard")
@ids_argument
@narrowing
@dry_run_option
@reason_unless_dry
@json_option
@running
async def discard(
    *,
    ids: tuple[str, ...],
    limit: int,
    dry_run: bool,
    reason: str | None,
    as_json: bool,
    **narrowed: Any,
) -> None:
    """Take dead letters off the list; their deliveries stay dead. Noted with who and why."""
    wanted = chosen(ids, narrowed)
    why = "" if dry_run else reason_given(reason)
    gone: set[UUID] = set()
    async with at_hand() as (conn, new_id):
        count = len(wanted.ids or ()) or limit
        found = await dead_letters.find(conn, wanted, cell=CELL, limit=count)
        if not dry_run:
            errand = Errand(CELL, actor(), why, RATE_PER_S, new_id)
            gone = await _discarded(conn, [one.delivery_id for one in found], errand)
    word = "would_discard" if dry_run else "discarded"
    taken = [one for one in found if dry_run or one.delivery_id in gone]
    rows = [{"id": _name(one.delivery_id), "cause": one.cause, "result": word} for one in taken]
    show(rows if as_json else _summed(rows), as_json=as_json, empty="nothing to discard")


async def _discarded(conn: db.Conn, ids: list[UUID], errand: Errand) -> set[UUID]:
    gone: set[UUID] = set()
    async for page in service.discard(conn, ids, errand):
        if isinstance(page, db.Unknown):
            raise Failed(f"not known to be stored: {page.reason}; run it again")
        gone |= page
    return gone


async def _say_what_is_left_out(conn: db.Conn, wanted: Wanted) -> None:
    doubts = replace(wanted, causes=(OUTCOME_UNKNOWN,))
    for group in await dead_letters.groups(conn, doubts, cell=CELL):
        told = f"{group.count} {OUTCOME_UNKNOWN} are in no redrive: `notifyq doubt list`"
        click.echo(f"notifyq: {told}", err=True)


def _result(result: Redriven | db.Unknown, dry_run: bool) -> dict[str, Any]:
    if isinstance(result, db.Unknown):
        raise Failed(f"not known: {result.reason}; run it again")
    word = "would_redrive" if dry_run else "redriven"
    return {
        "id": _name(result.delivery_id),
        "cause": result.cause,
        "result": "refused" if result.refusal else word,
        "refused": result.refusal,
        "why": WHY[result.refusal] if result.refusal else None,
        "due": result.due,
    }


def _summed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how many came to what; one by one as long as they are few."""
    if len(rows) == 1:
        return _short([{name: value for name, value in rows[0].items() if value is not None}])
    counts = Counter((r["cause"], r["result"], r.get("refused"), r.get("why")) for r in rows)
    names = ("cause", "result", "refused", "why")
    return [
        {"count": count} | dict(zip(names, found, strict=True)) for found, count in counts.items()
    ]


def _row(found: Found) -> dict[str, Any]:
    whole = asdict(found)
    return {"id": _name(whole.pop("delivery_id"))} | whole


def _short(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: brief(value) for name, value in row.items()} for row in rows]


def _name(at: UUID) -> str:
    return public_id("dlv", CELL, at)
