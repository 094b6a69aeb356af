"""What commands that change something by hand have in common: names, reasons, a connection."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from notifyq.bootstrap.accounts import CELL, NewId, database_url
from notifyq.cli.output import Misused, settings
from notifyq.domain.ids import BadId, read_public_id
from notifyq.domain.interventions import EVIDENCE_LENGTH_MAX, REASON_LENGTH_MAX, text_fault
from notifyq.store import db


@asynccontextmanager
async def at_hand() -> AsyncIterator[tuple[db.Conn, Callable[[], UUID]]]:
    """Open a connection for transactions; yield it with what makes ids on the database's time."""
    clock = db.DatabaseClock()
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        await clock.set_by(conn)
        await conn.set_autocommit(False)
        yield conn, NewId(clock)


def delivery_named(text: str) -> UUID:
    """Return the delivery that somebody names: dlv_… or its uuid; Misused otherwise."""
    wanted = text.strip()
    try:
        cell, found = read_public_id("dlv", wanted)
    except BadId:
        cell, found = CELL, _uuid(wanted)
    if cell != CELL:
        raise Misused(f"ID: {text} is of cell {cell}, this is cell {CELL}")
    return found


def reason_given(reason: str | None) -> str:
    """Return a reason that says something; Misused otherwise."""
    return _text("--reason", reason, REASON_LENGTH_MAX, "it is kept with the change")


def evidence_given(evidence: str) -> str:
    """Return evidence that says something; Misused otherwise."""
    return _text("--evidence", evidence, EVIDENCE_LENGTH_MAX, "say where you looked and what for")


def _text(option: str, text: str | None, length_max: int, why: str) -> str:
    fault = "is required" if text is None else text_fault(text, length_max=length_max)
    if text is None or fault is not None:
        raise Misused(f"{option}: {fault}: {why}")
    return text.strip()


def _uuid(text: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or not found.int & 0xFFFF:
        hint = " (it names a notification)" if text.startswith("ntf_") or found else ""
        raise Misused(
            f"ID: {text!r} names no delivery{hint}: give its dlv_… id, which `notifyq show` tells"
        )
    return found
