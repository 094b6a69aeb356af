"""The push as APNs wants it, and which pushes it would never take.

Owns the JSON, its limit of 4,096 bytes, the names in it that are not the producer's, and the
collapse id. `notifyq.delivery` is the same for every attempt, so that an app can drop a repeat, and
so that its Notification Service Extension (hence mutable-content) can tell which one arrived.
"""

import hashlib
import json
import re

from notifyq.domain.content import PushContent

PAYLOAD_BYTES_MAX = 4_096  # uncompressed; "Sending notification requests to APNs"
COLLAPSE_ID_BYTES_MAX = 64
RESERVED = frozenset(("aps", "notifyq"))
_DELIVERY = "x" * 64  # longer than any delivery's id

_HEADER = re.compile(rf"[!-~]{{1,{COLLAPSE_ID_BYTES_MAX}}}")


def refusal(content: PushContent) -> str | None:
    """Return why APNs would not take it, with the mend; None if it would."""
    for key in content.data:
        if key in RESERVED:
            return f"must not have the key {key!r} in data: APNs, or notifyq, uses it itself"
    if len((content.collapse_key or "").encode(errors="surrogatepass")) > COLLAPSE_ID_BYTES_MAX:
        return f"must have a collapse_key of at most {COLLAPSE_ID_BYTES_MAX} bytes"
    size_bytes = payload_bytes(content)
    if size_bytes > PAYLOAD_BYTES_MAX:
        return f"must have at most {PAYLOAD_BYTES_MAX} bytes as a push, has {size_bytes}"
    return None


def payload_bytes(content: PushContent) -> int:
    """Return what counts against APNs' limit: the whole JSON in UTF-8, our part of it too."""
    return len(_json(content, _DELIVERY).encode(errors="surrogatepass"))


def payload(content: PushContent, delivery: str) -> bytes:
    """Return the JSON of a push; UnicodeEncodeError for half of a surrogate pair."""
    return _json(content, delivery).encode()


def is_shown(content: PushContent) -> bool:
    """Whether a person sees anything of it; else only the app is woken."""
    return bool(content.title or content.body)


def collapse_id(content: PushContent, delivery: str) -> str:
    """Return what makes a later push replace this one at the device: 1 to 64 bytes.

    The producer's key, else the delivery's id. A key that no header can carry is hashed: the same
    key still gives the same id.
    """
    key = content.collapse_key or delivery
    if _HEADER.fullmatch(key):
        return key
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _json(content: PushContent, delivery: str) -> str:
    texts = {"title": content.title, "body": content.body}
    aps: dict[str, object] = {"content-available": 1}
    if is_shown(content):
        aps = {"alert": {name: text for name, text in texts.items() if text}, "mutable-content": 1}
    whole = {**content.data, "aps": aps, "notifyq": {"delivery": delivery}}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
