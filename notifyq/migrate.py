"""Bringing a database to the schema of this version, from a checkout or from a wheel.

Migrations are numbered SQL files run by alembic; beside them a new database gets its leaves, the
secret behind address keys and an open fence. All of it can be run again, by several at once.
"""

import asyncio
import hashlib
import importlib.resources
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from notifyq.errors import DatabaseAway
from notifyq.store import db, fence, partitions

VERSION_TABLE = "notifyq_version"
# Two deploys that start together migrate one after the other.
_LOCK: LiteralString = "SELECT pg_advisory_lock(hashtext('notifyq migrate'))"
_SECRET: LiteralString = """
    INSERT INTO notifyq.address_secret (version, inner_pad, outer_pad)
    VALUES (1, %(inner)s, %(outer)s)
    ON CONFLICT DO NOTHING
"""
_SHA256_BLOCK_BYTES = 64


def upgrade(url: str, *, region: str = "default", actor: str = "migrate") -> None:
    """Migrate the database at `url` to the newest schema and make what every database has.

    DatabaseAway: it cannot be reached. psycopg.Error and SQLAlchemyError: it refused something.
    """
    config = _config(url)
    command.upgrade(config, "head")
    asyncio.run(_furnish(url, region, actor))


def versions(url: str) -> tuple[str | None, str | None]:
    """Return (the database's revision, the code's newest)."""
    engine = _engine(url)
    with engine.connect() as connection:
        there = sqlalchemy.inspect(connection).has_table(VERSION_TABLE, schema="public")
        text = sqlalchemy.text(f"SELECT version_num FROM public.{VERSION_TABLE}")  # noqa: S608  # a constant
        found = connection.execute(text).scalar() if there else None
    engine.dispose()
    return found, ScriptDirectory.from_config(_config(url)).get_current_head()


def run_numbered_sql(name: str) -> None:
    """Run `migrations/versions/<name>.sql` on the migration's own connection.

    By the driver's simple protocol: a file holds many statements and may hold any character.
    """
    from alembic import op  # exists only while alembic runs a migration

    text = (files("migrations") / "versions" / f"{name}.sql").read_text(encoding="utf-8")
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(text.encode())


def files(folder: str) -> Path:
    """Return `migrations` or `sql`: beside the package in a checkout, inside it in a wheel."""
    package = Path(str(importlib.resources.files("notifyq")))
    packed = package / "_files" / folder
    return packed if packed.is_dir() else package.parent / folder


@contextmanager
def connect_for_alembic(config: Config) -> Iterator[sqlalchemy.Connection]:
    """Yield the connection that `migrations/env.py` runs on, with the migration lock held."""
    url = config.attributes.get("url") or os.environ["NOTIFYQ_DATABASE_URL"]
    engine = _engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql(_LOCK)
        connection.commit()
        yield connection
    engine.dispose()


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def _engine(url: str) -> sqlalchemy.Engine:
    """Return an engine that hands libpq the URL as it is: sockets and several hosts included."""

    def connect() -> object:
        try:
            return psycopg.connect(url, connect_timeout=db.CONNECT_TIMEOUT_S)
        except psycopg.ProgrammingError:  # its text quotes the URL, password and all
            raise DatabaseAway("the database URL is no connection string of libpq") from None
        except psycopg.OperationalError as error:
            raise DatabaseAway(f"the database: {str(error).strip()}") from None

    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool
    )


async def _furnish(url: str, region: str, actor: str) -> None:
    # Leaves are made one process at a time; one that starts beside others waits its turn.
    async with await db.connect(url, autocommit=True, lock_timeout_ms=60_000) as conn:
        await partitions.make_leaves(conn, datetime.now(UTC))
        inner, outer = hmac_pads(secrets.token_bytes(_SHA256_BLOCK_BYTES))
        await conn.execute(_SECRET, {"inner": inner, "outer": outer})
        await fence.open_first(conn, region=region, actor=actor)


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """Return (inner, outer) pads of HMAC-SHA-256 (RFC 2104) for a key."""
    if len(key) > _SHA256_BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    block = key.ljust(_SHA256_BLOCK_BYTES, b"\0")
    return bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)
