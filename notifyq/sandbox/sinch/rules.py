"""What Sinch takes and what it refuses: accounts, batches, errors, magic recipients.

Owns the other side's rules, written from Sinch's documents alone (github.com/sinch/docs, sms-guide;
developers.sinch.com); shares nothing with the client.
Refuses more than Sinch does in two points, so that mistakes are found here: a field that it does
not carry out is an error, and a batch has one recipient.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.magic import COMMON
from notifyq.sandbox.segments import segments

SERVICE_PLAN_ID = "sandbox-plan"
API_TOKEN = "sandbox-token-known-to-everybody"
PROJECT_ID = "sandbox-project"
KEY_ID, KEY_SECRET = "sandbox-key", "sandbox-key-secret-known-to-everybody"
CALLBACK_SECRET = "sandbox-secret-known-to-everybody"
SENDER = "+15005550009"

BODY_CHARS_MAX = 2_000
REFERENCE_CHARS_MAX = 128
CALLBACK_CHARS_MAX = 2_048
VALUE_CHARS_MAX = 160  # of a parameter
EXPIRY_MAX = timedelta(days=3)
REPORTS = frozenset({"none", "summary", "full", "per_recipient", "per_recipient_final"})
FIELDS = frozenset(
    {"to", "from", "type", "body", "parameters", "delivery_report", "expire_at", "callback_url"}
) | {"client_reference", "max_number_of_message_parts"}

# The code of a message that is aborted after it was taken.
UNMATCHED_PARAMETER, TOO_MANY_PARTS = 405, 411

# What a kind of magic recipient comes to here; the others are the same at every vendor. Sinch takes
# a message to an opted-out or a wrong number, and reports later that it was deleted or failed.
MAGIC: Mapping[str, Fault] = {
    **COMMON,
    "dead": Fault("refuse", {"status": 400}, "syntax_invalid_parameter_format"),
    "opted-out": Fault("undelivered", code="Deleted"),
    "wrong-kind": Fault("undelivered", code="302"),
    "undelivered": Fault("undelivered", code="159"),
    "content": Fault("refuse", {"status": 400}, "syntax_constraint_violation"),
    "config": Fault("refuse", {"status": 403}, "unknown_campaign"),
}

_IGNORED = re.compile(r"[ ()-]")  # "any space, dash or bracket will be ignored"
_MSISDN = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,16}")
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9._-]{1,16})\}")


@dataclass(frozen=True, slots=True)
class Account:
    """A service plan or project: who may send, from which numbers, and what signs callbacks."""

    path_id: str
    senders: frozenset[str] = frozenset({SENDER})  # E.164
    callback_secret: str = CALLBACK_SECRET


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in Sinch's error shape."""

    code: str
    text: str = "Refused by a script"
    status: int = 400
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch that Sinch would take."""

    to: str  # E.164
    sender: str
    body: str  # with its parameters put in
    callback_url: str | None
    reference: str | None
    report: str  # one of REPORTS
    aborts_with: int | None  # what becomes of it at once, though it was taken


def msisdn(text: object) -> str | None:
    """Return a number as E.164, from any of the spellings that Sinch takes; None if it is none."""
    found = _MSISDN.fullmatch(_IGNORED.sub("", text)) if isinstance(text, str) else None
    return f"+{found[1]}" if found else None


def judge(batch: object, account: Account, now: datetime) -> Asked | Refused:
    """Return the message that a batch asks for, or what Sinch says against it."""
    if not isinstance(batch, dict) or batch.keys() - FIELDS or batch.get("type") != "mt_text":
        return Refused("syntax_invalid_json", "An object with the fields of a text batch")
    to, body, sender = batch.get("to"), batch.get("body"), msisdn(batch.get("from"))
    if not isinstance(to, list) or len(to) != 1:
        return _constraint("to: one recipient")
    recipient = msisdn(to[0])
    if recipient is None:
        return _format(f"'{to[0]}' is not a valid MSISDN")
    if not isinstance(body, str) or not 1 <= len(body) <= BODY_CHARS_MAX:
        return _constraint(f"body: 1 to {BODY_CHARS_MAX} characters")
    if sender is None:
        return _format("from: not a valid MSISDN, short code or alphanumeric")
    wrong = _wrong_options(batch, now)
    if wrong:
        return wrong
    if sender not in account.senders:
        return Refused("unknown_campaign", "The originator is not this plan's", 403)
    said = _fill(body, batch.get("parameters", {}), recipient)
    most = batch.get("max_number_of_message_parts")
    aborts_with = UNMATCHED_PARAMETER if said is None else None
    if said is not None and most is not None and segments(said) > most:
        aborts_with = TOO_MANY_PARTS
    return Asked(
        recipient,
        sender,
        body if said is None else said,
        batch.get("callback_url"),
        batch.get("client_reference"),
        batch.get("delivery_report", "none"),
        aborts_with,
    )


def _wrong_options(batch: Mapping[str, object], now: datetime) -> Refused | None:
    reference, url = batch.get("client_reference"), batch.get("callback_url")
    if reference is not None and not _is_text(reference, REFERENCE_CHARS_MAX):
        return _constraint(f"client_reference: at most {REFERENCE_CHARS_MAX} characters")
    report = batch.get("delivery_report", "none")
    if report not in REPORTS:
        return _constraint("delivery_report: " + ", ".join(sorted(REPORTS)))
    if url is None and report != "none":
        return Refused("missing_callback_url", "A callback without a URL", 403)
    if url is not None and not _is_url(url):
        return _format("callback_url: not a URL")
    most = batch.get("max_number_of_message_parts", 1)
    if type(most) is not int or most < 1:
        return _constraint("max_number_of_message_parts: 1 or more")
    if "expire_at" in batch and not _is_ahead(batch["expire_at"], now):
        return _constraint("expire_at: a time to come, within 3 days")
    if not _are_parameters(batch.get("parameters", {})):
        return _constraint("parameters: keys with values by recipient")
    return None


def _is_text(value: object, chars_max: int) -> bool:
    return isinstance(value, str) and len(value) <= chars_max


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or len(value) > CALLBACK_CHARS_MAX or not value.isascii():
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_ahead(value: object, now: datetime) -> bool:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else now
    except ValueError:
        return False
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return now < found <= now + EXPIRY_MAX


def _are_parameters(value: object) -> bool:
    return isinstance(value, dict) and all(
        _KEY.fullmatch(key) and isinstance(values, dict) and _are_values(values)
        for key, values in value.items()
    )


def _are_values(values: Mapping[str, object]) -> bool:
    return all(
        (whose == "default" or msisdn(whose)) and _is_text(text, VALUE_CHARS_MAX)
        for whose, text in values.items()
    )


def _fill(body: str, parameters: Mapping[str, Mapping[str, str]], to: str) -> str | None:
    """Return the body with its parameters put in; None if one has no value for this recipient."""
    filled = body
    for found in reversed(list(_PLACEHOLDER.finditer(body))):
        values = parameters.get(found[1], {})
        value = next((v for whose, v in values.items() if msisdn(whose) == to), None)
        value = values.get("default") if value is None else value
        if value is None:
            return None
        filled = filled[: found.start()] + value + filled[found.end() :]
    return filled


def _constraint(text: str) -> Refused:
    return Refused("syntax_constraint_violation", text)


def _format(text: str) -> Refused:
    return Refused("syntax_invalid_parameter_format", text)
