"""One key, one notification: what a request under a known key gets. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

KEY_LENGTH_MAX = 255  # characters, as Stripe and the IETF draft's users have it

ACCEPTED_STATUS = 202

# Recovery points: the last atomic phase of a key that committed. A list of recipients is at
# `recipients_1000`, `recipients_2000` … on its way to `finished`; everything else begins there.
FINISHED = "finished"
_RECIPIENTS = "recipients_"


def after_recipients(done: int, recipients: int) -> str:
    """Return the recovery point once `done` of a request's recipients are written."""
    return FINISHED if done == recipients else f"{_RECIPIENTS}{done}"


def recipients_done(recovery_point: str) -> int:
    """Return how many recipients are written at a recovery point; ValueError: it is none."""
    return int(recovery_point.removeprefix(_RECIPIENTS))


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


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer, given now or before."""

    status: int
    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """The key stands in the way; the notification is the one that has it."""

    judgement: Judgement
    notification_id: UUID | None


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


def judged(asked: bytes, known: KnownKey, notification_id: UUID) -> Answer | Refusal:
    """Return what a request with fingerprint `asked` gets under a key that stands for this."""
    judgement = judge(known, asked)
    if judgement is Judgement.REPLAY and known.status is not None and known.body is not None:
        return Answer(known.status, known.body, replayed=True)
    return Refusal(judgement, notification_id)


def dedupe_mark(
    *, test: bool, recipient: str | None, addresses: Sequence[str], category: str, dedupe_key: str
) -> bytes:
    """Return the mark of a request's `dedupe_key`: SHA-256 over whom, what and which.

    recipient: the producer's own id of the person, where there is one; else the addresses count.
    None of the texts has a NUL, so no two requests run into each other.
    """
    mode = "test" if test else "live"
    reached = "\0".join(sorted(addresses))
    whom = f"phone\0{reached}" if recipient is None else f"id\0{recipient}"
    return hashlib.sha256("\0".join((mode, whom, category, dedupe_key)).encode()).digest()
