"""The push as FCM wants it, and which pushes it would never take.

Owns the body of messages:send, its limit of 4,096 bytes, and the names that FCM keeps for itself.

A repeat replaces what a device shows: the tag is the producer's collapse key, else the delivery.
`collapseKey`, which lets FCM drop all but the last message while a device is away, is the
producer's alone: FCM keeps four of them for a device at a time, and a fifth pushes out another.
"""

import json

from notifyq.domain.address import Device
from notifyq.domain.content import PushContent
from notifyq.domain.message import Message

PAYLOAD_BYTES_MAX = 4_096  # firebase.google.com, ErrorCode: keys and values
TTL_S_MAX = 2_419_200  # four weeks
PLATFORMS = ("android", "web")
# So that an app can drop a repeat: the same for every attempt.
DELIVERY_ID = "delivery_id"
_DELIVERY_ID_BYTES = 64  # of its value, at the most
# The discovery document's reserved words. A `collapse_key` in the data is taken, and overwritten.
_RESERVED = frozenset(("from", "message_type", "gcm", "collapse_key", DELIVERY_ID))
_RESERVED_BEGINNINGS = ("google.", "gcm.")


def refusal(content: PushContent) -> str | None:
    """Return why FCM would not take it, with the mend; None if it would."""
    for key in content.data:
        if key in _RESERVED or key.startswith(_RESERVED_BEGINNINGS):
            return f"must not have the key {key[:40]!r} in data: FCM, or notifyq, uses it itself"
    size_bytes = payload_bytes(content)
    if size_bytes > PAYLOAD_BYTES_MAX:
        return f"must have at most {PAYLOAD_BYTES_MAX} bytes as a push, has {size_bytes}"
    return None


def payload_bytes(content: PushContent) -> int:
    """Return what counts against FCM's limit: keys and values in UTF-8, ours among them.

    What is shown counts as well; Google does not say that it does not.
    """
    tag = content.collapse_key or "x" * _DELIVERY_ID_BYTES
    own = {DELIVERY_ID: "x" * _DELIVERY_ID_BYTES, "tag": tag}
    shown = {"title": content.title, "body": content.body}
    pairs = [*content.data.items(), *own.items(), *shown.items()]
    return sum(len(text.encode(errors="surrogatepass")) for pair in pairs for text in pair)


def body(message: Message, content: PushContent, device: Device) -> bytes:
    """Return the JSON of messages:send; UnicodeEncodeError for half of a surrogate pair."""
    tag = content.collapse_key or message.collapse_id
    ttl_s = min(max(message.validity_s, 0), TTL_S_MAX)
    sent: dict[str, object] = {
        "token": device.token,
        "notification": {"title": content.title, "body": content.body},
        "data": {**content.data, DELIVERY_ID: message.collapse_id},
    }
    # High: Google asks for it where a person is to see the message at once, as with all of ours.
    if device.platform == "web":
        headers = {"TTL": f"{ttl_s}", "Urgency": "high"}  # RFC 8030
        sent["webpush"] = {"headers": headers, "notification": {"tag": tag}}
    else:
        android: dict[str, object] = {
            "ttl": f"{ttl_s}s",
            "priority": "HIGH",
            "notification": {"tag": tag},
        }
        if content.collapse_key:
            android["collapseKey"] = content.collapse_key
        sent["android"] = android
    return json.dumps({"message": sent}, ensure_ascii=False, separators=(",", ":")).encode()
