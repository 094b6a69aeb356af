"""What a producer may send: the models that validate are the models that OpenAPI shows.

Nothing is coerced and nothing unknown is let through: a typo in an optional field would otherwise
be a silently different request.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, reset_tzpath

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from notifyq.domain.address import BadAddress, normal_phone
from notifyq.entrypoints.api.problems import Fault, Problem

SMS_LENGTH_MAX = 1_600  # characters: Twilio's limit on a message (providers' own documents)
METADATA_ENTRIES_MAX = 20
METADATA_VALUE_LENGTH_MAX = 500
FAULTS_SHOWN_MAX = 50  # a refusal is not much longer than what it refuses
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


# Zones come from the pinned tzdata package: the OS copy is whatever the machine happens to have.
reset_tzpath(())


def _no_nul(text: str) -> str:
    if "\0" in text:  # PostgreSQL's text cannot hold it
        raise PydanticCustomError("nul", "must not contain the NUL character")
    return text


def _phone(text: str) -> str:
    try:
        return normal_phone(text)
    except BadAddress as error:
        raise PydanticCustomError("phone", "{rule}", {"rule": str(error)}) from error


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        rule = "must be an IANA time zone, like America/New_York"
        raise PydanticCustomError("time_zone", "{rule}", {"rule": rule}) from error
    return text


def _only_text(value: object) -> object:
    # Pydantic would read a number as a time too, and guess whether it counts milliseconds.
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        rule = "must be an RFC 3339 time with its timezone offset, like 2026-11-22T18:00:00Z"
        raise PydanticCustomError("time", "{rule}", {"rule": rule})
    return value


Text = Annotated[str, AfterValidator(_no_nul)]


Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Recipient(_Strict):
    """Whom to tell. `id` is your own name for the person; time zone and locale are checked."""

    id: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    phone: Annotated[
        str,
        Field(max_length=32, description="International form: +14155550123."),
        AfterValidator(_phone),
    ]
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_time_zone)] | None = None
    locale: Annotated[str, Field(pattern="^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")] | None = None


class SmsContent(_Strict):
    """A text message. Long ones go out, and are paid for, in several segments."""

    body: Annotated[Text, Field(min_length=1, max_length=SMS_LENGTH_MAX)]


class Content(_Strict):
    """What to say, by channel."""

    sms: SmsContent


class NotificationBody(_Strict):
    """What to tell whom, and until when it is worth telling."""

    recipient: Recipient
    category: Annotated[
        str,
        Field(
            pattern="^[a-z0-9]+([._-][a-z0-9]+)*$",
            max_length=64,
            description="Your name for the kind of message; its rules are in [categories].",
        ),
    ]
    content: Content
    channels: Annotated[list[Literal["sms"]], Field(min_length=1, max_length=1)] | None = None
    not_before: Time | None = None
    expires_at: Time | None = None
    metadata: (
        Annotated[
            dict[
                Annotated[Text, Field(min_length=1, max_length=64)],
                Annotated[Text, Field(max_length=METADATA_VALUE_LENGTH_MAX)],
            ],
            Field(max_length=METADATA_ENTRIES_MAX),
        ]
        | None
    ) = None


class DeliveryAnswer(BaseModel):
    """One channel's part of a notification."""

    id: str
    channel: str
    state: str
    scheduled_for: datetime | None
    reason: str | None


class AcceptedAnswer(BaseModel):
    """The 202: it is committed. `durability` says where: on this database alone, or beyond."""

    id: str
    state: Literal["accepted"]
    durability: Literal["local", "cross-region"]
    deliveries: list[DeliveryAnswer]
    warnings: list[str]


class ProblemAnswer(BaseModel):
    """RFC 9457, with a code to branch on and a pointer for each fault."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]]
    request_id: str
    retryable: bool


def read(content: Any) -> NotificationBody:
    """Validate parsed JSON; Problem `invalid_request` names every fault with its pointer."""
    try:
        return NotificationBody.model_validate(content)
    except ValidationError as error:
        raise refused([_fault(detail) for detail in error.errors()]) from None


def refused(faults: Sequence[Fault]) -> Problem:
    """Return the problem of a request that breaks these rules."""
    count = f"{len(faults)} faults" if len(faults) > 1 else "1 fault"
    shown = "see errors" if len(faults) <= FAULTS_SHOWN_MAX else f"the first {FAULTS_SHOWN_MAX}:"
    return Problem("invalid_request", f"{count}; {shown}", faults=faults[:FAULTS_SHOWN_MAX])


def _fault(detail: ErrorDetails) -> Fault:
    # Pydantic marks a bad dict key by "[key]" after it; the key itself is the place.
    path = [part for part in detail["loc"] if part != "[key]"]
    pointer = "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)
    match detail["type"]:
        case "extra_forbidden":
            return Fault(pointer, "unknown field: remove it or mend its name")
        case "missing":
            return Fault(pointer, "is required")
        case "string_too_long" | "string_too_short" | "too_long" | "too_short":
            return Fault(pointer, _sized(detail))
        case "string_pattern_mismatch":
            return Fault(pointer, _PATTERN_RULES[str(path[-1])])
        case _:
            return Fault(pointer, detail["msg"][0].lower() + detail["msg"][1:])


# What a pattern asks for, in words, by the field's name.
_PATTERN_RULES = {
    "category": "must be lower-case words and digits joined by . _ or -, like order.shipped",
    "locale": "must be a language tag, like en-US",
}


def _sized(detail: ErrorDetails) -> str:
    bounds, given = detail.get("ctx", {}), detail["input"]
    what = "characters" if isinstance(given, str) else "entries"
    if "max_length" in bounds:
        return f"must have at most {bounds['max_length']} {what}, has {len(given)}"
    return f"must have at least {bounds['min_length']} {what}, has {len(given)}"
