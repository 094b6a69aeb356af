"""What a producer may send: the models that validate are the models that OpenAPI shows.

Nothing is coerced and nothing unknown is let through: a typo in an optional field would otherwise
be a silently different request.
"""

import re
from collections.abc import Sequence
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
from pydantic_core import PydanticCustomError

from notifyq.domain.address import BadAddress, normal_phone
from notifyq.domain.asking import RECIPIENTS_MAX
from notifyq.domain.idempotency import KEY_LENGTH_MAX
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.problems import Fault
from notifyq.entrypoints.api.reading import is_list

BATCH_MAX = 1_000  # notifications in one request
DEDUPE_KEY_LENGTH_MAX = 255
SMS_LENGTH_MAX = 1_600  # characters: Twilio's limit on a message (providers' own documents)
METADATA_ENTRIES_MAX = 20
METADATA_VALUE_LENGTH_MAX = 500
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


class _WhatAndWhen(_Strict):
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
    strategy: Literal["all", "first"] | None = Field(
        None, description="`first`: a channel only when the one before failed for good."
    )
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


class NotificationBody(_WhatAndWhen):
    """What to tell whom, and until when it is worth telling."""

    recipient: Recipient
    dedupe_key: (
        Annotated[
            Text,
            Field(
                min_length=1,
                max_length=DEDUPE_KEY_LENGTH_MAX,
                description="For producers that make a new Idempotency-Key when they retry: one "
                "notification per recipient, category and this, for a while.",
            ),
        ]
        | None
    ) = None


class ListBody(_WhatAndWhen):
    """What to tell many, each once. `recipients` instead of `recipient`, and no `dedupe_key`."""

    recipients: Annotated[list[Recipient], Field(min_length=1, max_length=RECIPIENTS_MAX)]


Body = NotificationBody | ListBody


class BatchItem(NotificationBody):
    """One notification of a batch, with the key that a request of its own would carry."""

    idempotency_key: Annotated[
        str, Field(min_length=1, max_length=KEY_LENGTH_MAX, pattern="^[ -~]*$")
    ]


class BatchBody(_Strict):
    """Notifications, each accepted or refused on its own, as if each had been posted alone."""

    notifications: Annotated[list[BatchItem], Field(min_length=1, max_length=BATCH_MAX)]


def read(content: Any) -> Body:
    """Validate parsed JSON; Problem `invalid_request` names every fault with its pointer."""
    model: type[Body] = ListBody if is_list(content) else NotificationBody
    try:
        body = model.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    if isinstance(body, ListBody) and (twice := _twice(body.recipients)):
        raise refused(twice)
    return body


def read_item(content: Any) -> BatchItem:
    """Validate one notification of a batch; Problem `invalid_request` as `read` has it."""
    try:
        return BatchItem.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None


def read_batch(content: Any) -> list[Any]:
    """Return the notifications of a batch as they came: each is validated on its own."""
    try:
        return _Batch.model_validate(content).notifications
    except ValidationError as error:
        raise refused(faults_of(error)) from None


class _Batch(_Strict):
    notifications: Annotated[list[Any], Field(min_length=1, max_length=BATCH_MAX)]


def _twice(recipients: Sequence[Recipient]) -> list[Fault]:
    """Return a fault for each number that is there already: nobody is told the same thing twice."""
    first: dict[str, int] = {}
    faults = []
    for place, recipient in enumerate(recipients):
        found = first.setdefault(recipient.phone, place)
        if found != place:
            rule = f"is the same number as /recipients/{found}: remove one"
            faults.append(Fault(f"/recipients/{place}/phone", rule))
    return faults
