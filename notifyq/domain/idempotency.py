"""One key, one notification: what a request under a known key gets. Pure."""

import hashlib
from dataclasses import dataclass
from enum import Enum

KEY_LENGTH_MAX = 255  # characters, as Stripe and the IETF draft's users have it


class Judgement(Enum):
    """What to answer to a request whose key is already there."""

    REPLAY = "replay"  # the stored answer, byte for byte
    REUSED = "reused"  # the key belongs to another request
    RUNNING = "running"  # the first request has not finished
    PAST_WINDOW = "past_window"  # finished, but its answer is no longer stored


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The key's row, with the stored answer where there still is one."""

    fingerprint: bytes
    finished: bool
    status: int | None
    body: bytes | None


def hash_key(key: str) -> bytes:
    """Return what is stored of a key: 32 bytes, so that no key can be read back."""
    return hashlib.sha256(key.encode()).digest()


def fingerprint(canonical_request: bytes) -> bytes:
    """Return the SHA-256 of a request in its RFC 8785 form: key order and spaces do not count."""
    return hashlib.sha256(canonical_request).digest()


def judge(known: KnownKey, asked: bytes) -> Judgement:
    """Say what a request with fingerprint `asked` gets under a known key.

    The fingerprint is compared first: another request is refused even while the first runs.
    """
    if known.fingerprint != asked:
        return Judgement.REUSED
    if not known.finished:
        return Judgement.RUNNING
    return Judgement.REPLAY if known.body is not None else Judgement.PAST_WINDOW
