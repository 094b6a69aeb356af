"""The ground that figures are measured on: a durable server, a tenant, a test key, a lane.

Test keys reach the sandbox's lane, so the receiver stands where the sandbox would: what runs is
the real Twilio client, worker process and API, with nothing but its base URL changed.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from notifyq import migrate
from notifyq.bootstrap.accounts import CELL
from notifyq.cli.tenants import SCOPES, make_key
from notifyq.config.settings import SANDBOX
from notifyq.domain.model import Channel, Lane
from notifyq.embedded import EmbeddedPostgres
from notifyq.store import db, lanes, tenants

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "off",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
}
MAJOR = 18  # the script for pgbench makes event ids by uuidv7()
TENANT = "bench"
CODES = "login.code"
_CONFIG = f'[categories."{CODES}"]\nclass = "otp"\n'

# What relations the WAL between two places is about. A record counts for its first block.
_BY_RELATION: LiteralString = r"""
SELECT coalesce(regexp_replace(c.relname, '_\d{6,8}', ''), 'other'),
       count(*), sum(b.record_length - b.block_fpi_length), sum(b.block_fpi_length)
  FROM pg_get_wal_block_info(%(start)s::pg_lsn, %(stop)s::pg_lsn) AS b
       LEFT JOIN pg_class AS c ON c.relfilenode = b.relfilenode
 WHERE b.block_id = 0
 GROUP BY 1 ORDER BY 3 DESC
"""
_BY_MANAGER: LiteralString = """
SELECT "resource_manager/record_type", count, record_size, fpi_size
  FROM pg_get_wal_stats(%(start)s::pg_lsn, %(stop)s::pg_lsn, true)
 WHERE count > 0
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where and as whom to measure."""

    server: EmbeddedPostgres
    url: str
    config: Path
    tenant_id: int
    key: str  # a test key
    lane: Lane

    def environ(self, *, receiver_port: int, api_port: int = 8180) -> dict[str, str]:
        """Return the settings of `notifyq api` and `notifyq worker`."""
        return {
            "NOTIFYQ_CONFIG": str(self.config),
            "NOTIFYQ_DATABASE_URL": self.url,
            "NOTIFYQ_BIND": f"127.0.0.1:{api_port}",
            "NOTIFYQ_PUBLIC_URL": f"http://127.0.0.1:{api_port}",
            "NOTIFYQ_SANDBOX_URL": f"http://127.0.0.1:{receiver_port}",
            "NOTIFYQ_LOG_LEVEL": "WARNING",
        }

    def run(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement in a transaction of its own and return its rows, if it has any."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("SET search_path = notifyq, public")
            cursor = conn.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def lsn(self) -> str:
        """Return how far the WAL goes."""
        return str(self.run("SELECT pg_current_wal_insert_lsn()")[0][0])

    def wal(self, start: str, count: int) -> dict[str, Any]:
        """Return the bytes of WAL since `start` for each of `count` things.

        Flushed first, for the views read files. Full-page images are counted apart.
        """
        self.run("SELECT pg_logical_emit_message(true, 'bench', '')")
        stop = str(self.run("SELECT pg_current_wal_flush_lsn()")[0][0])
        managers = self.run(_BY_MANAGER, start=start, stop=stop)
        relations = self.run(_BY_RELATION, start=start, stop=stop)
        commits = sum(int(row[1]) for row in managers if row[0] == "Transaction/COMMIT")
        return {
            "bytes": sum(float(row[2]) for row in managers) / count,
            "full_pages": sum(float(row[3]) for row in managers) / count,
            "commits": commits / count,
            "records": sum(float(row[1]) for row in managers) / count,
            "by_record": {r[0]: [round(float(n) / count, 3) for n in r[1:]] for r in managers},
            "by_relation": {r[0]: [round(float(n) / count, 3) for n in r[1:]] for r in relations},
        }


@contextmanager
def ground() -> Iterator[Ground]:
    """Start the server and furnish its database; all is gone afterwards."""
    with (
        EmbeddedPostgres.start(major=MAJOR, settings=SETTINGS) as server,
        tempfile.NamedTemporaryFile("w", suffix=".toml") as config,
    ):
        config.write(_CONFIG)
        config.flush()
        migrate.upgrade(server.url(), actor="bench")
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE EXTENSION pg_walinspect")
        tenant_id, key, lane = asyncio.run(_furnish(server.url()))
        yield Ground(server, server.url(), Path(config.name), tenant_id, key, lane)


async def _furnish(url: str) -> tuple[int, str, Lane]:
    async with await db.connect(url, autocommit=True) as conn:
        await tenants.create(conn, cell=CELL, name=TENANT, brand=TENANT, actor="bench")
        found = await lanes.ensure(conn, [(Channel.SMS, SANDBOX[Channel.SMS][0])], cell=CELL)
        cursor = await conn.execute("SELECT id FROM tenant")
        row = await cursor.fetchone()
    assert row is not None
    key = await make_key(url, tenant=TENANT, test=True, scopes=SCOPES, by="bench")
    return row[0], key, found[Channel.SMS, SANDBOX[Channel.SMS][0]]
