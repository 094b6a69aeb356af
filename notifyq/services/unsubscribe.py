"""Unsubscribe: a mail's recipient leaves one list of a brand, by one click. Safe to repeat."""

from collections.abc import Callable
from uuid import UUID

from notifyq.domain.consent import Kind, Source
from notifyq.store import ledger, unsubscribe
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.unsubscribe import Token


async def find(conn: Conn, token: str) -> Token | None:
    """Return what a token stands for; None if it is none of ours. Changes nothing."""
    found: Token | None = None

    async def work(conn: Conn) -> None:
        nonlocal found
        found = await unsubscribe.read(conn, token)

    await transact(conn, work)  # nothing is written: what was read stands, whatever its fate
    return found


async def leave(conn: Conn, token: Token, new_id: Callable[[], UUID]) -> bool | Unknown:
    """Note the opt-out; False if it was noted before."""
    entry = ledger.Entry(
        Kind.OPT_OUT,
        Source.EMAIL,
        actor="recipient",
        reason="one-click unsubscribe",
        program=token.program,
    )

    async def work(conn: Conn) -> bool:
        noted = await ledger.note(conn, token.person, entry, cell=token.cell, event_id=new_id())
        return noted.added

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate
