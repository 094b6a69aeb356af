"""Hear: what people write to our numbers is kept, read and acted on, in one transaction.

An opt-out is in force before the provider's request is answered: whatever begins after that commit
sees it, by whichever vendor it would go. A text counts once, however often it is told. The answer
to the person is a delivery like any other, but exempt from what was opted out, and worth nothing
after five minutes; one that cannot be written is left out, and what was said stands.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import psycopg

from notifyq.domain.address import BadAddress, normal_phone
from notifyq.domain.asking import Ask, Part, plan
from notifyq.domain.consent import Source, Standing, is_test
from notifyq.domain.content import SmsContent
from notifyq.domain.listening import Line, answers_until, kind_of, reply_to
from notifyq.domain.model import Category, Channel, Inbound, MessageClass
from notifyq.domain.terms import Terms
from notifyq.domain.wording.reading import Intent, Reading, read_text
from notifyq.store import inbound as inbounds
from notifyq.store import intake, ledger, tenants
from notifyq.store.db import Committed, Conn, Unknown, savepoint, transact

# Of what was written, what is kept as evidence for as long as the opt-out: two texts' worth.
EVIDENCE_LENGTH_MAX = 320
REPLY = "notifyq.reply"  # the category of our answers

_log = logging.getLogger("notifyq.hear")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a text came to."""

    fresh: bool  # False: it was heard before
    intent: Intent
    rule: str = ""
    reply: UUID | None = None  # the notification that answers it


@dataclass(frozen=True, slots=True)
class Ear:
    """What hearing needs beside the text."""

    cell: int
    now: Callable[[], datetime]  # the database's time
    new_id: Callable[[], UUID]
    dice: Callable[[int], int]  # n random bits


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with what it is read as."""

    provider: str
    inbound: Inbound
    number: str  # who wrote it, as it is compared
    reading: Reading
    line: Line


async def hear(
    conn: Conn, provider: str, inbound: Inbound, line: Line, ear: Ear
) -> Heard | Unknown:
    """Keep a text and do what it asks for; a second copy changes nothing.

    provider: the account whose signature it carries. line: the number that it was sent to.
    """
    reading = read_text(inbound.body)

    async def work(conn: Conn) -> Heard:
        if not await inbounds.keep(conn, cell=ear.cell, provider=provider, inbound=inbound):
            return Heard(False, reading.intent, reading.rule)
        try:
            number = normal_phone(inbound.sender)
        except BadAddress:  # a short code, or a name: nothing is ever sent there
            return Heard(True, reading.intent, reading.rule)
        scopes = line.scopes or tuple(await tenants.scopes(conn, cell=ear.cell, test=line.is_test))
        text = _Text(provider, inbound, number, reading, replace(line, scopes=scopes))
        changed = await _note(conn, text, ear)
        reply = await _try_to_answer(conn, text, ear, changed=changed)
        return Heard(True, reading.intent, reading.rule, reply)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _note(conn: Conn, text: _Text, ear: Ear) -> bool:
    """Write what a text says into the ledger; return whether anything stands otherwise now."""
    kind = kind_of(text.reading, text.line)
    if kind is None:
        return False
    inbound, reading, line = text.inbound, text.reading, text.line
    entry = ledger.Entry(
        kind,
        Source.SMS,
        actor=f"provider:{text.provider}",
        reason=f"a text: {reading.rule}",
        at=inbound.at,
        program=line.reach,
        evidence={
            "provider": text.provider,
            "provider_id": inbound.provider_id,
            "to": inbound.to,
            "rule": reading.rule,
            "word": reading.word,
            "text": inbound.body[:EVIDENCE_LENGTH_MAX],
        },
        once=("provider", "provider_id"),
    )
    address_key = await ledger.address_key(conn, text.number)
    changed = False
    for scope in sorted(line.scopes):  # in the rows' order, as every lock on them
        person = ledger.Person(scope, Channel.SMS, address_key)
        noted = await ledger.note(
            conn, person, entry, cell=ear.cell, event_id=ear.new_id(), always=True
        )
        changed |= _blocks(noted.before, line) is not _blocks(noted.after, line)
    return changed


def _blocks(standing: Standing, line: Line) -> bool:
    return standing.blocked if line.reach is None else line.reach in standing.programs


async def _try_to_answer(conn: Conn, text: _Text, ear: Ear, *, changed: bool) -> UUID | None:
    """Answer a text; an answer that the database refuses undoes nothing of what the text said."""
    try:
        async with savepoint(conn):
            return await _answer(conn, text, ear, changed=changed)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        _log.error(  # not what it says: it quotes the row, which has a number in it
            "event=reply.refused provider=%s id=%s error=%s",
            text.provider,
            text.inbound.provider_id,
            type(error).__name__,
        )
        return None


async def _answer(conn: Conn, text: _Text, ear: Ear, *, changed: bool) -> UUID | None:
    """Have the answer to a text sent from the number that it came to; return its notification."""
    line, now = text.line, ear.now()
    said = reply_to(text.reading, line.replies, changed=changed) if line.replies else None
    expires_at = answers_until(text.inbound.at, now)
    if said is None or expires_at is None or not line.scopes:
        return None
    scope = line.scopes[0]
    tenant_id = await tenants.of_brand(conn, cell=ear.cell, scope=scope)
    if tenant_id is None:
        return None
    terms = Terms(category=REPLY, sender=text.inbound.to, is_mandatory=True, is_exempt=True)
    ask = Ask(
        cell=ear.cell,
        tenant_id=tenant_id,
        brand=scope,
        test=is_test(scope),
        key_hash=b"",
        fingerprint=b"",
        category=Category(REPLY, MessageClass.OTP, line.program),
        recipient=None,
        metadata=None,
        not_before=None,
        expires_at=expires_at,
        parts=(Part(Channel.SMS, line.lane, text.number, SmsContent(said), terms=terms),),
        warnings=(),
    )
    planned = plan(ask, now, ear.dice(64))
    await intake.write(conn, cell=ear.cell, planned=[planned], answers=[])
    return planned.notification_id
