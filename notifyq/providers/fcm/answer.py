"""What FCM's answers mean. `details` decides, by type: the HTTP status alone says little.

5xx is in doubt, 503 UNAVAILABLE too. Google's words for it are that the server is overloaded, or
could not process the request in time, and to send it again (ErrorCode reference); none of them is
that the message was not sent, and "not in time" is what a lost acknowledgement inside Google looks
like. What is surely rejected for load is a 429, by Google's word ("requests beyond serving capacity
are rejected … 429", scale-fcm).
"""

import re
from collections.abc import Iterator, Mapping

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

QUOTA_WAIT_S = 60.0  # Google: one minute where no Retry-After says otherwise

Meaning = Refusal | type[Throttled] | type[Misconfigured] | type[InDoubt]

# FcmError.errorCode, google.firebase.fcm.v1; INVALID_ARGUMENT is read further.
CODES: Mapping[str, Meaning] = {
    "UNSPECIFIED_ERROR": InDoubt,
    "INVALID_ARGUMENT": Refusal.CONTENT,
    "UNREGISTERED": Refusal.ADDRESS,
    "SENDER_ID_MISMATCH": Refusal.ADDRESS,  # a token of another project's app
    "QUOTA_EXCEEDED": Throttled,
    "UNAVAILABLE": InDoubt,
    "INTERNAL": InDoubt,
    "THIRD_PARTY_AUTH_ERROR": Misconfigured,  # the project's web push or APNs key
}
# error.status (google.rpc.Code) where no FcmError says more.
STATUSES: Mapping[str, Meaning] = {
    "INVALID_ARGUMENT": Refusal.CONTENT,
    "UNAUTHENTICATED": Misconfigured,
    "PERMISSION_DENIED": Misconfigured,
    "NOT_FOUND": Misconfigured,  # the project
    "RESOURCE_EXHAUSTED": Throttled,
}
OTHERS_KEY = Misconfigured("THIRD_PARTY_AUTH_ERROR")  # a 401 that is not about our token

# Said of a dead token, and of every token while the service account is another project's, or what
# we send is wrong.
OR_OURS = frozenset({"SENDER_ID_MISMATCH", "INVALID_ARGUMENT"})

_NAME = re.compile(r"projects/[^/\s]{1,100}/messages/[!-~]{1,200}")
_WORD = re.compile(r"[A-Z_]{1,40}")
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def read_answer(answer: Answer) -> Outcome:
    """Return what an answer to messages:send means."""
    found = read_object(answer.body)
    name, status = found.get("name"), answer.status
    error = found.get("error")
    error = error if isinstance(error, dict) else {}
    code = code_of(error)
    named = code or _word(error.get("status")) or f"http_{status}"
    if status == 200 and isinstance(name, str) and _NAME.fullmatch(name):
        return Accepted(name)
    # 408 is no word of Google's: a proxy's, and it may have sent on.
    if status < 400 or status >= 500 or status == 408:
        return InDoubt(named)
    if status == 429:
        return _throttled(named, answer)
    meaning = _meaning(error, code, status)
    if isinstance(meaning, Refusal):
        return Refused(meaning, named, for_good=named not in OR_OURS)
    return _throttled(named, answer) if meaning is Throttled else meaning(named)


def code_of(error: Mapping[str, object]) -> str | None:
    """Return FcmError's errorCode in an error object; None without one."""
    words = (_word(detail.get("errorCode")) for detail in _details(error, _FCM_ERROR))
    return next((word for word in words if word), None)


def _meaning(error: Mapping[str, object], code: str | None, status: int) -> Meaning:
    word = _word(error.get("status"))
    if word is None:  # not Google's own answer
        return Misconfigured
    if "INVALID_ARGUMENT" in (code, word if code is None else None):
        return Refusal.ADDRESS if _is_about_token(error, code) else Refusal.CONTENT
    known = STATUSES.get(word) if code is None else CODES.get(code)
    if known is not None:
        return known
    return Refusal.CONTENT if status == 400 else Misconfigured


def _is_about_token(error: Mapping[str, object], code: str | None) -> bool:
    fields = [
        violation.get("field")
        for detail in _details(error, _BAD_REQUEST)
        for violation in _objects(detail.get("fieldViolations"))
    ]
    if fields:
        return fields == ["message.token"]
    # Google's example: "The registration token is not a valid FCM registration token".
    return code is not None and "registration token" in str(error.get("message"))


def _details(error: Mapping[str, object], kind: str) -> Iterator[Mapping[str, object]]:
    return (each for each in _objects(error.get("details")) if each.get("@type") == kind)


def _objects(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _throttled(named: str, answer: Answer) -> Throttled:
    asked_s = answer.retry_after_s()
    return Throttled(named, QUOTA_WAIT_S if asked_s is None else asked_s)
