"""Profiles: what is kept of a recipient, and how it is kept. Pure.

A profile is one document, and every version of it stays: "as of yesterday" is read from it. The
version of its form is the first thing in it; a form that is not known is told, never guessed at.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from notifyq.domain.model import Channel

FORM = 1
PHONES_MAX = EMAILS_MAX = 5  # of one recipient
DEVICES_MAX = 20


class BadProfile(ValueError):
    """The text is no profile that this version can read."""


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """An app on a device, with when the producer heard of it."""

    address: str  # platform:app:token, see domain/address.py
    registered_at: datetime | None = None
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """How somebody can be told, and what they wish."""

    phones: tuple[str, ...] = ()  # E.164; the first is told
    emails: tuple[str, ...] = ()  # the first is told
    devices: tuple[KnownDevice, ...] = ()  # all are told
    time_zone: str | None = None
    locale: str | None = None
    state: str | None = None  # of their postal address: "FL"
    quiet: tuple[time, time] | None = None  # from, until; local
    preferences: Mapping[tuple[str, str], bool] = field(default_factory=dict)

    def addresses(self, channel: Channel) -> list[tuple[str, datetime | None]]:
        """Return where they are told by a channel, with since when that is known."""
        if channel is Channel.PUSH:
            return [(one.address, one.registered_at) for one in self.devices]
        found = {Channel.SMS: self.phones, Channel.EMAIL: self.emails}.get(channel, ())
        return [(address, None) for address in found[:1]]

    def all_addresses(self) -> list[tuple[Channel, str]]:
        """Return every address, told or not."""
        devices = tuple(one.address for one in self.devices)
        by_channel = (
            (Channel.SMS, self.phones),
            (Channel.EMAIL, self.emails),
            (Channel.PUSH, devices),
        )
        return [(channel, one) for channel, found in by_channel for one in found]


NOBODY = Profile()


def pack(profile: Profile) -> str:
    """Return a profile as the text that is kept; equal profiles are equal texts."""
    content = {
        "form": FORM,
        "phones": profile.phones,
        "emails": profile.emails,
        "devices": [[d.address, _iso(d.registered_at), _iso(d.last_seen)] for d in profile.devices],
        "time_zone": profile.time_zone,
        "locale": profile.locale,
        "state": profile.state,
        "quiet": [at.isoformat("minutes") for at in profile.quiet or ()],
        "preferences": sorted([*key, on] for key, on in profile.preferences.items()),
    }
    kept = {name: value for name, value in content.items() if value}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def read_profile(text: str) -> Profile:
    """Return what was packed; BadProfile if it cannot be read."""
    try:
        content = json.loads(text)
        if content["form"] != FORM:
            raise BadProfile(f"form {content['form']} is not known here")
        return _read(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadProfile(f"{type(error).__name__}: {error}") from error


def _read(content: Mapping[str, Any]) -> Profile:
    quiet = tuple(time.fromisoformat(at) for at in content.get("quiet", ()))
    return Profile(
        tuple(content.get("phones", ())),
        tuple(content.get("emails", ())),
        tuple(
            KnownDevice(address, _instant(registered_at), _instant(last_seen))
            for address, registered_at, last_seen in content.get("devices", ())
        ),
        content.get("time_zone"),
        content.get("locale"),
        content.get("state"),
        (quiet[0], quiet[1]) if quiet else None,
        {(category, by): on for category, by, on in content.get("preferences", ())},
    )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
