"""What Sinch says of a message later: its statuses and codes, and what they mean.

Owns both tables. A code says more than a status; one without a row says nothing about the number.
Sources: github.com/sinch/docs sms-guide ("Delivery Report Statuses", "… Error Codes") and its SMPP
error specification; developers.sinch.com, Delivery reports, for 413.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Bounce

# In lower case: callbacks say Delivered, the client library of Sinch's says DELIVERED.
RANKS: Mapping[str, int] = {
    **{"queued": 1, "dispatched": 3},
    "unknown": 3,  # the carrier has it and never said, or not readably, what became of it
    **dict.fromkeys(("aborted", "cancelled", "canceled", "rejected"), RANK_UNDELIVERED),
    **dict.fromkeys(("deleted", "failed", "expired"), RANK_UNDELIVERED),
    "delivered": RANK_DELIVERED,
}

BOUNCES: Mapping[int, Bounce | None] = {
    402: Bounce.SOFT,  # no route: the number's fault or the account's, so several have to agree
    403: None,  # Sinch's internal error
    404: Bounce.SOFT,  # a temporary failure
    405: Bounce.CONTENT,  # a parameter in the text without a value
    406: None,  # it expired in Sinch's own queue
    407: None,  # cancelled by hand
    408: Bounce.CONTENT,  # rejected, and would be again
    410: Bounce.OURS,  # no sender for this recipient
    411: Bounce.CONTENT,  # more parts than we allowed
    412: Bounce.OURS,  # the account may not send there
    413: Bounce.OURS,  # the account is blocked, or out of credit
    # Of the network (SMPP): nobody has the number, or it is none.
    **dict.fromkeys((9, 10, 150, 300, 301, 302), Bounce.DEAD),
    # The handset is away, busy or full; the subscription is barred or has no SMS today.
    **dict.fromkeys((151, 152, 153, 154, 158, 159, 200, 201, 202, 203), Bounce.SOFT),
    **dict.fromkeys((204, 205, 206, 210, 212), Bounce.SOFT),
}
# Where the code has no row. Deleted: "an invalid MSISDN or opted out subscriber", gone both ways.
BY_STATUS: Mapping[str, Bounce] = {
    "deleted": Bounce.DEAD,
    "failed": Bounce.SOFT,
    "expired": Bounce.SOFT,
}


def bounce_of(status: str, code: int | None) -> Bounce | None:
    """Return why a message with this status did not arrive; None where it may yet, or did."""
    word = status.lower()
    if RANKS.get(word) != RANK_UNDELIVERED:
        return None
    return BOUNCES[code] if code is not None and code in BOUNCES else BY_STATUS.get(word)


def read_code(value: object) -> int | None:
    """Return a code, which comes as a number or as digits; None for 0 and what is no code."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 5:
        value = int(value)
    return value if type(value) is int and 0 < value < 10_000 else None


def read_time(value: object) -> datetime | None:
    """Return an ISO 8601 time, UTC where it names no zone; None if it is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter from the first and the last day there is
        return None


def write_time(at: datetime) -> str:
    """Return an aware time as Sinch writes them: UTC, to the millisecond, with a Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
