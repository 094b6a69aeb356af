"""How long things are kept, and the order that keeps a replay from becoming a second send."""

import math
from dataclasses import dataclass, fields

# Clocks of different machines, and the granularity of daily leaves.
SKEW_DAYS = 1


@dataclass(frozen=True, slots=True)
class Retention:
    """Days, but where named. Every term a replay can come from; the memory outlives their sum."""

    client_retry_days: int = 3
    kafka_days: int = 7
    longest_hold_days: int = 7
    retry_horizon_days: int = 3
    dead_letter_days: int = 14
    redrive_run_days: int = 1
    failover_days: int = 1
    dedupe_memory_days: int = 40
    dedupe_window_hours: int = 24  # of the second net, `dedupe_key`
    replay_window_days: int = 3
    content_days: int = 30
    consent_years: int = 6
    optout_years: int = 10

    def replay_horizon_days(self) -> int:
        """Return how long after its acceptance a request can come again, by any way."""
        terms: list[int] = [getattr(self, name) for name in REPLAY_TERMS]
        return SKEW_DAYS + sum(terms)


REPLAY_TERMS = (
    "client_retry_days",
    "kafka_days",
    "longest_hold_days",
    "retry_horizon_days",
    "dead_letter_days",
    "redrive_run_days",
    "failover_days",
)


def faults(retention: Retention) -> list[str]:
    """Return what is wrong with the order, one sentence a fault; empty when it holds.

    dedupe_memory > client_retry + kafka + longest_hold + retry_horizon + dead_letter +
    redrive_run + failover + skew. Content must last as long as something may still be sent.
    """
    found = [
        f"{field.name}: must be 1 or more, is {getattr(retention, field.name)}"
        for field in fields(retention)
        if getattr(retention, field.name) < 1
    ]
    return found + _dedupe_faults(retention) + _kept_faults(retention)


def key_days(retention: Retention) -> int:
    """Return how long an idempotency key is kept after the time in its notification's id.

    A key that stands for an older notification, by its dedupe mark, was made up to a window
    later than that.
    """
    return retention.dedupe_memory_days + math.ceil(retention.dedupe_window_hours / 24)


def _dedupe_faults(retention: Retention) -> list[str]:
    horizon = retention.replay_horizon_days()
    if retention.dedupe_memory_days > horizon:
        return []
    terms = " + ".join(f"{name} {getattr(retention, name)}" for name in REPLAY_TERMS)
    return [
        f"dedupe_memory_days: must be more than {horizon} ({terms} + skew {SKEW_DAYS}), "
        f"is {retention.dedupe_memory_days}: raise it or shorten a term"
    ]


def _kept_faults(retention: Retention) -> list[str]:
    in_work = retention.longest_hold_days + retention.retry_horizon_days
    needed = in_work + retention.dead_letter_days + retention.redrive_run_days
    found = []
    if retention.content_days < needed:
        found.append(
            f"content_days: must be {needed} or more (longest_hold_days + retry_horizon_days + "
            f"dead_letter_days + redrive_run_days), is {retention.content_days}"
        )
    if retention.replay_window_days > retention.dedupe_memory_days:
        found.append("replay_window_days: must not be more than dedupe_memory_days")
    if retention.dedupe_window_hours > retention.dedupe_memory_days * 24:
        found.append("dedupe_window_hours: must not be more than dedupe_memory_days")
    return found
