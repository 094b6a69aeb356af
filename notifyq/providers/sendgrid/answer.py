"""SendGrid's answers: which field an error is about, and what it means for the mail.

Owns the table. SendGrid has no error codes: a status, a field and an English sentence. What is
kept is the status and the field; a sentence may repeat an address.
Refuses to take a server's error for a "no": SendGrid says of no 5xx that nothing was sent.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    Outcome,
    Refusal,
    Refused,
    Throttled,
)
from notifyq.providers.answers import read_object
from notifyq.providers.wire import RETRY_AFTER_S_MAX, Answer

# What a 400 is about, by its field; docs "Mail Send errors". Any other field: the content.
# There is one recipient, so the first one's address is the message's own.
FIELDS: Mapping[str, Refusal | type[Misconfigured]] = {
    "personalizations.0.to.0.email": Refusal.ADDRESS,
    **dict.fromkeys(("from", "from.email", "from.name"), Misconfigured),  # the sender is ours
    "mail_settings": Misconfigured,
    "authorization": Misconfigured,
}

# What else a status says, when the body is SendGrid's own. No row: it is about us.
STATUSES: Mapping[int, Refusal | type[Misconfigured]] = {
    400: Refusal.CONTENT,
    401: Misconfigured,  # the key; or "Maximum credits exceeded"
    403: Misconfigured,  # the sender is not verified, or the key may not send
    404: Misconfigured,
    405: Misconfigured,
    406: Misconfigured,
    413: Refusal.CONTENT,  # more than 30 MB
    415: Misconfigured,
}

CREDITS_EXCEEDED = "credits_exceeded"  # the plan is used up
_CREDITS = "maximum credits exceeded"

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_FIELD = re.compile(r"[a-z_]{1,40}(\.([a-z_]{1,40}|[0-9]{1,4})){0,6}")


def read_answer(answer: Answer, now: datetime) -> Outcome:
    """Return what an answer to mail/send means. now: aware."""
    status = answer.status
    provider_id = message_id(header_of(answer, "x-message-id"))
    if status == 202 and provider_id is not None:
        return Accepted(provider_id)  # its body is empty: there is no JSON to read
    errors = _errors(answer)
    named = _named(status, errors)
    # 1xx to 3xx: only 202 is documented for a mail. 408: a proxy's, and it may have sent on.
    if status < 400 or status >= 500 or status == 408:
        return InDoubt(named)
    if status == 429:
        return Throttled(named, _wait_s(answer, now))
    if not errors:  # not SendGrid's own answer
        return Misconfigured(named)
    if status == 401 and any(_CREDITS in _text(error, "message").lower() for error in errors):
        return Misconfigured(CREDITS_EXCEEDED)
    meaning = STATUSES.get(status, Misconfigured)
    if status == 400:
        meaning = FIELDS.get(_text(errors[0], "field"), meaning)
    return Refused(meaning, named) if isinstance(meaning, Refusal) else Misconfigured(named)


def message_id(text: object) -> str | None:
    """Return SendGrid's name for a mail: X-Message-Id, or what an event's id has before its dot.

    Events carry the header's id with a suffix of the server that worked on it.
    """
    found = text.partition(".")[0] if isinstance(text, str) else ""
    return found if _ID.fullmatch(found) else None


def name_of(answer: Answer) -> str:
    """Return an answer's name for logs and rows: `http_400.from.email`, the status at least."""
    return _named(answer.status, _errors(answer))


def header_of(answer: Answer, name: str) -> str | None:
    """Return a header's value by its name in lower case; None if it is not there."""
    for found, value in answer.headers.items():
        if found.lower() == name:
            return value
    return None


def _named(status: int, errors: Sequence[Mapping[str, object]]) -> str:
    field = _text(errors[0], "field") if errors else ""
    known = field != "null" and _FIELD.fullmatch(field)
    return f"http_{status}.{field}" if known else f"http_{status}"


def _errors(answer: Answer) -> list[Mapping[str, object]]:
    found = read_object(answer.body).get("errors")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _text(error: Mapping[str, object], name: str) -> str:
    found = error.get(name)
    return found if isinstance(found, str) else ""


def _wait_s(answer: Answer, now: datetime) -> float | None:
    """Return how long to wait: until X-RateLimit-Reset (Unix seconds), else what Retry-After says.

    Above 0, to RETRY_AFTER_S_MAX; None where neither says it. A reset that is past is none.
    """
    text = header_of(answer, "x-ratelimit-reset") or ""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        left_s = float(text) - now.timestamp()
        if left_s > 0:
            return min(left_s, RETRY_AFTER_S_MAX)
    return answer.retry_after_s()
