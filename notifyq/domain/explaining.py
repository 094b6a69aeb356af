"""What each rule says of a message to one address, and what it read. Pure.

The rules are those of policy.py, on the facts of assessing.py: what a worker acts on. The one
difference is the preference: a new message is judged by the tenant's default and the category's
too, which are heeded when it is accepted.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from notifyq.domain.assessing import facts_of
from notifyq.domain.consent import standing
from notifyq.domain.hours import Closed, look
from notifyq.domain.model import Category, Due, MessageClass
from notifyq.domain.policy import (
    HOURS_GUARD_S,
    Consent,
    End,
    Facts,
    Objection,
    Wait,
    explain,
)
from notifyq.domain.preferences import wanted
from notifyq.domain.profile import Profile, pack
from notifyq.domain.readings import Known, Wanting, read_by
from notifyq.domain.states import Reason, State
from notifyq.domain.terms import Terms


@dataclass(frozen=True, slots=True)
class Step:
    """What one rule says; which row it read, and what was there."""

    rule: str
    objection: Objection | None
    row: str
    read: str

    @property
    def verdict(self) -> str:
        """`pass`, `wait` or `suppress`."""
        if self.objection is None:
            return "pass"
        return "wait" if isinstance(self.objection, Wait) else "suppress"

    @property
    def reason(self) -> Reason | None:
        """Why it objects, in the word that the delivery would bear."""
        return self.objection.reason if isinstance(self.objection, Wait | End) else None

    @property
    def until(self) -> datetime | None:
        """Until when it would wait at least; None: it would not."""
        return self.objection.until if isinstance(self.objection, Wait) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What would become of a message to one address."""

    known: Known
    steps: tuple[Step, ...]

    @property
    def decisive(self) -> Step | None:
        """The first rule that objects; None: it would be sent."""
        return next((step for step in self.steps if step.objection is not None), None)


def judge(category: Category, scope: str, known: Known, who: Wanting, at: datetime) -> Answer:
    """Ask every rule about a message of a category to an address, due at a time.

    scope: whose consent (consent.scope_of).
    """
    due = _due(category, scope, known, who.profile, at)
    facts = replace(
        facts_of(due, _consent(known), at, known.channel),
        preference=wanted(
            category.name,
            known.channel,
            mandatory=category.is_mandatory,
            own=who.profile.preferences if who.profile else {},
            of_tenant=who.defaults,
            default_on=category.is_wanted,
        ),
    )
    read = dict(read_by(category, scope, known, who, facts))
    opens = _opens(due, facts)
    return Answer(
        known, tuple(_step(rule, says, opens, read) for rule, says in explain(due, facts))
    )


def _step(
    rule: str,
    objection: Objection | None,
    opens: datetime | None,
    read: dict[str, tuple[str, str]],
) -> Step:
    """Return a step; a wait for the hours ends when they open, before it is spread."""
    if rule == "hours" and isinstance(objection, Wait) and opens is not None:
        objection = replace(objection, until=opens)
    return Step(rule, objection, *read[rule])


def _consent(known: Known) -> Consent:
    stands = standing(word.said for word in known.words)
    return Consent(
        stands.blocked,
        known.words[-1].revision if known.words else 0,
        known.dead[0] if known.dead else None,
        stands.programs,
        stands.held,
        stands.consented,
        known.begun_at,
    )


def _due(
    category: Category, scope: str, known: Known, profile: Profile | None, at: datetime
) -> Due:
    """Return the delivery that a message of the category would be, without what it says."""
    return Due(
        delivery_id=UUID(int=0),
        attempts=0,
        tries=0,
        criticality=category.criticality,
        place="",
        tenant_id=0,
        brand=scope,
        program=category.program,
        address_key=known.address_key,
        address=known.address,
        body=None,
        state=State.PENDING,
        expires_at=at + timedelta(seconds=category.expires_in_s),
        not_before=None,
        cancel_requested=False,
        terms=_terms(category),
        profile=None if profile is None else pack(profile),
    )


def _terms(category: Category) -> Terms:
    return Terms(
        category=category.name,
        hours=category.hours,
        cap=category.cap,
        is_marketing=category.message_class is MessageClass.MARKETING,
        is_mandatory=category.is_mandatory,
        is_separate=category.is_separate,
    )


def _opens(due: Due, facts: Facts) -> datetime | None:
    if facts.where is None:
        return None
    found = look(facts.now, due.terms.hours, facts.where, guard_s=HOURS_GUARD_S)
    return found.until if isinstance(found, Closed) else None
