"""SendGrid's event webhook: what is told about an accepted mail, signed.

Owns the order, the JSON and the signature, written from SendGrid's documents alone. The private key
is known to everybody, so that its public half can stand in settings; nobody else believes it.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from notifyq.sandbox.record import Acceptance
from notifyq.sandbox.sendgrid.rules import Asked
from notifyq.sandbox.telling import Call, Step

ACCEPTED = "accepted"  # the first status, of which there is no event
GOOD = (Step("processed"), Step("delivered"))
# Of the key that `private_key` makes; beside it so that settings can name it.
PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgBXyKXdgPLooAy/32nuxDUAwBc0mgngKfMWYT60J6se4"
    "Uc5ztSfHd2RRdaPU1VcYCoRvUYThXnKIXcvGYj3jcg=="
)
_PRIVATE_NUMBER = int.from_bytes(b"notifyq sandbox known to all")

DROPS = frozenset(
    {
        *("Bounced Address", "Unsubscribed Address", "Spam Reporting Address"),
        *("Invalid", "Spam Content", "Recipient List over Package Quota"),
    }
)


@cache
def private_key() -> EllipticCurvePrivateKey:
    """Return the key that events are signed with."""
    return derive_private_key(_PRIVATE_NUMBER, SECP256R1())


def bad_steps(code: int | str | None) -> tuple[Step, ...]:
    """Return how a mail goes that ends badly.

    code: `blocked`, `spamreport` or `unsubscribe` (which come after delivery), or the reason of a
    drop with hyphens for its spaces; else it bounces.
    """
    named = str(code or "bounce")
    reason = named.replace("-", " ")
    if reason in DROPS:
        return (Step("processed"), Step("dropped", reason))
    if named in ("spamreport", "unsubscribe"):
        return (*GOOD, Step(named))
    return (Step("processed"), Step("bounce", "blocked" if named == "blocked" else "bounce"))


def event_call(entry: Acceptance, asked: Asked, url: str | None) -> Callable[[Step], Call | None]:
    """Return what makes the callback about a status: an array of one event."""

    def call(step: Step) -> Call | None:
        return None if url is None else signed_call(url, [_event(entry, asked, step)])

    return call


def signed_call(url: str, events: object) -> Call:
    """Return a signed callback of any events."""
    body = json.dumps(events).encode() + b"\r\n"
    timestamp = f"{int(time.time())}"
    signature = private_key().sign(timestamp.encode() + body, ECDSA(SHA256()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "SendGrid Event API",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return Call(url, headers, body)


def message_id(entry: Acceptance) -> str:
    """Return a mail's whole id: that of the answer, and where it was worked on."""
    return f"{entry.provider_id}.filter0001p1las1-16816-5A023E36-1.0"


def _event(entry: Acceptance, asked: Asked, step: Step) -> dict[str, object]:
    more: Mapping[str, Mapping[str, object]] = {
        "delivered": {"response": "250 2.6.0 Message received"},
        "dropped": {"reason": step.code},
        "bounce": {
            "type": step.code,
            "status": "5.1.1" if step.code == "bounce" else "4.2.2",
            "reason": f"550 {entry.to}: not taken",
            "bounce_classification": "Invalid Address" if step.code == "bounce" else "Technical",
        },
    }
    return {
        "email": entry.to,
        "timestamp": int(time.time()),
        "smtp-id": f"<{entry.provider_id}@sandbox>",
        "event": step.word,
        "sg_event_id": uuid.uuid4().hex,
        "sg_message_id": message_id(entry),
        **more.get(step.word, {}),
        **asked.arguments,
    }
