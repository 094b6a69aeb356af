"""What people want to be told, and by what: wishes, and which of them decides.

A wish is about a category or all of them ("*"), and a channel or all of them: on or off. The most
exact one decides, whichever way: on for one category beats off for all, and the other way round. A
person's own wishes go before the tenant's defaults, and those before the category's. What is
mandatory is on whatever anybody wishes.

An opt-out is no wish: it is consent, and nothing here lifts it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from notifyq.domain.model import Channel

ANY = "*"
CHANNELS = (Channel.SMS, Channel.EMAIL, Channel.PUSH)  # by which people are told
CATEGORIES_MAX = 100  # that the wishes of one person name, with "*": a profile stays a small row

Entry = tuple[str, str]  # (category or "*", channel or "*")
Wishes = Mapping[Entry, bool]
Nested = Mapping[str, Mapping[str, bool]]  # by category, then by channel


class Level(StrEnum):
    """Who says it, in the order in which they are asked."""

    MANDATORY = "mandatory"
    OWN = "own"
    TENANT = "tenant"
    DEFAULT = "default"  # the category's


class Step(NamedTuple):
    """One place that was looked at, and what it said; None: nothing."""

    level: Level
    entry: Entry | None
    said: bool | None

    @property
    def name(self) -> str:
        """The level, and the entry where it has some: `own: order.shipped/*`."""
        return self.level if self.entry is None else f"{self.level}: {'/'.join(self.entry)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is wanted, and the name of the step that decided, for the record."""

    on: bool
    by: str


def wanted(
    category: str,
    channel: str,
    *,
    mandatory: bool,
    own: Wishes,
    of_tenant: Wishes,
    default_on: bool,
) -> Verdict:
    """Return whether a category is wanted by a channel: the first step that says something."""
    looked = _look(category, channel, mandatory, (own, of_tenant), default_on)
    return next(Verdict(step.said, step.name) for step in looked if step.said is not None)


def steps(
    category: str,
    channel: str,
    *,
    mandatory: bool,
    own: Wishes,
    of_tenant: Wishes,
    default_on: bool,
) -> list[Step]:
    """Return every place that is looked at, in order, with what it says; the last one always does.

    The first that says something is wanted()'s verdict; those behind it would decide without it.
    """
    return list(_look(category, channel, mandatory, (own, of_tenant), default_on))


def _look(
    category: str,
    channel: str,
    mandatory: bool,
    wishes: tuple[Wishes, Wishes],
    default_on: bool,
) -> Iterator[Step]:
    yield Step(Level.MANDATORY, None, True if mandatory else None)
    entries = _widening(category, channel)
    for level, said in zip((Level.OWN, Level.TENANT), wishes, strict=True):
        for entry in entries:
            yield Step(level, entry, said.get(entry))
    yield Step(Level.DEFAULT, None, default_on)


def _widening(category: str, channel: str) -> tuple[Entry, ...]:
    """Return the entries that are about a category and a channel, the most exact one first."""
    return (category, channel), (category, ANY), (ANY, channel), (ANY, ANY)


def unite(one: Wishes, other: Wishes) -> dict[Entry, bool]:
    """Return the wishes of two people who turned out to be one: off wins.

    By every category and channel: off if it is off for either of them, by whatever entry of
    theirs; on if it is on for one and the other does not say.
    """
    found = {entry: one.get(entry, True) and other.get(entry, True) for entry in {**one, **other}}
    named = sorted({category for category, _ in found} - {ANY})
    for category in (ANY, *named):  # "*" first: what it says is then known for the others
        for channel in CHANNELS:
            off = any(_says(wishes, category, channel) is False for wishes in (one, other))
            if off and _says(found, category, channel) is not False:
                found[category, channel] = False
    return found


def _says(wishes: Wishes, category: str, channel: str) -> bool | None:
    looked = (wishes.get(entry) for entry in _widening(category, channel))
    return next((said for said in looked if said is not None), None)


def change(wishes: Wishes, by: Mapping[str, Mapping[str, bool | None] | None]) -> dict[Entry, bool]:
    """Return wishes with some changed. None takes an entry away, or all of a category's."""
    found = dict(wishes)
    for category, said in by.items():
        if said is None:
            found = {entry: on for entry, on in found.items() if entry[0] != category}
            continue
        for channel, on in said.items():
            if on is None:
                found.pop((category, channel), None)
            else:
                found[category, channel] = on
    return found


def nest(wishes: Wishes) -> dict[str, dict[str, bool]]:
    """Return wishes by category and then by channel, both in order."""
    found: dict[str, dict[str, bool]] = {}
    for category, channel in sorted(wishes):
        found.setdefault(category, {})[channel] = wishes[category, channel]
    return found


def flatten(nested: Nested) -> dict[Entry, bool]:
    """Return what nest() was given."""
    return {
        (category, channel): on for category, said in nested.items() for channel, on in said.items()
    }
