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

    ADVANCE = "advance"  # `strategy: first`: the one before ended for good, its turn has come
    ACCEPT = "accept"  # the provider took it, or evidence says that it did
    LOSE_ANSWER = "lose_answer"  # it may have been carried out
    RETRY = "retry"  # definitely not carried out, and worth another try
    PARK = "park"  # taken, and not delivered: the vendor's daily cap was used up
    RESEND = "resend"  # `at_least_once`: the attempt in doubt was abandoned, another one begins
    GIVE_UP = "give_up"  # definitely not carried out, and not worth one
    SUPPRESS = "suppress"
    EXPIRE = "expire"
    CANCEL = "cancel"  # the producer called it back
    WINDOW_OVER = "window_over"  # no evidence came within the settle window
    END_IN_DOUBT = "end_in_doubt"  # it ends unsent, but an abandoned attempt may have reached them
    DELIVER = "deliver"  # a receipt says that it arrived
    BOUNCE = "bounce"  # a receipt says that it did not
    REDRIVE = "redrive"  # somebody made a dead letter due again
    REFUTE = "refute"  # somebody says, with evidence, that a doubtful one was not carried out


S, E = State, Event

DELIVERY: dict[tuple[State, Event], State] = {
    (S.STANDBY, E.ADVANCE): S.PENDING,
    (S.STANDBY, E.CANCEL): S.CANCELED,
    (S.PENDING, E.ACCEPT): S.SENT,
    (S.PENDING, E.LOSE_ANSWER): S.IN_DOUBT,
    (S.PENDING, E.RETRY): S.PENDING,
    (S.PENDING, E.PARK): S.PENDING,
    (S.PENDING, E.GIVE_UP): S.DEAD,
    (S.PENDING, E.SUPPRESS): S.SUPPRESSED,
    (S.PENDING, E.EXPIRE): S.EXPIRED,
    (S.PENDING, E.CANCEL): S.CANCELED,
    (S.PENDING, E.END_IN_DOUBT): S.UNKNOWN,
    # a receipt may overtake the answer to the request it is about
    (S.PENDING, E.DELIVER): S.DELIVERED,
    (S.PENDING, E.BOUNCE): S.UNDELIVERED,
    (S.IN_DOUBT, E.ACCEPT): S.SENT,
    (S.IN_DOUBT, E.DELIVER): S.DELIVERED,
    (S.IN_DOUBT, E.BOUNCE): S.UNDELIVERED,
    # the worker's own answer, come after its lease: definite, so the doubt is over
    (S.IN_DOUBT, E.RETRY): S.PENDING,
    (S.IN_DOUBT, E.PARK): S.PENDING,
    (S.IN_DOUBT, E.GIVE_UP): S.DEAD,
    (S.IN_DOUBT, E.SUPPRESS): S.SUPPRESSED,
    (S.IN_DOUBT, E.EXPIRE): S.EXPIRED,
    (S.IN_DOUBT, E.CANCEL): S.CANCELED,
    (S.IN_DOUBT, E.END_IN_DOUBT): S.UNKNOWN,
    (S.IN_DOUBT, E.RESEND): S.PENDING,
    (S.IN_DOUBT, E.REFUTE): S.PENDING,
    (S.IN_DOUBT, E.WINDOW_OVER): S.UNKNOWN,
    # what rests as unknown is not parked: whoever asked for it may have acted on that
    (S.SENT, E.PARK): S.PENDING,
    (S.SENT, E.DELIVER): S.DELIVERED,
    (S.SENT, E.BOUNCE): S.UNDELIVERED,
    (S.SENT, E.END_IN_DOUBT): S.UNKNOWN,
    # receipts come out of order; the one of higher rank stands
    (S.DELIVERED, E.BOUNCE): S.UNDELIVERED,
    (S.UNDELIVERED, E.DELIVER): S.DELIVERED,
    # late evidence
    (S.UNKNOWN, E.ACCEPT): S.SENT,
    (S.UNKNOWN, E.DELIVER): S.DELIVERED,
    (S.UNKNOWN, E.BOUNCE): S.UNDELIVERED,
    # by a person, with a reason
    (S.UNKNOWN, E.REFUTE): S.PENDING,
    (S.UNDELIVERED, E.REDRIVE): S.PENDING,
    (S.DEAD, E.REDRIVE): S.PENDING,
}

# At rest by themselves. `sent` comes to rest when the provider's receipts stop coming.
AT_REST = frozenset(S) - {S.PENDING, S.IN_DOUBT}

# Not carried out, for good: with `strategy: first` the next channel's turn has come.
FAILED = frozenset({S.DEAD, S.SUPPRESSED, S.UNDELIVERED})


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


O = AttemptOutcome  # noqa: E741  # read in the table below only

LIVE = frozenset({O.OPEN, O.IN_DOUBT, O.ACCEPTED})

# What an attempt may still turn out to be. An outcome without an entry is closed: evidence that
# comes later is noted beside it (`late_at`), for another attempt may have begun since.
ATTEMPT: dict[AttemptOutcome, frozenset[AttemptOutcome]] = {
    O.OPEN: frozenset(O) - {O.OPEN, O.ABANDONED},
    O.IN_DOUBT: frozenset(O) - {O.OPEN, O.IN_DOUBT},
    O.ACCEPTED: frozenset({O.BOUNCED}),
    O.BOUNCED: frozenset({O.ACCEPTED}),  # a handset's receipt stands above the carrier's
    O.ABANDONED: frozenset({O.NOT_SENT}),  # somebody says so, with evidence
}


class Reason(StrEnum):
    """Why a delivery waits or rests. Producers branch on these words."""

    NOT_BEFORE = "not_before"
    RETRY_THROTTLED = "retry_throttled"
    RETRY_UNAVAILABLE = "retry_unavailable"
    RETRY_NOT_SENT = "retry_not_sent"
    RETRY_MISCONFIGURED = "retry_misconfigured"
    VENDOR_CAP = "vendor_cap"
    RESENT = "resent"
    REDRIVEN = "redriven"
    NOT_CARRIED_OUT = "not_carried_out"
    EARLIER_CHANNEL = "earlier_channel"
    TURN_CAME = "turn_came"
    ANSWER_LOST = "answer_lost"
    LEASE_EXPIRED = "lease_expired"
    OUTCOME_UNKNOWN = "outcome_unknown"
    OPTED_OUT = "opted_out"
    OPTED_OUT_AT_PROVIDER = "opted_out_at_provider"
    ADDRESS_DEAD = "address_dead"
    EXPIRED = "expired"
    CANCELED = "canceled"
    REFUSED_ADDRESS = "refused_address"
    REFUSED_CONTENT = "refused_content"
    RETRIES_EXHAUSTED = "retries_exhausted"
    UNDELIVERED = "undelivered"
    NO_CONSENT = "no_consent"
    HELD_FOR_REVIEW = "held_for_review"
    PREFERENCE_OFF = "preference_off"
    QUIET_HOURS = "quiet_hours"
    COURTESY_HOURS = "courtesy_hours"
    LEGAL_HOURS = "legal_hours"
    NO_ZONE = "no_zone"
    NO_COMMON_HOURS = "no_common_hours"
    CAPPED = "capped"


def step(state: State, event: Event) -> State:
    """Return the state after `event`; IllegalTransition if the two do not go together."""
    try:
        return DELIVERY[state, event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen to a delivery that is {state}") from None


def sources(event: Event) -> tuple[State, ...]:
    """Return the states in which `event` may happen: the `WHERE state = ANY` of its update."""
    return tuple(state for state, found in DELIVERY if found is event)


def may_become(outcome: AttemptOutcome, learnt: AttemptOutcome) -> bool:
    """Whether an attempt with this outcome may still get another one."""
    return learnt in ATTEMPT.get(outcome, frozenset())
