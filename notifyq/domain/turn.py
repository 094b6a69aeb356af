"""What one claim of due jobs came to."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from notifyq.domain.model import Ready


@dataclass(frozen=True, slots=True)
class Turn:
    """What one claim came to."""

    claimed: int
    ready: list[Ready]
    ended: int
    deferred: int
    blocked: tuple[UUID, ...]  # deliveries that could not begin beside a live attempt
    void: tuple[UUID, ...]  # jobs whose delivery was not pending, or not there: dropped
    last_due: dict[int, datetime]  # per criticality, the latest due that was claimed

    def plus(self, other: "Turn") -> "Turn":
        """Return this one with another part of the same claim."""
        return replace(
            self,
            ready=self.ready + other.ready,
            ended=self.ended + other.ended,
            deferred=self.deferred + other.deferred,
            blocked=self.blocked + other.blocked,
            void=self.void + other.void,
        )
