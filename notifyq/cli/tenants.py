"""tenant and key: who may ask."""

import hashlib
import re
import secrets

import click
import orjson

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.output import Failed, Misused, actor, json_option, running, settings, show
from notifyq.entrypoints.api import consents, dead_letters, recipients, templates
from notifyq.entrypoints.api.cancel import CANCEL
from notifyq.entrypoints.api.notifications import READ, SEND
from notifyq.store import db, tenants

SCOPES = (
    *(SEND, READ, CANCEL, dead_letters.READ, dead_letters.REDRIVE),
    *(templates.READ, templates.WRITE, recipients.READ, recipients.WRITE),
    *(consents.READ, consents.WRITE),
)
KEY_BYTES = 24  # 192 random bits
LABEL_LENGTH = 16
_WORD = re.compile("[a-z0-9][a-z0-9-]{0,62}")  # the database checks a tenant's name by it too


@click.group()
def tenant() -> None:
    """Tenants: who pays, and whose brand speaks."""


@tenant.command("create")
@click.argument("name")
@click.option("--brand", help="Who speaks, the scope of a STOP; default: the tenant's name.")
@running
async def create(name: str, brand: str | None) -> None:
    """Create a tenant. NAME and brand: lower-case letters, digits and hyphens."""
    for what, word in (("NAME", name), ("--brand", brand or name)):
        if not _WORD.fullmatch(word):
            rule = "1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen"
            raise Misused(f"{what}: must be {rule}, is {word!r}")
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        made = await tenants.create(conn, cell=CELL, name=name, brand=brand or name, actor=actor())
    if not made:
        raise Failed(f"tenant {name} is there already")
    click.echo(f"tenant {name} created")


@tenant.command("list")
@json_option
@running
async def list_tenants(as_json: bool) -> None:
    """List the tenants."""
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        found = await tenants.all_of(conn, cell=CELL)
    rows = [{f: getattr(row, f) for f in row.__dataclass_fields__} for row in found]
    show(rows, as_json=as_json, empty="no tenants yet: notifyq tenant create NAME")


@click.group()
def key() -> None:
    """API keys: stored as hashes, shown once."""


@key.command("create")
@click.option("--tenant", "name", required=True)
@click.option("--test", is_flag=True, help="Sends reach the sandbox only.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES))
@json_option
@running
async def create_key(name: str, test: bool, scopes: tuple[str, ...], as_json: bool) -> None:
    """Create a key for a tenant and print it, once."""
    made = await make_key(
        database_url(settings()), tenant=name, test=test, scopes=scopes or SCOPES, by=actor()
    )
    click.echo(orjson.dumps({"key": made}).decode() if as_json else made)


async def make_key(url: str, *, tenant: str, test: bool, scopes: tuple[str, ...], by: str) -> str:
    """Store a new key's hash and return the key."""
    secret = secrets.token_hex(KEY_BYTES)
    made = f"nq_{'test' if test else 'live'}_{secret}"
    async with await db.connect(url, autocommit=True) as conn:
        stored = await tenants.add_key(
            conn,
            cell=CELL,
            tenant=tenant,
            key_hash=hashlib.sha256(made.encode()).digest(),
            label=made[:LABEL_LENGTH],
            test=test,
            scopes=scopes,
            actor=by,
        )
    if not stored:
        raise Failed(f"there is no tenant {tenant}: notifyq tenant create {tenant}")
    return made


@key.command("list")
@json_option
@running
async def list_keys(as_json: bool) -> None:
    """List the keys by their first characters."""
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        found = await tenants.keys(conn, cell=CELL)
    rows = [{f: getattr(row, f) for f in row.__dataclass_fields__} for row in found]
    show(rows, as_json=as_json, empty="no keys yet: notifyq key create --tenant NAME")


@key.command("revoke")
@click.argument("label")
@running
async def revoke(label: str) -> None:
    """Revoke a key by its first characters, as `key list` shows them."""
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        done = await tenants.revoke(conn, cell=CELL, label=label[:LABEL_LENGTH], actor=actor())
    if not done:
        raise Failed(f"no live key is called {label}")
    click.echo(f"{label[:LABEL_LENGTH]} is refused within 5 seconds")
