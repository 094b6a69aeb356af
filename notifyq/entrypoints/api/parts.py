"""From whom and what to deliveries: by which channels, to which addresses, by which accounts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from notifyq.domain.asking import Part, in_turn
from notifyq.domain.content import Content
from notifyq.domain.model import Category, Channel, MessageClass
from notifyq.domain.policy import HOURS_GUARD_S
from notifyq.domain.preferences import wanted
from notifyq.domain.profile import Profile
from notifyq.domain.routing import Outlet
from notifyq.domain.scheduling import schedule
from notifyq.domain.states import Reason
from notifyq.domain.terms import Stamp, Terms
from notifyq.domain.whereabouts import whereabouts
from notifyq.entrypoints.api.body import Body, ListBody
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.knowing import Known
from notifyq.entrypoints.api.people import FIELD_OF, Recipient
from notifyq.entrypoints.api.problems import Fault, Problem
from notifyq.entrypoints.api.texts import Texts
from notifyq.store.tenants import Holder

# Without `channels`: the least intrusive first, for `strategy: first`.
_CHANNELS = (Channel.PUSH, Channel.SMS, Channel.EMAIL)


@dataclass(frozen=True, slots=True)
class Ways:
    """How things can go out, from the settings."""

    # By which account: channel, address, category, whether by a test key.
    route: Callable[[Channel, str, Category, bool], Outlet | None]
    # Whether an account has a sender for a brand's program.
    speaks: Callable[[str, str, str], bool]
    # Why an account would never send this content, for its size or its fields; None: it would.
    refusal: Callable[[str, Content], str | None]


@dataclass(frozen=True, slots=True)
class Times:
    """When it was asked for, and between which times it may be sent."""

    now: datetime
    not_before: datetime | None  # later than now
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request beside its body."""

    category: Category
    holder: Holder
    known: Known
    times: Times


def parts_of(body: Body, asked: Asked, ways: Ways) -> list[Sequence[Part]]:
    """Return each recipient's parts; Problem where something of it can never be sent."""
    plan = _Plan(body, asked, ways)
    if isinstance(body, ListBody):
        named = ((f"/recipients/{n}", one) for n, one in enumerate(body.recipients))
        found = [plan.of_one(where, one) for where, one in named]
        plan.faults += _shared(found)
    else:
        found = [plan.of_one("/recipient", body.recipient)]
    if faults := plan.faults + plan.refusals():
        raise refused(faults)
    return [in_turn(own, body.strategy or "all") for own in found]


def _shared(found: Sequence[Sequence[Part]]) -> list[Fault]:
    """Return a fault for each recipient with an address of one before: nobody is told twice.

    body.py says so of what the request spells out; here it is about what is kept under ids.
    """
    first: dict[tuple[Channel, str], int] = {}
    faults = []
    for place, parts in enumerate(found):
        taken = [(first.setdefault((p.channel, p.address), place), p.channel) for p in parts]
        for other, channel in taken:
            if other != place:
                rule = f"has the same {FIELD_OF[channel]} as /recipients/{other}: remove one"
                faults.append(Fault(f"/recipients/{place}", rule))
                break
    return faults


class _Plan:
    """Finds the parts of one request's recipients, and everything that is wrong with them."""

    def __init__(self, body: Body, asked: Asked, ways: Ways) -> None:
        self._asked, self._ways = asked, ways
        self._pinned = body.channels is not None
        self._channels = [Channel(name) for name in body.channels or _CHANNELS]
        self._texts = Texts(body, asked.known)
        # By account and text, which the request's texts keep: what it will be asked to send.
        self._used: dict[tuple[str, int], tuple[Channel, Content, Stamp | None]] = {}
        self.faults = self._texts.faults()
        if self._pinned and not self.faults:
            lacking = [one for one in self._channels if not self._texts.has(one)]
            self.faults += [self._texts.missing(channel) for channel in lacking]

    def of_one(self, where: str, recipient: Recipient) -> list[Part]:
        """Return a recipient's parts. Problem if no account serves an address here."""
        profile = self._profile(where, recipient)
        if recipient.is_named and profile is None:
            return []
        found = [
            self._part(channel, address, since, recipient, profile)
            for channel in self._channels
            for address, since in self._addresses(where, channel, recipient, profile)
        ]
        if not found and not self.faults:
            has = ", ".join(channel for channel in self._channels if self._texts.has(channel))
            self.faults.append(Fault(where, f"has no address for what is said: {has}"))
        return [part for part in found if part is not None]

    def _profile(self, where: str, recipient: Recipient) -> Profile | None:
        found = self._asked.known.profiles.get(recipient.id) if recipient.id else None
        if recipient.is_named and found is None:
            rule = "is no recipient that is kept here: PUT it first, or send its addresses"
            self.faults.append(Fault(where, rule))
        return found

    def _addresses(
        self, where: str, channel: Channel, recipient: Recipient, profile: Profile | None
    ) -> list[tuple[str, datetime | None]]:
        """Return a recipient's addresses of a channel, with when each was registered."""
        who = profile if recipient.is_named and profile is not None else recipient
        since = who.registered(channel)
        found = [(address, since.get(address)) for address in who.addresses(channel)]
        if self._pinned and not found:
            self.faults.append(_unreachable(where, channel, recipient))
        return found if self._texts.has(channel) else []

    def _part(
        self,
        channel: Channel,
        address: str,
        since: datetime | None,
        recipient: Recipient,
        profile: Profile | None,
    ) -> Part | None:
        """Return what goes to one address; None where its text has a fault, which is kept."""
        category, times = self._asked.category, self._asked.times
        said = self._texts.of(channel, recipient.locale or (profile.locale if profile else None))
        if isinstance(said, list):
            self.faults += [fault for fault in said if fault not in self.faults]
            return None
        content, stamp = said
        outlet = self._outlet(channel, address)
        self._used[outlet.name, id(content)] = channel, content, stamp
        terms = self._terms(recipient, stamp)
        part = Part(channel, outlet.lane, address, content, registered_at=since, terms=terms)
        if not self._wanted(channel, profile):
            return replace(part, suppressed=True, reason=Reason.PREFERENCE_OFF)
        where = whereabouts(channel, address, terms, profile)
        when = schedule(
            times.now,
            times.not_before,
            times.expires_at,
            category.hours,
            where,
            who=address.encode(),
            guard_s=HOURS_GUARD_S,
        )
        return replace(part, due=when.due, reason=when.reason, suppressed=when.suppressed)

    def _wanted(self, channel: Channel, profile: Profile | None) -> bool:
        category = self._asked.category
        verdict = wanted(
            category.name,
            channel,
            mandatory=category.is_mandatory,
            own=profile.preferences if profile else {},
            of_tenant=self._asked.known.defaults,
            default_on=category.is_wanted,
        )
        return verdict.on

    def _terms(self, recipient: Recipient, stamp: Stamp | None) -> Terms:
        category, tenant = self._asked.category, self._asked.holder.tenant
        return Terms(
            category=category.name,
            recipient=recipient.id,
            hours=category.hours,
            time_zone=recipient.time_zone,
            cap=category.cap,
            is_marketing=category.message_class is MessageClass.MARKETING,
            is_mandatory=category.is_mandatory,
            is_separate=category.is_separate,
            is_exempt=stamp is not None and stamp.of(tenant) in category.approved,
            is_by_id=recipient.is_named,
            stamp=stamp,
        )

    def refusals(self) -> list[Fault]:
        """Return why accounts that would be used would never send what is to be said."""
        return list(self._refusals())

    def _refusals(self) -> Iterator[Fault]:
        for (provider, _), (channel, content, stamp) in self._used.items():
            rule = self._ways.refusal(provider, content)
            if rule is not None:
                yield self._texts.fault(channel, stamp, rule)

    def _outlet(self, channel: Channel, address: str) -> Outlet:
        test, brand = self._asked.holder.test, self._asked.holder.brand
        category = self._asked.category
        outlet = self._ways.route(channel, address, category, test)
        if outlet is None:
            mode = "test" if test else "live"
            what = f"{channel} to {_kind(address)}" if channel is Channel.PUSH else channel
            raise Problem("no_route", f"no provider serves {what} for {mode} keys here")
        if not self._ways.speaks(outlet.name, brand, category.program):
            who = f"brand {brand}, program {category.program},"
            raise Problem("no_sender", f"no sender speaks for {who} by {channel}")
        return outlet


def _unreachable(where: str, channel: Channel, recipient: Recipient) -> Fault:
    """Return what is wrong where a channel is named and there is no address of it."""
    field = FIELD_OF[channel]
    if not recipient.is_named:
        return Fault(f"{where}/{field}", f"is required: channels names {channel}")
    rule = f"has no {field} kept here: PUT it, or leave {channel} out of channels"
    return Fault(where, rule)


def _kind(address: str) -> str:
    """Return a device's platform and app, which name nobody."""
    platform, app, _ = address.split(":", 2)
    return f"{platform} {app}"
