"""What becomes of a `never_twice` delivery by its first attempt's outcome: the domain's own rules.

As `services/settle` does it: judge, weigh beside the other attempts (there are none), step.
"""

from dataclasses import dataclass
from enum import Enum

from notifyq.domain.evidence import NO_OTHERS, beside
from notifyq.domain.outcome import Outcome
from notifyq.domain.states import FAILED, Event, State, step
from notifyq.domain.verdict import judge

REMAINING_S = 86_400.0  # to its expiry: no wait is cut short by it
JITTER = 0.5


class Next(Enum):
    """What kind of step follows."""

    REST = "nothing: it is with the provider"
    AGAIN = "another attempt, later"
    EVIDENCE = "nothing but evidence; without it the delivery ends as unknown"
    NEXT_CHANNEL = "no other attempt; with `strategy: first` the next channel has its turn"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided."""

    state: State
    next: Next
    wait_s: float | None = None  # before another attempt


def decide(outcome: Outcome) -> Decision:
    """Return what follows from the outcome of a delivery's first attempt.

    ValueError: a state that nothing in the matrix may lead to.
    """
    verdict = judge(outcome, 1, attempts=1, remaining_s=REMAINING_S, jitter=JITTER)
    event = beside(verdict.event, NO_OTHERS)
    state = State.PENDING if event is None else step(State.PENDING, event)
    return Decision(state, _next(state), verdict.retry_in_s)


def _next(state: State) -> Next:
    if state is State.PENDING:
        return Next.AGAIN
    if state is State.IN_DOUBT and step(state, Event.WINDOW_OVER) is State.UNKNOWN:
        return Next.EVIDENCE
    if state in FAILED:
        return Next.NEXT_CHANNEL
    if state is State.SENT:
        return Next.REST
    raise ValueError(f"a first attempt does not lead to {state}")
