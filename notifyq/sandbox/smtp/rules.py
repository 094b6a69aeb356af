"""What the sandbox's relay takes and what it refuses: addresses, mails, replies, magic recipients.

Owns the other side's rules, written from RFC 5321, 5322, 3461, 3463, 4954 and 6531 and from what
Postfix and SES document of their replies; shares nothing with the client.
Refuses more than relays do in two points, so that mistakes are found here: a mail has one
recipient, and a parameter that was not offered is an error everywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON

# Known to everybody: nothing but the sandbox takes them. Logging in is offered, not demanded.
USERNAME = "sandbox"
PASSWORD = "sandbox-password-known-to-everybody"
SENDER = "notifyq@sandbox.example"  # everybody at its domain may send

SIZE_BYTES_MAX = 10_485_760
LINE_BYTES_MAX = 998  # of a mail, without its end
COMMAND_BYTES_MAX = 2_048  # RFC 5321 says 512, and more where extensions ask for it


@dataclass(frozen=True, slots=True)
class Reply:
    """What the relay says."""

    code: int
    detail: str | None  # subject and detail of the enhanced status code: "1.1"
    text: str

    def __str__(self) -> str:
        status = "" if self.detail is None else f"{self.code // 100}.{self.detail} "
        return f"{self.code} {status}{self.text}"


@dataclass(frozen=True, slots=True)
class Path:
    """MAIL or RCPT: an address and its parameters, names in upper case."""

    address: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends, to whom, and what was said of it."""

    sender: str
    to: str
    reference: str | None  # ENVID
    is_8bit: bool
    is_utf8: bool


OK = Reply(250, "0.0", "Ok")
SYNTAX = Reply(501, "5.4", "Syntax error in parameters")
SEQUENCE = Reply(503, "5.1", "Bad sequence of commands")
UNKNOWN = Reply(500, "5.1", "Command unrecognized")
UNKNOWN_PARAMETER = Reply(555, "5.4", "Parameter not recognized or not implemented")
TOO_LARGE = Reply(552, "3.4", "Message size exceeds fixed maximum message size")
NOT_YOURS = Reply(553, "7.1", "Sender address rejected: not owned by user")
NEEDS_UTF8 = Reply(553, "6.7", "SMTPUTF8 is required for this address")

# What a code of a script comes with; any other has the class alone.
DETAILS: Mapping[int, tuple[str, str]] = {
    421: ("3.2", "Service shutting down"),
    450: ("2.0", "Mailbox unavailable"),
    451: ("3.0", "Local error in processing"),
    452: ("2.2", "Mailbox full"),
    454: ("7.0", "Temporary authentication failure"),
    535: ("7.8", "Authentication credentials invalid"),
    550: ("1.1", "User unknown"),
    552: ("3.4", "Message too big"),
    553: ("1.3", "Mailbox name not allowed"),
    554: ("7.1", "Message rejected as spam"),
}
THROTTLED = Reply(454, None, "Throttling failure: Maximum sending rate exceeded.")  # SES' words

# Whom a relay refuses before it has seen a mail. SMTP knows no opt-out: that is a policy.
AT_RCPT: Mapping[str, Reply] = {
    "dead": Reply(550, "1.1", "User unknown"),
    "opted-out": Reply(550, "7.1", "The recipient has asked for no more mail from you"),
    "wrong-kind": Reply(553, "1.3", "Mailbox name not allowed"),
    "config": Reply(554, "7.1", "Relay access denied"),
}
# What a kind of magic recipient comes to at the end of a mail. `undelivered` would come back as a
# mail to the sender, which nobody reads.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "undelivered": Fault("no_callbacks"),
    "content": Fault("refuse", code=554),
}

_PATH = re.compile(r"<([^<>\s]{1,254})>((?: [A-Z0-9][A-Z0-9-]*(?:=[!-<>-~]+)?)*)", re.IGNORECASE)
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]{1,64}@[A-Za-z0-9.\x80-\U0010ffff-]{1,255}"
)
_XTEXT = re.compile(r"[!-*,-<>-~]{1,100}")  # RFC 3461 4, without escapes
_ONCE = ("From", "Date", "Message-ID", "To", "Subject")
_AT_MOST_ONCE = ("List-Unsubscribe", "List-Unsubscribe-Post")  # RFC 8058 3.1: one of each


def read_path(text: str) -> Path | Reply:
    """Return what follows `MAIL FROM:` or `RCPT TO:`, or what is against it."""
    found = _PATH.fullmatch(text)
    if found is None:
        return SYNTAX
    if not _ADDRESS.fullmatch(found[1]):
        return Reply(501, "1.3", "Bad address syntax")
    pairs = [each.partition("=") for each in found[2].split()]
    parameters = {name.upper(): value for name, _, value in pairs}
    return SYNTAX if len(parameters) < len(pairs) else Path(found[1], parameters)


def judge_sender(path: Path) -> Reply | None:
    """Return what is against a sender and its parameters."""
    given = path.parameters
    if given.keys() - {"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID"}:
        return UNKNOWN_PARAMETER
    size = given.get("SIZE", "0")
    wrong = (
        not (size.isascii() and size.isdecimal())
        or given.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME")
        or given.get("SMTPUTF8", "") != ""
        or given.get("RET", "HDRS").upper() not in ("HDRS", "FULL")
        or not _XTEXT.fullmatch(given.get("ENVID", "x"))
    )
    if wrong:
        return SYNTAX
    if int(size) > SIZE_BYTES_MAX:
        return TOO_LARGE
    if not path.address.isascii() and "SMTPUTF8" not in given:
        return NEEDS_UTF8
    return None if path.address.endswith(SENDER[SENDER.index("@") :]) else NOT_YOURS


def judge_recipient(path: Path, *, is_utf8: bool, kind: str | None) -> Reply | None:
    """Return what is against a recipient; kind: of a magic one."""
    if path.parameters.keys() - {"NOTIFY", "ORCPT"}:
        return UNKNOWN_PARAMETER
    if not path.address.isascii() and not is_utf8:
        return NEEDS_UTF8
    return AT_RCPT.get(kind) if kind else None


def read_mail(raw: bytes, envelope: Envelope) -> EmailMessage | Reply:
    """Return a mail, or what is against it. raw: as it came, without its end and unstuffed."""
    if b"\r" in raw.replace(b"\r\n", b"") or b"\n" in raw.replace(b"\r\n", b""):
        return Reply(550, "6.11", "A line ends in CR or LF alone")
    if any(len(line) > LINE_BYTES_MAX for line in raw.split(b"\r\n")):
        return Reply(550, "6.11", "A line is too long")
    if not raw.isascii() and not envelope.is_8bit:
        return Reply(550, "6.1", "8 bit data without BODY=8BITMIME")
    head = raw.partition(b"\r\n\r\n")[0]
    if not head.isascii() and not envelope.is_utf8:
        return Reply(550, "6.7", "8 bit headers without SMTPUTF8")
    try:
        mail = message_from_bytes(raw, policy=policy.SMTPUTF8)
        wrong = [name for name in _ONCE if len(mail.get_all(name, [])) != 1]
        wrong += [name for name in _AT_MOST_ONCE if len(mail.get_all(name, [])) > 1]
    except (MessageError, ValueError, LookupError):
        return Reply(550, "6.0", "The mail cannot be read")
    if wrong or mail.defects:
        return Reply(550, "6.0", f"Wrong in the header: {', '.join(wrong) or 'its form'}")
    return mail


def headers_of(mail: EmailMessage) -> dict[str, str]:
    """Return a mail's header fields, names in lower case, unfolded and not decoded.

    Not decoded: an encoded word (RFC 2047) in a field of tokens stays what its reader would see.
    """
    return {name.lower(): f"{value}".replace("\r\n", "") for name, value in mail.raw_items()}
