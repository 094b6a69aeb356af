"""What is said back to people who write to our numbers, and when nothing is. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifyq.domain.consent import Kind
from notifyq.domain.wording.reading import Intent, Reading

# Later than this the confirmation of an opt-out needs a reason: 47 CFR 64.1200(a)(12).
REPLY_WITHIN = timedelta(minutes=5)

# What a text does to the ledger.
KINDS = {Intent.OPT_OUT: Kind.OPT_OUT, Intent.OPT_IN: Kind.LIFT, Intent.UNCLEAR: Kind.HOLD}


@dataclass(frozen=True, slots=True)
class Replies:
    """What a program says to whoever writes to it."""

    stop: str
    start: str
    help: str
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One of our numbers: whose it is, and who answers there."""

    scopes: tuple[str, ...]  # whose sends a STOP reaches, as consent has them; empty: everybody's
    program: str
    is_separate: bool  # its program is out of a brand's STOP, so a STOP here reaches it alone
    lane: int
    replies: Replies | None  # None: it belongs to no brand, so nobody answers
    is_test: bool = False  # empty scopes are then everybody's test sends, else the live ones

    @property
    def reach(self) -> str | None:
        """The program that a STOP here reaches; None: the whole brand."""
        return self.program if self.is_separate else None


def kind_of(reading: Reading, line: Line) -> Kind | None:
    """Return what a text does to the ledger; None for nothing.

    A number that belongs to no brand stops whatever may have come from it. But nobody can take
    back there what they said to a brand: who they mean is not known.
    """
    kind = KINDS.get(reading.intent)
    return None if kind is Kind.LIFT and line.replies is None else kind


def reply_to(reading: Reading, replies: Replies, *, changed: bool) -> str | None:
    """Return what is answered; None for nothing. changed: what stands is not what stood.

    A second STOP is not confirmed again, nor a START that takes nothing back. HELP is answered to
    everybody, opted out or not, and changes nothing.
    """
    match reading.intent:
        case Intent.OPT_OUT if changed:
            offer = f" To cancel a booking: {replies.contact}" if replies.contact else ""
            return replies.stop + (offer if reading.offer_cancel else "")
        case Intent.OPT_IN if changed:
            return replies.start
        case Intent.HELP:
            return replies.help
    return None


def answers_until(written_at: datetime | None, now: datetime) -> datetime | None:
    """Return until when an answer may go out; None: it would be too late already."""
    until = min(written_at or now, now) + REPLY_WITHIN
    return until if until > now else None
