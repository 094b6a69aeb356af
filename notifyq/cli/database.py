"""db: the schema, its state, the roles."""

import asyncio

import click

from notifyq import migrate
from notifyq.bootstrap.accounts import database_url
from notifyq.cli.output import Failed, Misused, actor, json_option, running, settings, show
from notifyq.errors import BadSettings, DatabaseAway
from notifyq.store import catalog
from notifyq.store import db as store_db


@click.group()
def db() -> None:
    """The database: migrate, check, status, roles."""


@db.command("migrate")
def migrate_command() -> None:
    """Bring the schema up to this version; safe to run again, and by several at once."""
    found = settings()
    try:
        url = database_url(found)
    except BadSettings as error:
        raise Misused(str(error)) from None
    try:
        before, _ = migrate.versions(url)
        migrate.upgrade(url, region=found.region, actor=actor())
        after, _ = migrate.versions(url)
    except DatabaseAway as error:
        raise Failed(str(error)) from None
    click.echo(f"at {after}" if before == after else f"from {before or 'nothing'} to {after}")


@db.command("check")
@running
async def check() -> None:
    """Exit 1 unless the schema is the one that this version needs."""
    url = database_url(settings())
    found, newest = await asyncio.to_thread(migrate.versions, url)
    if found != newest:
        raise Failed(f"the database is at {found}, this version needs {newest}: notifyq db migrate")
    async with await store_db.connect(url, autocommit=True) as conn:
        faults = await catalog.differences(conn)
    if faults:
        raise Failed("the schema differs:\n  " + "\n  ".join(faults))
    click.echo(f"at {newest}, as this version needs it")


@db.command("status")
@json_option
@running
async def status(as_json: bool) -> None:
    """Show sizes, partitions, and the oldest transaction with who holds it."""
    async with await store_db.connect(database_url(settings()), autocommit=True) as conn:
        tables = await catalog.sizes(conn)
        oldest = await catalog.oldest_transactions(conn)
    if as_json:
        show([{"tables": tables, "oldest_transactions": oldest}], as_json=True)
        return
    show(tables, as_json=False)
    click.echo()
    show(oldest, as_json=False, empty="no transaction is open")


@db.command("roles")
@running
async def roles() -> None:
    """Create the cluster's roles notifyq_app and notifyq_audit and their rights; repeatable."""
    async with await store_db.connect(database_url(settings()), autocommit=True) as conn:
        await catalog.make_roles(conn)
    click.echo("notifyq_app and notifyq_audit are there; give them logins by GRANT")
