"""Imports: opt-outs that another system knows of. They only ever add blocks.

A batch is one transaction: all of it is stored, or nothing. What is in force already is left
alone, so the same file again adds nothing. A line without a time counts as said when it came.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifyq.domain.consent import Kind, Said, Source, in_force
from notifyq.domain.model import Channel
from notifyq.store import dossier, ledger
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.dossier import Event
from notifyq.store.ledger import Entry, Person

BATCH = 1_000  # lines in one transaction


@dataclass(frozen=True, slots=True)
class Line:
    """One opt-out of a file."""

    number: int  # in the file
    scope: str
    channel: Channel
    address: str  # normalised
    happened_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a batch came to."""

    added: int
    known: int


async def store(
    conn: Conn, lines: Sequence[Line], *, actor: str, cell: int, new_id: Callable[[], UUID]
) -> Imported | Unknown:
    """Note the opt-outs of a batch, at most BATCH lines, in one transaction."""

    async def work(conn: Conn) -> Imported:
        keys = await ledger.address_keys(conn, [line.address for line in lines])
        people = [
            Person(line.scope, line.channel, key) for line, key in zip(lines, keys, strict=True)
        ]
        known = await dossier.events(conn, sorted(set(people), key=_place), cell=cell)
        pairs = zip(people, lines, strict=True)
        fresh = [(who, line) for who, line in pairs if not _is_known(known[who], line)]
        added = 0
        # In the order in which every lock on consent rows is taken: nobody waits in a circle.
        for who, line in sorted(fresh, key=lambda pair: _place(pair[0])):
            noted = await ledger.note(conn, who, _entry(line, actor), cell=cell, event_id=new_id())
            added += noted.added
        return Imported(added, len(lines) - added)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


def _is_known(events: Sequence[Event], line: Line) -> bool:
    """Whether a line is there: one with a time by it, one without by a block that stands."""
    said = [event.said for event in events]
    if line.happened_at is None:
        return any(stop.source is Source.IMPORT for stop in in_force(said, None))
    same = Said(Kind.OPT_OUT, line.happened_at, Source.IMPORT)
    return same in said


def _entry(line: Line, actor: str) -> Entry:
    evidence = {"line": line.number}
    return Entry(
        Kind.OPT_OUT, Source.IMPORT, actor, line.reason, line.happened_at, evidence=evidence
    )


def _place(person: Person) -> tuple[str, str, bytes]:
    return person.brand, person.channel.value, person.address_key
