"""How commands speak: tables for people, JSON for programs, one line for what went wrong.

Exit codes: 0 done, 1 refused or failed, 2 usage or settings.
"""

import getpass
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import orjson
import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from notifyq.config.read import load
from notifyq.config.settings import Settings
from notifyq.domain.address import BadAddress, channel_of, normal
from notifyq.domain.model import Channel
from notifyq.errors import BadSettings, NotifyqError

P = ParamSpec("P")
T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
reason_option = click.option("--reason", required=True, help="Why; kept with the change.")


class Failed(click.ClickException):
    """The command did not do what was asked: exit 1, one sentence."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print the sentence to stderr."""
        click.echo(f"notifyq: {self.message}", err=True)


class Misused(Failed):
    """The command line or the settings are wrong: exit 2."""

    exit_code = 2


def actor() -> str:
    """Return who does this: NOTIFYQ_ACTOR, else the OS login, else its number."""
    try:
        return os.environ.get("NOTIFYQ_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # a container's uid may have no name
        return f"uid {os.getuid()}"


def settings() -> Settings:
    """Return the settings, or end with exit code 2 and every fault."""
    try:
        return load()
    except BadSettings as error:
        raise Misused(f"the settings are wrong:\n{_indented(str(error))}") from None


def running(command: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an async command, and turn what it raises into one line and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return uvloop.run(command(*args, **kwargs))
        except BadSettings as error:
            raise Misused(str(error)) from None
        except NotifyqError as error:
            raise Failed(str(error)) from None
        except psycopg.errors.UndefinedTable:
            raise Failed("the database was never migrated: run `notifyq db migrate`") from None
        except psycopg.ProgrammingError as error:
            if error.sqlstate is None:  # libpq's, and it quotes the URL with its password
                raise Misused("NOTIFYQ_DATABASE_URL: is no connection string of libpq") from None
            raise Failed(f"the database: {str(error).strip()}") from None
        except psycopg.Error as error:
            raise Failed(f"the database: {str(error).strip()}") from None

    return run


def show(rows: Sequence[dict[str, Any]], *, as_json: bool, empty: str = "nothing") -> None:
    """Print rows as JSON lines of one array, or as a table; `empty` when there are none."""
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    # A pipe has no width of its own; a table must not be cut to a guess.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)


def brief(value: Any) -> Any:
    """Return a value as tables of dead letters and doubts have it: times to the second."""
    return value.strftime("%Y-%m-%d %H:%M:%SZ") if isinstance(value, datetime) else value


def log_to_stderr(level: str) -> None:
    """Send log lines to stderr: time, level, logger, `event=… key=value …`."""
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def normal_address(text: str) -> tuple[Channel, str]:
    """Return the channel of an address that somebody typed, and its normal form; Misused."""
    channel = channel_of(text)
    try:
        return channel, normal(channel, text)
    except BadAddress as error:
        raise Misused(f"{text}: {error}") from None
