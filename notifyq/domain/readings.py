"""What the rules before a send read: which rows, and what is there, in words for people. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from notifyq.domain.consent import Said, standing
from notifyq.domain.hours import Closed, look
from notifyq.domain.model import Category, Channel, MessageClass
from notifyq.domain.policy import CAP_HOURS, HOURS_GUARD_S, Facts
from notifyq.domain.preferences import Level, Wishes
from notifyq.domain.profile import DEFAULTS, Profile

_NEW = "delivery: a new one"


@dataclass(frozen=True, slots=True)
class Word:
    """One event of the ledger, with where it stands there."""

    said: Said
    revision: int
    at: datetime  # when it was stored
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one address at the time that is asked about."""

    channel: Channel
    address: str
    address_key: bytes
    words: Sequence[Word]  # the oldest first
    dead: tuple[datetime, str] | None  # since when, and by which code of a provider
    begun_at: tuple[datetime, ...]  # of what is capped, in the day before; the oldest first

    @property
    def hint(self) -> str:
        """What tells the addresses of one person apart, and is no address."""
        match self.channel:
            case Channel.SMS:
                return f"…{self.address[-2:]}"
            case Channel.EMAIL:
                return f"…@{self.address.rpartition('@')[2]}"
            case _:
                return " ".join(self.address.split(":", 2)[:2])


@dataclass(frozen=True, slots=True)
class Wanting:
    """Who is told, as they were then, and what their tenant's defaults were."""

    recipient: str  # as it was asked for
    profile: Profile | None  # None: nobody is kept under it
    defaults: Wishes


def read_by(
    category: Category, scope: str, known: Known, who: Wanting, facts: Facts
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the name of each rule of policy.py, with the row that it reads and what is there.

    facts: with the preference, which is asked for.
    """
    setting = f"settings: category {category.name}"
    consent, ledger = _rows(scope, known)
    yield "state", (_NEW, "pending")
    yield "cancel", (_NEW, "not called back")
    expires_at = facts.now + timedelta(seconds=category.expires_in_s)
    yield "expiry", (setting, f"it expires {category.expires_in_s} s later, at {_time(expires_at)}")
    yield "opt_out", (ledger, _opted_out(category, known))
    yield "consent", (ledger, _consented(category, known))
    yield "address", (consent, _dead(known))
    yield "preference", _wish(setting, who, facts)
    yield "not_before", (_NEW, "due at once")
    quiet = who.profile is not None and who.profile.quiet is not None
    yield (
        "hours",
        (f"{setting}; {_person(who)}" if quiet else setting, _hours(category, facts, who)),
    )
    yield "cap", (consent if category.cap else setting, _cap(category, known))


def _rows(scope: str, known: Known) -> tuple[str, str]:
    whose = f"{scope}, {known.channel}"
    revision = known.words[-1].revision if known.words else 0
    return f"consent: {whose}", f"consent_event: {whose}, revision {revision}"


def _person(who: Wanting) -> str:
    return f"recipient_version: {who.recipient}"


def _opted_out(category: Category, known: Known) -> str:
    stands = standing(word.said for word in known.words)
    said = ["blocked" if stands.blocked else "not blocked"]
    said += [f"program {program} blocked" for program in stands.programs]
    if category.is_separate:
        said.append(f"the program {category.program} stands apart from the brand")
    said.append(f"the last word: {_word(known.words[-1])}" if known.words else "not one word")
    if category.approved:
        said.append(f"sent all the same by template {' or '.join(category.approved)}")
    return "; ".join(said)


def _word(word: Word) -> str:
    about = f" of program {word.said.program}" if word.said.program else ""
    return f"{word.said.kind}{about} by {word.said.source} at {_time(word.said.at)}: {word.reason}"


def _consented(category: Category, known: Known) -> str:
    if category.message_class is not MessageClass.MARKETING or known.channel is not Channel.SMS:
        return "needed for marketing by text only"
    stands = standing(word.said for word in known.words)
    held = "; a text waits to be read" if stands.held else ""
    return f"written consent is {'' if stands.consented else 'not '}on record{held}"


def _dead(known: Known) -> str:
    if known.dead is None:
        return "no provider calls it dead"
    return f"dead since {_time(known.dead[0])}, code {known.dead[1]}"


def _wish(setting: str, who: Wanting, facts: Facts) -> tuple[str, str]:
    verdict = facts.preference
    assert verdict is not None  # it was asked for
    says = f"{'on' if verdict.on else 'off'}, by {verdict.by}"
    if verdict.by.startswith(Level.OWN):
        return _person(who), says
    of_all = verdict.by.startswith(Level.TENANT)
    return f"recipient_version: {DEFAULTS}" if of_all else setting, says


def _hours(category: Category, facts: Facts, who: Wanting) -> str:
    said = [str(category.hours)]
    quiet = who.profile.quiet if who.profile is not None else None
    if quiet is not None:
        said.append(f"quiet from {quiet.start:%H:%M} to {quiet.end:%H:%M}")
    where = facts.where
    if where is None:
        return "; ".join([*said, "open at any hour"])
    zones = [where.own_zone] if where.own_zone else sorted(where.zones)
    said.append(f"zones: {', '.join(zones) or 'none known'}")
    found = look(facts.now, category.hours, where, guard_s=HOURS_GUARD_S)
    if not isinstance(found, Closed):
        return "; ".join([*said, "open"])
    until = f"closed until {_time(found.until)}" if found.until else "closed, never known to open"
    return "; ".join([*said, until])


def _cap(category: Category, known: Known) -> str:
    if category.cap is None:
        return "no cap"
    said = f"{len(known.begun_at)} of {category.cap} in {CAP_HOURS} hours"
    return f"{said}; the first at {_time(known.begun_at[0])}" if known.begun_at else said


def _time(at: datetime) -> str:
    """Return a time in UTC to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
