"""What the commands about consent have in common: options, and how words of people are shown."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from notifyq.bootstrap.accounts import CELL
from notifyq.cli.output import Failed, Misused, brief
from notifyq.domain.consent import Said, brand_of, is_test, scope_of
from notifyq.domain.interventions import REASON_LENGTH_MAX, text_fault
from notifyq.services.consents import Status
from notifyq.store import tenants
from notifyq.store.db import Conn, Unknown, transact
from notifyq.store.dossier import Event

T = TypeVar("T")

brand_option = click.option("--brand", required=True, help="Whose messages.")
any_brand_option = click.option("--brand", help="This one only.")
test_option = click.option("--test", "test", is_flag=True, help="What counts for test sends.")
program_option = click.option("--program", help="This program alone; default: the whole brand.")

_WORD = re.compile("[a-z0-9][a-z0-9._-]{0,62}")


def scope_given(brand: str, *, test: bool) -> str:
    """Return whose consent is meant; Misused if it is no brand."""
    if not _WORD.fullmatch(brand):
        raise Misused(f"--brand: {word_fault(brand)}")
    return scope_of(brand, test=test)


def program_given(program: str | None) -> str | None:
    """Return a program; Misused if it is none."""
    if program is not None and not _WORD.fullmatch(program):
        raise Misused(f"--program: {word_fault(program)}")
    return program


def word_fault(text: str) -> str:
    """Return what is wrong with a name that is no word."""
    return f"must be 1 to 63 of a-z, 0-9, dot, hyphen and underscore, is {plain(text)!r}"


def is_word(text: str) -> bool:
    """Whether a text can be the name of a brand or a program."""
    return _WORD.fullmatch(text) is not None


def reason_fault(text: str) -> str | None:
    """Return what is wrong with a reason; None if nothing."""
    return text_fault(text, length_max=REASON_LENGTH_MAX)


async def brands(conn: Conn) -> set[str]:
    """Return the brands that some tenant speaks as."""

    async def look(conn: Conn) -> set[str]:
        return {tenant.brand for tenant in await tenants.all_of(conn, cell=CELL)}

    return stored(await transact(conn, look)).value


def warn_of_unknown(brand: str) -> None:
    """Say that nobody speaks as a brand. It is stored all the same.

    Better a block too many than a STOP that is lost to a spelling.
    """
    click.echo(f"notifyq: no tenant speaks as {brand}; is it spelled right?", err=True)


def stored(found: T | Unknown) -> T:
    """Return what a change came to; Failed if nobody knows."""
    if isinstance(found, Unknown):
        raise Failed(f"not known to be stored: {found.reason}; run it again")
    return found


def ours(found: Iterable[Status], brand: str | None, *, test: bool) -> list[Status]:
    """Return what is of a brand (None: of any), for test sends or for live ones."""
    return [
        one
        for one in found
        if is_test(one.row.person.brand) is test and brand in (None, brand_of(one.row.person.brand))
    ]


def plain(text: str) -> str:
    """Return a text that somebody wrote, so that nothing in it steers a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def name_of(scope: str) -> str:
    """Return a brand as people read it."""
    return f"{brand_of(scope)}, test sends" if is_test(scope) else scope


def stands(status: Status) -> str:
    """Return in words what stands for an address."""
    standing = status.row.standing
    said = ["blocked" if standing.blocked else "not blocked"]
    said += [f"program {program} is blocked" for program in standing.programs]
    said += ["a text waits to be read: no marketing"] if standing.held else []
    said += ["consented to marketing"] if standing.consented else []
    if status.row.dead_at is not None:
        said.append(f"dead since {brief(status.row.dead_at)} ({status.row.dead_code})")
    return "; ".join(said)


def event_line(event: Event) -> str:
    """Return an event in one line."""
    said = event.said
    program = f" of program {said.program}" if said.program else ""
    return (
        f"{brief(utc(said.at))}  {said.kind}{program} by {plain(event.actor)}: "
        f"{plain(event.reason)} ({said.source})"
    )


def event_row(event: Event) -> dict[str, Any]:
    """Return an event for programs."""
    return {
        "id": str(event.id),
        "revision": event.revision,
        **said_row(event.said),
        "at": event.at,
        "actor": event.actor,
        "reason": event.reason,
        "evidence": dict(event.evidence),
        "blocked_after": event.after.blocked,
        "programs_after": list(event.after.programs),
    }


def said_row(said: Said) -> dict[str, Any]:
    """Return what an event says, for programs."""
    return {
        "kind": said.kind,
        "program": said.program,
        "source": said.source,
        "happened_at": said.at,
    }


def status_row(status: Status) -> dict[str, Any]:
    """Return what stands for an address, for programs."""
    row = status.row
    return {
        "brand": brand_of(row.person.brand),
        "test": is_test(row.person.brand),
        "channel": row.person.channel,
        "address_key": row.person.address_key.hex(),
        "blocked": row.standing.blocked,
        "programs": list(row.standing.programs),
        "held": row.standing.held,
        "consented": row.standing.consented,
        "revision": row.revision,
        "changed_at": row.changed_at,
        "dead_at": row.dead_at,
        "dead_code": row.dead_code,
    }


def utc(at: datetime) -> datetime:
    """Return an instant in UTC, as everything is shown."""
    return at.astimezone(UTC)
