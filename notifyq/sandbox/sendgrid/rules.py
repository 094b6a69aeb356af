"""What SendGrid takes and what it refuses: accounts, mails, errors, magic recipients.

Owns the other side's rules, written from SendGrid's documents alone; shares nothing with the
client. Refuses more than SendGrid does in one point: a field it does not carry out is an error,
where SendGrid ignores many. So a misspelt field is found here.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON
from notifyq.sandbox.mail import ADDRESS, BREAK

# Known to everybody: nothing but the sandbox takes them.
API_KEY = "SG.sandbox-key-known-to-everybody"
SENDER = "notifyq@sandbox.example"  # everybody at its domain is verified

CUSTOM_ARGS_BYTES_MAX = 10_000
SUBJECT_CHARS_MAX = 998


@dataclass(frozen=True, slots=True)
class Account:
    """Who may send, and from which domains."""

    api_key: str = API_KEY
    domains: frozenset[str] = frozenset({SENDER.rpartition("@")[2]})
    scopes: tuple[str, ...] = ("mail.send", "messages.read", "user.webhooks.event.settings.read")


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in SendGrid's error shape."""

    message: str
    field: str | None = None
    status: int = 400
    reset_after_s: int | None = None  # when the rate limit is over


@dataclass(frozen=True, slots=True)
class Asked:
    """A mail that SendGrid would take."""

    to: str
    sender: str
    subject: str
    body: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # its own, names in lower case


TO = "personalizations.0.to.0.email"
CREDITS = "credits"  # the code of a script that the plan is used up
UNAUTHORIZED = Refused(
    "The provided authorization grant is invalid, expired, or revoked", None, 401
)

# What a kind of magic recipient comes to here; the others are the same at every vendor. The code of
# a refusal is its field.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "dead": Fault("refuse", code=TO),
    "opted-out": Fault("undelivered", code="Unsubscribed-Address"),
    "wrong-kind": Fault("refuse", code=TO),
    "undelivered": Fault("undelivered", code="blocked"),
    "content": Fault("refuse", code="content"),
    "config": Fault("refuse", {"status": 403}, code="from"),
}
MESSAGES: Mapping[str, str] = {
    TO: "Does not contain a valid address.",
    CREDITS: "Maximum credits exceeded",
    "from": "The from address does not match a verified Sender Identity. Mail cannot be sent until "
    "this error is resolved.",
}

_HEADER_NAME = re.compile(r"[!-9;-~]+")
# Of the description of `headers` in SendGrid's OpenAPI document.
_RESERVED = frozenset(
    {
        *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type"),
        *("content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc"),
    }
)


class _Bad(ValueError):
    def __init__(self, message: str, name: str | None) -> None:
        super().__init__(message)
        self.field = name


def judge(given: object, account: Account) -> Asked | Refused:
    """Return the mail that a request asks for, or what SendGrid says against it."""
    try:
        needed = {"personalizations", "from", "subject", "content"}
        fields = _members(given, {*needed, "headers"}, needed, "")
        to, arguments = _personalization(fields["personalizations"])
        sender = _members(fields["from"], {"email", "name"}, {"email"}, "from")
        address = _text(sender["email"], "from.email")
        if not ADDRESS.fullmatch(address):
            raise _Bad("Does not contain a valid address.", "from.email")
        _text(sender.get("name", "x"), "from.name")
        subject = _text(fields["subject"], "subject")
        if BREAK.search(subject) or len(subject) > SUBJECT_CHARS_MAX:
            raise _Bad("The subject must be on one line", "subject")
        body = _content(fields["content"])
        headers = _headers(fields.get("headers", {}))
    except _Bad as error:
        return Refused(str(error), error.field)
    if address.rpartition("@")[2].lower() not in account.domains:
        return Refused(MESSAGES["from"], "from", 403)
    return Asked(to, address, subject, body, arguments, headers)


def _personalization(given: object) -> tuple[str, dict[str, str]]:
    """Return the recipient and the custom arguments of the only one."""
    here = "personalizations.0"
    one = _only(given, "personalizations")
    found = _members(one, {"to", "custom_args"}, {"to"}, here)
    recipient = _members(
        _only(found["to"], f"{here}.to"), {"email", "name"}, {"email"}, f"{here}.to.0"
    )
    to = _text(recipient["email"], TO)
    if not ADDRESS.fullmatch(to):
        raise _Bad(MESSAGES[TO], TO)
    given = found.get("custom_args", {})
    if not isinstance(given, dict):
        raise _Bad("The custom_args must be an object", f"{here}.custom_args")
    arguments = {name: _text(value, f"{here}.custom_args") for name, value in given.items()}
    if sum(len(f"{pair}".encode()) for pair in arguments.items()) > CUSTOM_ARGS_BYTES_MAX:
        raise _Bad("The custom_args are larger than 10,000 bytes", f"{here}.custom_args")
    return to, arguments


def _content(given: object) -> str:
    """Return the first part's text: the plain one, where there is one."""
    if not isinstance(given, list) or not given:
        raise _Bad("The content must have at least one part", "content")
    kinds, texts = [], []
    for number, each in enumerate(given):
        part = _members(each, {"type", "value"}, {"type", "value"}, f"content.{number}")
        kinds.append(_text(part["type"], f"content.{number}.type"))
        texts.append(_text(part["value"], f"content.{number}.value"))
    if kinds not in (["text/plain"], ["text/html"], ["text/plain", "text/html"]):
        text = "If present, text/plain and text/html may only be provided once, plain first"
        raise _Bad(text, "content")
    return texts[0]


def _headers(given: object) -> dict[str, str]:
    """Return them by their names in lower case. The words are those of "Mail Send errors"."""
    if not isinstance(given, dict):
        raise _Bad("The headers must be an object", "headers")
    headers: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(value, str):
            raise _Bad("The header values must be strings.", "headers")
        if not _HEADER_NAME.fullmatch(name):
            text = "Header keys cannot contain non-ASCII characters and empty spaces."
            raise _Bad(text, "headers")
        if name.lower() in _RESERVED:
            raise _Bad("Header can not be one of the reserved keys.", "headers")
        if name.lower() in headers:
            raise _Bad("The headers cannot contain duplicate keys.", "headers")
        if BREAK.search(value):
            raise _Bad("The header values must be on one line", "headers")
        headers[name.lower()] = value
    return headers


def _only(given: object, name: str) -> object:
    if not isinstance(given, list) or len(given) != 1:
        raise _Bad(f"The {name} must be an array of one here", name)
    return given[0]


def _members(given: object, known: Set[str], needed: Set[str], name: str) -> dict[str, object]:
    if not isinstance(given, dict):
        raise _Bad("Must be an object", name or None)
    unknown, missing = given.keys() - known, needed - given.keys()
    for each in [*sorted(unknown), *sorted(missing)]:
        what = "is not carried out here" if each in unknown else "is required"
        raise _Bad(f"The {each} {what}", f"{name}.{each}".lstrip("."))
    return given


def _text(given: object, name: str) -> str:
    if not isinstance(given, str) or not given:
        raise _Bad("Must be a string of at least one character", name)
    return given
