"""What SES takes and what it refuses: accounts, mails, errors, magic recipients.

Owns the other side's rules, written from AWS' documents alone; shares nothing with the client.
Refuses more than SES does in two points: a field it does not carry out is an error, where SES
ignores what it does not know, and no header comes twice, where SES lets some. So a misspelt field
is found here.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from email.utils import parseaddr

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON
from notifyq.sandbox.mail import ADDRESS, BREAK

# Known to everybody: nothing but the sandbox takes them.
REGION = "us-east-1"
ACCESS_KEY_ID = "AKIASANDBOXKNOWNTOALL"
SECRET_ACCESS_KEY = "sandbox-secret-known-to-everybody"
CONFIGURATION_SET = "notifyq"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:notifyq"
SENDER = "notifyq@sandbox.example"  # everybody at its domain is verified

RECIPIENTS_MAX = 50
TAG_CHARS_MAX = 256
HEADERS_MAX = 15
HEADER_CHARS_MAX = 996  # name and value together; the value alone 995, by the service model
ADDRESS_CHARS_MAX = 320


@dataclass(frozen=True, slots=True)
class Account:
    """Who may send, from which domains, and by which configuration set."""

    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = SECRET_ACCESS_KEY
    session_token: str | None = None
    region: str = REGION
    domains: frozenset[str] = frozenset({SENDER.rpartition("@")[2]})
    configuration_set: str = CONFIGURATION_SET


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in SES' error shape."""

    name: str
    message: str
    status: int = 400
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A mail that SES would take."""

    to: str
    sender: str  # as it was given, with its name
    subject: str
    body: str
    tags: Mapping[str, str] = field(default_factory=dict)
    configuration_set: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # its own, names in lower case


# What a kind of magic recipient comes to here; the others are the same at every vendor. SES refuses
# no address that it could send to: a dead one is accepted and bounces.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "dead": Fault("undelivered", code="Permanent/NoEmail"),
    "opted-out": Fault("undelivered", code="Complaint/OnAccountSuppressionList"),
    "wrong-kind": Fault("refuse", code="BadRequestException"),
    "undelivered": Fault("undelivered", code="Transient/MailboxFull"),
    "content": Fault("refuse", code="MessageRejected"),
    "config": Fault("refuse", code="MailFromDomainNotVerifiedException"),
}

# The words are ours, where AWS' own are not in its documents.
MESSAGES: Mapping[str, str] = {
    "AccountSuspendedException": "Account is suspended.",
    "BadRequestException": "The input you provided is invalid.",
    "LimitExceededException": "Daily message quota exceeded.",
    "MailFromDomainNotVerifiedException": "The sending domain isn't verified.",
    "MessageRejected": "The message contains invalid content.",
    "NotFoundException": "The resource you attempted to access doesn't exist.",
    "SendingPausedException": "Email sending is disabled.",
    "TooManyRequestsException": "Maximum sending rate exceeded.",
}

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_HEADER_VALUE = re.compile(r"[ -~]{1,995}")
# Set by SES itself in a Simple mail: "Amazon SES header fields", Considerations.
_DISALLOWED = frozenset(
    {
        *("bcc", "cc", "content-disposition", "content-type", "date", "from", "message-id"),
        *("mime-version", "reply-to", "return-path", "subject", "to"),
    }
)
_FIELDS = {"FromEmailAddress", "Destination", "Content", "EmailTags", "ConfigurationSetName"}


class _Bad(ValueError):
    """The message is for the answer."""


def judge(given: object, account: Account) -> Asked | Refused:
    """Return the mail that a request asks for, or what SES says against it."""
    try:
        fields = _members(given, _FIELDS, {"FromEmailAddress", "Destination", "Content"})
        sender = _sender(fields["FromEmailAddress"])
        to = _recipient(fields["Destination"])
        subject, body, headers = _content(fields["Content"])
        tags = _tags(fields.get("EmailTags", []))
        name = fields.get("ConfigurationSetName")
        if name is not None:
            _text(name, "ConfigurationSetName")
    except _Bad as error:
        return Refused("BadRequestException", str(error))
    if parseaddr(sender)[1].rpartition("@")[2].lower() not in account.domains:
        text = "Email address is not verified. The following identities failed the check in region"
        return Refused("MessageRejected", f"{text} {account.region.upper()}: {sender}")
    if name not in (None, account.configuration_set):
        return Refused("NotFoundException", f"Configuration set <{name}> does not exist.", 404)
    name = account.configuration_set if name else None
    return Asked(to, sender, subject, body, tags, name, headers)


def _sender(given: object) -> str:
    text = _text(given, "FromEmailAddress")
    if not text.isascii() or BREAK.search(text) or len(text) > ADDRESS_CHARS_MAX:
        raise _Bad("FromEmailAddress must be ASCII on one line; encode its name by RFC 2047")
    address = parseaddr(text)[1]
    if not ADDRESS.fullmatch(address) or not text.endswith((address, f"<{address}>")):
        raise _Bad("Missing or illegal address in FromEmailAddress")
    return text


def _recipient(given: object) -> str:
    found = _members(given, {"ToAddresses"}, {"ToAddresses"})["ToAddresses"]
    if not isinstance(found, list) or len(found) != 1:
        raise _Bad(f"ToAddresses must be a list of one here (SES takes {RECIPIENTS_MAX})")
    to = _text(found[0], "ToAddresses")
    if not to.isascii() or not ADDRESS.fullmatch(to):
        raise _Bad("Illegal address")
    return to


def _content(given: object) -> tuple[str, str, dict[str, str]]:
    """Return subject, plain text and the headers of its own."""
    known = {"Subject", "Body", "Headers"}
    simple = _members(_members(given, {"Simple"}, {"Simple"})["Simple"], known)
    if simple.keys() | {"Headers"} != known:
        raise _Bad("Simple needs a Subject and a Body")
    subject = _data(simple["Subject"], "Subject")
    if BREAK.search(subject):
        raise _Bad("Subject must be on one line")
    parts = _members(simple["Body"], {"Text", "Html"})
    texts = {name: _data(part, name) for name, part in parts.items()}
    if not texts:
        raise _Bad("Body needs a Text or an Html")
    headers = _headers(simple.get("Headers", []))
    return subject, texts.get("Text", texts.get("Html", "")), headers


def _headers(given: object) -> dict[str, str]:
    """Return them by their names in lower case."""
    if not isinstance(given, list) or len(given) > HEADERS_MAX:
        raise _Bad(f"Headers must be a list of at most {HEADERS_MAX}")
    headers: dict[str, str] = {}
    for each in given:
        header = _members(each, {"Name", "Value"}, {"Name", "Value"})
        name, value = _text(header["Name"], "Name"), _text(header["Value"], "Value")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise _Bad("A header's name and value must be printable ASCII, 126 and 995 at most")
        if len(name) + len(value) > HEADER_CHARS_MAX:
            raise _Bad(f"A header must not exceed {HEADER_CHARS_MAX} characters, name and value")
        if name.lower() in _DISALLOWED or name.lower() in headers:
            raise _Bad(f"Header {name} is disallowed or there twice")
        headers[name.lower()] = value
    return headers


def _data(given: object, name: str) -> str:
    found = _members(given, {"Data", "Charset"}, {"Data"})
    text = _text(found["Data"], name)
    charset = _text(found.get("Charset", "US-ASCII"), "Charset")
    try:
        text.encode(charset)
    except (LookupError, UnicodeError):
        raise _Bad(
            f"{name} cannot be encoded in its Charset; SES uses 7-bit ASCII by itself"
        ) from None
    return text


def _tags(given: object) -> dict[str, str]:
    if not isinstance(given, list):
        raise _Bad("EmailTags must be a list")
    tags = {}
    for each in given:
        tag = _members(each, {"Name", "Value"}, {"Name", "Value"})
        name, value = _text(tag["Name"], "Name"), _text(tag["Value"], "Value")
        if not _TAG.fullmatch(name) or not _TAG.fullmatch(value) or name in tags:
            raise _Bad(f"A tag has 1 to {TAG_CHARS_MAX} of A-Z a-z 0-9 _ - and a name of its own")
        tags[name] = value
    return tags


def _members(given: object, known: Set[str], needed: Set[str] = frozenset()) -> dict[str, object]:
    if not isinstance(given, dict):
        raise _Bad("A structure must be a JSON object")
    unknown, missing = given.keys() - known, needed - given.keys()
    if unknown:
        raise _Bad(f"{min(unknown)} is not carried out here")
    if missing:
        raise _Bad(f"{min(missing)} is missing")
    return given


def _text(given: object, name: str) -> str:
    if not isinstance(given, str):
        raise _Bad(f"{name} must be a string")
    return given
