"""What APNs takes and what it refuses: paths, headers, payloads, errors, magic devices.

Owns the other side's rules, written from Apple's documents alone ("Sending notification requests to
APNs", "Handling notification responses from APNs"); shares nothing with the client. In which order
Apple looks is not documented: here method and path come first, then the token, the headers, the
device, the payload.
Refuses more than APNs does in two points, so that mistakes are found here: apns-push-type must be
there, and be `alert` or `background`; and the payload must be of that type.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON

PAYLOAD_BYTES_MAX = 4_096
COLLAPSE_ID_BYTES_MAX = 64
PREFIX = "/3/device/"

# Every reason that Apple lists, and the status that it comes with.
STATUSES: Mapping[str, int] = {
    **dict.fromkeys(("BadCollapseId", "BadDeviceToken", "BadExpirationDate", "BadMessageId"), 400),
    **dict.fromkeys(("BadPriority", "BadTopic", "DeviceTokenNotForTopic", "IdleTimeout"), 400),
    **dict.fromkeys(("DuplicateHeaders", "InvalidPushType", "MissingDeviceToken"), 400),
    **dict.fromkeys(("MissingTopic", "PayloadEmpty", "TopicDisallowed"), 400),
    **dict.fromkeys(("BadCertificate", "BadCertificateEnvironment", "ExpiredProviderToken"), 403),
    **dict.fromkeys(("BadEnvironmentKeyIdInToken", "Forbidden", "InvalidProviderToken"), 403),
    **dict.fromkeys(("MissingProviderToken", "UnrelatedKeyIdInToken"), 403),
    "BadPath": 404,
    "MethodNotAllowed": 405,
    **dict.fromkeys(("ExpiredToken", "Unregistered"), 410),
    "PayloadTooLarge": 413,
    **dict.fromkeys(("TooManyProviderTokenUpdates", "TooManyRequests"), 429),
    "InternalServerError": 500,
    **dict.fromkeys(("ServiceUnavailable", "Shutdown"), 503),
}

# What a kind of magic device comes to here; the others are the same at every vendor. APNs knows no
# opt-out: whose app is gone is unregistered. It never tells what became of a push.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "dead": Fault("refuse", code="Unregistered"),
    "opted-out": Fault("refuse", code="Unregistered"),
    "wrong-kind": Fault("refuse", code="DeviceTokenNotForTopic"),
    "undelivered": Fault("no_callbacks"),
    "content": Fault("refuse", code="PayloadTooLarge"),
    "config": Fault("refuse", code="TopicDisallowed"),
}

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,154}")
_DEVICE = re.compile(r"([0-9a-fA-F]{2}){16,}")  # "do not assume a length"; none is shorter
_SECONDS = re.compile(r"[0-9]{1,10}")
_PRIORITIES: Mapping[str, tuple[str, ...]] = {"alert": ("1", "5", "10"), "background": ("1", "5")}

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A push that APNs would take."""

    apns_id: str
    topic: str
    device: str  # in lower case
    reference: str  # what a client can plant for its app: notifyq.delivery; else apns-id
    body: str


def apns_id_of(fields: Fields) -> str:
    """Return the id that an answer names: the request's, or a new one where that has none."""
    given = dict(fields).get("apns-id", "")
    return given if _ID.fullmatch(given) else str(uuid.uuid4())


def wrong_path(fields: Fields) -> str | None:
    """Return the reason against method and path; None if there is none."""
    pseudo = dict(fields)
    if not pseudo.get(":path", "").startswith(PREFIX):
        return "BadPath"
    return None if pseudo[":method"] == "POST" else "MethodNotAllowed"


def judge(
    fields: Fields, payload: bytes, apns_id: str, topics: frozenset[str] | None
) -> Asked | str:
    """Return the push that a request asks for, or APNs' reason against it."""
    headers = dict(fields)
    names = [name for name, _ in fields if name.startswith("apns-") or name == "authorization"]
    if len(names) != len(set(names)):
        return "DuplicateHeaders"
    device = headers[":path"].removeprefix(PREFIX)
    push_type = headers.get("apns-push-type", "")
    wrong = (
        _wrong_topic(headers.get("apns-topic"), topics)
        or _wrong_headers(headers, push_type)
        or _wrong_device(device)
        or _wrong_size(payload)
    )
    if wrong:
        return wrong
    data = _read(payload)
    if data is None:
        return "PayloadEmpty"
    if _type_of(data["aps"]) != push_type:
        return "InvalidPushType"
    own = data.get("notifyq")
    planted = own.get("delivery") if isinstance(own, dict) else None
    reference = planted if isinstance(planted, str) else apns_id
    return Asked(apns_id, headers["apns-topic"], device.lower(), reference, _text(data["aps"]))


def _wrong_topic(topic: str | None, topics: frozenset[str] | None) -> str | None:
    if not topic:
        return "MissingTopic"
    if not _TOPIC.fullmatch(topic):
        return "BadTopic"
    return None if topics is None or topic in topics else "TopicDisallowed"


def _wrong_headers(headers: Mapping[str, str], push_type: str) -> str | None:
    if not _ID.fullmatch(headers.get("apns-id", str(uuid.UUID(int=0)))):
        return "BadMessageId"
    if push_type not in _PRIORITIES:
        return "InvalidPushType"
    if headers.get("apns-priority", "10") not in _PRIORITIES[push_type]:
        return "BadPriority"
    if not _SECONDS.fullmatch(headers.get("apns-expiration", "0")):
        return "BadExpirationDate"
    size_bytes = len(headers.get("apns-collapse-id", "x").encode())
    return None if 1 <= size_bytes <= COLLAPSE_ID_BYTES_MAX else "BadCollapseId"


def _wrong_device(device: str) -> str | None:
    if not device:
        return "MissingDeviceToken"
    return None if _DEVICE.fullmatch(device) else "BadDeviceToken"


def _wrong_size(payload: bytes) -> str | None:
    if not payload:
        return "PayloadEmpty"
    return "PayloadTooLarge" if len(payload) > PAYLOAD_BYTES_MAX else None


def _read(payload: bytes) -> dict[str, Any] | None:
    """Return the payload; None without anything in it that could be delivered."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    has_aps = isinstance(data, dict) and isinstance(data.get("aps"), dict) and data["aps"]
    return data if has_aps else None


def _type_of(aps: Mapping[str, Any]) -> str:
    shows = any(name in aps for name in ("alert", "badge", "sound"))
    return "alert" if shows else "background" if aps.get("content-available") == 1 else ""


def _text(aps: Mapping[str, Any]) -> str:
    alert = aps.get("alert", "")
    body = alert.get("body", "") if isinstance(alert, dict) else alert
    return body if isinstance(body, str) else ""
