"""What a piece of evidence about one attempt changes. Pure.

Evidence comes late, twice and out of order: a callback, a look-up, the answer of a worker that was
taken for dead. It always says that the provider took the message; it may say what became of it.

A delivery may have other attempts. What happens to one of them is weighed beside what the others
may have done: nobody is told "never sent" of a message that may have arrived.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED
from notifyq.domain.states import (
    DELIVERY,
    LIVE,
    AttemptOutcome,
    Event,
    State,
    may_become,
)


@dataclass(frozen=True, slots=True)
class Bearing:
    """What evidence changes."""

    outcome: AttemptOutcome | None  # the attempt's new one; None: it stays
    event: Event | None  # what happens to the delivery; None: nothing
    late: bool = False  # the attempt was closed as not carried out, and was carried out
    takes_job: bool = False  # the event happens only if the waiting job can be taken back


@dataclass(frozen=True, slots=True)
class Other:
    """Another attempt of the same delivery."""

    outcome: AttemptOutcome
    late: bool  # it was closed, and evidence says that it was carried out
    rank: int  # the highest of its receipts; 0: none


@dataclass(frozen=True, slots=True)
class Others:
    """What the other attempts of a delivery may have done."""

    proven: Event | None = None  # ACCEPT or DELIVER: one of them was carried out, though closed
    accepted: bool = False  # one was accepted, and may arrive
    doubtful: bool = False  # one is on its way or in doubt
    unproven: bool = False  # one was abandoned, and nobody knows what became of it


NO_OTHERS = Others()
# What says of an attempt, or of its delivery, that nothing reached anybody by it.
_ENDS = frozenset({Event.GIVE_UP, Event.SUPPRESS, Event.EXPIRE, Event.CANCEL, Event.BOUNCE})
_GOES_ON = frozenset({Event.RETRY, Event.PARK, Event.LOSE_ANSWER})
_IN_VAIN = (Event.BOUNCE, Event.PARK)
_DOUBTFUL = (AttemptOutcome.OPEN, AttemptOutcome.IN_DOUBT)


def sum_up(others: Iterable[Other]) -> Others:
    """Say what these attempts may have done, all together."""
    found = list(others)
    taken = {event_of(other.rank) for other in found if other.late} - {Event.BOUNCE}
    return Others(
        proven=max(taken, key=[Event.ACCEPT, Event.DELIVER].index, default=None),
        accepted=any(other.outcome is AttemptOutcome.ACCEPTED for other in found),
        doubtful=any(other.outcome in _DOUBTFUL for other in found),
        unproven=any(o.outcome is AttemptOutcome.ABANDONED and not o.late for o in found),
    )


def beside(event: Event, others: Others) -> Event | None:
    """Say what an attempt's event comes to for its delivery; None: the delivery stays.

    An end without success is one only if no other attempt can have succeeded; and what another
    one is known to have carried out is neither tried again nor waited for.
    """
    if event not in _ENDS | _GOES_ON:
        return event
    if others.proven is not None:
        return others.proven
    if others.accepted or others.doubtful:
        return None
    return Event.END_IN_DOUBT if others.unproven and event in _ENDS else event


def event_of(rank: int) -> Event:
    """Say what a message that has come as far as `rank` at its provider means for its delivery."""
    if rank >= RANK_DELIVERED:
        return Event.DELIVER
    return Event.BOUNCE if rank == RANK_UNDELIVERED else Event.ACCEPT


def told(rank: int, may_go_at: datetime | None) -> Event:
    """Say what a provider tells of a message. may_go_at: when one that was capped is due again."""
    event = event_of(rank)
    return Event.PARK if event is Event.BOUNCE and may_go_at is not None else event


def weigh(
    outcome: AttemptOutcome, state: State, event: Event, others: Others = NO_OTHERS
) -> Bearing:
    """Say what evidence changes, for an attempt and its delivery as they stand.

    event: ACCEPT (the provider has it), DELIVER, BOUNCE or PARK. An attempt that was closed as not
    carried out, or abandoned, stays closed, for another may have begun since. But its message is
    with the provider: a retry that still waits is taken back, and a doubt about a later attempt is
    over as far as the delivery goes. A bounce ends the delivery, or parks it, only beside `others`
    that cannot have arrived.
    """
    if outcome is AttemptOutcome.BOUNCED and event is Event.ACCEPT:
        return Bearing(None, None)  # it was taken before it bounced: the answer was overtaken
    moving = _moving(state, event, others)
    moves = moving is not None and (state, moving) in DELIVERY
    corrects = outcome is AttemptOutcome.BOUNCED and state is State.UNDELIVERED
    if outcome in LIVE or corrects:
        return Bearing(_proven(outcome, event), moving if moves else None)
    if state is State.PENDING and moving is Event.PARK:
        return Bearing(None, None, late=True)  # the job that there is may be sent
    if state is State.PENDING:
        return Bearing(None, moving, late=True, takes_job=moves)
    moves = moves and state in (State.SENT, State.IN_DOUBT, State.UNKNOWN)
    return Bearing(None, moving if moves else None, late=True)


def _proven(outcome: AttemptOutcome, event: Event) -> AttemptOutcome | None:
    """Return what evidence makes of an attempt; None: it stays."""
    proven = AttemptOutcome.BOUNCED if event in _IN_VAIN else AttemptOutcome.ACCEPTED
    return proven if may_become(outcome, proven) else None


def _moving(state: State, event: Event, others: Others) -> Event | None:
    """Say what evidence comes to for its delivery; None: it stays."""
    if event is Event.PARK and (state, event) not in DELIVERY:
        event = Event.BOUNCE
    found = beside(event, others)
    if found is None and state is State.SENT and others.doubtful and not others.accepted:
        # What ended the doubt about the other one has come to nothing, and nobody looks any more.
        return Event.END_IN_DOUBT
    return found
