"""SendGrid's event webhook: a signed array of events, and what each reports of a mail of ours.

Owns the signature, the ranks and the classes; twilio.com/docs/sendgrid "Event Webhook Reference".
Refuses to believe anything before the signature over the very bytes holds. One event that is not
understood loses none of the others: SendGrid puts many accounts' mails into one array.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Bounce, Receipt
from notifyq.domain.provider import (
    BadCallback,
    BadSignature,
    Callback,
    Reading,
    Reported,
    Unverified,
)
from notifyq.providers.sendgrid.answer import message_id

ARGUMENT = "reference"  # the custom argument that carries it; events have it at their top level

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

# SendGrid tries again for 24 hours, and does not say that it signs anew each time. So a day and an
# hour: an event that is refused is evidence lost, one that is replayed is known already.
AGE_S_MAX = 90_000
AHEAD_S_MAX = 300  # the longest that clocks are off

# Events arrive in any order; a later stage wins.
RANKS: Mapping[str, int] = {
    "processed": 1,
    "deferred": 2,
    **dict.fromkeys(("bounce", "dropped"), RANK_UNDELIVERED),
    "delivered": RANK_DELIVERED,
    **dict.fromkeys(("open", "click", "spamreport", "unsubscribe"), RANK_DELIVERED + 1),
    **dict.fromkeys(("group_unsubscribe", "group_resubscribe"), RANK_DELIVERED + 1),
}
OPTS_OUT = frozenset({"spamreport", "unsubscribe", "group_unsubscribe"})

# Why an event of type `blocked` says nothing about the address. Any other reason may be the
# address' (a domain without a mail server is one): several in a row are as good as dead.
BLOCKED: Mapping[str, Bounce] = {
    "content": Bounce.CONTENT,
    "reputation": Bounce.OURS,
    "frequency or volume too high": Bounce.OURS,
    "frequency/volume": Bounce.OURS,
}

# Why SendGrid did not try, by how its reason begins; in lower case. The first three are its own
# lists. No row: nothing is known of the address.
DROPPED: Mapping[str, Bounce] = {
    "bounced address": Bounce.DEAD,
    "unsubscribed address": Bounce.OPTED_OUT,
    "spam reporting address": Bounce.OPTED_OUT,
    "invalid smtpapi header": Bounce.OURS,
    "invalid": Bounce.DEAD,
    "spam content": Bounce.CONTENT,
    "recipient list over package quota": Bounce.OURS,
}

# Instead of the id in an event that has none, as bounces that come by mail may: the reference says
# which attempt it is about, and that has its id from the answer.
UNNAMED = "unnamed"

_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")  # RFC 3463
_WORD = re.compile(r"[A-Za-z][A-Za-z /_-]{0,63}")


def public_key(text: str) -> EllipticCurvePublicKey:
    """Return the key that SendGrid shows (base64 of DER); ValueError: it is none on a curve."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key in base64, as SendGrid shows it") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("not a key on an elliptic curve, as SendGrid's is")
    return key


def read_callback(key: EllipticCurvePublicKey | None, callback: Callback, now: datetime) -> Reading:
    """Verify a batch of events and return what it reports. now: aware."""
    if key is None:
        return Unverified("webhook_public_key is not set")
    refusal = _refusal_of(key, callback, now)
    if refusal is not None:
        return refusal
    try:
        events = json.loads(callback.body)
    except (ValueError, RecursionError):
        return BadCallback("not JSON")
    if not isinstance(events, list):
        return BadCallback("not an array of events")
    receipts = (_read_event(event) for event in events if isinstance(event, dict))
    return Reported(tuple(receipt for receipt in receipts if receipt is not None))


def _refusal_of(
    key: EllipticCurvePublicKey, callback: Callback, now: datetime
) -> BadSignature | None:
    signature, timestamp = (callback.headers.get(name) for name in (_SIGNATURE, _TIMESTAMP))
    if signature is None or timestamp is None:
        return BadSignature("no signature")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return BadSignature("the time is unreadable")
    ago_s = now.timestamp() - int(timestamp)
    if not -AHEAD_S_MAX <= ago_s <= AGE_S_MAX:
        return BadSignature("too old" if ago_s > AGE_S_MAX else "from the future")
    try:
        signed = timestamp.encode() + callback.body
        key.verify(base64.b64decode(signature, validate=True), signed, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return BadSignature("signature differs")
    return None


def _read_event(event: Mapping[str, object]) -> Receipt | None:
    """Return a receipt; None for an event that is about no mail of ours, or of no known kind."""
    kind, reference = event.get("event"), event.get(ARGUMENT)
    if not isinstance(kind, str) or kind not in RANKS:
        return None
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        return None
    # A blocked one may be followed by a bounce of the same mail: two receipts, not one. Any other
    # type, `expired` say, is no hard bounce either.
    status = "blocked" if kind == "bounce" and event.get("type") != "bounce" else kind
    return Receipt(
        reference=reference,
        provider_id=message_id(event.get("sg_message_id")) or UNNAMED,
        status=status,
        rank=RANKS[kind],
        code=_code(event),
        bounce=_bounce(status, event),
        at=_at(event.get("timestamp")),
    )


def _bounce(status: str, event: Mapping[str, object]) -> Bounce | None:
    if status in OPTS_OUT:
        return Bounce.OPTED_OUT
    if status in ("bounce", "blocked"):
        return _bounced(status, event)
    if status == "dropped":
        reason = _lower(event, "reason")
        known = (why for text, why in DROPPED.items() if _is_about(reason, text))
        return next(known, None)
    return None


def _bounced(status: str, event: Mapping[str, object]) -> Bounce:
    """Say what a bounce says of the address: a temporary code, or our fault, does not end it."""
    classified = BLOCKED.get(_lower(event, "bounce_classification"))
    if classified is not None:
        return classified
    if status == "bounce":
        return Bounce.SOFT if _lower(event, "status").startswith("4") else Bounce.DEAD
    return Bounce.OURS if _lower(event, "status").startswith("5.7.") else Bounce.SOFT


def _is_about(reason: str, text: str) -> bool:
    """Whether a reason begins so; "invalid" alone is the address, "Invalid From address" is not."""
    return reason.startswith(text) and (text != "invalid" or reason[len(text) :][:2] in ("", " ("))


def _code(event: Mapping[str, object]) -> str | None:
    """Return the mail system's code, else SendGrid's class; never its sentence with an address."""
    for name, pattern in (("status", _ENHANCED), ("bounce_classification", _WORD)):
        found = event.get(name)
        if isinstance(found, str) and pattern.fullmatch(found):
            return found
    reason = _lower(event, "reason")
    return next(
        (text for text in DROPPED if event.get("event") == "dropped" and reason == text), None
    )


def _lower(event: Mapping[str, object], name: str) -> str:
    found = event.get(name)
    return found.lower() if isinstance(found, str) else ""


def _at(value: object) -> datetime | None:
    if type(value) is not int:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
