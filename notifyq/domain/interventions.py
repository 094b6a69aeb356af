"""What people and producers do to deliveries by hand, and when it is refused. Pure.

A redrive makes a dead letter due again. It must not become a second send: whatever was carried
out, or may have been, is refused here. Doubts are resolved in domain/doubts.py.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifyq.domain.states import LIVE, AttemptOutcome, Event, State, sources

OUTCOME_UNKNOWN = "outcome_unknown"
# The causes that a redrive is for: a doubt is resolved with evidence instead, one by one.
REDRIVEN_CAUSES = ("refused_address", "refused_content", "retries_exhausted", "undelivered")
REASON_LENGTH_MAX = 500
EVIDENCE_LENGTH_MAX = 2_000


class Kind(StrEnum):
    """What was done."""

    REDRIVE = "redrive"
    REDRIVE_PAST_DEDUPE = "redrive_past_dedupe"
    DISCARD = "discard"
    CARRIED_OUT = "carried_out"
    NOT_CARRIED_OUT = "not_carried_out"
    CANCEL = "cancel"


def text_fault(text: str, *, length_max: int) -> str | None:
    """Return what is wrong with a reason or a piece of evidence; None if nothing.

    It is shown on other people's terminals, so nothing in it may steer them.
    """
    if not text.strip():
        return "must say something"
    if len(text) > length_max:
        return f"must have at most {length_max} characters, has {len(text)}"
    if not text.isprintable():
        return "must be one line of printable characters"
    return None


# ------------------------------------------------------------------------------- redrive


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a delivery."""

    number: int
    outcome: AttemptOutcome
    lane: int
    late: bool  # it was closed as not carried out, and evidence came that it was


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    cause: str
    detail: str | None
    at: datetime
    dedupe_until: datetime


@dataclass(frozen=True, slots=True)
class Dead:
    """What a redrive is decided by, all of it locked."""

    letter: Letter | None
    state: State
    expires_at: datetime
    cancel_requested: bool
    has_content: bool
    blocked: bool  # its recipient has opted out
    attempts: tuple[Tried, ...]  # in order


class Refusal(StrEnum):
    """Why a delivery is not redriven."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    NOTHING = "nothing_to_redrive"
    NEVER_TRIED = "never_tried"
    LIVE_ATTEMPT = "live_attempt"
    CARRIED_OUT_LATE = "carried_out_late"
    CANCELED = "canceled"
    EXPIRED = "expired"
    CONTENT_GONE = "content_gone"
    OPTED_OUT = "opted_out"
    EXPIRES_FIRST = "expires_first"
    PAST_DEDUPE = "past_dedupe"
    BUSY = "busy"


# What is the matter, and what to do about it.
WHY: dict[Refusal, str] = {
    Refusal.OUTCOME_UNKNOWN: "it may have been carried out: an operator resolves it with evidence, "
    "`notifyq doubt resolve`",
    Refusal.NOTHING: "no dead letter of it is there, so there is nothing to redrive; read its "
    "timeline",
    Refusal.NEVER_TRIED: "it has no attempt, so no lane is known; send a new notification",
    Refusal.LIVE_ATTEMPT: "an attempt of it is on its way, in doubt or accepted; wait for its end",
    Refusal.CARRIED_OUT_LATE: "evidence came late that an attempt was carried out after all; "
    "discard it",
    Refusal.CANCELED: "its producer called it back; discard it",
    Refusal.EXPIRED: "its expires_at has passed; send a new notification",
    Refusal.CONTENT_GONE: "its text is no longer kept; send a new notification",
    Refusal.OPTED_OUT: "its recipient has opted out; discard it",
    Refusal.EXPIRES_FIRST: "it would expire before its turn; redrive fewer, or at a higher rate",
    Refusal.PAST_DEDUPE: "dedupe_until has passed: if its request came again, nobody would know; "
    "an operator may override, `notifyq dlq redrive ID --past-dedupe`",
    Refusal.BUSY: "somebody else has been working on it for seconds; try it again",
}


def refusal(dead: Dead, *, now: datetime, due: datetime, past_dedupe: bool) -> Refusal | None:
    """Return why a delivery is not made due again at `due`; None if it is.

    now: the database's time. past_dedupe: somebody answers for a replay that nobody recognises.
    What cannot be mended comes first.
    """
    letter, attempts = dead.letter, dead.attempts
    if letter is None:
        return Refusal.NOTHING
    unknown = letter.cause == OUTCOME_UNKNOWN or dead.state is State.UNKNOWN
    rules = (
        (Refusal.OUTCOME_UNKNOWN, unknown),
        (Refusal.NOTHING, dead.state not in sources(Event.REDRIVE)),
        (Refusal.NEVER_TRIED, not attempts),
        (Refusal.LIVE_ATTEMPT, any(tried.outcome in LIVE for tried in attempts)),
        (Refusal.CARRIED_OUT_LATE, any(tried.late for tried in attempts)),
        (Refusal.CANCELED, dead.cancel_requested),
        (Refusal.EXPIRED, now >= dead.expires_at),
        (Refusal.CONTENT_GONE, not dead.has_content),
        (Refusal.OPTED_OUT, dead.blocked),
        (Refusal.EXPIRES_FIRST, due >= dead.expires_at),
        (Refusal.PAST_DEDUPE, due >= letter.dedupe_until and not past_dedupe),
    )
    return next((why for why, so in rules if so), None)
