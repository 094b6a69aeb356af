"""explain: why somebody would, or would not, be told by a category, and what became of the last."""

from collections.abc import Sequence
from typing import Any

import click
import orjson

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.consenting import any_brand_option, name_of, plain, test_option
from notifyq.cli.output import Misused, brief, json_option, running, settings, show
from notifyq.config.settings import Settings
from notifyq.domain.consent import scope_of
from notifyq.domain.explaining import Answer, Step
from notifyq.domain.ids import instant_of, public_id
from notifyq.entrypoints.api.explained import explained_answer
from notifyq.entrypoints.api.explaining import Asked, read_asked
from notifyq.entrypoints.api.problems import Problem
from notifyq.services import explain as explanations
from notifyq.services.explain import Explained, NotKnown, Question
from notifyq.store import db, explaining
from notifyq.store.audits import TIMEOUT_S
from notifyq.store.explaining import Latest, Speaker
from notifyq.store.recipients import Book


@click.command()
@click.argument("recipient")
@click.argument("category")
@click.option("--at", metavar="TIME", help="As of then, in RFC 3339; default: now.")
@click.option("--tenant", help="Whose recipient; needed where several tenants could be meant.")
@any_brand_option
@test_option
@json_option
@running
async def explain(
    *,
    recipient: str,
    category: str,
    at: str | None,
    tenant: str | None,
    brand: str | None,
    test: bool,
    as_json: bool,
) -> None:
    """Show what would become of a message now, or at a time past, by every rule in order.

    RECIPIENT is the producer's id of a person, or an address: then nobody's preferences and quiet
    hours are read. The last deliveries are as they stand now. It reads what is kept, for up to 15
    minutes a statement; it changes and locks nothing.
    """
    known = settings()
    clock = db.DatabaseClock()
    async with await db.connect(database_url(known)) as conn:
        await explaining.prepare(conn, timeout_s=TIMEOUT_S)
        await clock.set_by(conn)
        given = {"recipient": recipient, "category": category} | (
            {"at": at} if at is not None else {}
        )
        asked = _asked(given, known, clock)
        speaker = await _speaker(conn, tenant, brand)
        book, scope = Book(CELL, speaker.tenant_id, test), scope_of(speaker.brand, test=test)
        question = Question(book, scope, asked.recipient, asked.category, asked.at)
        try:
            explained = await explanations.answer(conn, question)
        except NotKnown as error:
            raise Misused(f"RECIPIENT: {error}") from None
        latest = await explanations.latest(conn, question, explained)
    if as_json:
        told = {"tenant": speaker.name} | explained_answer(question, explained, latest)
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(question, explained, latest)


_NAMES = {"/recipient": "RECIPIENT", "/category": "CATEGORY", "/at": "--at"}


def _asked(given: dict[str, str], known: Settings, clock: db.DatabaseClock) -> Asked:
    try:
        return read_asked(given, known.categories, clock.now())
    except Problem as problem:
        faults = [f"{_NAMES[one.pointer]}: {one.detail}" for one in problem.faults]
        raise Misused("; ".join(faults)) from None


async def _speaker(conn: db.Conn, tenant: str | None, brand: str | None) -> Speaker:
    """Return the one tenant that is meant; Misused if there are several, or none."""
    found = await explaining.speakers(conn, cell=CELL, name=tenant, brand=brand)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(one.name for one in found)
        raise Misused(f"--tenant: say which one is meant: {names}")
    every = await explaining.speakers(conn, cell=CELL, name=None, brand=None)
    names = ", ".join(f"{one.name} (brand {one.brand})" for one in every)
    rule = f"must name one that there is: {names}" if every else "there is none yet"
    raise Misused(f"{'--brand' if brand is not None and tenant is None else '--tenant'}: {rule}")


def _print(question: Question, explained: Explained, latest: Sequence[Latest]) -> None:
    kept = "" if explained.is_kept else ", taken for an address"
    click.echo(
        f"{plain(question.recipient)}{kept}: {question.category.name} of "
        f"{name_of(question.scope)}, as of {brief(question.at)}"
    )
    if not explained.answers:
        click.echo("no address is kept: nothing can be sent")
    for one in explained.answers:
        click.echo(f"\n{one.known.channel} {one.known.hint}: {_outcome(one)}")
        rows = [_step(step, step is one.decisive) for step in one.steps]
        show(rows, as_json=False)
    click.echo("\nthe last deliveries that were accepted by then, as they stand now")
    rows = [_delivery(question.book.cell, one) for one in latest]
    show(rows, as_json=False, empty="none")


def _outcome(answer: Answer) -> str:
    step = answer.decisive
    return "it would be sent" if step is None else f"{_says(step)}, by the rule {step.rule}"


def _says(step: Step) -> str:
    if step.verdict == "pass":
        return "pass"
    until = f" until {brief(step.until)}" if step.until is not None else ""
    return f"{step.verdict}{until} ({step.reason})"


def _step(step: Step, decides: bool) -> dict[str, Any]:
    return {
        "": "=>" if decides else "",
        "rule": step.rule,
        "says": _says(step),
        "row": plain(step.row),
        "what was read": plain(step.read),
    }


def _delivery(cell: int, one: Latest) -> dict[str, Any]:
    stamp = f"{one.template} v{one.template_version}" if one.template is not None else None
    return {
        "delivery": public_id("dlv", cell, one.delivery_id),
        "accepted": brief(instant_of(one.delivery_id)),
        "channel": one.channel,
        "state": one.state,
        "reason": one.reason,
        "began": brief(one.began_at),
        "expires": brief(one.expires_at),
        "changed": brief(one.changed_at),
        "template": stamp,
    }
