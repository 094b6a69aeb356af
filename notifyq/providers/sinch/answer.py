"""Sinch's answers to a batch: what each means for the one message in it.

Owns the table. Believes a 500 or 503 only in Sinch's own words: the documents say that such a
request was not processed, and the same number from a gateway before Sinch says no such thing.
"""

import re
from collections.abc import Mapping

from notifyq.domain.message import Message
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.providers.answers import read_object
from notifyq.providers.wire import Answer

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of a batch, or of a message to us

# The wrong format of a field, named in `text` only: whose it is decides, see `_malformed`.
MALFORMED = "syntax_invalid_parameter_format"
# What a 4xx answer's code means; developers.sinch.com/docs/sms/api-reference/status-codes, and the
# older guide in github.com/sinch/docs, whose misprint `llegal_…` may be the real one.
ANSWERS: Mapping[str, Refusal | type[Misconfigured]] = {
    **dict.fromkeys(("syntax_invalid_json", "syntax_constraint_violation"), Refusal.CONTENT),
    **dict.fromkeys((MALFORMED,), Refusal.CONTENT),
    **dict.fromkeys(("unknown_group", "unknown_campaign", "missing_callback_url"), Misconfigured),
    **dict.fromkeys(("illegal_number_type", "llegal_number_type"), Misconfigured),  # the sender's
    **dict.fromkeys(("blocked_account",), Misconfigured),
}

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SPEAKS_OF_RECIPIENT = re.compile(r"(?<![_a-z])recipient|['\"`]to['\"`\[]|\bto\[", re.IGNORECASE)


def name_of(body: Mapping[str, object], status: int) -> str:
    """Return an answer's name for logs and rows: Sinch's code, or the status without one."""
    code = body.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"http_{status}"


def read_answer(answer: Answer, message: Message) -> Outcome:
    """Return what an answer to the message's batch means; 401 is the token's affair, not here."""
    body, status = read_object(answer.body), answer.status
    named, batch_id = name_of(body, status), body.get("id")
    if status == 201 and isinstance(batch_id, str) and ID.fullmatch(batch_id):
        return Accepted(batch_id)
    if status in (500, 503) and _is_sinchs(body):
        return Unavailable(named, answer.retry_after_s())
    # 1xx to 3xx: only 201 is documented, so whatever this is may have made a batch. 408: a
    # proxy's, and it may have sent on. The other 5xx, and a page instead of a code: a gateway's.
    if status < 400 or status >= 500 or status == 408:
        return InDoubt(named)
    if status == 429:  # "too many outstanding requests": turned away at the door
        return Throttled(named, answer.retry_after_s())
    # 403, 404, 405, 415 …: about us, not the message. Nor is a 400 that is not Sinch's own.
    if status != 400 or not _is_sinchs(body):
        return Misconfigured(named)
    if named == MALFORMED:
        return _malformed(str(body["text"]), message)
    meaning = ANSWERS.get(named, Refusal.CONTENT)
    return Refused(meaning, named) if isinstance(meaning, Refusal) else Misconfigured(named)


def _is_sinchs(body: Mapping[str, object]) -> bool:
    """Whether it has the shape of Sinch's errors: a code and a text."""
    code, text = body.get("code"), body.get("text")
    return isinstance(code, str) and _CODE.fullmatch(code) is not None and isinstance(text, str)


def _malformed(text: str, message: Message) -> Refused | Misconfigured:
    """Say whose format is wrong, as far as the text tells: the recipient's, ours, or the rest."""
    sender = re.escape(message.sender.address.lstrip("+"))
    if re.search(rf"(?<![A-Za-z0-9]){sender}(?![A-Za-z0-9])", text):
        return Misconfigured(MALFORMED)
    if message.to.lstrip("+") in text:
        return Refused(Refusal.ADDRESS, MALFORMED)
    if _SPEAKS_OF_RECIPIENT.search(text):  # words alone may be of another field, one of ours
        return Refused(Refusal.ADDRESS, MALFORMED, for_good=False)
    return Refused(Refusal.CONTENT, MALFORMED)
