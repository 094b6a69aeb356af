"""Settings: what can be set, with units, bounds and reasons. Frozen once read (read_config.py).

A secret is never a value in the file, only the name of the variable or file that holds it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from notifyq.domain.model import LIFETIME_S_MAX, Category, Channel, MessageClass
from notifyq.domain.retention import Retention

# A send must end before its lease does: what the process needs between the provider's time-out
# and the end of the lease (commit of begin, scheduling, settling), in seconds.
LEASE_MARGIN_S = 5.0
CHANNEL_OF_VENDOR = {"twilio": Channel.SMS}
SANDBOX = {Channel.SMS: "sandbox-sms"}  # the lanes that test keys use

Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EnvSecret(Table):
    """A secret held by an environment variable."""

    env: str

    def reveal(self, environ: Mapping[str, str]) -> str:
        """Return the secret; KeyError when the variable is not set."""
        return environ[self.env]


class FileSecret(Table):
    """A secret held by a file; a last newline does not count."""

    file: str

    def reveal(self, _: Mapping[str, str]) -> str:
        """Return the secret; OSError when the file cannot be read."""
        return Path(self.file).read_text(encoding="utf-8").removesuffix("\n")


class ProviderSettings(Table):
    """One account at one vendor: one lane."""

    vendor: Literal["twilio"]
    base_url: Url = "https://api.twilio.com"
    account_sid: Annotated[str, Field(pattern="^AC[0-9a-f]{32}$")]
    auth_token: EnvSecret | FileSecret
    # Requests at once on this lane, in this process.
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = 64
    # Twilio itself may take 26 s before it answers 500; less makes doubts out of slow answers.
    timeout_s: Annotated[float, Field(ge=0.1, le=120, strict=False)] = 30.0
    # None: timeout_s + LEASE_MARGIN_S.
    lease_s: Annotated[float, Field(gt=0, le=300, strict=False)] | None = None
    # How long evidence is waited for before a delivery in doubt rests as unknown. Twilio may
    # hold a message as long as its ValidityPeriod (15 min here) and lists it with delay.
    settle_window_s: Annotated[float, Field(ge=1, le=604_800, strict=False)] = 3_600.0

    @property
    def lease(self) -> float:
        """Seconds from begin until an open attempt is in doubt."""
        return self.timeout_s + LEASE_MARGIN_S if self.lease_s is None else self.lease_s


class SenderSettings(Table):
    """Who speaks: a number of one account. A STOP to it reaches as far as its brand."""

    provider: Word
    brand: Word
    program: Word = "default"
    campaign: str | None = None


class CategorySettings(Table):
    """The rules of one kind of message."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
    # Marketing needs the legal hours of the recipient's state; this version does not have them.
    message_class: Literal["emergency", "otp", "transactional"] = Field("transactional", alias="class")
    program: Word = "default"
    expires_in_s: Annotated[int, Field(ge=1)] | None = None

    def category(self, name: str) -> Category:
        """Return the category with its class's defaults filled in."""
        message_class = MessageClass(self.message_class)
        longest_s = LIFETIME_S_MAX[message_class]
        return Category(name, message_class, self.program, self.expires_in_s or longest_s)


class Settings(Table):
    """All of it."""

    database_url: str | None = None
    region: str = "default"
    bind: Annotated[str, Field(pattern=r"^[^\s]+:[0-9]{1,5}$")] = "127.0.0.1:8180"  # host:port
    public_url: Url = "http://127.0.0.1:8180"
    sandbox_url: Url | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    routes: dict[Channel, list[str]] = Field(default_factory=dict)
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    senders: dict[str, SenderSettings] = Field(default_factory=dict)
    categories: dict[str, Category] = Field(default_factory=dict)
    retention: Retention = Retention()

    def category(self, name: str) -> Category | None:
        """Return a configured category, or None: then the class is transactional."""
        return self.categories.get(name)
