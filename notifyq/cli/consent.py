"""consent: what was ever said about an address, and the pack that proves it."""

from collections.abc import Sequence
from typing import Any

import click

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.consenting import (
    any_brand_option,
    event_line,
    event_row,
    name_of,
    ours,
    stands,
    status_row,
    test_option,
)
from notifyq.cli.output import json_option, normal_address, running, settings, show
from notifyq.cli.pack import pack_lines, pack_row
from notifyq.cli.review import review
from notifyq.domain.model import Channel
from notifyq.services.consents import Status, status_everywhere
from notifyq.store import audits, db, packs


@click.group()
def consent() -> None:
    """Consent: every word that was said, what it proves, and what a person has yet to read."""


@consent.command("history")
@click.argument("address")
@any_brand_option
@test_option
@json_option
@running
async def history(address: str, brand: str | None, test: bool, as_json: bool) -> None:
    """Show every word that was said about an address, the oldest first, as it came to us."""
    channel, address = normal_address(address)
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        found = await status_everywhere(conn, channel, address, cell=CELL)
    chosen = ours(found, brand, test=test)
    if as_json:
        show(_events(chosen), as_json=True)
        return
    if not any(one.events for one in chosen):
        click.echo("nothing was ever said about it")
    for one in chosen:
        for event in one.events:
            click.echo(f"{name_of(one.row.person.brand)} ({channel}): {event_line(event)}")


@consent.command("evidence")
@click.argument("address")
@any_brand_option
@test_option
@json_option
@running
async def evidence(address: str, brand: str | None, test: bool, as_json: bool) -> None:
    """Print the pack for a lawyer: what stands, every word with its proof, every send after it.

    Reads every delivery that is kept, for up to 15 minutes; it changes and locks nothing.
    """
    channel, address = normal_address(address)
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        await audits.prepare(conn)
        found = ours(await status_everywhere(conn, channel, address, cell=CELL), brand, test=test)
        every = [(one, await packs.sends(conn, one.row.person, cell=CELL)) for one in found]
    if as_json:
        show([pack_row(one, sends, cell=CELL) for one, sends in every], as_json=True)
    else:
        _print(address, channel, every)


consent.add_command(review)


def _events(found: Sequence[Status]) -> list[dict[str, Any]]:
    return [
        {name: status_row(one)[name] for name in ("brand", "test", "channel")} | event_row(event)
        for one in found
        for event in one.events
    ]


def _print(
    address: str, channel: Channel, every: Sequence[tuple[Status, Sequence[packs.Sent]]]
) -> None:
    if not every:
        click.echo("nothing known: nothing was ever said about it, and nothing was due to it")
    for one, sends in every:
        click.echo(f"{address}, {name_of(one.row.person.brand)} ({channel}): {stands(one)}")
        for line in pack_lines(one, sends, cell=CELL):
            click.echo(f"  {line}")
