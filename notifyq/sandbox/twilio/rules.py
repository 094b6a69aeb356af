"""What Twilio takes and what it refuses: accounts, forms, errors, magic recipients.

Owns the other side's rules, written from Twilio's documents alone; shares nothing with the client.
Refuses more than Twilio does in one point: a form field it does not carry out is an error, where
Twilio ignores it. So a misspelt field is found here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlsplit

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON

ACCOUNT_SID = "AC5a9d0b0c5a9d0b0c5a9d0b0c5a9d0b0c"
AUTH_TOKEN = "sandbox-token-known-to-everybody"
SENDER = "+15005550006"

BODY_CHARS_MAX = 1_600
CALLBACK_CHARS_MAX = 4_000
VALIDITY_S_MAX = 36_000
FIELDS = frozenset({"To", "From", "Body", "StatusCallback", "ValidityPeriod"})


@dataclass(frozen=True, slots=True)
class Account:
    """Who may send, and from which numbers (E.164)."""

    sid: str = ACCOUNT_SID
    token: str = AUTH_TOKEN
    senders: frozenset[str] = frozenset({SENDER})


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in Twilio's error shape."""

    code: int
    status: int = 400
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A message that Twilio would take."""

    to: str
    sender: str
    body: str
    callback_url: str | None

    @property
    def reference(self) -> str | None:
        """The query parameter `reference` of the callback URL."""
        if self.callback_url is None:
            return None
        return parse_qs(urlsplit(self.callback_url).query).get("reference", [None])[0]


# twilio.com/docs/api/errors; the words are ours.
MESSAGES: Mapping[int, str] = {
    20001: "Unknown, repeated or unreadable parameters",
    20003: "Authenticate",
    20004: "Method not allowed",
    20404: "The requested resource was not found",
    20415: "Unsupported media type: a form is expected",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    21211: "The 'To' number is not a valid phone number",
    21212: "The 'From' number is not a valid phone number",
    21602: "Message body is required",
    21603: "A 'From' phone number is required",
    21604: "A 'To' phone number is required",
    21606: "The 'From' number cannot send to this recipient",
    21609: "The 'StatusCallback' URL is not a valid URL",
    21610: "Attempt to send to unsubscribed recipient",
    21612: "The combination of 'To' and 'From' cannot be routed",
    21614: "The 'To' number is not a mobile number",
    21617: "The message body exceeds the 1600 character limit",
    21659: "The 'From' number is not a Twilio phone number",
    21660: "The 'From' number belongs to another account",
    90007: "Invalid validity period value",
}

# What a kind of magic recipient comes to here; the others are the same at every vendor.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "dead": Fault("refuse", code=21211),
    "opted-out": Fault("refuse", code=21610),
    "wrong-kind": Fault("refuse", code=21614),
    "undelivered": Fault("undelivered", code=30003),
    "content": Fault("refuse", code=21617),
    "config": Fault("refuse", code=21612),
}

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


def read_form(raw: bytes) -> dict[str, str] | None:
    """Return a form's fields; None if it is no UTF-8 form or names a field twice."""
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    fields = dict(pairs)
    return None if len(fields) != len(pairs) or _BAD_ESCAPE.search(text) else fields


def judge(form: Mapping[str, str], account: Account, others: frozenset[str]) -> Asked | Refused:
    """Return the message that a form asks for, or what Twilio says against it.

    others: the senders of all other accounts.
    """
    if form.keys() - FIELDS:
        return Refused(20001)
    to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    wrong = (
        _wrong_recipient(to)
        or _wrong_sender(sender, account, others)
        or _wrong_body(body)
        or _wrong_options(form)
    )
    if wrong:
        return Refused(wrong)
    return Asked(to, sender, body, form.get("StatusCallback"))


def _wrong_recipient(to: str) -> int:
    if not to:
        return 21604
    return 0 if _E164.fullmatch(to) else 21211


def _wrong_sender(sender: str, account: Account, others: frozenset[str]) -> int:
    if not sender:
        return 21603
    if not _E164.fullmatch(sender):
        return 21212
    if sender in account.senders:
        return 0
    return 21660 if sender in others else 21659


def _wrong_body(body: str) -> int:
    if not body.strip():
        return 21602
    return 21617 if len(body) > BODY_CHARS_MAX else 0


def _wrong_options(form: Mapping[str, str]) -> int:
    if "StatusCallback" in form and not _is_callable(form["StatusCallback"]):
        return 21609
    period = form.get("ValidityPeriod", "1")
    whole = period.isascii() and period.isdigit() and len(period) <= 5
    return 0 if whole and 1 <= int(period) <= VALIDITY_S_MAX else 90007


def _is_callable(url: str) -> bool:
    """Say whether Twilio would call it. That it must be public is let go: this is a sandbox."""
    if len(url) > CALLBACK_CHARS_MAX or not url.isascii() or re.search(r"\s", url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and "_" not in host and port_is_right
