"""Which dead letters a command is about: its options, and what they must not mean."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from notifyq.cli.handling import delivery_named
from notifyq.cli.output import Misused, settings
from notifyq.domain.interventions import OUTCOME_UNKNOWN, REDRIVEN_CAUSES
from notifyq.store.dead_letters import Wanted

LIMIT, LIMIT_MAX = 1_000, 100_000
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

ids_argument = click.argument("ids", nargs=-1, metavar="[ID]...")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would happen; change nothing."
)
reason_unless_dry = click.option(
    "--reason", help="Why; kept with the change. Needed unless --dry-run."
)


def duration(text: str) -> timedelta:
    """Return a duration like 90s, 30m, 2h or 14d; BadParameter otherwise."""
    found = re.fullmatch("([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} must be a number with s, m, h or d, like 2h")
    return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


def narrowing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that narrow dead letters down."""
    causes = click.Choice([*REDRIVEN_CAUSES, OUTCOME_UNKNOWN])
    lasting: dict[str, Any] = {"type": duration, "metavar": "DURATION"}
    every = (
        click.option("--cause", "causes", multiple=True, type=causes, help="May be repeated."),
        click.option("--older-than", **lasting, help="Dead for longer than this: 2h, 3d."),
        click.option("--newer-than", **lasting, help="Dead for less than this."),
        click.option("--tenant", help="Of this tenant."),
        click.option(
            "--limit",
            type=click.IntRange(1, LIMIT_MAX),
            default=LIMIT,
            show_default=True,
            help="At most so many.",
        ),
    )
    for option in reversed(every):
        command = option(command)
    return command


def narrowed_by(options: dict[str, Any]) -> Wanted:
    """Return which dead letters the options name; any, without one."""
    return Wanted(**{name: value for name, value in options.items() if value not in (None, ())})


def chosen(ids: tuple[str, ...], options: dict[str, Any]) -> Wanted:
    """Return which dead letters a change is about; a doubt is in none that names no IDs."""
    wanted = narrowed_by(options)
    if ids:
        if wanted != Wanted():
            raise Misused("ID: does not go with --cause, --older-than, --newer-than or --tenant")
        return Wanted(ids=tuple(dict.fromkeys(delivery_named(one) for one in ids)))
    if wanted == Wanted():
        which = "--cause, --older-than, --newer-than or --tenant"
        raise Misused(f"ID: name dead letters, or narrow them down by {which}")
    if OUTCOME_UNKNOWN in (wanted.causes or ()):
        raise Misused(
            f"--cause: {OUTCOME_UNKNOWN} is handled one by one, with evidence: `notifyq doubt list`"
        )
    narrowed = {name: getattr(wanted, name) for name in ("older_than", "newer_than", "tenant")}
    return Wanted(causes=wanted.causes or REDRIVEN_CAUSES, **narrowed)


def ends_in_time(count: int, rate: float) -> None:
    """Refuse a run whose last job would be due later than a redrive may take."""
    days = settings().retention.redrive_run_days
    if (count - 1) / rate > days * 86_400:
        raise Misused(
            f"--rate: {count} at {rate:g} a second take longer than redrive_run_days = {days}, "
            "which the dedupe memory counts with: raise --rate or lower --limit"
        )
