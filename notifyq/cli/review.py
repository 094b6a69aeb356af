"""consent review: texts that only a person can read; no marketing goes there meanwhile."""

from typing import Any
from uuid import UUID

import click

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.consenting import name_of, plain, scope_given, stored, test_option, utc
from notifyq.cli.handling import at_hand, reason_given
from notifyq.cli.output import (
    Failed,
    Misused,
    actor,
    brief,
    json_option,
    reason_option,
    running,
    settings,
    show,
)
from notifyq.services.reviews import VERDICTS, Reader, resolve, waiting
from notifyq.store import db
from notifyq.store.dossier import Event

LIMIT, LIMIT_MAX = 100, 10_000


@click.group()
def review() -> None:
    """Texts that only a person can read; no marketing goes to who wrote one meanwhile."""


@review.command("list")
@click.option("--brand", help="This one only.")
@test_option
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=LIMIT, show_default=True)
@json_option
@running
async def list_command(brand: str | None, test: bool, limit: int, as_json: bool) -> None:
    """Show the texts that nobody has read yet, the oldest first, with what they say."""
    scope = None if brand is None else scope_given(brand, test=test)
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        found = await waiting(conn, cell=CELL, scope=scope, test=test, limit=limit)
    rows = [_row(text) for text in found]
    if not as_json:
        rows = [{name: _said(row[name]) for name in _SHORT} for row in rows]
    show(rows, as_json=as_json, empty="nothing waits to be read")


_SHORT = ("id", "brand", "written_at", "to", "text", "rule")


@review.command("resolve")
@click.argument("what", metavar="ID")
@click.option("--as", "verdict", required=True, type=click.Choice([*VERDICTS]))
@reason_option
@running
async def resolve_command(what: str, verdict: str, reason: str) -> None:
    """Say what a text was; that answers what the person wrote before it, too.

    opt-out: nothing more is sent, as of when it was written. release: it was none, and marketing
    goes on.
    """
    reader = Reader(actor(), reason_given(reason))
    text_id = _id(what)
    async with at_hand() as (conn, new_id):
        found = await resolve(conn, text_id, VERDICTS[verdict], reader, cell=CELL, new_id=new_id)
    read = stored(found)
    if read.standing is None:
        raise Failed(f"there is no text {text_id} that was held")
    if not read.added:
        raise Failed(f"{text_id} is answered already, by who read it or by the person")
    now = "blocked" if read.standing.blocked else "not blocked"
    click.echo(f"{text_id}: {verdict}; the brand is {now}")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Misused(
            f"ID: {plain(text)!r} names no text; `notifyq consent review list` shows them"
        ) from None


def _row(text: Event) -> dict[str, Any]:
    return {
        "id": str(text.id),
        "brand": name_of(text.person.brand),
        "channel": text.person.channel,
        "address_key": text.person.address_key.hex(),
        "program": text.said.program,
        "written_at": utc(text.said.at),
        "to": text.evidence.get("to"),
        "text": text.evidence.get("text"),
        "rule": text.evidence.get("rule"),
        "provider": text.evidence.get("provider"),
        "provider_id": text.evidence.get("provider_id"),
    }


def _said(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else brief(value)
