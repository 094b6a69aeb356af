"""From whom and what to deliveries: by which channels, to which addresses, by which accounts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from notifyq.domain.asking import Part, in_turn
from notifyq.domain.content import Content
from notifyq.domain.model import Category, Channel
from notifyq.domain.routing import Outlet
from notifyq.entrypoints.api.body import Body, ListBody
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.people import FIELD_OF, Recipient
from notifyq.entrypoints.api.problems import Fault, Problem
from notifyq.store.tenants import Holder

# Without `channels`: the least intrusive first, for `strategy: first`.
_CHANNELS = (Channel.PUSH, Channel.SMS, Channel.EMAIL)


@dataclass(frozen=True, slots=True)
class Ways:
    """How things can go out, from the settings."""

    # By which account: channel, address, category, whether by a test key.
    route: Callable[[Channel, str, Category, bool], Outlet | None]
    speaks: Callable[[str, str], bool]  # whether an account has a sender of a brand
    # Why an account would never send this content, for its size or its fields; None: it would.
    refusal: Callable[[str, Content], str | None]


def parts_of(body: Body, category: Category, holder: Holder, ways: Ways) -> list[Sequence[Part]]:
    """Return each recipient's parts; Problem where something of it can never be sent."""
    plan = _Plan(body, category, holder, ways)
    if isinstance(body, ListBody):
        named = ((f"/recipients/{n}", one) for n, one in enumerate(body.recipients))
        found = [plan.of_one(where, one) for where, one in named]
    else:
        found = [plan.of_one("/recipient", body.recipient)]
    if faults := plan.faults + plan.refusals():
        raise refused(faults)
    return [in_turn(own, body.strategy or "all") for own in found]


class _Plan:
    """Finds the parts of one request's recipients, and everything that is wrong with them."""

    def __init__(self, body: Body, category: Category, holder: Holder, ways: Ways) -> None:
        self._category, self._holder, self._ways = category, holder, ways
        self._pinned = body.channels is not None
        self._contents: dict[Channel, Content] = {}
        self._used: dict[tuple[str, Channel], Content] = {}
        self.faults: list[Fault] = []
        self._channels = [Channel(name) for name in body.channels or _CHANNELS]
        for channel in self._channels:
            content = body.content.of(channel, body.collapse_key)
            if content is not None:
                self._contents[channel] = content
            elif self._pinned:
                self.faults.append(Fault(f"/content/{channel}", "is required: channels names it"))

    def of_one(self, where: str, recipient: Recipient) -> list[Part]:
        """Return a recipient's parts. Problem if no account serves an address here."""
        parts = []
        for channel in self._channels if self._pinned else ():
            if not recipient.addresses(channel):
                rule = f"is required: channels names {channel}"
                self.faults.append(Fault(f"{where}/{FIELD_OF[channel]}", rule))
        for channel, content in self._contents.items():
            addresses = recipient.addresses(channel)
            since = recipient.registered(channel)
            for address in addresses:
                outlet = self._outlet(channel, address)
                self._used[outlet.name, channel] = content
                at = since.get(address)
                parts.append(Part(channel, outlet.lane, address, content, registered_at=at))
        if not parts and not self.faults:
            rule = f"has no address for what content has: {', '.join(self._contents)}"
            self.faults.append(Fault(where, rule))
        return parts

    def refusals(self) -> list[Fault]:
        """Return why accounts that would be used would never send what is to be said."""
        return list(self._refusals())

    def _refusals(self) -> Iterator[Fault]:
        for (provider, channel), content in self._used.items():
            rule = self._ways.refusal(provider, content)
            if rule is not None:
                yield Fault(f"/content/{channel}", rule)

    def _outlet(self, channel: Channel, address: str) -> Outlet:
        test, brand = self._holder.test, self._holder.brand
        outlet = self._ways.route(channel, address, self._category, test)
        if outlet is None:
            mode = "test" if test else "live"
            what = f"{channel} to {_kind(address)}" if channel is Channel.PUSH else channel
            raise Problem("no_route", f"no provider serves {what} for {mode} keys here")
        if not self._ways.speaks(outlet.name, brand):
            raise Problem("no_sender", f"no sender of brand {brand} for {channel}")
        return outlet


def _kind(address: str) -> str:
    """Return a device's platform and app, which name nobody."""
    platform, app, _ = address.split(":", 2)
    return f"{platform} {app}"
