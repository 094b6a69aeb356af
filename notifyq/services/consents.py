"""Consents: what producers and operators write down of people's consent, and what stands.

Under the lock of the person's consent row: what is known is read, what is new is noted, and the
answer says what stands then. A record that is there already changes nothing, so whoever got no
answer sends it again; it counts as of when it first did. An opt-out is taken back by nothing but a
later record with its evidence, and one that came since is not taken back by its copy: that is
refused like any older one. Nor while a provider blocks the address, for it would refuse what we
then send.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from notifyq.domain.consent import Kind, Said, Source, Standing, in_force, left_by, unread
from notifyq.domain.consent_record import Record
from notifyq.domain.model import Channel
from notifyq.store import dossier, ledger
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.dossier import Event, Row
from notifyq.store.ledger import Entry, Person


class Refusal(StrEnum):
    """Why an opt-out is not taken back."""

    PROVIDER_BLOCKS = "provider_blocks"
    OPT_OUT_STANDS = "opt_out_stands"
    INCOMPLETE = "incomplete"


# What is the matter, and what to do about it.
WHY = {
    Refusal.PROVIDER_BLOCKS: "a provider blocks the address, and would refuse what is sent: the "
    "person must text START to the number that they opted out from",
    Refusal.OPT_OUT_STANDS: "an opt-out is as new as this consent, or newer: only consent that is "
    "given after it takes it back",
    Refusal.INCOMPLETE: "the record does not prove enough to take an opt-out back",
}


@dataclass(frozen=True, slots=True)
class Whom:
    """Whose consent it is."""

    scope: str  # domain/consent.py
    channel: Channel
    address: str  # normalised


@dataclass(frozen=True, slots=True)
class By:
    """Who writes it down, and how they came to know."""

    actor: str
    reason: str
    source: Source


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be written down. lifts: consent that takes back the opt-outs before it too."""

    kind: Kind  # CONSENT, OPT_OUT or LIFT
    record: Record
    program: str | None = None  # None: the brand
    lifts: bool = False

    @property
    def asks(self) -> tuple[Kind, ...]:
        """Which events it is."""
        return (self.kind, Kind.LIFT) if self.lifts else (self.kind,)


@dataclass(frozen=True, slots=True)
class Answer:
    """What that came to. refusal: nothing was written, and why."""

    standing: Standing
    added: bool = False  # False: it was known
    lifted: bool = False  # an opt-out was taken back
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What stands for an address, with every word that was ever said about it."""

    row: Row
    events: tuple[Event, ...]  # oldest first

    @property
    def stops(self) -> list[Said]:
        """The opt-outs in force, the brand's first."""
        said = [event.said for event in self.events]
        programs = sorted({one.program for one in said if one.program is not None})
        return [stop for program in (None, *programs) for stop in in_force(said, program)]

    @property
    def holds(self) -> list[Said]:
        """The texts that a person has yet to read."""
        return unread(event.said for event in self.events)


async def record(
    conn: Conn,
    whom: Whom,
    wish: Wish,
    by: By,
    *,
    cell: int,
    new_id: Callable[[], UUID],
) -> Answer | Unknown:
    """Write down what somebody agreed or objected to."""

    async def work(conn: Conn) -> Answer:
        person = Person(whom.scope, whom.channel, await ledger.address_key(conn, whom.address))
        now = await ledger.lock(conn, person, cell=cell)
        known = (await dossier.events(conn, [person], cell=cell))[person]
        at = _counts_from(known, wish, now)
        plan = _plan(known, wish, Said(Kind.LIFT, at, by.source, wish.program))
        if isinstance(plan, Refusal):
            return Answer(await _standing(conn, whom, cell), refusal=plan)
        for kind in plan:
            entry = Entry(
                kind,
                by.source,
                by.actor,
                by.reason,
                at,
                wish.program,
                wish.record.evidence(),
            )
            await ledger.note(conn, person, entry, cell=cell, event_id=new_id(), always=True)
        standing = await _standing(conn, whom, cell)
        return Answer(standing, added=bool(plan), lifted=Kind.LIFT in plan)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _standing(conn: Conn, whom: Whom, cell: int) -> Standing:
    address = [(whom.channel, whom.address)]
    return (await dossier.rows(conn, address, cell=cell, scope=whom.scope))[0].standing


async def status(
    conn: Conn, addresses: Sequence[tuple[Channel, str]], *, cell: int, scope: str
) -> list[Status]:
    """Return what stands for normalised addresses of one scope, in their order. Changes nothing."""
    found = await dossier.rows(conn, addresses, cell=cell, scope=scope)
    return await _with_events(conn, found, cell=cell)


async def status_everywhere(
    conn: Conn, channel: Channel, address: str, *, cell: int
) -> list[Status]:
    """Return what stands for a normalised address in every scope that has met it."""
    found = await dossier.everywhere(conn, channel, address, cell=cell)
    return await _with_events(conn, found, cell=cell)


async def _with_events(conn: Conn, found: Sequence[Row], *, cell: int) -> list[Status]:
    spoken = sorted({row.person for row in found if row.revision}, key=_key)
    events = await dossier.events(conn, spoken, cell=cell) if spoken else {}
    return [Status(row, tuple(events.get(row.person, ()))) for row in found]


def _key(person: Person) -> tuple[str, str, bytes]:
    return person.brand, person.channel.value, person.address_key


def _counts_from(known: Sequence[Event], wish: Wish, now: datetime) -> datetime:
    """Return when a record happened; one of a clock that was ahead, when it was first told."""
    return min([wish.record.at, now, *(event.said.at for event in _told_before(known, wish))])


def _told_before(known: Sequence[Event], wish: Wish) -> list[Event]:
    """Return the events that are of this record already."""
    return [
        event
        for event in known
        if event.said.kind in wish.asks
        and event.said.program == wish.program
        and wish.record.is_in(event.evidence)
    ]


def _plan(known: Sequence[Event], wish: Wish, lift: Said) -> list[Kind] | Refusal:
    """Return the events that are to be added: none that is there. lift: how a lift would count."""
    there = {event.said.kind for event in _told_before(known, wish)}
    new = [kind for kind in wish.asks if kind not in there]
    if Kind.LIFT not in wish.asks:
        return new
    said = [event.said for event in known]
    left = left_by(said, lift)
    if any(stop.source is Source.PROVIDER for stop in left):
        return Refusal.PROVIDER_BLOCKS
    if left:
        return Refusal.OPT_OUT_STANDS
    if Kind.LIFT in there or not in_force(said, wish.program):
        # A lift that is noted beforehand would take back what is still on its way to us.
        return [kind for kind in new if kind is not Kind.LIFT]
    return Refusal.INCOMPLETE if wish.record.missing() else new
