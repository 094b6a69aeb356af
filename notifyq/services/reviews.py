"""Reviews: texts that only a person can read. Until somebody has, no marketing goes there.

Whoever reads one says what it was, and that answers everything that was written until then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from notifyq.domain.consent import Kind, Source, Standing, unread
from notifyq.store import dossier, held_texts, ledger
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.dossier import Event
from notifyq.store.ledger import Entry

# What a text can turn out to have been.
VERDICTS = {"opt-out": Kind.OPT_OUT, "release": Kind.RELEASE}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who read a text, and why they say what they say."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a verdict came to. standing None: there is no such text; added False: it had one."""

    standing: Standing | None
    added: bool = False


async def waiting(
    conn: Conn, *, cell: int, scope: str | None, test: bool, limit: int
) -> list[Event]:
    """Return the texts that a person has yet to read, the oldest first. Changes nothing.

    scope: this one only; None: any, of test sends or of live ones.
    """
    people = await held_texts.people(conn, cell=cell, scope=scope, test=test, limit=limit)
    found = await dossier.events(conn, people, cell=cell)
    texts = [text for events in found.values() for text in _unread(events)]
    return sorted(texts, key=lambda text: text.said.at)[:limit]


async def resolve(
    conn: Conn,
    text_id: UUID,
    verdict: Kind,
    reader: Reader,
    *,
    cell: int,
    new_id: Callable[[], UUID],
) -> Read | Unknown:
    """Note what a text was: OPT_OUT, as of when it was written, or RELEASE."""

    async def work(conn: Conn) -> Read:
        person = await held_texts.person_of(conn, text_id, cell=cell)
        if person is None:
            return Read(None)
        await ledger.lock(conn, person, cell=cell)
        known = (await dossier.events(conn, [person], cell=cell))[person]
        text = next((one for one in _unread(known) if one.id == text_id), None)
        if text is None:
            return Read(known[-1].after)
        entry = Entry(
            verdict,
            # The person wrote the opt-out; that it was none is the reader's word.
            Source.SMS if verdict is Kind.OPT_OUT else Source.OPERATOR,
            reader.actor,
            reader.reason,
            text.said.at,
            text.said.program,
            {**text.evidence, "read": str(text_id)},
        )
        noted = await ledger.note(conn, person, entry, cell=cell, event_id=new_id(), always=True)
        return Read(noted.after, added=True)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


def _unread(events: Sequence[Event]) -> list[Event]:
    left = unread(event.said for event in events)
    return [event for event in events if event.said in left]
