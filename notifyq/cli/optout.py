"""optout: who wants nothing more, of whom; who does again; and whether somebody is blocked."""

from datetime import UTC, datetime
from typing import BinaryIO

import click

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.consenting import (
    any_brand_option,
    brand_option,
    brands,
    event_line,
    event_row,
    name_of,
    ours,
    program_given,
    program_option,
    scope_given,
    stands,
    status_row,
    stored,
    test_option,
    warn_of_unknown,
)
from notifyq.cli.handling import at_hand, reason_given
from notifyq.cli.optout_evidence import MEDIA, record_in
from notifyq.cli.optout_files import export, import_command
from notifyq.cli.output import (
    Failed,
    actor,
    json_option,
    normal_address,
    reason_option,
    running,
    settings,
    show,
)
from notifyq.domain.consent import Kind, Source
from notifyq.services import consents
from notifyq.services.consents import WHY, By, Refusal, Whom, Wish
from notifyq.store import db, ledger


@click.group()
def optout() -> None:
    """Opt-outs: what is blocked is not sent, and every change keeps its evidence."""


@optout.command("add")
@click.argument("address")
@brand_option
@program_option
@test_option
@reason_option
@running
async def add(address: str, brand: str, program: str | None, test: bool, reason: str) -> None:
    """Block a number, mail address or device for a brand. Safe to run again.

    Nothing that begins after this is sent there: to a number no SMS, to a mail address no mail.
    """
    channel, address = normal_address(address)
    scope = scope_given(brand, test=test)
    entry = ledger.Entry(
        Kind.OPT_OUT,
        Source.OPERATOR,
        actor(),
        reason_given(reason),
        program=program_given(program),
    )
    async with at_hand() as (conn, new_id):
        known = await brands(conn)
        event_id = new_id()

        async def work(conn: db.Conn) -> ledger.Noted:
            person = ledger.Person(scope, channel, await ledger.address_key(conn, address))
            return await ledger.note(conn, person, entry, cell=CELL, event_id=event_id)

        noted = stored(await db.transact(conn, work)).value
    if brand not in known:
        warn_of_unknown(brand)
    what = f"program {program} of {name_of(scope)}" if program else name_of(scope)
    where = f"{address} for {what} ({channel})"
    was = program in noted.before.programs if program else noted.before.blocked
    click.echo(f"{where} was blocked already" if was else f"blocked {where}")


@optout.command("lift")
@click.argument("address")
@brand_option
@program_option
@test_option
@click.option(
    "--consent-evidence",
    "evidence",
    required=True,
    type=click.File("rb"),
    help="The record as JSON, like the body of POST /v1/consents; or a text.",
)
@click.option("--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), help="Of a text: when, in UTC.")
@click.option("--identity", help="Of a text: who gave the consent.")
@click.option("--medium", type=click.Choice(MEDIA), default="paper", help="Of a text: by what.")
@reason_option
@running
async def lift(
    *,
    address: str,
    brand: str,
    program: str | None,
    test: bool,
    evidence: BinaryIO,
    at: datetime | None,
    identity: str | None,
    medium: str,
    reason: str,
) -> None:
    """Take opt-outs back by consent that was given after them; its evidence is kept.

    Refused while a provider blocks the address: it would refuse what we then send.
    """
    channel, address = normal_address(address)
    whom = Whom(scope_given(brand, test=test), channel, address)
    given_at = at.replace(tzinfo=UTC) if at else None
    record = record_in(evidence, at=given_at, identity=identity, medium=medium)
    wish = Wish(Kind.LIFT, record, program_given(program))
    by = By(actor(), reason_given(reason), Source.OPERATOR)
    async with at_hand() as (conn, new_id):
        found = await consents.record(conn, whom, wish, by, cell=CELL, new_id=new_id)
    answer = stored(found)
    if answer.refusal is Refusal.INCOMPLETE:
        lacks = ", ".join(record.missing())
        raise Failed(f"{WHY[answer.refusal]}: it lacks {lacks}; nothing was changed")
    if answer.refusal is not None:
        raise Failed(f"{WHY[answer.refusal]}; nothing was changed")
    where = f"{address} for {name_of(whom.scope)} ({channel})"
    click.echo(f"lifted: {where}" if answer.lifted else f"{where}: there was nothing to lift")


@optout.command("check")
@click.argument("address")
@any_brand_option
@test_option
@json_option
@running
async def check(address: str, brand: str | None, test: bool, as_json: bool) -> None:
    """Show for which brands an address is blocked, since when, by whom and why."""
    channel, address = normal_address(address)
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        found = await consents.status_everywhere(conn, channel, address, cell=CELL)
    found = ours(found, brand, test=test)
    if as_json:
        rows = [
            status_row(one) | {"history": [event_row(event) for event in one.events]}
            for one in found
        ]
        show(rows, as_json=True)
        return
    if not found:
        click.echo("nothing known: not blocked, and nothing was ever due to it")
    for one in found:
        click.echo(f"{name_of(one.row.person.brand)} ({channel}): {stands(one)}")
        for event in one.events:
            click.echo(f"  {event_line(event)}")


optout.add_command(import_command)
optout.add_command(export)
