"""Print the job table and the claim's plan, prepared on empty leaves and kept over 50,000 rows.

python -m tests.store.show_plans
"""

import asyncio
import subprocess

from notifyq import migrate
from notifyq.domain.model import Channel
from notifyq.embedded import EmbeddedPostgres
from notifyq.store import db, queue
from tests.store import helpers as h

ROWS = 50_000
FULL, FREE = 200_000, 100


async def _show(url: str) -> None:
    async with await db.connect(url, hot=True) as conn:
        busy = await h.open_shop(conn)
        free = await h.open_shop(conn, "other", provider="free")
        await _claim(conn, busy)  # prepared and planned here, on an empty leaf
        await conn.commit()
        await h.load(conn, busy, ROWS, whole=False)
        await _explain(conn, busy, f"claim of 64 from {ROWS:,} rows, planned when there were none")
        await h.load(conn, busy, FULL, whole=False)
        await h.load(conn, free, FREE, whole=False)
        await _explain(conn, free, f"claim of a lane with {FREE} jobs behind {FULL:,} of another")


async def _claim(conn: db.Conn, shop: h.Shop) -> int:
    found = await queue.claim(
        conn, channel=Channel.SMS, cell=0, lane=shop.lane.id, low_waters=[h.EVER] * 4, room=64
    )
    return len(found)


async def _explain(conn: db.Conn, shop: h.Shop, title: str) -> None:
    name = await h.one(
        conn,
        "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%%job_sms%%SKIP LOCKED%%'",
    )
    arguments = (
        f"'{{0,1,2,3}}', array_fill('2000-01-01'::timestamptz, ARRAY[4]), 0, {shop.lane.id}, 64"
    )
    text = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE {name} ({arguments})"
    result = conn.pgconn.exec_(text.encode())
    print(f"\n-- {title}")
    for row in range(result.ntuples):
        print((result.get_value(row, 0) or b"").decode())
    if not result.ntuples:
        print(result.error_message)
    conn.pgconn.exec_(b"ROLLBACK")


def main() -> None:
    """Print it."""
    with EmbeddedPostgres.start() as server:
        migrate.upgrade(server.url())
        for table in ("job", "job_sms"):
            command = [str(server.bin / "psql"), server.url(), "-Xc", rf"\d+ notifyq.{table}"]
            print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        asyncio.run(_show(server.url()))


if __name__ == "__main__":
    main()
