"""The fence: the one row that says which region may begin attempts, and its rising epoch.

The comparison itself stands inside the statement that inserts attempts (store/attempts.py):
a check made anywhere earlier would be a check of the past.
"""

from dataclasses import dataclass
from typing import LiteralString

from notifyq.store.db import Conn

_READ: LiteralString = "SELECT epoch, region, phase FROM fence WHERE cell = %(cell)s::int2"
_OPEN_FIRST: LiteralString = """
    INSERT INTO fence (cell, epoch, region, phase, sync_policy, changed_by, reason)
    VALUES (%(cell)s::int2, 1, %(region)s::text, 'open',
            current_setting('synchronous_standby_names'), %(actor)s::text, 'first migration')
    ON CONFLICT DO NOTHING
"""
_WAITS: LiteralString = """
    SELECT current_setting('synchronous_standby_names') <> ''
       AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """What the fence said when it was read."""

    epoch: int
    region: str
    phase: str  # open, draining or closed

    def lets(self, region: str) -> bool:
        """Whether this region may begin attempts."""
        return self.phase == "open" and self.region == region


async def read(conn: Conn, *, cell: int) -> Fence | None:
    """Return the fence, or None in a database that was never furnished."""
    row = await (await conn.execute(_READ, {"cell": cell})).fetchone()
    return Fence(*row) if row else None


async def open_first(conn: Conn, *, region: str, actor: str, cell: int = 0) -> None:
    """Open the fence of a new database for `region` at epoch 1; leaves an existing one alone."""
    await conn.execute(_OPEN_FIRST, {"cell": cell, "region": region, "actor": actor})


async def waits_for_standby(conn: Conn) -> bool:
    """Whether commits of this session wait for a synchronous standby."""
    row = await (await conn.execute(_WAITS)).fetchone()
    return bool(row and row[0])
