"""Explain: why somebody would, or would not, be told by a category, now or at a time past.

The very rules that decide before each send are asked, with what was known at that time: events of
consent, the recipient's profile and the tenant's defaults, the versions of a template are kept.
Settings (categories, programs) are those of today.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifyq.domain.address import BadAddress, channel_of, normal
from notifyq.domain.consent import standing
from notifyq.domain.ids import floor_of
from notifyq.domain.model import Category, Channel, Due, MessageClass
from notifyq.domain.policy import Consent, Facts, Objection, explain
from notifyq.domain.preferences import Wishes, wanted
from notifyq.domain.profile import DEFAULTS, Profile
from notifyq.domain.states import State
from notifyq.domain.terms import Terms
from notifyq.domain.whereabouts import whereabouts
from notifyq.store import explaining, ledger, recipients
from notifyq.store.db import Conn
from notifyq.store.explaining import Latest, Noted


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks about whom."""

    cell: int
    tenant_id: int
    scope: str  # whose consent: domain/consent.py
    test: bool
    recipient: str  # the producer's id, or an address
    category: Category
    at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What one rule says, and what it read."""

    rule: str
    objection: Objection | None
    read: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What would become of a message to one address."""

    channel: Channel
    address_key: bytes
    steps: tuple[Step, ...]

    @property
    def decisive(self) -> Step | None:
        """The first rule that objects; None: it would be sent."""
        return next((step for step in self.steps if step.objection is not None), None)


@dataclass(frozen=True, slots=True)
class Explained:
    """What would become of a message now, by each address, and what became of the last ones."""

    is_kept: bool  # whether there was such a recipient; else it was taken for an address
    answers: tuple[Answer, ...]
    latest: tuple[Latest, ...]


async def answer(conn: Conn, question: Question) -> Explained:
    """Return the explanation; it reads and changes nothing."""
    profile = await _profile(conn, question, question.recipient)
    of_all = await _profile(conn, question, DEFAULTS)
    defaults = of_all.preferences if of_all else {}
    answers = []
    for channel, address in _addresses(question.recipient, profile):
        found_out = await _look(conn, question, channel, address)
        answers.append(_judged(question, found_out, profile, defaults))
    latest = await explaining.latest(
        conn,
        [one.address_key for one in answers],
        cell=question.cell,
        tenant_id=question.tenant_id,
        brand=question.scope,
        category=question.category.name,
        before=floor_of(question.at + timedelta(milliseconds=1)),
    )
    return Explained(profile is not None, tuple(answers), tuple(latest))


async def _profile(conn: Conn, question: Question, recipient: str) -> Profile | None:
    return await recipients.as_of(
        conn,
        cell=question.cell,
        tenant_id=question.tenant_id,
        test=question.test,
        id=recipient,
        at=question.at,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of one address."""

    channel: Channel
    address: str
    key: bytes
    noted: list[Noted]
    dead: tuple[datetime, str] | None
    begun: list[datetime]  # of what is capped, in the day before


async def _look(conn: Conn, question: Question, channel: Channel, address: str) -> _Found:
    key = await ledger.address_key(conn, address)
    who = ledger.Person(question.scope, channel, key)
    cell, at = question.cell, question.at
    return _Found(
        channel,
        address,
        key,
        await explaining.events(conn, who, cell=cell, at=at),
        await explaining.dead(conn, who, cell=cell, at=at),
        await explaining.begun(conn, who, cell=cell, at=at),
    )


def _judged(question: Question, found: _Found, profile: Profile | None, defaults: Wishes) -> Answer:
    """Ask every rule about one address."""
    due = _due(question, found.address, found.key)
    preference = wanted(
        question.category.name,
        found.channel,
        mandatory=question.category.is_mandatory,
        own=profile.preferences if profile else {},
        of_tenant=defaults,
        default_on=question.category.is_wanted,
    )
    where = whereabouts(found.channel, found.address, due.terms, profile)
    facts = Facts(question.at, found.channel, _consent(found), where, preference)
    read = _read(found, facts, due)
    steps = [Step(rule, said, read.get(rule, "")) for rule, said in explain(due, facts)]
    return Answer(found.channel, found.key, tuple(steps))


def _consent(found: _Found) -> Consent:
    stands = standing(one.said for one in found.noted)
    return Consent(
        stands.blocked,
        found.noted[-1].revision if found.noted else 0,
        found.dead[0] if found.dead else None,
        stands.programs,
        stands.held,
        stands.consented,
        tuple(found.begun),
    )


def _due(question: Question, address: str, key: bytes) -> Due:
    """Return the delivery that a message of the category would be."""
    category = question.category
    terms = Terms(
        category=category.name,
        hours=category.hours,
        cap=category.cap,
        is_marketing=category.message_class is MessageClass.MARKETING,
        is_mandatory=category.is_mandatory,
        is_separate=category.is_separate,
    )
    return Due(
        delivery_id=UUID(int=0),
        attempts=0,
        tries=0,
        criticality=category.criticality,
        place="",
        tenant_id=question.tenant_id,
        brand=question.scope,
        program=category.program,
        address_key=key,
        address=address,
        body="",
        state=State.PENDING,
        expires_at=question.at + timedelta(seconds=category.expires_in_s),
        not_before=None,
        cancel_requested=False,
        terms=terms,
    )


def _read(found: _Found, facts: Facts, due: Due) -> dict[str, str]:
    """Say what each rule read, by row."""
    last, cap, where = found.noted[-1] if found.noted else None, due.terms.cap, facts.where
    zones = ", ".join(sorted(where.zones)) if where else ""
    events = f"{len(found.noted)} events"
    if last is not None:
        when = last.said.at.isoformat()
        events += f"; the last: {last.said.kind} by {last.said.source} at {when} ({last.reason})"
    written = facts.consent is not None and facts.consent.consented
    return {
        "expiry": f"it would expire at {due.expires_at.isoformat()}",
        "opt_out": events,
        "consent": f"written consent is {'' if written else 'not '}on record",
        "address": f"dead since {found.dead[0].isoformat()}: {found.dead[1]}"
        if found.dead
        else "no provider called it dead",
        "preference": facts.preference.by if facts.preference else "",
        "hours": f"{due.terms.hours}; zones: {zones or 'none known'}" if where else "any",
        "cap": f"{len(found.begun)} of {cap} in 24 hours" if cap else "none",
    }


def _addresses(recipient: str, profile: Profile | None) -> list[tuple[Channel, str]]:
    """Return where somebody is told: by their profile, or the one address that was given."""
    if profile is not None:
        channels = (Channel.SMS, Channel.EMAIL, Channel.PUSH)
        return [(one, at) for one in channels for at in profile.addresses(one)]
    try:
        channel = channel_of(recipient)
        return [(channel, normal(channel, recipient))]
    except BadAddress:
        return []
