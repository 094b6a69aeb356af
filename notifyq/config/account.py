"""What accounts at all vendors have in common: bounds, time-outs, leases, look-ups."""

import math
from itertools import accumulate
from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from notifyq.config.fields import Seconds, Table
from notifyq.domain.model import LEASE_S_MAX, Channel

# A send must end before its lease does: what the process needs between the provider's time-out
# and the end of the lease (commit of begin, scheduling, settling), in seconds.
LEASE_MARGIN_S = 5.0
MAX_IN_FLIGHT = 64  # requests at once on one lane, in one process
LOOK_UPS_MAX = 20  # of one doubt: each costs a call, and what 20 do not find no list will show


class AccountSettings(Table):
    """One account at one vendor: one lane. What all vendors have in common."""

    CHANNEL: ClassVar[Channel]
    # When a doubt is looked up: seconds before the first look-up, then before each of the next.
    # Empty: the vendor has no list of messages.
    LOOK_UP_S: ClassVar[tuple[float, ...]] = ()

    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = MAX_IN_FLIGHT
    timeout_s: Annotated[float, Field(ge=0.1, le=120)] = 30.0
    # None: timeout_s + LEASE_MARGIN_S.
    lease_s: Annotated[float, Field(gt=0, le=LEASE_S_MAX)] | None = None
    # How long evidence is waited for before a delivery in doubt rests as unknown.
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
        if look_up_s and not cls.LOOK_UP_S:
            raise PydanticCustomError("look_ups", "must be left out: the vendor has no list")
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
        whole = self.LOOK_UP_S
        return tuple(
            w for w, at in zip(whole, accumulate(whole), strict=True) if at < self.settle_window_s
        )

    @property
    def lease(self) -> float:
        """Seconds from begin until an open attempt is in doubt."""
        return self.timeout_s + LEASE_MARGIN_S if self.lease_s is None else self.lease_s
