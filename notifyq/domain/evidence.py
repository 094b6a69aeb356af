"""What a piece of evidence about one attempt changes. Pure.

Evidence comes late, twice and out of order: a callback, a look-up, the answer of a worker that was
taken for dead. It always says that the provider took the message; it may say what became of it.
"""

from dataclasses import dataclass

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


def event_of(rank: int) -> Event:
    """Say what a message that has come as far as `rank` at its provider means for its delivery."""
    if rank >= RANK_DELIVERED:
        return Event.DELIVER
    return Event.BOUNCE if rank == RANK_UNDELIVERED else Event.ACCEPT


def weigh(outcome: AttemptOutcome, state: State, event: Event) -> Bearing:
    """Say what evidence changes, for an attempt and its delivery as they stand.

    event: ACCEPT (the provider has it), DELIVER or BOUNCE. An attempt that was closed as not
    carried out, or abandoned, stays closed, for another may have begun since. But its message is
    with the provider: a retry that still waits is taken back, and a doubt about a later attempt is
    over as far as the delivery goes.
    """
    corrects = outcome is AttemptOutcome.BOUNCED and state is State.UNDELIVERED
    if outcome in LIVE or corrects:
        proven = AttemptOutcome.BOUNCED if event is Event.BOUNCE else AttemptOutcome.ACCEPTED
        return Bearing(
            proven if may_become(outcome, proven) else None,
            event if (state, event) in DELIVERY else None,
        )
    if state is State.PENDING:
        return Bearing(None, event, late=True, takes_job=True)
    moves = state in (State.SENT, State.IN_DOUBT, State.UNKNOWN) and (state, event) in DELIVERY
    return Bearing(None, event if moves else None, late=True)
