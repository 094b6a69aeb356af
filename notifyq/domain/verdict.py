"""From a provider's answer to what becomes of the attempt and of its delivery. Pure."""

from dataclasses import dataclass
from math import inf
from typing import assert_never

from notifyq.domain import retry
from notifyq.domain.outcome import (
    Accepted,
    Capped,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.states import AttemptOutcome, Event, Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is written when an attempt ends."""

    outcome: AttemptOutcome
    event: Event
    reason: Reason | None
    code: str | None = None
    provider_id: str | None = None
    retry_in_s: float | None = None  # set with Event.RETRY only
    tries: int = 0  # tries that count, for the retry's job


def judge(
    outcome: Outcome,
    tries: int,
    *,
    attempts: int,
    remaining_s: float,
    jitter: float,
    lifts_in_s: float = inf,
) -> Verdict:
    """Say what an answer means for the delivery.

    attempts: begun so far, this one included; tries: those of them that count. remaining_s:
    time to the delivery's expiry; a retry that would come later is not made, the delivery
    expires. jitter: [0, 1). lifts_in_s: until what is capped may go; inf: not while it counts.
    """
    match outcome:
        case Accepted(provider_id):
            return Verdict(AttemptOutcome.ACCEPTED, Event.ACCEPT, None, None, provider_id)
        case InDoubt(code):
            return Verdict(AttemptOutcome.IN_DOUBT, Event.LOSE_ANSWER, Reason.ANSWER_LOST, code)
        case Refused(refusal, code):
            return Verdict(AttemptOutcome.REFUSED, *_REFUSALS[refusal], code)
        case _:
            waiting = _wait(outcome, tries, attempts, jitter, lifts_in_s)
            return _again(outcome, tries, remaining_s, waiting)


_REFUSALS = {
    Refusal.ADDRESS: (Event.GIVE_UP, Reason.REFUSED_ADDRESS),
    Refusal.CONTENT: (Event.GIVE_UP, Reason.REFUSED_CONTENT),
    Refusal.OPTED_OUT: (Event.SUPPRESS, Reason.OPTED_OUT_AT_PROVIDER),
}


def _again(
    outcome: Throttled | Capped | Unavailable | NotSent | Misconfigured,
    tries: int,
    remaining_s: float,
    waiting: tuple[AttemptOutcome, Reason, float],
) -> Verdict:
    word, reason, wait_s = waiting
    # Being throttled, capped, or kept waiting by our own settings, says nothing about the message:
    # only tries that the provider answered as unavailable, or that never left, are counted.
    counts = isinstance(outcome, Unavailable | NotSent)
    if counts and tries >= retry.TRIES_MAX:
        return Verdict(word, Event.GIVE_UP, Reason.RETRIES_EXHAUSTED, outcome.code)
    if wait_s >= remaining_s:
        return Verdict(word, Event.EXPIRE, Reason.EXPIRED, outcome.code)
    kept = tries if counts else tries - 1
    return Verdict(word, Event.RETRY, reason, outcome.code, None, wait_s, kept)


def _wait(
    outcome: Throttled | Capped | Unavailable | NotSent | Misconfigured,
    tries: int,
    attempts: int,
    jitter: float,
    lifts_in_s: float,
) -> tuple[AttemptOutcome, Reason, float]:
    match outcome:
        case Throttled(_, asked_s):
            wait_s = retry.obeying(asked_s, retry.throttled_s(attempts), jitter=jitter)
            return AttemptOutcome.THROTTLED, Reason.RETRY_THROTTLED, wait_s
        case Capped():
            return AttemptOutcome.THROTTLED, Reason.VENDOR_CAP, lifts_in_s
        case Unavailable(_, asked_s):
            floor_s = retry.backoff_s(max(tries, 1), jitter=jitter)
            wait_s = retry.obeying(asked_s, floor_s, jitter=jitter)
            return AttemptOutcome.UNAVAILABLE, Reason.RETRY_UNAVAILABLE, wait_s
        case NotSent():
            wait_s = retry.backoff_s(max(tries, 1), jitter=jitter)
            return AttemptOutcome.NOT_SENT, Reason.RETRY_NOT_SENT, wait_s
        case Misconfigured():
            wait_s = retry.obeying(None, retry.MISCONFIGURED_S, jitter=jitter)
            return AttemptOutcome.MISCONFIGURED, Reason.RETRY_MISCONFIGURED, wait_s
        case _:
            assert_never(outcome)
