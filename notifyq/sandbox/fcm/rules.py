"""What FCM takes and what it refuses: messages, errors, magic recipients.

Owns the other side's rules, written from Google's discovery document and error references alone;
shares nothing with the client.
Refuses more than FCM does in one point: a field that it does not carry out is an unknown one. FCM
knows many more.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON

PROJECT_ID = "sandbox-project"
CLIENT_EMAIL = "notifyq@sandbox-project.iam.gserviceaccount.com"

PAYLOAD_BYTES_MAX = 4_096
TTL_S_MAX = 2_419_200

# How FcmError's codes are answered: HTTP status, google.rpc.Code, message.
CODES: Mapping[str, tuple[int, str, str]] = {
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "UNREGISTERED": (404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Messages'."),
    "UNAVAILABLE": (503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": (500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
}
NOT_A_TOKEN = "The registration token is not a valid FCM registration token"

# What a kind of magic recipient comes to here; the others are the same at every vendor. FCM knows
# no opt-out: who removes the app is unregistered. It never tells what became of a push.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "dead": Fault("refuse", code="UNREGISTERED"),
    "opted-out": Fault("refuse", code="UNREGISTERED"),
    "wrong-kind": Fault("refuse", code="SENDER_ID_MISMATCH"),
    "undelivered": Fault("no_callbacks"),
    "content": Fault("refuse", code="INVALID_ARGUMENT"),
    "config": Fault("refuse", code="THIRD_PARTY_AUTH_ERROR"),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in Google's error shape."""

    status: int
    word: str  # google.rpc.Code
    message: str
    code: str | None = None  # FcmError's
    field: str | None = None  # BadRequest's
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A push that FCM would take."""

    token: str
    reference: str | None  # data.delivery_id: all that a client can plant
    body: str
    is_dry: bool  # validate_only


class _Map:
    """A JSON object of any keys whose values are strings."""


Shape = type[str] | type[bool] | type[_Map] | Mapping[str, "Shape"] | None  # None: any JSON

# The fields that are carried out, as the discovery document spells them.
_NOTIFICATION: Mapping[str, Shape] = {"title": str, "body": str}
SHAPE: Mapping[str, Shape] = {
    "validateOnly": bool,
    "message": {
        "token": str,
        "data": _Map,
        "notification": _NOTIFICATION,
        "android": {
            "collapseKey": str,
            "priority": str,
            "ttl": str,
            "notification": {**_NOTIFICATION, "tag": str, "channelId": str},
        },
        "webpush": {"headers": _Map, "notification": None},
    },
}

_TOKEN = re.compile(r"[A-Za-z0-9_:.-]{20,4096}")
_TTL = re.compile(r"([0-9]{1,9})(\.[0-9]{1,9})?s")
_RESERVED = re.compile(r"from|message_type|(google|gcm\.notification)\..*", re.DOTALL)
_PRIORITIES = ("NORMAL", "HIGH", "normal", "high")  # the enum, and what Google's own SDK sends


def judge(given: object) -> Asked | Refused:
    """Return the push that a body asks for, or what FCM says against it."""
    try:
        request = _read(given, SHAPE, "")
    except _Malformed as error:
        return error.refused
    message = request.get("message", {})
    if "token" not in message:
        return _invalid("message", "Recipient of the message is not set.", fcm=True)
    wrong = _wrong_android(message) or _wrong_web(message) or _wrong_data(message)
    if wrong:
        return wrong
    if not _TOKEN.fullmatch(message["token"]):
        return Refused(400, "INVALID_ARGUMENT", NOT_A_TOKEN, "INVALID_ARGUMENT")
    reference = message.get("data", {}).get("delivery_id")
    body = message.get("notification", {}).get("body", "")
    return Asked(message["token"], reference, body, request.get("validateOnly", False))


def _wrong_android(message: dict[str, Any]) -> Refused | None:
    android, where = message.get("android", {}), "message.android"
    ttl = _TTL.fullmatch(android.get("ttl", "0s"))
    if ttl is None:
        return _invalid(f"{where}.ttl", "Illegal duration format; duration must end with 's'")
    if int(ttl[1]) > TTL_S_MAX:
        return _invalid(f"{where}.ttl", "Invalid value", fcm=True)
    if android.get("priority", "NORMAL") not in _PRIORITIES:
        return _invalid(f"{where}.priority", f"Invalid value at '{where}.priority'")
    return None


def _wrong_web(message: dict[str, Any]) -> Refused | None:
    ttl = message.get("webpush", {}).get("headers", {}).get("TTL", "0")
    if ttl.isascii() and ttl.isdecimal() and int(ttl) <= TTL_S_MAX:
        return None
    return _invalid("message.webpush.headers", "Invalid TTL", fcm=True)


def _wrong_data(message: dict[str, Any]) -> Refused | None:
    data = message.get("data", {})
    for key in data:
        if _RESERVED.fullmatch(key):
            return _invalid("message.data", f"Invalid data payload key: {key}", fcm=True)
    pairs = [*data.items(), *message.get("notification", {}).items()]
    size_bytes = sum(len(text.encode(errors="surrogatepass")) for pair in pairs for text in pair)
    if size_bytes > PAYLOAD_BYTES_MAX:
        return Refused(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
    return None


class _Malformed(Exception):
    """The form is wrong: an unknown name, or a value of the wrong kind."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.refused = _invalid(field, message)


def _read(given: object, shape: Shape, path: str) -> Any:
    """Return a value with its names as the discovery document spells them; _Malformed."""
    if shape is None:
        return given
    if shape is str or shape is bool:
        if not isinstance(given, shape):
            kind = "TYPE_BOOL" if shape is bool else "TYPE_STRING"
            raise _Malformed(path, f"Invalid value at '{path}' ({kind})")
        return given
    if not isinstance(given, dict):
        raise _Malformed(path, f"Invalid value at '{path}'")
    if not isinstance(shape, Mapping):
        items = enumerate(given.items())
        return {key: _read(value, str, f"{path}[{n}].value") for n, (key, value) in items}
    made: dict[str, Any] = {}
    for key, value in given.items():
        name = _camel(key)
        if name not in shape or name in made:
            where = f" at '{path}'" if path else ""
            raise _Malformed(path, f'{_UNREADABLE} Unknown name "{key}"{where}: Cannot find field.')
        made[name] = _read(value, shape[name], f"{path}.{name}".removeprefix("."))
    return made


_UNREADABLE = "Invalid JSON payload received."


def _camel(name: str) -> str:
    """Return lowerCamelCase: Google's JSON takes either spelling."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _invalid(field: str, message: str, *, fcm: bool = False) -> Refused:
    code = "INVALID_ARGUMENT" if fcm else None
    return Refused(400, "INVALID_ARGUMENT", message, code, field)
