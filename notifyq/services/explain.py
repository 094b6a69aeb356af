"""Explain: why somebody would, or would not, be told by a category, now or at a time past.

The very rules that decide before each send are asked, with what was known at that time: events of
consent, the recipient's profile and the tenant's defaults, the versions of a template are kept.
Settings (categories, programs) are those of today.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifyq.domain.address import BadAddress, channel_of, normal
from notifyq.domain.consent import standing
from notifyq.domain.hours import Hours
from notifyq.domain.ids import floor_of
from notifyq.domain.model import Category, Channel, Due, MessageClass
from notifyq.domain.policy import Consent, Facts, Objection, explain
from notifyq.domain.preferences import Verdict, wanted
from notifyq.domain.profile import Profile
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

    version: int | None  # of the recipient's profile; None: it is not kept here
    answers: tuple[Answer, ...]
    latest: tuple[Latest, ...]


async def answer(conn: Conn, question: Question) -> Explained:
    """Return the explanation; it reads and changes nothing."""
    which = {"cell": question.cell, "tenant_id": question.tenant_id, "test": question.test}
    found = await recipients.as_of(conn, **which, id=question.recipient, at=question.at)
    of_all = await recipients.as_of(conn, **which, id=recipients.EVERYBODY, at=question.at)
    profile = found.profile if found else None
    defaults = of_all.profile.preferences if of_all else {}
    addresses = _addresses(question.recipient, profile)
    answers = [
        await _answer(conn, question, channel, address, profile, defaults)
        for channel, address in addresses
    ]
    latest = await explaining.latest(
        conn,
        [one.address_key for one in answers],
        cell=question.cell,
        tenant_id=question.tenant_id,
        brand=question.scope,
        category=question.category.name,
        before=floor_of(question.at + timedelta(milliseconds=1)),
    )
    return Explained(found.version if found else None, tuple(answers), tuple(latest))


async def _answer(
    conn: Conn,
    question: Question,
    channel: Channel,
    address: str,
    profile: Profile | None,
    defaults: Mapping[tuple[str, str], bool],
) -> Answer:
    """Ask every rule about one address."""
    key = await ledger.address_key(conn, address)
    who = ledger.Person(question.scope, channel, key)
    which = {"cell": question.cell, "at": question.at}
    noted = await explaining.events(conn, who, **which)
    dead = await explaining.dead(conn, who, **which)
    begun = await explaining.begun(conn, who, **which)
    stands = standing(one.said for one in noted)
    consent = Consent(
        stands.blocked,
        noted[-1].revision if noted else 0,
        dead[0] if dead else None,
        stands.programs,
        stands.held,
        stands.consented,
        tuple(begun),
    )
    due = _due(question, address, key)
    where = whereabouts(channel, address, due.terms, profile)
    preference = wanted(
        question.category.name,
        channel,
        mandatory=question.category.is_mandatory,
        own=profile.preferences if profile else {},
        of_tenant=defaults,
        default_on=question.category.is_wanted,
    )
    facts = Facts(question.at, channel, consent, where, preference)
    read = _read(noted, dead, begun, facts, due)
    steps = [Step(rule, said, read.get(rule, "")) for rule, said in explain(due, facts)]
    return Answer(channel, key, tuple(steps))


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


def _read(
    noted: Sequence[Noted],
    dead: tuple[datetime, str] | None,
    begun: Sequence[datetime],
    facts: Facts,
    due: Due,
) -> dict[str, str]:
    """Say what each rule read, by row."""
    last = noted[-1] if noted else None
    said = (
        f"{last.said.kind} by {last.said.source} at {last.said.at.isoformat()} ({last.reason}), "
        f"revision {last.revision}"
        if last
        else "no event"
    )
    verdict: Verdict | None = facts.preference
    where = facts.where
    zones = ", ".join(sorted(where.zones)) if where else ""
    return {
        "expiry": f"it would expire at {due.expires_at.isoformat()}",
        "opt_out": f"{len(noted)} events; the last: {said}",
        "consent": "written consent is on record"
        if facts.consent and facts.consent.consented
        else "no written consent is on record",
        "address": f"dead since {dead[0].isoformat()}: {dead[1]}" if dead else "not called dead",
        "preference": verdict.by if verdict else "",
        "hours": f"{due.terms.hours}; zones: {zones or 'none known'}"
        if due.terms.hours is not Hours.ANY
        else "any",
        "cap": f"{len(begun)} of {due.terms.cap} in 24 hours" if due.terms.cap else "none",
    }


def _addresses(recipient: str, profile: Profile | None) -> list[tuple[Channel, str]]:
    """Return where somebody is told: by their profile, or the one address that was given."""
    if profile is not None:
        channels = (Channel.SMS, Channel.EMAIL, Channel.PUSH)
        return [(one, at) for one in channels for at, _ in profile.addresses(one)]
    try:
        channel = channel_of(recipient)
        return [(channel, normal(channel, recipient))]
    except BadAddress:
        return []
