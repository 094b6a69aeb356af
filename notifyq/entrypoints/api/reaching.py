"""Recipients as requests and answers: models that OpenAPI shows, and what they may hold."""

import re
from datetime import datetime, time
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from notifyq.domain.address import EMAIL_LENGTH_MAX, normal_email, normal_phone
from notifyq.domain.hours import BadQuiet, Quiet
from notifyq.domain.locales import LOCALE_LENGTH_MAX, normal_locale
from notifyq.domain.profile import (
    DEVICES_MAX,
    EMAILS_MAX,
    ID_LENGTH_MAX,
    PHONES_MAX,
    REGIONS,
    KnownDevice,
    Profile,
)
from notifyq.domain.zones import zone
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.fields import Strict, Text, Time, by, ruled
from notifyq.entrypoints.api.people import Device, PersonId
from notifyq.store.recipients import Found

VERSION_MAX = 2_147_483_647
_CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
M = TypeVar("M", bound=BaseModel)


def _each_once(what: str) -> AfterValidator:
    def check(found: list[Any]) -> list[Any]:
        named = {one.address if isinstance(one, Device) else one for one in found}
        if len(named) < len(found):
            raise ruled(f"names {what} twice: remove one")
        return found

    return AfterValidator(check)


def _clock(text: str) -> None:
    if not re.fullmatch(_CLOCK, text, re.ASCII):
        raise ValueError("must be a local time of 24 hours, like 22:00")


def _region(text: str) -> None:
    if text not in REGIONS:
        raise ValueError("must be a state of the US as ISO 3166-2 writes it, like US-FL")


Id = Annotated[Text, Field(min_length=1, max_length=ID_LENGTH_MAX)]
Phone = Annotated[
    str, Field(max_length=32, description="International form: +14155550123."), by(normal_phone)
]
Email = Annotated[str, Field(max_length=EMAIL_LENGTH_MAX), by(normal_email)]
Zone = Annotated[str, Field(max_length=64, description="IANA."), by(zone)]
Locale = Annotated[str, Field(min_length=2, max_length=LOCALE_LENGTH_MAX), by(normal_locale)]
Clock = Annotated[str, Field(json_schema_extra={"pattern": _CLOCK}), by(_clock)]
Region = Annotated[
    str,
    Field(json_schema_extra={"enum": [*REGIONS]}, description="Of the postal address."),
    by(_region),
]


class QuietHours(Strict):
    """When the person wants nothing: local, from `start` to before `end`, past midnight or not."""

    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _differ(self) -> "QuietHours":
        try:
            self.quiet()
        except BadQuiet as error:
            raise ruled(str(error)) from error
        return self

    def quiet(self) -> Quiet:
        """Return them as the rules take them."""
        return Quiet(time.fromisoformat(self.start), time.fromisoformat(self.end))


class SeenDevice(Device):
    """A device, with when its app was last used. Times never go back, nor beyond now."""

    last_seen: Time | None = None


class RecipientBody(Strict):
    """Who a recipient is: the whole of it. Preferences stay as they are.

    So do `quiet_hours` that are left out; null takes them away. The first number and the first
    mailbox are told, and every device.
    """

    phones: Annotated[list[Phone], Field(max_length=PHONES_MAX), _each_once("a number")] = Field(
        default_factory=list
    )
    emails: Annotated[list[Email], Field(max_length=EMAILS_MAX), _each_once("a mailbox")] = Field(
        default_factory=list
    )
    devices: Annotated[list[SeenDevice], Field(max_length=DEVICES_MAX), _each_once("a device")] = (
        Field(default_factory=list)
    )
    time_zone: Zone | None = None
    locale: Locale | None = None
    region: Region | None = None
    quiet_hours: QuietHours | None = None
    replaces: Annotated[int, Field(ge=0, le=VERSION_MAX)] | None = Field(
        None, description="The version that must be the newest, 0 for none; else 409."
    )

    @property
    def profile(self) -> Profile:
        """As it is kept."""
        devices = (
            KnownDevice(one.platform, one.app, one.token, one.registered_at, one.last_seen)
            for one in self.devices
        )
        return Profile(
            phones=tuple(self.phones),
            emails=tuple(self.emails),
            devices=tuple(devices),
            time_zone=self.time_zone,
            locale=self.locale,
            quiet=self.quiet_hours.quiet() if self.quiet_hours else None,
            states=frozenset((self.region.removeprefix("US-"),) if self.region else ()),
        )


class MergeBody(Strict):
    """Which recipient is the same person as the one in the path, and goes on as that one."""

    source: PersonId = Field(alias="from")


class SavedRecipientAnswer(BaseModel):
    """The version that says it; `changed`: this request made it."""

    id: str
    version: int
    changed: bool


class RecipientAnswer(BaseModel):
    """A recipient as it is now. `id` is another one where it was merged into that."""

    id: str
    version: int
    phones: list[str]
    emails: list[str]
    devices: list[SeenDevice]
    time_zone: str | None
    locale: str | None
    region: str | None
    quiet_hours: QuietHours | None
    changed_at: datetime


class MergedAnswer(BaseModel):
    """The one recipient. `opted_out`: by which channels this request opted its addresses out."""

    id: str
    version: int
    opted_out: list[str]


def read_body(model: type[M], content: Any) -> M:
    """Return a valid body; Problem `invalid_request` names every fault with its pointer."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None


def shown(found: Found) -> dict[str, Any]:
    """Return a recipient as RecipientAnswer has it."""
    profile = found.profile
    return {
        "id": found.id,
        "version": found.version,
        "phones": profile.phones,
        "emails": profile.emails,
        "devices": [
            {
                "platform": one.platform,
                "app": one.app,
                "token": one.token,
                "registered_at": one.registered_at,
                "last_seen": one.last_seen,
            }
            for one in profile.devices
        ],
        "time_zone": profile.time_zone,
        "locale": profile.locale,
        "region": next((f"US-{state}" for state in profile.states), None),
        "quiet_hours": shown_quiet(profile.quiet),
        "changed_at": found.changed_at,
    }


def shown_quiet(quiet: Quiet | None) -> dict[str, str] | None:
    """Return quiet hours as QuietHours has them."""
    if quiet is None:
        return None
    return {"start": quiet.start.isoformat("minutes"), "end": quiet.end.isoformat("minutes")}
