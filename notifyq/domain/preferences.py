"""Preferences: whether somebody wants a kind of message by a channel. Pure.

An entry is for a category or for all of them (`*`), and for a channel or all of them. The most
exact entry decides: the person's own first, then the tenant's defaults, then the category's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from notifyq.domain.model import Channel

ALL = "*"
Preferences = Mapping[tuple[str, str], bool]  # by (category or *, channel or *)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is wanted, and which entry says so."""

    on: bool
    by: str


@dataclass(frozen=True, slots=True)
class Look:
    """One entry that was looked for; said None: there is none."""

    place: str
    said: bool | None


def wanted(
    category: str,
    channel: Channel,
    *,
    mandatory: bool,
    own: Preferences,
    of_tenant: Preferences,
    default_on: bool,
) -> Verdict:
    """Return whether a message is wanted. mandatory: nobody can turn it off."""
    if mandatory:
        return Verdict(True, "mandatory: nobody can turn it off")
    for look in steps(category, channel, own=own, of_tenant=of_tenant):
        if look.said is not None:
            return Verdict(look.said, f"{look.place} is {'on' if look.said else 'off'}")
    return Verdict(default_on, f"the category's default is {'on' if default_on else 'off'}")


def steps(
    category: str, channel: Channel, *, own: Preferences, of_tenant: Preferences
) -> Iterator[Look]:
    """Yield every entry that is looked for, the one that counts most first."""
    for whose, entries in (("own", own), ("tenant", of_tenant)):
        for exact in (category, ALL):
            for by in (channel.value, ALL):
                yield Look(f"{whose}: {exact}/{by}", entries.get((exact, by)))


def united(one: Preferences, other: Preferences) -> dict[tuple[str, str], bool]:
    """Return the wishes of two who are one person: what either turned off is off."""
    return {
        key: one.get(key, True) and other.get(key, True) for key in one.keys() | other.keys()
    }
