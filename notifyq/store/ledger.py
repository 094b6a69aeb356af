"""The ledger of consent: events are added, and the consent row is made what they add up to.

Under the lock that a begin takes, too. So an opt-out and the begin of an attempt come one after the
other, and what came first counts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.consent import SKEW, Kind, Said, Source, Standing, in_force, standing
from notifyq.domain.model import Channel
from notifyq.store.db import Conn

# Purpose: a row to lock, where the address was never met.
MEET: LiteralString = """
INSERT INTO consent (cell, brand, channel, address_key, blocked, revision)
VALUES (%(cell)s::int2, %(brand)s::text, %(channel)s::channel, %(address_key)s::bytea, false, 0)
ON CONFLICT DO NOTHING
"""
# Purpose: wait for whoever begins a send there, or notes something. Its snapshot is older than
# what they wrote, so the events are read in the next statement.
LOCK: LiteralString = """
SELECT now() FROM consent
 WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
   AND address_key = %(address_key)s::bytea
   FOR NO KEY UPDATE
"""
EVENTS: LiteralString = """
SELECT kind, happened_at, source, program, evidence FROM consent_event
 WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
   AND address_key = %(address_key)s::bytea
 ORDER BY revision
"""
# Purpose: add an event with what stands after it, and make that the consent row.
ADD: LiteralString = """
WITH stands AS (
    UPDATE consent
       SET blocked = %(blocked)s::bool, programs = %(programs)s::text[], held = %(held)s::bool,
           consented = %(consented)s::bool, revision = revision + 1, changed_at = now()
     WHERE cell = %(cell)s::int2 AND brand = %(brand)s::text AND channel = %(channel)s::channel
       AND address_key = %(address_key)s::bytea
    RETURNING cell, brand, channel, address_key, revision
)
INSERT INTO consent_event (cell, id, brand, channel, address_key, revision, kind, actor, reason,
                           happened_at, source, program, evidence, blocked, programs)
SELECT cell, %(event_id)s::uuid, brand, channel, address_key, revision, %(kind)s::text,
       %(actor)s::text, %(reason)s::text, %(happened_at)s::timestamptz, %(source)s::text,
       %(program)s::text, %(evidence)s::text, %(blocked)s::bool, %(programs)s::text[]
  FROM stands
"""
KEYS: LiteralString = "SELECT * FROM notifyq.address_keys(%s::text[])"


@dataclass(frozen=True, slots=True)
class Person:
    """Whose consent it is: one address of one channel, towards one brand."""

    brand: str  # with the mark of test sends, if it is one: consent.scope_of
    channel: Channel
    address_key: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be noted."""

    kind: Kind
    source: Source
    actor: str
    reason: str
    at: datetime | None = None  # when it happened; None: now
    program: str | None = None  # a separate one; None: the brand
    evidence: Mapping[str, object] = field(default_factory=dict)
    # Names in its evidence that tell it from every other event: a copy that has them all adds
    # nothing, however much later it comes. Empty: nothing does.
    once: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """What an event changed."""

    before: Standing
    after: Standing
    added: bool = True


async def address_key(conn: Conn, address: str) -> bytes:
    """Return the key of a normalised address."""
    (found,) = await address_keys(conn, [address])
    return found


async def address_keys(conn: Conn, addresses: Sequence[str]) -> list[bytes]:
    """Return the keys of normalised addresses, in their order."""
    return [key for (key,) in await (await conn.execute(KEYS, (list(addresses),))).fetchall()]


async def note(
    conn: Conn, person: Person, entry: Entry, *, cell: int, event_id: UUID, always: bool = False
) -> Noted:
    """Add an event in this transaction, with what it makes of the consent row.

    What the ledger knows by the entry's `once` adds nothing. Not `always`: nor does an opt-out
    beside one in force from the same source that is as new. A newer one is kept: consent that was
    given between the two takes back the first alone.
    """
    now = await lock(conn, person, cell=cell)
    where = _where(person, cell)
    rows = await (await conn.execute(EVENTS, where)).fetchall()
    known = [Said(Kind(kind), at, Source(by), program) for kind, at, by, program, _ in rows]
    before = standing(known)
    happened_at = min(entry.at or now, now)  # a clock that is ahead decides nothing
    said = Said(entry.kind, happened_at, entry.source, entry.program)
    is_copy = knows([evidence for *_, evidence in rows], entry)
    if is_copy or (not always and _says_nothing_new(known, said)):
        return Noted(before, before, added=False)
    after = standing([*known, said])
    values = {
        "event_id": event_id,
        "kind": entry.kind,
        "actor": entry.actor,
        "reason": entry.reason,
        "happened_at": happened_at,
        "source": entry.source,
        "program": entry.program,
        "evidence": json.dumps(entry.evidence, ensure_ascii=False) if entry.evidence else None,
        "blocked": after.blocked,
        "programs": list(after.programs),
        "held": after.held,
        "consented": after.consented,
    }
    await conn.execute(ADD, where | values)
    return Noted(before, after)


async def lock(conn: Conn, person: Person, *, cell: int) -> datetime:
    """Lock a person's consent row in this transaction, made if missing; return the time.

    Nobody begins a send to them, nor notes anything of them, until the transaction ends.
    """
    where = _where(person, cell)
    await conn.execute(MEET, where)
    ((now,),) = await (await conn.execute(LOCK, where)).fetchall()
    found: datetime = now
    return found


def _where(person: Person, cell: int) -> dict[str, object]:
    return {
        "cell": cell,
        "brand": person.brand,
        "channel": person.channel,
        "address_key": person.address_key,
    }


def knows(kept: Iterable[str | None], entry: Entry) -> bool:
    """Whether one of the events with this evidence (JSON) is the entry, told before."""
    told = {name: entry.evidence[name] for name in entry.once}
    return bool(told) and any(
        told.items() <= json.loads(evidence).items() for evidence in kept if evidence is not None
    )


def _says_nothing_new(known: list[Said], said: Said) -> bool:
    if said.kind is not Kind.OPT_OUT:
        return False
    return any(
        stop.source is said.source and said.at <= stop.at + SKEW
        for stop in in_force(known, said.program)
    )


async def opt_out(
    conn: Conn,
    *,
    cell: int,
    brand: str,
    channel: Channel,
    address: str,
    actor: str,
    reason: str,
    event_id: UUID,
    source: Source = Source.OPERATOR,
) -> bool:
    """Note that a normalised address wants nothing more of a brand; False if that was known."""
    person = Person(brand, channel, await address_key(conn, address))
    entry = Entry(Kind.OPT_OUT, source, actor, reason)
    return (await note(conn, person, entry, cell=cell, event_id=event_id)).added
