"""doubt: deliveries of which nobody knows whether they were carried out; people find out."""

from typing import Any

import click

from notifyq.bootstrap.accounts import CELL
from notifyq.cli.handling import at_hand, delivery_named, evidence_given, reason_given
from notifyq.cli.output import (
    Failed,
    Misused,
    actor,
    brief,
    json_option,
    reason_option,
    running,
    show,
)
from notifyq.domain.doubts import WHY, Claim, Objection
from notifyq.domain.ids import public_id, reference
from notifyq.services.resolve import Answer, Witness
from notifyq.services.resolve import resolve as end_doubt
from notifyq.store import db, doubts

LIMIT, LIMIT_MAX = 100, 10_000
PROVIDER_ID_LENGTH_MAX = 255


@click.group()
def doubt() -> None:
    """Doubts: the provider's answer was lost, so it may have been carried out."""


@doubt.command("list")
@click.option("--tenant", help="Of this tenant.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=LIMIT, show_default=True)
@json_option
@running
async def list_command(tenant: str | None, limit: int, as_json: bool) -> None:
    """Show what is in doubt or unknown, the longest first, and what to look for at the provider.

    The reference stands in the callback URL that the provider was given.
    """
    async with at_hand() as (conn, _):
        found = await doubts.listed(conn, cell=CELL, tenant=tenant, limit=limit)
    rows = [_row(one) for one in found]
    names = ("id", "state", "since", "provider", "reference", "began_at", "code", "rule", "next")
    short = [{name: brief(row[name]) for name in names} for row in rows]
    show(rows if as_json else short, as_json=as_json, empty="nothing is in doubt")


@doubt.command("resolve")
@click.argument("what", metavar="ID")
@click.option("--as", "claim", required=True, type=click.Choice([claim.value for claim in Claim]))
@click.option("--evidence", required=True, help="What proves it: where you looked, what you saw.")
@reason_option
@click.option("--provider-id", help="The provider's own name for the message (carried-out).")
@json_option
@running
async def resolve(
    *, what: str, claim: str, evidence: str, reason: str, provider_id: str | None, as_json: bool
) -> None:
    """End one doubt by evidence, which is kept with who and why.

    carried-out: the delivery is sent. not-carried-out: it is due again, unless it has expired or
    was called back. A receipt that comes first wins.
    """
    at = delivery_named(what)
    witness = Witness(
        Claim(claim),
        actor(),
        reason_given(reason),
        evidence_given(evidence),
        _provider_id(provider_id, Claim(claim)),
    )
    async with at_hand() as (conn, new_id):
        found = await end_doubt(conn, at, witness, cell=CELL, new_id=new_id)
    if isinstance(found, db.Unknown):
        raise Failed(f"not known to be stored: {found.reason}; run it again")
    name = public_id("dlv", CELL, at)
    if found.objection is not None:
        raise Failed(_refused(name, found, found.objection))
    row = {"id": name, "before": found.before, "after": found.after}
    if as_json:
        show([row], as_json=True)
    else:
        click.echo(f"{name}: was {found.before}, is {found.after}")


def _refused(name: str, found: Answer, objection: Objection) -> str:
    if found.before is None:
        return f"there is no delivery {name}"
    return f"{name} is {found.before}, and stays so: {WHY[objection]}"


def _provider_id(text: str | None, claim: Claim) -> str | None:
    if text is None:
        return None
    if claim is not Claim.CARRIED_OUT:
        raise Misused("--provider-id: goes with --as carried-out: nothing has a name otherwise")
    if not 1 <= len(text) <= PROVIDER_ID_LENGTH_MAX or not text.isascii() or " " in text:
        rule = f"1 to {PROVIDER_ID_LENGTH_MAX} printable ASCII characters without spaces"
        raise Misused(f"--provider-id: must be {rule}")
    if not text.isprintable():
        raise Misused("--provider-id: must be printable")
    return text


def _row(found: doubts.Listed) -> dict[str, Any]:
    return {
        "id": public_id("dlv", CELL, found.delivery_id),
        "tenant": found.tenant,
        "channel": found.channel,
        "state": found.state,
        "since": found.since,
        "provider": found.provider,
        "reference": reference(CELL, found.delivery_id, found.number),
        "address_key": found.address_key,
        "attempt": found.number,
        "outcome": found.outcome,
        "provider_id": found.provider_id,
        "code": found.code,
        "began_at": found.began_at,
        "lease_over_at": found.send_by,
        "rule": "at_least_once" if found.at_least_once else "never_twice",
        "window_closes": found.window_closes,
        "resent_at": found.resent_at,
        "expires_at": found.expires_at,
        "called_back": found.cancel_requested,
        "next": _next(found),
    }


def _next(found: doubts.Listed) -> str:
    """Return what happens if nobody does anything."""
    if found.resent_at is not None and not found.cancel_requested:
        return f"sent again at {brief(found.resent_at)}"
    if found.window_closes is not None:
        return f"unknown at {brief(found.window_closes)}"
    return "stays unknown"
