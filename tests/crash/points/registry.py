"""The registry: what is run.

`prepare` is healthy and not numbered; `act` is production code with its steps numbered. An act
says through the wire what the outside world was told: replies, acknowledgements. A scenario's
`first` faults strike before numbering begins, so that what comes after a fault is enumerated too.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from notifyq.domain.asking import Ask
from tests.crash.points.wire import Wire
from tests.crash.points.world import World

Run = Callable[[World, Wire], Awaitable[None]]
# Where a delivery may come to rest that nothing speaks against.
SENT = frozenset({"sent", "delivered", "unknown"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way through production code."""

    name: str
    act: Run
    prepare: Run
    # Requests that a client makes in `act`, by number: it repeats each one until it is answered.
    asks: tuple[int, ...] = ()
    # How the n-th request is made.
    ask: Callable[[World, int], Ask] = World.ask
    # (step, fault) that strike first, in this order.
    first: tuple[tuple[str, str], ...] = ()
    # None: as each case has it drawn. prompt, late or never: when callbacks are handed over.
    evidence: str | None = None
    # So many deliveries or none, and none only if nobody was promised them: a list is whole.
    deliveries: int | None = None
    # Addresses by number that are called dead in the end, if nothing goes wrong.
    dead: tuple[int, ...] = ()
    # Deliveries by number that lift the mark of their address when they begin.
    alive: tuple[int, ...] = ()
    # Where deliveries may come to rest, by number; any other is sent, or unknown.
    ends: Mapping[int, frozenset[str]] = field(default_factory=dict)


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, prepare: Run, **more: Any) -> Callable[[Run], Run]:
    """Register an act under a name."""

    def register(act: Run) -> Run:
        SCENARIOS[name] = Scenario(name, act, prepare, **more)
        return act

    return register
