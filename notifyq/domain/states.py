"""The life of a delivery and of an attempt, as data. Nothing else decides a next state.

A delivery's state is where it stands; `sending` is not stored, it is derived from an open
attempt. An attempt's outcome is what we know of one try; while it is live (open, in doubt or
accepted) no other attempt of the delivery may begin, which the index `one_live_attempt` keeps.
"""

from enum import StrEnum

from notifyq.errors import IllegalTransition


class State(StrEnum):
    """Where a delivery stands."""

    STANDBY = "standby"
    PENDING = "pending"
    IN_DOUBT = "in_doubt"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELED = "canceled"
    DEAD = "dead"


class Event(StrEnum):
    """What happens to a delivery."""

    ACCEPT = "accept"  # the provider took it, or evidence says that it did
    LOSE_ANSWER = "lose_answer"  # it may have been carried out
    RETRY = "retry"  # definitely not carried out, and worth another try
    GIVE_UP = "give_up"  # definitely not carried out, and not worth one
    SUPPRESS = "suppress"
    EXPIRE = "expire"
    WINDOW_OVER = "window_over"  # no evidence came within the settle window
    DELIVER = "deliver"  # a receipt says that it arrived
    BOUNCE = "bounce"  # a receipt says that it did not


S, E = State, Event

DELIVERY: dict[tuple[State, Event], State] = {
    (S.PENDING, E.ACCEPT): S.SENT,
    (S.PENDING, E.LOSE_ANSWER): S.IN_DOUBT,
    (S.PENDING, E.RETRY): S.PENDING,
    (S.PENDING, E.GIVE_UP): S.DEAD,
    (S.PENDING, E.SUPPRESS): S.SUPPRESSED,
    (S.PENDING, E.EXPIRE): S.EXPIRED,
    # a receipt may overtake the answer to the request it is about
    (S.PENDING, E.DELIVER): S.DELIVERED,
    (S.PENDING, E.BOUNCE): S.UNDELIVERED,
    (S.IN_DOUBT, E.ACCEPT): S.SENT,
    (S.IN_DOUBT, E.DELIVER): S.DELIVERED,
    (S.IN_DOUBT, E.BOUNCE): S.UNDELIVERED,
    (S.IN_DOUBT, E.WINDOW_OVER): S.UNKNOWN,
    (S.SENT, E.DELIVER): S.DELIVERED,
    (S.SENT, E.BOUNCE): S.UNDELIVERED,
    # receipts come out of order; the one of higher rank stands
    (S.DELIVERED, E.BOUNCE): S.UNDELIVERED,
    (S.UNDELIVERED, E.DELIVER): S.DELIVERED,
    # late evidence
    (S.UNKNOWN, E.ACCEPT): S.SENT,
    (S.UNKNOWN, E.DELIVER): S.DELIVERED,
    (S.UNKNOWN, E.BOUNCE): S.UNDELIVERED,
}

# At rest by themselves. `sent` comes to rest when the provider's receipts stop coming.
AT_REST = frozenset(S) - {S.PENDING, S.IN_DOUBT}


class AttemptOutcome(StrEnum):
    """What we know of one try."""

    OPEN = "open"
    IN_DOUBT = "in_doubt"
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    REFUSED = "refused"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    NOT_SENT = "not_sent"
    MISCONFIGURED = "misconfigured"
    ABANDONED = "abandoned"


LIVE = frozenset({AttemptOutcome.OPEN, AttemptOutcome.IN_DOUBT, AttemptOutcome.ACCEPTED})


class Reason(StrEnum):
    """Why a delivery waits or rests. Producers branch on these words."""

    NOT_BEFORE = "not_before"
    RETRY_THROTTLED = "retry_throttled"
    RETRY_UNAVAILABLE = "retry_unavailable"
    RETRY_NOT_SENT = "retry_not_sent"
    RETRY_MISCONFIGURED = "retry_misconfigured"
    ANSWER_LOST = "answer_lost"
    LEASE_EXPIRED = "lease_expired"
    OUTCOME_UNKNOWN = "outcome_unknown"
    OPTED_OUT = "opted_out"
    OPTED_OUT_AT_PROVIDER = "opted_out_at_provider"
    EXPIRED = "expired"
    REFUSED_ADDRESS = "refused_address"
    REFUSED_CONTENT = "refused_content"
    RETRIES_EXHAUSTED = "retries_exhausted"
    UNDELIVERED = "undelivered"


def step(state: State, event: Event) -> State:
    """Return the state after `event`; IllegalTransition if the two do not go together."""
    try:
        return DELIVERY[state, event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen to a delivery that is {state}") from None


def sources(event: Event) -> tuple[State, ...]:
    """Return the states in which `event` may happen: the `WHERE state = ANY` of its update."""
    return tuple(state for state, found in DELIVERY if found is event)
