"""SES' answers: the name of an error, and what it means for the mail.

Owns the table. Refuses to take a server's error for a "no": nothing in SES' documents says that a
5xx was not carried out.
Invariant: what names an error of transport (a time-out, an abort) is in doubt, whatever its status.
"""

import re
from collections.abc import Mapping

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
from notifyq.providers.wire import Answer

MESSAGE_ID = re.compile(r"[A-Za-z0-9@._-]{1,200}")

# The day's quota rolls: some of it comes back all the time. SES names no wait; ten minutes is the
# longest that AWS' own text advises between tries ("Managing your sending quotas").
DAILY_QUOTA_WAIT_S = 600.0

# What a 4xx answer's error means, without its ending "Exception". SendEmail's own errors are in
# the service model, the common ones in docs.aws.amazon.com (CommonErrors). No row: the status.
# BadRequest says that something is malformed, at times an address, but not whose: it may be our
# sender's, so no recipient is taken for dead on its word.
ANSWERS: Mapping[str, Refusal | type[Throttled] | type[Misconfigured] | type[InDoubt]] = {
    **dict.fromkeys(("TooManyRequests", "Throttling", "LimitExceeded"), Throttled),
    **dict.fromkeys(("MessageRejected", "BadRequest"), Refusal.CONTENT),
    **dict.fromkeys(("ValidationError", "Validation", "RequestEntityTooLarge"), Refusal.CONTENT),
    **dict.fromkeys(("AccountSuspended", "SendingPaused"), Misconfigured),
    **dict.fromkeys(("MailFromDomainNotVerified", "NotFound"), Misconfigured),
    **dict.fromkeys(("InvalidClientTokenId", "UnrecognizedClient", "OptInRequired"), Misconfigured),
    **dict.fromkeys(("SignatureDoesNotMatch", "InvalidSignature"), Misconfigured),
    **dict.fromkeys(("IncompleteSignature", "MissingAuthenticationToken"), Misconfigured),
    **dict.fromkeys(("ExpiredToken", "RequestExpired"), Misconfigured),
    **dict.fromkeys(("AccessDenied", "NotAuthorized"), Misconfigured),
    **dict.fromkeys(("UnknownOperation", "MalformedHttpRequest"), Misconfigured),
    # The request may have been read to its end before somebody gave up.
    **dict.fromkeys(("RequestTimeout", "RequestAborted"), InDoubt),
    **dict.fromkeys(("InternalFailure", "InternalServer", "InternalServerError"), InDoubt),
    **dict.fromkeys(("ServiceUnavailable", "InternalServiceError"), InDoubt),
}

# What the text says more exactly than the error's name, in lower case; in this order.
TEXTS: Mapping[str, Throttled | Misconfigured] = {
    "daily message quota exceeded": Throttled("daily_quota_exceeded", DAILY_QUOTA_WAIT_S),
    "maximum sending rate exceeded": Throttled("sending_rate_exceeded"),
    "email address is not verified": Misconfigured("email_address_not_verified"),
}

_ERROR = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")


def read_answer(answer: Answer) -> Outcome:
    """Return what an answer to SendEmail means."""
    status = answer.status
    named = name_of(answer)
    found = read_object(answer.body).get("MessageId")
    if status == 200 and isinstance(found, str) and MESSAGE_ID.fullmatch(found):
        return Accepted(found)
    # 1xx to 3xx: SES documents only 200. 408: a proxy's, and it may have sent on.
    if status < 400 or status >= 500 or status == 408:
        return InDoubt(named)
    meaning = ANSWERS.get(named.removesuffix("Exception"))
    if meaning is InDoubt:
        return InDoubt(named)
    told = _told(answer)
    if told is not None:
        return told
    if meaning is Throttled or status == 429:
        return Throttled(named, answer.retry_after_s())
    if isinstance(meaning, Refusal):
        return Refused(meaning, named)
    # 401, 403, 404 and the like are about us; without an error's name it is not SES' own answer.
    if meaning is Misconfigured or status != 400 or named == _status_name(status):
        return Misconfigured(named)
    return Refused(Refusal.CONTENT, named)


def name_of(answer: Answer) -> str:
    """Return an answer's name for logs and rows: the error's, or the status without one.

    The header may end in `:http://internal…`, the body's name may begin with a namespace and `#`.
    """
    body = read_object(answer.body)
    for found in (header_of(answer, "x-amzn-errortype"), body.get("__type"), body.get("code")):
        text = found.partition(":")[0].rpartition("#")[2] if isinstance(found, str) else ""
        if _ERROR.fullmatch(text):
            return text
    return _status_name(answer.status)


def header_of(answer: Answer, name: str) -> str | None:
    """Return a header's value by its name in lower case; None if it is not there."""
    for found, value in answer.headers.items():
        if found.lower() == name:
            return value
    return None


def _status_name(status: int) -> str:
    return f"http_{status}"


def _told(answer: Answer) -> Throttled | Misconfigured | None:
    body = read_object(answer.body)
    message = body.get("message", body.get("Message"))
    if not isinstance(message, str):
        return None
    lower = message.lower()
    return next((told for text, told in TEXTS.items() if text in lower), None)
