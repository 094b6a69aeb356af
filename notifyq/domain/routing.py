"""By which account a delivery goes. Pure.

In this version the first account of the route that serves the address, and no other: vendors do
not stand in for each other yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from notifyq.domain.address import read_device
from notifyq.domain.model import Channel


@dataclass(frozen=True, slots=True)
class Outlet:
    """An account as the router sees it."""

    name: str
    channel: Channel
    lane: int
    platforms: frozenset[str] = frozenset()  # of devices; only of push
    apps: frozenset[str] = frozenset()  # empty: all

    def serves(self, address: str) -> bool:
        """Whether it can reach an address of its channel, in its normal form."""
        if self.channel is not Channel.PUSH:
            return True
        device = read_device(address)
        return device.platform in self.platforms and (not self.apps or device.app in self.apps)


def first(outlets: Iterable[Outlet], address: str) -> Outlet | None:
    """Return the first account that serves an address; None if none does."""
    return next((outlet for outlet in outlets if outlet.serves(address)), None)
