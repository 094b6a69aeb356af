"""Whom to tell: the recipients of a request, and the addresses they can be told at."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from notifyq.domain.address import (
    APP_LENGTH_MAX,
    EMAIL_LENGTH_MAX,
    TOKEN_LENGTH_MAX,
    BadAddress,
    normal_device,
    normal_email,
    normal_phone,
)
from notifyq.domain.model import Channel
from notifyq.domain.profile import DEFAULTS, DEVICES_MAX, ID_LENGTH_MAX
from notifyq.domain.zones import zone
from notifyq.entrypoints.api.fields import Strict, Text, Time, by, present, ruled

# By channel, the field of a recipient that has its addresses.
FIELD_OF = {Channel.SMS: "phone", Channel.EMAIL: "email", Channel.PUSH: "devices"}


def _no_defaults(text: str) -> None:
    if text == DEFAULTS:
        raise ValueError(f"must be a recipient: {DEFAULTS} is the tenant's defaults")


class Device(Strict):
    """An app on a device: what APNs or FCM gave the app for it."""

    platform: Literal["ios", "android", "web"]
    app: Annotated[
        str,
        Field(
            min_length=1,
            max_length=APP_LENGTH_MAX,
            description="Bundle id or package name: org.example.app.",
        ),
    ]
    token: Annotated[str, Field(min_length=1, max_length=TOKEN_LENGTH_MAX)]
    registered_at: Time | None = Field(
        None, description="Since when you know this token. A token that died before is tried again."
    )

    @field_validator("token")
    @classmethod
    def _normal(cls, token: str, info: ValidationInfo) -> str:
        if not {"platform", "app"} <= info.data.keys():
            return token  # what is wrong with them is named
        try:
            return normal_device(info.data["platform"], info.data["app"], token).token
        except BadAddress as error:
            raise ruled(str(error)) from error

    @property
    def address(self) -> str:
        """In the one form in which it is compared."""
        return f"{self.platform}:{self.app}:{self.token}"


PersonId = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        json_schema_extra={"not": {"const": DEFAULTS}},
    ),
    by(_no_defaults),
]


class Recipient(Strict):
    """Whom to tell, and where. `id` is your own name for the person.

    If the person is kept here under it, their preferences and quiet hours count, and their zone
    and locale where none is sent.
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [present(name) for name in FIELD_OF.values()]}
    )

    id: PersonId | None = None
    phone: (
        Annotated[
            str,
            Field(max_length=32, description="International form: +14155550123."),
            by(normal_phone),
        ]
        | None
    ) = None
    email: Annotated[str, Field(max_length=EMAIL_LENGTH_MAX), by(normal_email)] | None = None
    devices: Annotated[list[Device], Field(min_length=1, max_length=DEVICES_MAX)] | None = None
    time_zone: Annotated[str, Field(max_length=64), by(zone)] | None = None
    locale: Annotated[str, Field(pattern="^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")] | None = None

    @model_validator(mode="after")
    def _reachable(self) -> "Recipient":
        if self.phone is None and self.email is None and self.devices is None:
            rule = "needs an address: a phone, an email or devices; or send the id of one that is "
            raise ruled(rule + "kept here in its place, as a string")
        addresses = [device.address for device in self.devices or ()]
        if len(set(addresses)) < len(addresses):
            raise ruled("names a device twice in devices: remove one")
        return self

    @classmethod
    def named(cls, recipient: str) -> "Recipient":
        """Return a recipient of whom nothing but the id was sent: the rest is kept here."""
        return cls.model_construct(id=recipient)

    @property
    def is_named(self) -> bool:
        """Whether its addresses are those that are kept here."""
        return self.phone is None and self.email is None and self.devices is None

    def addresses(self, channel: Channel) -> list[str]:
        """Return where it can be told by a channel."""
        if channel is Channel.PUSH:
            return [device.address for device in self.devices or ()]
        found = {Channel.SMS: self.phone, Channel.EMAIL: self.email}.get(channel)
        return [found] if found is not None else []

    def registered(self, channel: Channel) -> dict[str, datetime]:
        """Return since when its addresses of a channel are known, where that is said."""
        found = self.devices or () if channel is Channel.PUSH else ()
        return {one.address: one.registered_at for one in found if one.registered_at}

    @property
    def all_addresses(self) -> list[str]:
        """Everywhere it can be told."""
        return [address for channel in Channel for address in self.addresses(channel)]


_ID: TypeAdapter[str] = TypeAdapter(PersonId)


class _ById:
    """Takes a recipient's id for the recipient, and says so in the schema."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [_ID.json_schema(), handler(schema)]}


def _by_id(given: object, validated: Callable[[object], Recipient]) -> Recipient:
    if isinstance(given, str):
        return Recipient.named(_ID.validate_python(given))
    return validated(given)


# An id of a recipient that is kept here, or a recipient as it is.
Whom = Annotated[Recipient, WrapValidator(_by_id), _ById()]
