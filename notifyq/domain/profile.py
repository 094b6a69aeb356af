"""Who a recipient is: where to reach them, and what they want; and how that is kept as text.

The tenant's defaults are the profile of the recipient that is called "*": it has preferences and
nothing else, and nobody can be told by it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from typing import Any

from notifyq.domain.address import Device
from notifyq.domain.area_codes import STATE_OF
from notifyq.domain.hours import Quiet
from notifyq.domain.model import Channel
from notifyq.domain.preferences import CATEGORIES_MAX, Wishes, flatten, nest
from notifyq.domain.preferences import unite as unite_wishes

DEFAULTS = "*"  # the id under which a tenant's defaults are kept
ID_LENGTH_MAX = 128  # characters of a recipient's id, from 1
PHONES_MAX, EMAILS_MAX, DEVICES_MAX = 5, 5, 20
# Of postal addresses, as ISO 3166-2 writes them: US-FL. The territories are among them.
REGIONS = tuple(sorted({f"US-{state}" for state in STATE_OF.values()}))
_FORM = 1  # of the text
_TIMES = ("registered_at", "last_seen")


class BadProfile(ValueError):
    """What is kept is no profile, or one that a newer version wrote."""


@dataclass(frozen=True, slots=True)
class KnownDevice(Device):
    """A device with what the producer said of its token: since when it is known, when it was used.

    Both aware UTC. They only move on, and are no part of the history: they change at every start
    of the app.
    """

    registered_at: datetime | None = None
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A recipient as known at one moment. Addresses are normal, each once, the best one first.

    states: the US state of the postal address ("FL"), one at the most.
    """

    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    devices: tuple[KnownDevice, ...] = ()
    time_zone: str | None = None
    locale: str | None = None
    quiet: Quiet | None = None
    states: frozenset[str] = frozenset()
    preferences: Wishes = field(default_factory=dict)

    def addresses(self, channel: Channel) -> tuple[str, ...]:
        """Return where it is told by a channel: one number, one mailbox, every device."""
        found = self.known(channel)
        return found if channel is Channel.PUSH else found[:1]

    def known(self, channel: Channel) -> tuple[str, ...]:
        """Return every address of a channel."""
        if channel is Channel.PUSH:
            return tuple(device.address for device in self.devices)
        return {Channel.SMS: self.phones, Channel.EMAIL: self.emails}.get(channel, ())

    def registered(self, channel: Channel) -> dict[str, datetime]:
        """Return since when its addresses of a channel are known, where that is said."""
        found = self.devices if channel is Channel.PUSH else ()
        return {one.address: one.registered_at for one in found if one.registered_at}

    @property
    def everywhere(self) -> frozenset[tuple[Channel, str]]:
        """Every address with its channel."""
        return frozenset((channel, one) for channel in Channel for one in self.known(channel))

    def excess(self) -> list[str]:
        """Return what is more than a recipient may have, each with the rule; usually nothing."""
        counted = (
            ("phones", len(self.phones), PHONES_MAX),
            ("emails", len(self.emails), EMAILS_MAX),
            ("devices", len(self.devices), DEVICES_MAX),
            ("preferences", len({category for category, _ in self.preferences}), CATEGORIES_MAX),
        )
        return [f"{found} {what}, at most {most}" for what, found, most in counted if found > most]


def pack(profile: Profile) -> str:
    """Return a profile as text: the same profile gives the same text."""
    quiet = profile.quiet
    kept: dict[str, Any] = {
        "phones": profile.phones,
        "emails": profile.emails,
        "devices": [_packed(device) for device in profile.devices],
        "time_zone": profile.time_zone,
        "locale": profile.locale,
        "quiet": quiet and [_clock(quiet.start), _clock(quiet.end)],
        "states": sorted(profile.states),
        "preferences": nest(profile.preferences),
    }
    said = {"form": _FORM} | {name: value for name, value in kept.items() if value}
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read_profile(text: str) -> Profile:
    """Return what pack() was given. BadProfile: it is none, or in a form that is not known here."""
    try:
        kept = json.loads(text)
        form = kept["form"]
        found = _read(kept) if form == _FORM else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadProfile(f"is no profile: {type(error).__name__}: {error}") from error
    if found is None:
        raise BadProfile(f"is in form {form!r}; this version reads {_FORM}")
    return found


def renew(before: Profile, after: Profile, now: datetime) -> Profile:
    """Return `after` with its devices' times as they may be kept: never back, never ahead of now.

    A request that was on its way for long does not undo a newer one, and a clock that goes wrong
    does not call a token younger than the news that it died.
    """
    had = {device.address: device for device in before.devices}
    devices = tuple(_renewed(had.get(one.address, one), one, now) for one in after.devices)
    return replace(after, devices=devices)


def is_newer_only(before: Profile, after: Profile) -> bool:
    """Say whether two profiles differ in nothing but their devices' times, or not at all."""
    return _timeless(before) == _timeless(after)


def unite(into: Profile, other: Profile) -> Profile:
    """Return the one person that two profiles are: `into`'s addresses first, then the other's.

    Of preferences, off wins. Hours, zone, locale and state are `into`'s, else the other's. There
    may be more addresses than one may have: see excess().
    """
    devices = {device.address: device for device in into.devices}
    for device in other.devices:
        known = devices.get(device.address, device)
        devices[device.address] = _renewed(known, device, None)
    return Profile(
        phones=tuple(dict.fromkeys((*into.phones, *other.phones))),
        emails=tuple(dict.fromkeys((*into.emails, *other.emails))),
        devices=tuple(devices.values()),
        time_zone=into.time_zone or other.time_zone,
        locale=into.locale or other.locale,
        quiet=into.quiet or other.quiet,
        states=into.states or other.states,
        preferences=unite_wishes(into.preferences, other.preferences),
    )


def _read(kept: Mapping[str, Any]) -> Profile:
    quiet = kept.get("quiet")
    return Profile(
        phones=tuple(kept.get("phones", ())),
        emails=tuple(kept.get("emails", ())),
        devices=tuple(_device(device) for device in kept.get("devices", ())),
        time_zone=kept.get("time_zone"),
        locale=kept.get("locale"),
        quiet=Quiet(*(time.fromisoformat(at) for at in quiet)) if quiet else None,
        states=frozenset(kept.get("states", ())),
        preferences=flatten(kept.get("preferences", {})),
    )


def _packed(device: KnownDevice) -> dict[str, str]:
    times = {name: getattr(device, name) for name in _TIMES}
    told = {"platform": device.platform, "app": device.app, "token": device.token}
    return told | {name: at.astimezone(UTC).isoformat() for name, at in times.items() if at}


def _device(kept: Mapping[str, str]) -> KnownDevice:
    times = (datetime.fromisoformat(kept[name]) if name in kept else None for name in _TIMES)
    return KnownDevice(kept["platform"], kept["app"], kept["token"], *times)


def _clock(at: time) -> str:
    return at.isoformat("minutes")


def _renewed(before: KnownDevice, after: KnownDevice, now: datetime | None) -> KnownDevice:
    return replace(
        after,
        registered_at=_latest(before.registered_at, after.registered_at, now),
        last_seen=_latest(before.last_seen, after.last_seen, now),
    )


def _latest(one: datetime | None, other: datetime | None, now: datetime | None) -> datetime | None:
    latest = max((at for at in (one, other) if at is not None), default=None)
    return latest if latest is None or now is None else min(latest, now)


def _timeless(profile: Profile) -> Profile:
    bare = (replace(device, registered_at=None, last_seen=None) for device in profile.devices)
    return replace(profile, devices=tuple(bare))
