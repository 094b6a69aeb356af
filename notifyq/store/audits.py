"""Audits: the files of sql/audit/, each of which returns rows only when something is wrong.

Read-only by the session's own setting, whatever a file says, and with time: they read everything.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

from notifyq.store.db import Conn

TIMEOUT_S = 900  # over a large history; nobody waits for an audit's locks, for it takes none
_CAREFUL: LiteralString = """
SELECT set_config('default_transaction_read_only', 'on', false),
       set_config('statement_timeout', %(timeout_ms)s::text, false)
"""


@dataclass(frozen=True, slots=True)
class Audit:
    """One file: its name, the question it asks, and its statement."""

    name: str
    question: str
    statement: str


def audits_in(folder: Path) -> list[Audit]:
    """Return the audits of a folder, by name."""
    return [_audit(file) for file in sorted(folder.glob("*.sql"))]


async def prepare(conn: Conn) -> None:
    """Make an autocommit connection one that can only read, and take its time."""
    await conn.execute(_CAREFUL, {"timeout_ms": str(TIMEOUT_S * 1_000)})


async def run(conn: Conn, audit: Audit) -> list[dict[str, Any]]:
    """Return the rows of an audit: what is wrong. psycopg.Error: it could not be run."""
    cursor = await conn.execute(audit.statement.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


def _audit(file: Path) -> Audit:
    text = file.read_text(encoding="utf-8")
    head, _, _ = text.partition("\n--\n")
    lines = [line.removeprefix("--").strip() for line in head.splitlines()]
    asked = " ".join(lines).partition("Parameters")[0]
    return Audit(file.stem, asked.removeprefix("Question").strip(), text)
