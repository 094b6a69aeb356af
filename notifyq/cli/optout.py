"""optout: block an address for a brand, and look whether it is blocked."""

from typing import Any

import click

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.handling import at_hand
from notifyq.cli.output import (
    Failed,
    Misused,
    actor,
    json_option,
    normal_address,
    reason_option,
    running,
    settings,
    show,
)
from notifyq.store import consents, db, ledger, tenants


@click.group()
def optout() -> None:
    """Opt-outs: what is blocked is not sent, and every change keeps its evidence."""


@optout.command("add")
@click.argument("address")
@click.option("--brand", required=True, help="Whose messages stop.")
@reason_option
@running
async def add(address: str, brand: str, reason: str) -> None:
    """Block a number, mail address or device for a brand. Safe to run again.

    Nothing that begins after this is sent there: to a number no SMS, to a mail address no mail.
    """
    channel, address = normal_address(address)
    if not reason.strip():
        raise Misused("--reason: must say why; it is the evidence of the block")
    async with at_hand() as (conn, new_id):
        brands = {tenant.brand for tenant in await tenants.all_of(conn, cell=CELL)}
        await conn.rollback()
        event_id = new_id()

        async def work(conn: db.Conn) -> bool:
            return await ledger.opt_out(
                conn,
                cell=CELL,
                brand=brand,
                channel=channel,
                address=address,
                actor=actor(),
                reason=reason,
                event_id=event_id,
            )

        fate = await db.transact(conn, work)
    if isinstance(fate, db.Unknown):
        raise Failed(f"not known to be stored: {fate.reason}; run it again")
    if brand not in brands:
        # Stored all the same: better a block too many than a STOP that is lost to a spelling.
        click.echo(f"notifyq: no tenant speaks as {brand}; is it spelled right?", err=True)
    where = f"{address} for {brand} ({channel})"
    click.echo(f"blocked {where}" if fate.value else f"{where} was blocked already")


@optout.command("check")
@click.argument("address")
@click.option("--brand", help="This one only.")
@json_option
@running
async def check(address: str, brand: str | None, as_json: bool) -> None:
    """Show for which brands an address is blocked, since when, by whom and why."""
    _, address = normal_address(address)
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        found = await consents.status(conn, cell=CELL, address=address, brand=brand)
    if as_json:
        rows = [{f: getattr(one, f) for f in one.__dataclass_fields__} for one in found]
        show(rows, as_json=True)
        return
    if not found:
        click.echo("nothing known: not blocked, and nothing was ever due to it")
    for one in found:
        state = "blocked" if one.blocked else "not blocked"
        click.echo(f"{one.brand} ({one.channel}): {state}")
        for event in one.history:
            click.echo(f"  {_said(event)}")


def _said(event: dict[str, Any]) -> str:
    return f"{event['at']}  {event['kind']} by {event['actor']}: {event['reason']}"
