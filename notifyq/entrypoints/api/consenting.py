"""What a request about consent says: models that OpenAPI shows."""

from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from notifyq.domain.address import (
    EMAIL_LENGTH_MAX,
    BadAddress,
    channel_of,
    normal,
    normal_email,
    normal_phone,
)
from notifyq.domain.consent_record import (
    EARLIEST,
    NAME_LENGTH_MAX,
    PAGE_LENGTH_MAX,
    USER_AGENT_LENGTH_MAX,
    VERSION_LENGTH_MAX,
    WORDING_LENGTH_MAX,
    Medium,
    Record,
)
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.fields import Line, Strict, Text, Time, by, present, ruled
from notifyq.entrypoints.api.problems import Fault

ADDRESSES_MAX = 1_000  # in one look-up


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        rule = "must be an IPv4 or IPv6 address"
        raise ruled(rule) from error


def _says_something(text: str) -> str:
    if not text.strip():
        raise ruled("must say something")
    return text


def _not_too_old(at: datetime) -> datetime:
    if at < EARLIEST:
        rule = f"must not be before {EARLIEST.date()}, when the law came that asks for consent"
        raise ruled(rule)
    return at


_Said = Annotated[Text, AfterValidator(_says_something)]
_Name = Annotated[Line, AfterValidator(_says_something), Field(max_length=NAME_LENGTH_MAX)]


class RecordBody(Strict):
    """What somebody agreed or objected to: kept as evidence, for years."""

    wording: Annotated[
        _Said,
        Field(
            max_length=WORDING_LENGTH_MAX,
            description="The exact words that they saw or heard; of an opt-out, what they said.",
        ),
    ]
    wording_version: (
        Annotated[
            Line,
            AfterValidator(_says_something),
            Field(max_length=VERSION_LENGTH_MAX, description="Your name for that wording."),
        ]
        | None
    ) = None
    medium: Literal["web", "app", "paper", "voice", "text"]
    at: Annotated[Time, AfterValidator(_not_too_old), Field(description="When they did.")]
    page: (
        Annotated[
            Line,
            AfterValidator(_says_something),
            Field(
                max_length=PAGE_LENGTH_MAX,
                description="Where: a URL, a screen, a form; where a recording or a paper lies.",
            ),
        ]
        | None
    ) = None
    ip: Annotated[str, Field(max_length=45), AfterValidator(_ip)] | None = None
    user_agent: (
        Annotated[Line, AfterValidator(_says_something), Field(max_length=USER_AGENT_LENGTH_MAX)]
        | None
    ) = None
    campaign: _Name | None = None
    identity: Annotated[_Name, Field(description="Who they are to you.")] | None = None

    def record(self) -> Record:
        """Return it as the rules read it."""
        fields = self.model_dump(include={*RecordBody.model_fields})
        return Record(**fields | {"medium": Medium(self.medium)})


class ConsentBody(RecordBody):
    """A record of consent, of an opt-out, or of consent that takes an opt-out back."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [present("phone"), present("email")]})

    phone: (
        Annotated[
            str,
            Field(max_length=32, description="International form: +14155550123."),
            by(normal_phone),
        ]
        | None
    ) = None
    email: Annotated[str, Field(max_length=EMAIL_LENGTH_MAX), by(normal_email)] | None = None
    kind: Literal["consent", "opt_out", "lift"] = Field(
        "consent",
        description="`consent`: to marketing too, in writing. `opt_out`: they told you so. `lift`: "
        "they want to hear from you again, without consent to marketing.",
    )
    program: (
        Annotated[
            Line,
            AfterValidator(_says_something),
            Field(max_length=63, description="Of `opt_out` and `lift`: this program alone."),
        ]
        | None
    ) = None
    lifts_opt_out: bool = Field(
        False, description="Of `consent`: it takes back the opt-outs before it, too."
    )

    @property
    def address(self) -> tuple[Channel, str]:
        """Whose consent it is: the channel, and the address in its one form."""
        if self.phone is not None:
            return Channel.SMS, self.phone
        return Channel.EMAIL, self.email or ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.phone is None) == (self.email is None):
            raise ruled("needs one of phone and email, and not both")
        if self.kind != "opt_out" and self.wording_version is None:
            raise ruled("wording_version is required: which words they agreed to")
        if self.kind == "consent" and self.program is not None:
            raise ruled("consent is the brand's: leave program out, or send kind lift")
        if self.lifts_opt_out and self.kind != "consent":
            raise ruled("lifts_opt_out goes with kind consent; kind lift is one by itself")
        return self


class LookupBody(Strict):
    """Whom you want to know about: numbers, mail addresses, devices (platform:app:token)."""

    addresses: Annotated[
        list[Annotated[str, Field(max_length=4_300)]],
        Field(min_length=1, max_length=ADDRESSES_MAX),
    ]


def read_consent(content: Any) -> ConsentBody:
    """Validate parsed JSON; Problem `invalid_request` names every fault with its pointer."""
    try:
        return ConsentBody.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None


def read_record(content: Any) -> Record:
    """Validate the record of a lift, without an address; Problem `invalid_request`."""
    try:
        return RecordBody.model_validate(content).record()
    except ValidationError as error:
        raise refused(faults_of(error)) from None


def read_lookup(content: Any) -> list[tuple[Channel, str]]:
    """Validate parsed JSON; return the addresses with their channels. Problem as above.

    A thousand take tenths of a second.
    """
    try:
        asked = LookupBody.model_validate(content).addresses
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    found, faults = [], []
    for place, text in enumerate(asked):
        channel = channel_of(text)
        try:
            found.append((channel, normal(channel, text)))
        except BadAddress as error:
            faults.append(Fault(f"/addresses/{place}", str(error)))
    if faults:
        raise refused(faults)
    return found
