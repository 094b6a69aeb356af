"""SES' events: what one reports of a mail of ours.

Owns the ranks and the classes of bounces, from SES' "Contents of event data". The reference is
the tag that was planted; feedback that is set up on an identity carries no tags and is left out.
Refuses nothing that SES may add: an unknown subtype falls to its type.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Bounce, Receipt
from notifyq.domain.provider import BadCallback, Reported
from notifyq.providers.answers import read_object
from notifyq.providers.ses.answer import MESSAGE_ID

TAG = "reference"  # the name of the tag that carries it

# Events arrive in any order; a later stage wins. `Delivery` is the receiving server's yes: a bounce
# that comes after it (the server changed its mind) says something of the address all the same.
RANKS: Mapping[str, int] = {
    "Send": 1,
    "DeliveryDelay": 2,
    **dict.fromkeys(("Bounce", "Reject", "Rendering Failure"), RANK_UNDELIVERED),
    "Delivery": RANK_DELIVERED,
    **dict.fromkeys(("Open", "Click", "Complaint", "Subscription"), RANK_DELIVERED + 1),
}

# A subtype that says more than its type does.
BOUNCES: Mapping[tuple[str, str], Bounce] = {
    ("Permanent", "UnsubscribedRecipient"): Bounce.OPTED_OUT,
    ("Transient", "MessageTooLarge"): Bounce.CONTENT,
    ("Transient", "ContentRejected"): Bounce.CONTENT,
    ("Transient", "AttachmentRejected"): Bounce.CONTENT,
}
# Every other one: General, NoEmail, Suppressed and OnAccountSuppressionList are all of them dead.
BOUNCE_TYPES: Mapping[str, Bounce] = {
    "Permanent": Bounce.DEAD,
    "Transient": Bounce.SOFT,
    "Undetermined": Bounce.SOFT,
}

# Where an event says when it happened. Without a time of its own: when the mail was sent.
_SECTIONS: Mapping[str, str] = {"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"}

# SES says this, as plain text, when a topic is made a destination of events.
_WELCOME = "Successfully validated SNS topic"

_Meaning = tuple[str, int, str | None, Bounce | None]  # status, rank, code, class
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_WORD = re.compile(r"[A-Za-z0-9 ._-]{1,64}")


def read_event(text: str) -> Reported | BadCallback:
    """Return what an event (JSON) reports; nothing, if it is about no mail of ours."""
    event = read_object(text.encode(errors="surrogatepass"))
    if not event and text.startswith(_WELCOME):
        return Reported()
    kind, mail = event.get("eventType"), _object(event.get("mail"))
    if kind is None and "notificationType" in event:
        return Reported()
    if not isinstance(kind, str) or kind not in RANKS:
        return BadCallback("no event type that we know")
    reference = _reference(mail)
    if reference is None:
        return Reported()
    provider_id = mail.get("messageId")
    if not isinstance(provider_id, str) or not MESSAGE_ID.fullmatch(provider_id):
        return BadCallback("no message id")
    section = _object(event.get(_SECTIONS.get(kind, kind.lower())))
    status, rank, code, bounce = _meaning(kind, section)
    at = _at(section.get("timestamp")) or _at(mail.get("timestamp"))
    return Reported((Receipt(reference, provider_id, status, rank, code, bounce, at),))


def _meaning(kind: str, section: Mapping[str, object]) -> _Meaning:
    rank = RANKS[kind]
    match kind:
        case "Bounce":
            return _bounce(section)
        case "Complaint":
            return _complaint(section)
        case "Reject":
            return kind, rank, _word(section.get("reason")), Bounce.CONTENT
        case "Rendering Failure":
            return kind, rank, None, Bounce.CONTENT
        case "DeliveryDelay":
            return kind, rank, _word(section.get("delayType")), None
        case "Subscription":
            wanted = _object(section.get("newTopicPreferences"))
            out = Bounce.OPTED_OUT if wanted.get("unsubscribeAll") is True else None
            return kind, rank, None, out
    return kind, rank, None, None


def _bounce(section: Mapping[str, object]) -> _Meaning:
    """A temporary one and a final one of a mail are two receipts: the type is in the status."""
    kind = _word(section.get("bounceType")) or "Undetermined"
    subtype = _word(section.get("bounceSubType")) or "Undetermined"
    bounce = BOUNCES.get((kind, subtype)) or BOUNCE_TYPES.get(kind, Bounce.SOFT)
    return f"Bounce.{kind}", RANK_UNDELIVERED, f"{kind}/{subtype}", bounce


def _complaint(section: Mapping[str, object]) -> _Meaning:
    """Without a subtype somebody got the mail and complained; with this one it was never sent."""
    code = _word(section.get("complaintFeedbackType"))
    if code == "not-spam":  # taken back: of another status, lest a complaint be taken for known
        return "Complaint.not-spam", RANK_DELIVERED, code, None
    if section.get("complaintSubType") == "OnAccountSuppressionList":
        suppressed = "OnAccountSuppressionList"
        return f"Complaint.{suppressed}", RANK_UNDELIVERED, suppressed, Bounce.OPTED_OUT
    return "Complaint", RANKS["Complaint"], code, Bounce.OPTED_OUT


def _reference(mail: Mapping[str, object]) -> str | None:
    found = _object(mail.get("tags")).get(TAG)
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        return None
    return found[0] if _REFERENCE.fullmatch(found[0]) else None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _word(value: object) -> str | None:
    """Return a word of SES' own; None for what could be a sentence with an address in it."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _at(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):  # the latter: it is in no year that UTC has
        return None
