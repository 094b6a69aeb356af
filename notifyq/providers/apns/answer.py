"""What APNs' answers mean: a reason decides, then the status.

5xx is in doubt, 503 too. Apple's words for the three reasons are "an internal server error
occurred", "the service is unavailable" and "the APNs server is shutting down", and that such a push
can be sent again after 15 minutes ("Handling notification responses from APNs"). None of them is
that it was not delivered, and a server that shuts down answers what it has in hand. The stream
that it surely did not begin is named by its GOAWAY.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

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

Meaning = Refusal | type[Throttled] | type[Unavailable] | type[Misconfigured] | type[InDoubt]

# TooManyRequests is about one device, and Apple names no time ("retry with a delay").
THROTTLE_WAIT_S = 60.0

# Response error strings; developer.apple.com, "Handling notification responses from APNs".
ANSWERS: Mapping[str, Meaning] = {
    **dict.fromkeys(
        ("BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"),
        Refusal.ADDRESS,
    ),
    **dict.fromkeys(
        ("BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPath", "BadPriority"),
        Refusal.CONTENT,
    ),
    **dict.fromkeys(
        ("DuplicateHeaders", "InvalidPushType", "MethodNotAllowed", "MissingDeviceToken"),
        Refusal.CONTENT,
    ),
    **dict.fromkeys(("PayloadEmpty", "PayloadTooLarge"), Refusal.CONTENT),
    **dict.fromkeys(("BadTopic", "MissingTopic", "TopicDisallowed"), Misconfigured),
    **dict.fromkeys(
        ("BadCertificate", "BadCertificateEnvironment", "BadEnvironmentKeyIdInToken"),
        Misconfigured,
    ),
    **dict.fromkeys(("Forbidden", "InvalidProviderToken", "MissingProviderToken"), Misconfigured),
    # Rejected, and the next request may do: with a newer token, or by a new connection.
    **dict.fromkeys(("ExpiredProviderToken", "IdleTimeout", "UnrelatedKeyIdInToken"), Unavailable),
    **dict.fromkeys(("TooManyProviderTokenUpdates", "TooManyRequests"), Throttled),
    **dict.fromkeys(("InternalServerError", "ServiceUnavailable", "Shutdown"), InDoubt),
}

# Said of a dead token, and of every token while the environment or the topic is not the app's.
OR_OURS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
# Of a reason that is not known here; elsewhere it is about the push.
_MEANINGS: Mapping[int, Meaning] = {
    **dict.fromkeys((401, 403), Misconfigured),
    410: Refusal.ADDRESS,
}
_REASON = re.compile(r"[A-Za-z]{1,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_answer(answer: Answer, apns_id: str) -> Outcome:
    """Return what an answer to a push means. apns_id: the one that was sent, in lower case."""
    status = answer.status
    if status == 200 and answer.headers.get("apns-id", "").lower() == apns_id:
        return Accepted(apns_id)
    reason = reason_of(answer)
    named = reason or f"http_{status}"
    # Apple documents no other status below 400; 408 is a proxy's, and it may have sent on.
    if status < 400 or status >= 500 or status == 408:
        return InDoubt(named)
    if status == 429:
        return Throttled(named, answer.retry_after_s() or THROTTLE_WAIT_S)
    if reason is None:  # not Apple's own answer
        return Misconfigured(named)
    meaning = ANSWERS.get(reason, _MEANINGS.get(status, Refusal.CONTENT))
    if isinstance(meaning, Refusal):
        since = _since(answer) if status == 410 else None
        return Refused(meaning, named, since, for_good=reason not in OR_OURS)
    return meaning(named)


def reason_of(answer: Answer) -> str | None:
    """Return Apple's word for an error; None where there is none."""
    reason = read_object(answer.body).get("reason")
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else None


def _since(answer: Answer) -> datetime | None:
    """Return when APNs last knew the device to be gone: `timestamp`, in milliseconds."""
    since_ms = read_object(answer.body).get("timestamp")
    if type(since_ms) is not int or since_ms <= 0:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=since_ms)
    except OverflowError:
        return None
