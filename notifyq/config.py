"""Settings: what can be set, with units, bounds and reasons. Frozen once read (read_config.py).

A secret is never a value in the file, only the name of the variable or file that holds it.
"""

import math
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from notifyq.domain.model import LEASE_S_MAX, LIFETIME_S_MAX, Category, Channel, MessageClass
from notifyq.domain.retention import Retention

# A send must end before its lease does: what the process needs between the provider's time-out
# and the end of the lease (commit of begin, scheduling, settling), in seconds.
LEASE_MARGIN_S = 5.0
MAX_IN_FLIGHT = 64  # requests at once on one lane, in one process
# at_least_once, where the category does not say when: most answers that come at all, and most
# receipts, have come by then (a code is typed in within a minute, or asked for again).
RESEND_AFTER_S = 15
CHANNEL_OF_VENDOR = {"twilio": Channel.SMS}
# Test keys only ever reach the sandbox, by lanes of their own. It answers from this machine or the
# next, so it is waited for less long than a vendor.
SANDBOX = {Channel.SMS: "sandbox-sms"}
SANDBOX_TIMEOUT_S = 10.0
SANDBOX_SETTLE_WINDOW_S = 60.0
# When a doubt is looked up at its provider: seconds before the first look-up, then before each of
# the next. Callbacks come within seconds, so the first waits for one; lists lag by seconds, at
# times by a quarter of an hour and more, so the last ones come late. A vendor without a list of
# messages has no entry.
LOOK_UP_S: Mapping[str, tuple[float, ...]] = {"twilio": (5, 30, 120, 600, 1_800)}
SANDBOX_LOOK_UP_S = (2.0, 5.0, 15.0, 30.0)
LOOK_UPS_MAX = 20  # of one doubt: each costs a call, and what 20 do not find no list will show

Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0, le=604_800)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]


def _with_port(bind: str) -> str:
    if int(bind.rpartition(":")[2]) > 65_535:
        raise PydanticCustomError("port", "the port must be 65535 or less")
    return bind


Bind = Annotated[str, Field(pattern=r"^[^\s]+:[0-9]{1,5}$"), AfterValidator(_with_port)]


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
        return Path(self.file).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")


class ProviderSettings(Table):
    """One account at one vendor: one lane."""

    vendor: Literal["twilio"]
    base_url: Url = "https://api.twilio.com"
    account_sid: Annotated[str, Field(pattern="^AC[0-9a-f]{32}$")]
    auth_token: EnvSecret | FileSecret
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = MAX_IN_FLIGHT
    # Twilio itself may take 26 s before it answers 500; less makes doubts out of slow answers.
    timeout_s: Annotated[float, Field(ge=0.1, le=120)] = 30.0
    # None: timeout_s + LEASE_MARGIN_S.
    lease_s: Annotated[float, Field(gt=0, le=LEASE_S_MAX)] | None = None
    # How long evidence is waited for before a delivery in doubt rests as unknown. Twilio may
    # hold a message as long as its ValidityPeriod (15 min here) and lists it with delay.
    settle_window_s: Annotated[float, Field(ge=1, le=604_800)] = 3_600.0
    # None: the vendor's own, as far as it fits the settle window. Empty: none are made.
    look_up_s: Annotated[list[Seconds], Field(max_length=LOOK_UPS_MAX)] | None = None

    @field_validator("lease_s")
    @classmethod
    def _outlasts_a_send(cls, lease_s: float | None, info: ValidationInfo) -> float | None:
        least_s = info.data.get("timeout_s", 0.0) + LEASE_MARGIN_S
        if lease_s is not None and lease_s < least_s:
            raise PydanticCustomError(
                "lease",
                "must be {least_s} or more (timeout_s + {margin_s}): a send must end before its "
                "lease",
                {"least_s": f"{least_s:g}", "margin_s": f"{LEASE_MARGIN_S:g}"},
            )
        return lease_s

    @field_validator("look_up_s")
    @classmethod
    def _within_the_window(
        cls, look_up_s: list[float] | None, info: ValidationInfo
    ) -> list[float] | None:
        window_s = info.data.get("settle_window_s", math.inf)
        if look_up_s and sum(look_up_s) >= window_s:
            raise PydanticCustomError(
                "look_ups",
                "must add up to less than settle_window_s ({window_s}): after it nobody looks",
                {"window_s": f"{window_s:g}"},
            )
        return look_up_s

    @property
    def look_ups(self) -> tuple[float, ...]:
        """Seconds before the first, second … look-up of a doubt."""
        if self.look_up_s is not None:
            return tuple(self.look_up_s)
        whole = LOOK_UP_S[self.vendor]
        return tuple(
            w for w, at in zip(whole, accumulate(whole), strict=True) if at < self.settle_window_s
        )

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
        return Category(name, message_class, self.program, lifetime_s, resend_after_s)


def resend_faults(
    categories: Mapping[str, Category], providers: Mapping[str, ProviderSettings]
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
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    senders: dict[str, SenderSettings] = Field(default_factory=dict)
    categories: dict[str, Category] = Field(default_factory=dict)
    retention: Retention = Retention()

    def category(self, name: str) -> Category | None:
        """Return a configured category, or None: then the class is transactional."""
        return self.categories.get(name)
