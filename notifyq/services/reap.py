"""Reap: dead letters, keys and dedupe marks go when nothing can replay them any more.

The order keeps a replay from becoming a second send: a key outlives the dead letters of its
notification, and every way that its request can come again. Each step is one short transaction.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifyq.domain.ids import floor_of
from notifyq.domain.retention import Retention, key_days
from notifyq.store import reap
from notifyq.store.db import Committed, Conn, transact

BLOCKS = 128  # of the table of keys, in one transaction: about 6,000 keys
STEPS = 8  # of these, in one run
BATCH = 1_000  # dead letters, or marks, in one transaction


@dataclass(frozen=True, slots=True)
class Reaped:
    """What one run deleted."""

    dead_letters: int
    keys: int
    marks: int


class Walk:
    """Where the walk over the table of keys is. Several janitors begin at several places."""

    def __init__(self, dice: Callable[[int], int]) -> None:
        """dice(n): n random bits."""
        self._dice = dice
        self._at: int | None = None

    def stretch(self, blocks: int) -> tuple[int, int]:
        """Return the next [first, beyond) of a table that has so many blocks now.

        After the last block comes the first.
        """
        if self._at is None:
            self._at = self._dice(32) % max(blocks, 1)
        first = self._at if self._at < blocks else 0
        beyond = min(first + BLOCKS, blocks)
        self._at = beyond
        return first, beyond


async def run_once(
    conn: Conn, walk: Walk, *, cell: int, now: datetime, retention: Retention
) -> Reaped:
    """Delete a bounded piece of what is past its time, and count it.

    now: the database's time. A commit of unknown fate counts as nothing done.
    """
    dead_before = now - timedelta(days=retention.dead_letter_days)
    keys_before = floor_of(now - timedelta(days=key_days(retention)))

    async def dead_letters(conn: Conn) -> int:
        return await reap.dead_letters(conn, cell=cell, before=dead_before, limit=BATCH)

    async def keys(conn: Conn) -> int:
        first, beyond = walk.stretch(await reap.blocks(conn))
        return await reap.keys(conn, cell=cell, first=first, beyond=beyond, before=keys_before)

    async def marks(conn: Conn) -> int:
        return await reap.marks(conn, cell=cell, before=now, limit=BATCH)

    dead = await _count(conn, dead_letters)
    gone = sum([await _count(conn, keys) for _ in range(STEPS)])
    return Reaped(dead, gone, await _count(conn, marks))


async def _count(conn: Conn, work: Callable[[Conn], Awaitable[int]]) -> int:
    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else 0
