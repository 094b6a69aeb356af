"""Settings: what can be set, with units, bounds and reasons. Frozen once read (read.py).

A secret is never a value in the file, only the name of the variable or file that holds it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from notifyq.config.fields import Bind, Table, Url, Word
from notifyq.config.vendors import VendorSettings
from notifyq.domain.model import LIFETIME_S_MAX, Category, Channel, MessageClass
from notifyq.domain.retention import Retention

# at_least_once, where the category does not say when: most answers that come at all, and most
# receipts, have come by then (a code is typed in within a minute, or asked for again).
RESEND_AFTER_S = 15
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
    campaign: str | None = None
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None  # beside an address

    @property
    def providers(self) -> tuple[str, ...]:
        """The accounts that it speaks by."""
        return (self.provider,) if isinstance(self.provider, str) else tuple(self.provider)


class CategorySettings(Table):
    """The rules of one kind of message."""

    # Marketing needs the legal hours of the recipient's state; this version does not have them.
    message_class: Literal["emergency", "otp", "transactional"] = Field(
        "transactional", alias="class"
    )
    program: Word = "default"
    expires_in_s: Annotated[int, Field(ge=1)] | None = None
    # What becomes of a delivery whose answer was lost: it waits for evidence, or it is sent again
    # after resend_after_s, which may be a second time (and is counted).
    in_doubt: Literal["never_twice", "at_least_once"] = "never_twice"
    resend_after_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    # Accounts that this kind goes by, where it is not the channel's route.
    routes: dict[Literal["sms", "email", "push"], Annotated[list[Word], Field(min_length=1)]] = (
        Field(default_factory=dict)
    )

    @field_validator("expires_in_s")
    @classmethod
    def _within_its_class(cls, expires_in_s: int | None, info: ValidationInfo) -> int | None:
        named = info.data.get("message_class")
        if named and (expires_in_s or 0) > LIFETIME_S_MAX[MessageClass(named)]:
            raise PydanticCustomError(
                "lifetime",
                "must be {longest_s} or less for class {named}",
                {"longest_s": LIFETIME_S_MAX[MessageClass(named)], "named": named},
            )
        return expires_in_s

    @field_validator("resend_after_s")
    @classmethod
    def _of_at_least_once(cls, resend_after_s: int | None, info: ValidationInfo) -> int | None:
        if resend_after_s is not None and info.data.get("in_doubt") == "never_twice":
            rule = 'stands beside in_doubt = "at_least_once" only'
            raise PydanticCustomError("resend", "{rule}", {"rule": rule})
        return resend_after_s

    def category(self, name: str) -> Category:
        """Return the category with its class's defaults filled in."""
        message_class = MessageClass(self.message_class)
        lifetime_s = self.expires_in_s or LIFETIME_S_MAX[message_class]
        again = self.in_doubt == "at_least_once"
        resend_after_s = (self.resend_after_s or RESEND_AFTER_S) if again else None
        routes = {Channel(channel): tuple(names) for channel, names in self.routes.items()}
        return Category(name, message_class, self.program, lifetime_s, resend_after_s, routes)


def resend_faults(
    categories: Mapping[str, Category], providers: Mapping[str, VendorSettings]
) -> list[str]:
    """Return which categories would be sent again too late, one a line.

    The end of the settle window takes the resend away with it: the delivery rests as unknown, and
    nobody would see that it is never sent again. Any category may go by any account.
    """
    return [
        f"categories.{name}.resend_after_s: must be less than providers.{account}.settle_window_s "
        f"({provider.settle_window_s:g}): after it nothing is sent again, is "
        f"{category.resend_after_s}; lower the one or raise the other"
        for name, category in categories.items()
        for account, provider in providers.items()
        if (category.resend_after_s or 0) >= provider.settle_window_s
    ]


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
    categories: dict[str, Category] = Field(default_factory=dict)
    retention: Retention = Retention()

    def category(self, name: str) -> Category | None:
        """Return a configured category, or None: then the class is transactional."""
        return self.categories.get(name)
