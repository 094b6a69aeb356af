"""What a producer may send: the models that validate are the models that OpenAPI shows.

Nothing is coerced and nothing unknown is let through: a typo in an optional field would otherwise
be a silently different request.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from notifyq.domain.asking import RECIPIENTS_MAX
from notifyq.domain.idempotency import KEY_LENGTH_MAX
from notifyq.domain.template import NAME_LENGTH_MAX
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.fields import Strict, Text, Time, present
from notifyq.entrypoints.api.people import FIELD_OF, Recipient, Whom
from notifyq.entrypoints.api.problems import Fault
from notifyq.entrypoints.api.reading import is_list
from notifyq.entrypoints.api.saying import Content

BATCH_MAX = 1_000  # notifications in one request
DEDUPE_KEY_LENGTH_MAX = 255
COLLAPSE_KEY_LENGTH_MAX = 64  # Apple's limit, in bytes; so it is ASCII
METADATA_ENTRIES_MAX = 20
METADATA_VALUE_LENGTH_MAX = 500


class _WhatAndWhen(Strict):
    category: Annotated[
        str,
        Field(
            pattern="^[a-z0-9]+([._-][a-z0-9]+)*$",
            max_length=64,
            description="Your name for the kind of message; its rules are in [categories].",
        ),
    ]
    content: Content | None = Field(None, description="What to say; or name a template.")
    template: Annotated[str, Field(pattern="^[a-z0-9._-]+$", max_length=NAME_LENGTH_MAX)] | None = (
        Field(
            None,
            description="Instead of content: a template that you saved, in its current version.",
        )
    )
    data: dict[str, Any] | None = Field(None, description="What the template is filled with.")
    channels: (
        Annotated[
            list[Literal["sms", "email", "push"]],
            Field(
                min_length=1,
                max_length=3,
                json_schema_extra={"uniqueItems": True},
                description="By these only, and with `first` in this order. Left out: by every "
                "channel that has content and an address.",
            ),
        ]
        | None
    ) = None
    strategy: Literal["all", "first"] | None = Field(
        None, description="`first`: a channel only when the one before failed for good."
    )
    collapse_key: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=COLLAPSE_KEY_LENGTH_MAX,
                pattern="^[!-~]*$",
                description="Of a push: a newer one with this key replaces the older one.",
            ),
        ]
        | None
    ) = None
    not_before: Time | None = None
    expires_at: Time | None = None

    @field_validator("channels")
    @classmethod
    def _each_once(cls, channels: list[str] | None) -> list[str] | None:
        twice = [name for name in channels or () if (channels or []).count(name) > 1]
        if twice:
            rule = f"names {twice[0]} twice: remove one"
            raise PydanticCustomError("channel_twice", "{rule}", {"rule": rule})
        return channels

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


def _needs(whom: str) -> Callable[[dict[str, Any]], None]:
    """Return what adds to a schema that a channel which is named has content and an address."""

    def rule(channel: str, field: str) -> dict[str, Any]:
        person = present(field)
        named = {"channels": {"type": "array", "contains": {"const": channel}}}
        then = {
            "content": present(channel),
            whom: {"items": person} if whom == "recipients" else person,
        }
        return {
            "if": {"properties": named, "required": ["channels"]},
            "then": {"properties": then},
        }

    one = {"oneOf": [present("content"), present("template")]}
    filled = {"if": present("data"), "then": present("template")}

    def add(schema: dict[str, Any]) -> None:
        rules = [rule(channel.value, field) for channel, field in FIELD_OF.items()]
        schema["allOf"] = [*rules, one, filled]

    return add


class NotificationBody(_WhatAndWhen):
    """What to tell whom, and until when it is worth telling."""

    model_config = ConfigDict(json_schema_extra=_needs("recipient"))

    recipient: Whom
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

    model_config = ConfigDict(json_schema_extra=_needs("recipients"))

    recipients: Annotated[list[Whom], Field(min_length=1, max_length=RECIPIENTS_MAX)]


Body = NotificationBody | ListBody


class BatchItem(NotificationBody):
    """One notification of a batch, with the key that a request of its own would carry."""

    idempotency_key: Annotated[
        str, Field(min_length=1, max_length=KEY_LENGTH_MAX, pattern="^[ -~]*$")
    ]


class BatchBody(Strict):
    """Notifications, each accepted or refused on its own, as if each had been posted alone."""

    notifications: Annotated[list[BatchItem], Field(min_length=1, max_length=BATCH_MAX)]


def read(content: Any) -> Body:
    """Validate parsed JSON; Problem `invalid_request` names every fault with its pointer."""
    model: type[Body] = ListBody if is_list(content) else NotificationBody
    try:
        body = model.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    faults = _what_to_say(body)
    if isinstance(body, ListBody):
        faults += _twice(body.recipients)
    if faults:
        raise refused(faults)
    return body


def read_item(content: Any) -> BatchItem:
    """Validate one notification of a batch; Problem `invalid_request` as `read` has it."""
    try:
        item = BatchItem.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    if faults := _what_to_say(item):
        raise refused(faults)
    return item


def read_batch(content: Any) -> list[Any]:
    """Return the notifications of a batch as they came: each is validated on its own."""
    try:
        return _Batch.model_validate(content).notifications
    except ValidationError as error:
        raise refused(faults_of(error)) from None


class _Batch(Strict):
    notifications: Annotated[list[Any], Field(min_length=1, max_length=BATCH_MAX)]


def _what_to_say(body: Body) -> list[Fault]:
    """Return what is wrong with what is said: it is content or a template, and data fills that."""
    if body.content is None and body.template is None:
        return [Fault("/content", "is required, or a template in its place")]
    if body.content is not None and body.template is not None:
        return [Fault("/template", "stands in place of content: send one of them")]
    if body.template is None and body.data is not None:
        return [Fault("/data", "fills a template: name it, or leave data out")]
    return []


def _twice(recipients: Sequence[Recipient]) -> list[Fault]:
    """Return a fault for each address that is there already: nobody is told the same thing twice.

    One fault a recipient, at the first address of it that is somebody else's too.
    """
    first: dict[str, int] = {}
    faults = []
    for place, recipient in enumerate(recipients):
        taken = [(first.setdefault(one, place), one) for one in recipient.all_addresses]
        found = next(((other, one) for other, one in taken if other != place), None)
        if found is not None:
            other, address = found
            field = "phone" if address == recipient.phone else "devices"
            field = "email" if address == recipient.email else field
            what = "number" if field == "phone" else "address"
            rule = f"is the same {what} as /recipients/{other}: remove one"
            faults.append(Fault(f"/recipients/{place}/{field}", rule))
    return faults
