"""The mail as it is handed over: envelope and message.

Owns the headers. The Message-ID is the delivery's, the same for every attempt, so that a receiver
that drops repeats can; X-Notifyq-Reference is the attempt's, so that a relay of one's own can be
searched for it. Refuses control characters in every header: a line break would begin another.
Nothing in it needs an extension of SMTP, except SMTPUTF8 where an address is not ASCII.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from notifyq.domain.content import EmailContent
from notifyq.domain.message import Message, unsubscribe_headers
from notifyq.domain.outcome import Misconfigured, Refusal, Refused

# RFC 5321 4.5.3.1: local part 64 octets, path 256 with its brackets.
_ADDRESS = re.compile(
    r"[^\x00-\x20\x7f-\xa0()<>\[\]:;@\\,\"]{1,64}@[^\x00-\x2c\x2f\x3a-\x40\[-\x60{-\xa0]{1,255}"
)
_ADDRESS_BYTES_MAX = 254
_LINE_CHARS = 78  # RFC 5322 2.1.1: a line should have no more; 998 is what it must not exceed
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one recipient, ready to be handed over."""

    sender: str
    to: str
    reference: str  # of the attempt: ENVID, where the server takes one
    message_id: str  # without angle brackets
    raw: bytes  # 7 bit (or UTF-8 headers), lines of at most 998 bytes that end in CRLF

    @property
    def needs_utf8(self) -> bool:
        """Whether an address goes only where SMTPUTF8 (RFC 6531) is offered."""
        return not (self.sender.isascii() and self.to.isascii())


def compose(message: Message, now: datetime) -> Mail | Refused | Misconfigured:
    """Return the mail, or why it can be none: the recipient, the sender or the content."""
    content, sender = message.content, message.sender
    if not isinstance(content, EmailContent):
        return Misconfigured("not_a_mail")
    if not _is_address(sender.address):
        return Misconfigured("sender_syntax")
    if not _is_address(message.to):
        return Refused(Refusal.ADDRESS, "address_syntax")
    if has_control(content.subject) or has_control(sender.name or ""):
        return Refused(Refusal.CONTENT, "control_character")
    message_id = _message_id(message)
    if message_id is None:
        return Misconfigured("sender_syntax")
    unsubscribe = unsubscribe_headers(message.unsubscribe_url)
    if isinstance(unsubscribe, Misconfigured):
        return unsubscribe
    headers: dict[str, str | Address] = {
        "From": _mailbox(sender.address, sender.name or ""),
        "To": _mailbox(message.to, ""),
        "Subject": content.subject,
        "Date": format_datetime(now),
        "Message-ID": f"<{message_id}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no vacation notes come back
        "X-Notifyq-Reference": message.reference,
    }
    try:
        raw = _raw(headers, content, utf8=not (sender.address + message.to).isascii())
    except UnicodeError:  # half of a surrogate pair
        return Refused(Refusal.CONTENT, "not_text")
    return Mail(
        sender.address, message.to, message.reference, message_id, _folded(unsubscribe) + raw
    )


def has_control(text: str) -> bool:
    """Say whether a text has characters that no header can have: line breaks above all."""
    return _CONTROL.search(text) is not None


def _folded(fields: Mapping[str, str]) -> bytes:
    """Return fields that have no blank within, each folded at its beginning if it is long.

    The library would cut a long URL into encoded words (RFC 2047), which such a field may not
    have (section 5 there) and no reader of it undoes.
    """
    lines = []
    for name, value in fields.items():
        is_short = len(name) + 2 + len(value) <= _LINE_CHARS
        lines.append(f"{name}: {value}\r\n" if is_short else f"{name}:\r\n {value}\r\n")
    return "".join(lines).encode()


def _raw(headers: Mapping[str, str | Address], content: EmailContent, *, utf8: bool) -> bytes:
    # 7 bit: base64 or quoted-printable for whatever is not, so 8BITMIME is never needed.
    mail = EmailMessage(policy.SMTP.clone(cte_type="7bit", utf8=utf8))
    for name, value in headers.items():
        mail[name] = value
    mail.set_content(content.body)
    if content.html is not None:
        mail.add_alternative(content.html, subtype="html")
    return mail.as_bytes()


def _is_address(text: str) -> bool:
    try:
        size_bytes = len(text.encode())
    except UnicodeError:
        return False
    is_short = size_bytes <= _ADDRESS_BYTES_MAX
    return is_short and _ADDRESS.fullmatch(text) is not None and not has_control(text)


def _mailbox(address: str, name: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


def _message_id(message: Message) -> str | None:
    """Return `<collapse id>@<sender's domain>`, or None for a domain that has no ASCII form."""
    stem = message.collapse_id
    if not _TOKEN.fullmatch(stem):
        stem = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    try:
        domain = message.sender.address.rpartition("@")[2].encode("idna").decode()
    except UnicodeError:
        return None
    return f"{stem}@{domain}"
