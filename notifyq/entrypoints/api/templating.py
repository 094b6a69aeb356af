"""Templates as requests and answers: models that OpenAPI shows, and what they may hold."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from notifyq.domain.liquid.source import SOURCE_LENGTH_MAX
from notifyq.domain.locales import LOCALE_LENGTH_MAX, BadLocale, normal_locale
from notifyq.domain.model import Channel
from notifyq.domain.template import Sources
from notifyq.domain.template_checks import LOCALES_MAX
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.fields import Strict, Text, present
from notifyq.entrypoints.api.problems import Fault
from notifyq.entrypoints.api.saying import DATA_ENTRIES_MAX

VERSION_MAX = 2_147_483_647
_CHANNELS = (Channel.SMS, Channel.EMAIL, Channel.PUSH)

Source = Annotated[Text, Field(min_length=1, max_length=SOURCE_LENGTH_MAX)]
Locale = Annotated[str, Field(min_length=2, max_length=LOCALE_LENGTH_MAX)]
Number = Annotated[int, Field(ge=1, le=VERSION_MAX)]


class SmsSource(Strict):
    """A text message, in Liquid. Blanks around what it says are cut off."""

    body: Source


class EmailSource(Strict):
    """A mail, in Liquid. In `html` what is printed is escaped; a subject becomes one line."""

    subject: Source
    text: Source
    html: Source | None = None


class PushSource(Strict):
    """A push, in Liquid; `data` has a source for each value."""

    title: Source
    body: Source
    data: (
        Annotated[
            dict[Annotated[Text, Field(min_length=1, max_length=64)], Source],
            Field(max_length=DATA_ENTRIES_MAX),
        ]
        | None
    ) = None


class LocaleSources(Strict):
    """What is said in one locale, by channel."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [present(channel.value) for channel in _CHANNELS]}
    )

    sms: SmsSource | None = None
    email: EmailSource | None = None
    push: PushSource | None = None

    @model_validator(mode="after")
    def _something(self) -> "LocaleSources":
        if all(getattr(self, channel) is None for channel in _CHANNELS):
            rule = "says nothing: add sms, email or push"
            raise PydanticCustomError("no_content", "{rule}", {"rule": rule})
        return self


class TemplateBody(Strict):
    """What a template says from now on: the whole of it, as its next version."""

    default_locale: Locale = Field(description="Where a locale has no text: its text is taken.")
    locales: Annotated[dict[str, LocaleSources], Field(min_length=1, max_length=LOCALES_MAX)]
    example: dict[str, Any] | None = Field(
        None, description="Data as a notification would have it: every text must render with it."
    )
    replaces: Annotated[int, Field(ge=0, le=VERSION_MAX)] | None = Field(
        None, description="The version that must be the newest, 0 for none; else 409."
    )


class RenderBody(Strict):
    """What to show a template with."""

    data: dict[str, Any] = Field(default_factory=dict)
    locale: Locale | None = Field(None, description="Left out: the template's default_locale.")
    version: Number | None = Field(None, description="Left out: the newest.")
    channels: (
        Annotated[list[Literal["sms", "email", "push"]], Field(min_length=1, max_length=3)] | None
    ) = Field(None, description="Left out: all that the template has.")


class SavedAnswer(BaseModel):
    """The version that says it; `changed`: this request made it. `variables`: what it wants."""

    name: str
    version: int
    changed: bool
    variables: list[str]
    created_at: datetime
    created_by: str


class TemplateAnswer(BaseModel):
    """A version of a template, as it was saved."""

    name: str
    version: int
    default_locale: str
    locales: dict[str, LocaleSources]
    variables: list[str]
    created_at: datetime
    created_by: str


class SmsShown(BaseModel):
    """A text message, and in how many segments it is sent and paid for."""

    body: str
    segments: int
    encoding: Literal["gsm", "utf16"]
    locale: str


class EmailShown(BaseModel):
    """A mail."""

    subject: str
    text: str
    html: str | None = None
    locale: str


class PushShown(BaseModel):
    """A push."""

    title: str
    body: str
    data: dict[str, str]
    locale: str


class RenderAnswer(BaseModel):
    """What the template says, by channel; `locale` is where its text was found."""

    name: str
    version: int
    sms: SmsShown | None = None
    email: EmailShown | None = None
    push: PushShown | None = None


def read_template(content: Any) -> tuple[TemplateBody, str, Sources]:
    """Return a valid body, its default locale and its sources with normal locales."""
    try:
        body = TemplateBody.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    faults: list[Fault] = []
    default = _locale(body.default_locale, "/default_locale", faults)
    sources: dict[str, Mapping[Channel, Mapping[str, Any]]] = {}
    for tag, said in body.locales.items():
        pointer = "/locales/" + tag.replace("~", "~0").replace("/", "~1")
        locale = _locale(tag, pointer, faults)
        if locale in sources:
            faults.append(Fault(pointer, f"is {locale} once more: remove one"))
        sources[locale] = _sources(said)
    if faults:
        raise refused(faults)
    return body, default, sources


def read_render(content: Any) -> RenderBody:
    """Return a valid body to render with, its locale normal."""
    try:
        body = RenderBody.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    faults: list[Fault] = []
    if body.locale is not None:
        body = body.model_copy(update={"locale": _locale(body.locale, "/locale", faults)})
    if faults:
        raise refused(faults)
    return body


def _locale(text: str, pointer: str, faults: list[Fault]) -> str:
    try:
        return normal_locale(text)
    except BadLocale as error:
        faults.append(Fault(pointer, str(error)))
        return text


def _sources(said: LocaleSources) -> dict[Channel, Mapping[str, Any]]:
    shown = said.model_dump(exclude_none=True)
    return {channel: shown[channel] for channel in _CHANNELS if channel in shown}
