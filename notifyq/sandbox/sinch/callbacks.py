"""Sinch's callbacks: what is told about a message, or of one that somebody wrote, signed.

Owns the order of statuses and the signature, written from Sinch's documents alone: base64 of
HMAC-SHA256 over the body, a nonce and a time, with dots between.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from notifyq.sandbox.record import Acceptance, Status, now
from notifyq.sandbox.sinch.resource import Resource, code_of, report, time
from notifyq.sandbox.telling import Call, Step

QUEUED = Step("Queued", 400)
GOOD = (Step("Dispatched", 401), Step("Delivered", 0))
UNREACHABLE = "159"  # an undelivered message's code where nobody named one
_WORDS = frozenset({"Aborted", "Cancelled", "Rejected", "Deleted", "Failed", "Expired"})
_ON_ITS_WAY = frozenset({QUEUED.word, GOOD[0].word})
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def bad_step(code: int | str | None) -> Step:
    """Return how a message ends that does not arrive: by a report's code, or by a status' name."""
    named = str(code or UNREACHABLE)
    if named in _WORDS:
        return Step(named, 0)
    number = int(named) if named.isascii() and named.isdigit() else 403
    return Step("Aborted" if 402 <= number <= 418 else "Failed", number)


def status_call(
    entry: Acceptance, secret: str, url: str | None, kind: str
) -> Callable[[Step], Call | None]:
    """Return what makes the callback about a status.

    kind: which were asked for. `per_recipient` tells every change, the others the last one.
    """

    def call(step: Step) -> Call | None:
        if url is None or kind == "none":
            return None
        if step.word in _ON_ITS_WAY and kind != "per_recipient":
            return None
        if kind.startswith("per_recipient"):
            return signed_call(url, secret, _recipient_report(entry, step))
        body = report(entry, Status(step.word, step.code), full=kind == "full")
        return signed_call(url, secret, body)

    return call


def inbound_call(url: str, secret: str, *, sender: str, to: str, body: str) -> Call:
    """Return the callback about a text message that somebody wrote to one of the numbers."""
    message = {
        "type": "mo_text",
        "id": new_id(),
        "from": sender.removeprefix("+"),
        "to": to.removeprefix("+"),
        "body": body,
        "received_at": time(now()),
    }
    return signed_call(url, secret, message)


def signed_call(url: str, secret: str, body: Resource) -> Call:
    """Return a signed callback of any kind."""
    raw = json.dumps(body, ensure_ascii=False).encode()
    nonce, timestamp = new_id(), str(int(datetime.now(UTC).timestamp()))
    headers = {
        "Content-Type": "application/json",
        "X-Sinch-Webhook-Signature": sign(secret, raw, nonce, timestamp),
        "X-Sinch-Webhook-Signature-Nonce": nonce,
        "X-Sinch-Webhook-Signature-Timestamp": timestamp,
        "X-Sinch-Webhook-Signature-Algorithm": "HmacSHA256",
    }
    return Call(url, headers, raw)


def sign(secret: str, body: bytes, nonce: str, timestamp: str) -> str:
    """Return X-Sinch-Webhook-Signature."""
    text = b".".join((body, nonce.encode(), timestamp.encode()))
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha256")).decode()


def new_id() -> str:
    """Return 26 characters as Sinch names things, after the pattern of a ULID."""
    return "01" + "".join(secrets.choice(_CROCKFORD) for _ in range(24))


def _recipient_report(entry: Acceptance, step: Step) -> Resource:
    shown = {
        "type": "recipient_delivery_report_sms",
        "batch_id": entry.provider_id,
        "recipient": entry.to.removeprefix("+"),
        "code": code_of(step.code),
        "status": step.word,
        "at": time(now()),
        "client_reference": entry.reference,
    }
    return {name: value for name, value in shown.items() if value is not None}
