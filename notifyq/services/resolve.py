"""Resolve: a person's evidence ends one doubt. Conditional, so evidence that came first wins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from notifyq.domain.doubts import BY_HAND, Claim, Doubt, Objection, Resolution
from notifyq.domain.doubts import resolve as judge
from notifyq.domain.interventions import Kind
from notifyq.domain.states import LIVE, AttemptOutcome, Event, Reason, State, step
from notifyq.store import doubts, held
from notifyq.store.db import Committed, Conn, Unknown, transact

_KINDS = {Claim.CARRIED_OUT: Kind.CARRIED_OUT, Claim.NOT_CARRIED_OUT: Kind.NOT_CARRIED_OUT}


@dataclass(frozen=True, slots=True)
class Witness:
    """What somebody says of a doubt, and what proves it."""

    claim: Claim
    actor: str
    reason: str
    evidence: str
    provider_id: str | None = None  # the provider's name for the message, where it is known


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness's word came to."""

    before: State | None  # None: there is no such delivery
    after: State | None
    objection: Objection | None


async def resolve(
    conn: Conn,
    delivery_id: UUID,
    witness: Witness,
    *,
    cell: int,
    new_id: Callable[[], UUID],
) -> Answer | Unknown:
    """End the doubt about one delivery, unless something speaks against it."""

    async def work(conn: Conn) -> Answer:
        its = await held.hold(conn, delivery_id, cell=cell)
        if its is None:
            return Answer(None, None, Objection.NO_DOUBT)
        if its.overtaken:  # the attempt that began meanwhile is not looked at: it may be going out
            return Answer(its.state, its.state, Objection.SENDING)
        found = judge(_doubt(its), witness.claim, now=its.now) if its.attempts else None
        if not isinstance(found, Resolution):
            return Answer(its.state, its.state, found or Objection.NO_DOUBT)
        order = _order(delivery_id, its, found, witness, new_id)
        if not await doubts.resolve(conn, order, cell=cell):
            return Answer(its.state, its.state, Objection.NO_DOUBT)
        return Answer(its.state, State(order.state), None)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


def _about(attempts: Sequence[held.Attempted]) -> held.Attempted:
    """Return the attempt that a claim is about: the last, or one that was abandoned before it.

    The doubt that brought a delivery to rest as unknown may be an abandoned attempt's, when those
    after it were refused.
    """
    last = attempts[-1]
    abandoned = [t for t in attempts if t.outcome is AttemptOutcome.ABANDONED and not t.late]
    return abandoned[-1] if abandoned and last.outcome not in LIVE else last


def _doubt(its: held.Held) -> Doubt:
    about = _about(its.attempts)
    return Doubt(
        its.state,
        about.outcome,
        about.lease_over,
        its.cancel_requested,
        its.expires_at,
        its.has_content,
    )


def _order(
    delivery_id: UUID,
    its: held.Held,
    found: Resolution,
    witness: Witness,
    new_id: Callable[[], UUID],
) -> doubts.Resolved:
    intervention_id = new_id()
    carried_out = witness.claim is Claim.CARRIED_OUT
    # An acceptance has a name; one without the provider's leads to the evidence.
    name = (witness.provider_id or f"{BY_HAND}{intervention_id}") if carried_out else None
    refuted = found.event is Event.REFUTE
    state = step(its.state, found.event)
    return doubts.Resolved(
        delivery_id,
        number=_about(its.attempts).number,
        attempts=its.attempts[-1].number,
        lane=its.attempts[-1].lane,
        event=found.event,
        outcome=found.outcome,
        late=found.late,
        code=None if carried_out else "by_hand",
        provider_id=name,
        state=state,
        why=Reason.NOT_CARRIED_OUT if refuted else None,
        told=f"delivery.{Reason.NOT_CARRIED_OUT if refuted else state}",
        kind=_KINDS[witness.claim],
        actor=witness.actor,
        reason=witness.reason,
        evidence=witness.evidence,
        intervention_id=intervention_id,
        event_id=new_id(),
    )
