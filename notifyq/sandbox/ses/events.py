"""SES' events: what is told about an accepted mail.

Owns the order and the JSON, written from SES' "Contents of event data" alone.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from notifyq.sandbox.record import Acceptance, now
from notifyq.sandbox.ses.rules import Asked
from notifyq.sandbox.telling import Step

ACCEPTED = "Accepted"  # the first status, of which there is no event
GOOD = (Step("Send"), Step("Delivery"))
BAD = "Permanent/General"  # how a mail ends that does not arrive, where nobody named it


def bad_steps(code: int | str | None) -> tuple[Step, ...]:
    """Return how a mail goes that ends badly.

    code: `Reject`; `Complaint`, which comes after delivery, or `Complaint/` and a subtype, of what
    was never sent; else a bounce's type, with or without `/` and its subtype.
    """
    named = str(code or BAD)
    if named == "Reject":
        return (Step("Send"), Step("Reject", named))
    if named == "Complaint":
        return (*GOOD, Step("Complaint", named))
    word = "Complaint" if named.startswith("Complaint/") else "Bounce"
    return (Step("Send"), Step(word, named))


def event(entry: Acceptance, asked: Asked, step: Step) -> str:
    """Return an event as JSON."""
    kind, _, subtype = str(step.code or "").partition("/")
    section = _SECTIONS[step.word](entry, kind, subtype)
    tags = {name: [value] for name, value in asked.tags.items()}
    mail = {
        "timestamp": time(entry.accepted_at),
        "source": asked.sender,
        "sendingAccountId": "123456789012",
        "messageId": entry.provider_id,
        "destination": [entry.to],
        "headersTruncated": False,
        "headers": [{"name": "To", "value": entry.to}],
        "commonHeaders": {"from": [asked.sender], "to": [entry.to], "subject": asked.subject},
        "tags": {"ses:configuration-set": [asked.configuration_set], **tags},
    }
    return json.dumps({"eventType": step.word, "mail": mail, step.word.lower(): section})


def time(iso: str) -> str:
    """Return an instant as AWS writes it: UTC, milliseconds, Z."""
    found = datetime.fromisoformat(iso).astimezone(UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03}Z"


_Section = Callable[[Acceptance, str, str], dict[str, object]]


def _send(entry: Acceptance, kind: str, subtype: str) -> dict[str, object]:
    return {}


def _delivery(entry: Acceptance, kind: str, subtype: str) -> dict[str, object]:
    reply = "250 2.6.0 Message received"
    return {"timestamp": time(now()), "recipients": [entry.to], "smtpResponse": reply}


def _bounce(entry: Acceptance, kind: str, subtype: str) -> dict[str, object]:
    return {
        "bounceType": kind,
        "bounceSubType": subtype or "General",
        "bouncedRecipients": [{"emailAddress": entry.to, "action": "failed", "status": "5.1.1"}],
        "timestamp": time(now()),
        "feedbackId": f"{entry.provider_id}-f",
        "reportingMTA": "dsn; sandbox",
    }


def _complaint(entry: Acceptance, kind: str, subtype: str) -> dict[str, object]:
    section: dict[str, object] = {
        "complainedRecipients": [{"emailAddress": entry.to}],
        "timestamp": time(now()),
        "feedbackId": f"{entry.provider_id}-f",
        "complaintSubType": subtype or None,
    }
    return section if subtype else {**section, "complaintFeedbackType": "abuse"}


def _reject(entry: Acceptance, kind: str, subtype: str) -> dict[str, object]:
    return {"reason": "Bad content"}


_SECTIONS: Mapping[str, _Section] = {
    "Send": _send,
    "Delivery": _delivery,
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Reject": _reject,
}
