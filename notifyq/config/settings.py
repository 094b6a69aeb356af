"""Settings: what can be set, with units, bounds and reasons. Frozen once read (read.py).

A secret is never a value in the file, only the name of the variable or file that holds it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from notifyq.config.categories import ProgramSettings
from notifyq.config.fields import Bind, Table, Url, Word
from notifyq.config.vendors import VendorSettings
from notifyq.domain.model import Category, Channel
from notifyq.domain.retention import Retention

# Test keys only ever reach the sandbox, by lanes of their own. It answers from this machine or the
# next, so it is waited for less long than a vendor.
SANDBOX: Mapping[Channel, tuple[str, ...]] = {
    Channel.SMS: ("sandbox-sms",),
    Channel.EMAIL: ("sandbox-email",),
    Channel.PUSH: ("sandbox-apns", "sandbox-fcm"),
}
SANDBOX_NAMES = frozenset(name for names in SANDBOX.values() for name in names)
SANDBOX_TIMEOUT_S = 10.0
SANDBOX_SETTLE_WINDOW_S = 60.0
SANDBOX_LOOK_UP_S = (2.0, 5.0, 15.0, 30.0)


class SenderSettings(Table):
    """Who speaks: a number or a mail address. A STOP to it reaches as far as its brand."""

    # A mail address may speak by several accounts: each vendor knows its domain. A number by one.
    provider: Word | Annotated[list[Word], Field(min_length=1)]
    brand: Word
    program: Word = "default"
    # Where it is registered: 10DLC numbers belong to a campaign; carriers block what does not.
    campaign: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    verified: bool = False  # a toll-free number: they are verified, and have no campaign
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None  # beside an address

    @property
    def providers(self) -> tuple[str, ...]:
        """The accounts that it speaks by."""
        return (self.provider,) if isinstance(self.provider, str) else tuple(self.provider)


class Settings(Table):
    """All of it."""

    database_url: str | None = None
    region: Word = "default"
    bind: Bind = "127.0.0.1:8180"  # host:port
    public_url: Url = "http://127.0.0.1:8180"
    sandbox_url: Url | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    routes: dict[Channel, list[str]] = Field(default_factory=dict)
    providers: dict[str, VendorSettings] = Field(default_factory=dict)
    senders: dict[str, SenderSettings] = Field(default_factory=dict)
    programs: dict[str, ProgramSettings] = Field(default_factory=dict)
    categories: dict[str, Category] = Field(default_factory=dict)
    retention: Retention = Retention()

    def category(self, name: str) -> Category | None:
        """Return a configured category, or None: then the class is transactional."""
        return self.categories.get(name)

    def program(self, name: str) -> ProgramSettings:
        """Return a program; one that has no table has the defaults."""
        return self.programs.get(name) or ProgramSettings()
