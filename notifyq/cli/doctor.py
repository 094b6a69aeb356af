"""doctor: everything that can be told from here to be wrong, each with its mend."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click
import psycopg
from sqlalchemy.exc import SQLAlchemyError

from notifyq import migrate
from notifyq.bootstrap.accounts import CELL
from notifyq.cli import findings
from notifyq.cli.findings import Finding, bad, ok
from notifyq.cli.output import json_option, show
from notifyq.config.read import load
from notifyq.config.settings import Settings
from notifyq.errors import BadSettings
from notifyq.store import catalog, db, fence, health


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check settings, senders, database, clocks, leaves, fence, what waits and what is in doubt.

    Exit 1 if anything is bad; each bad finding comes with its mend.
    """
    found = asyncio.run(_examine())
    show([asdict(finding) for finding in found], as_json=as_json)
    if any(finding.result == "bad" for finding in found):
        click.get_current_context().exit(1)


async def _examine() -> list[Finding]:
    try:
        settings = load()
    except BadSettings as error:
        mend = "mend it in the environment or in notifyq.toml"
        return [bad("settings", fault, mend) for fault in str(error).splitlines()]
    if settings.database_url is None:
        mend = "set it; only `notifyq up` brings a database of its own"
        return [bad("settings", "NOTIFYQ_DATABASE_URL is not set", mend)]
    found = [ok("settings", "read"), findings.time_zones(datetime.now(UTC))]
    found.append(findings.senders(settings))
    if settings.sandbox_url is not None:
        found.append(await findings.sandbox(settings.sandbox_url))
    try:
        conn = await db.connect(settings.database_url, autocommit=True)
    except psycopg.Error as error:
        why = f"it cannot be reached: {health.without_secrets(error)}"
        return [*found, bad("database", why, "start it, or mend NOTIFYQ_DATABASE_URL")]
    async with conn:
        return found + await _examine_database(conn, settings.database_url, settings)


async def _examine_database(conn: db.Conn, url: str, settings: Settings) -> list[Finding]:
    """Return what can be told of a database that answers; of an empty one that is not much."""
    found = await _tried("database", lambda: _server(conn))
    found += await _tried("clock", lambda: _clock(conn))
    found += await _tried("timeouts", lambda: _timeouts(conn))
    try:
        revision, newest = await asyncio.to_thread(migrate.versions, url)
    except (psycopg.Error, SQLAlchemyError) as error:
        return [*found, _unchecked("migrations", error)]
    found.append(findings.migrations(revision, newest))
    if revision is None:
        return found
    checks: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
        "schema": lambda: _schema(conn),
        "leaves": lambda: _leaves(conn),
        "fence": lambda: _fence(conn, settings.region),
        "address secret": lambda: _secret(conn),
        "waiting": lambda: _waiting(conn),
        "in doubt": lambda: _doubts(conn),
        "unfinished requests": lambda: _unfinished(conn),
        "dead letters": lambda: _dead_letters(conn),
        "told twice": lambda: _repeats(conn),
        "idle transactions": lambda: _idle(conn),
    }
    for name, check in checks.items():
        found += await _tried(name, check)
    return found


async def _tried(name: str, check: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """Return a check's findings; one that breaks is a finding itself and stops no other."""
    try:
        return await check()
    except psycopg.Error as error:
        return [_unchecked(name, error)]


def _unchecked(name: str, error: Exception) -> Finding:
    why = f"could not be checked: {health.without_secrets(error)}"
    return bad(name, why, "mend what it says; a missing right: run doctor as the schema's owner")


async def _server(conn: db.Conn) -> list[Finding]:
    server = await health.server(conn)
    return [findings.version(server), *findings.durability(server)]


async def _clock(conn: db.Conn) -> list[Finding]:
    await health.now(conn)  # the first statement of a session is slower than those after it
    before = datetime.now(UTC)
    database = await health.now(conn)
    return [findings.clock(database, before, datetime.now(UTC))]


async def _timeouts(conn: db.Conn) -> list[Finding]:
    return [findings.timeouts(await health.wrong_timeouts(conn))]


async def _schema(conn: db.Conn) -> list[Finding]:
    return [findings.schema(await catalog.differences(conn))]


async def _leaves(conn: db.Conn) -> list[Finding]:
    tomorrow = await health.now(conn) + timedelta(days=1)
    return [findings.leaves(*await health.leaves(conn, tomorrow))]


async def _fence(conn: db.Conn, region: str) -> list[Finding]:
    return [findings.fenced(await fence.read(conn, cell=CELL), region)]


async def _secret(conn: db.Conn) -> list[Finding]:
    return [findings.secret(await health.has_address_secret(conn))]


async def _waiting(conn: db.Conn) -> list[Finding]:
    return [findings.waiting(await health.waiting(conn, cell=CELL))]


async def _doubts(conn: db.Conn) -> list[Finding]:
    return [findings.doubts(await health.doubts(conn, cell=CELL))]


async def _unfinished(conn: db.Conn) -> list[Finding]:
    return [findings.unfinished(await health.unfinished(conn, cell=CELL))]


async def _dead_letters(conn: db.Conn) -> list[Finding]:
    return [findings.dead_letters(await health.dead_letters(conn, cell=CELL))]


async def _repeats(conn: db.Conn) -> list[Finding]:
    return [findings.repeats(await health.repeats(conn, await health.now(conn), cell=CELL))]


async def _idle(conn: db.Conn) -> list[Finding]:
    return [findings.idle(await health.idle_in_transaction(conn))]
