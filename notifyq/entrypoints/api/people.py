"""Whom to tell: the recipients of a request, and the addresses they can be told at."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

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
from notifyq.domain.zones import BadZone, zone
from notifyq.entrypoints.api.fields import Strict, Text, Time, present

DEVICES_MAX = 20  # of one recipient
# By channel, the field of a recipient that has its addresses.
FIELD_OF = {Channel.SMS: "phone", Channel.EMAIL: "email", Channel.PUSH: "devices"}


def _phone(text: str) -> str:
    try:
        return normal_phone(text)
    except BadAddress as error:
        raise PydanticCustomError("phone", "{rule}", {"rule": str(error)}) from error


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except BadAddress as error:
        raise PydanticCustomError("email", "{rule}", {"rule": str(error)}) from error


def _time_zone(text: str) -> str:
    try:
        zone(text)
    except BadZone as error:
        raise PydanticCustomError("time_zone", "{rule}", {"rule": str(error)}) from error
    return text


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
            raise PydanticCustomError("device", "{rule}", {"rule": str(error)}) from error

    @property
    def address(self) -> str:
        """In the one form in which it is compared."""
        return f"{self.platform}:{self.app}:{self.token}"


class Recipient(Strict):
    """Whom to tell. `id` is your own name for the person; time zone and locale are checked."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [present(name) for name in FIELD_OF.values()]}
    )

    id: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    phone: (
        Annotated[
            str,
            Field(max_length=32, description="International form: +14155550123."),
            AfterValidator(_phone),
        ]
        | None
    ) = None
    email: Annotated[str, Field(max_length=EMAIL_LENGTH_MAX), AfterValidator(_email)] | None = None
    devices: Annotated[list[Device], Field(min_length=1, max_length=DEVICES_MAX)] | None = None
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_time_zone)] | None = None
    locale: Annotated[str, Field(pattern="^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")] | None = None

    @model_validator(mode="after")
    def _reachable(self) -> "Recipient":
        if self.phone is None and self.email is None and self.devices is None:
            rule = "needs an address: a phone, an email or devices"
            raise PydanticCustomError("no_address", "{rule}", {"rule": rule})
        addresses = [device.address for device in self.devices or ()]
        if len(set(addresses)) < len(addresses):
            rule = "names a device twice in devices: remove one"
            raise PydanticCustomError("device_twice", "{rule}", {"rule": rule})
        return self

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
