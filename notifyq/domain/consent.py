"""Consent: what the events of one (brand, channel, address) add up to. Pure.

The ledger of events is the truth and is only ever added to; the consent row is what they add up to
under this rule. Events count by the time at which they happened (the provider's clock, where it
says when), so it does not matter in which order we learn of them. An opt-out wins a tie.

An opt-out reaches a whole brand on a channel, or one program: of a mailing list, or a separate one
(codes, say) where the person wrote to that program's number.
Invariant: nothing but a later word of the person takes it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What an event says."""

    OPT_OUT = "opt_out"
    LIFT = "lift"  # START, or consent given anew: takes back the opt-outs before it
    CONSENT = "consent"  # express written consent, which marketing by text needs
    HOLD = "hold"  # somebody wrote what only a person can read: no marketing meanwhile
    RELEASE = "release"  # a person read it, and it was no opt-out
    REASSIGNED = "reassigned"  # the number is somebody else's by now


class Source(StrEnum):
    """By which way we learnt of it."""

    SMS = "sms"  # the person wrote to our number
    EMAIL = "email"  # one-click unsubscribe, or a complaint
    WEB = "web"  # a page or an app of the producer's
    PROVIDER = "provider"  # a provider refuses the address as opted out
    OPERATOR = "operator"
    IMPORT = "import"
    MERGE = "merge"  # of two recipients who are one person


# Providers' clocks may disagree by so much: a START within it after a STOP does not take it back.
SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Said:
    """One event, as far as the rule reads it."""

    kind: Kind
    at: datetime  # when it happened; aware
    source: Source
    program: str | None = None  # None: the whole brand


@dataclass(frozen=True, slots=True)
class Standing:
    """What the events add up to: the consent row."""

    blocked: bool = False  # the brand, but for its separate programs
    programs: tuple[str, ...] = ()  # those that are blocked by themselves, in order
    held: bool = False  # a person has yet to read what was written
    consented: bool = False  # written consent, later than the last opt-out


_TEST = ":test"  # no brand has a colon


def scope_of(brand: str, *, test: bool) -> str:
    """Return whose consent a send needs. What is sent for tests blocks and frees nobody else."""
    return brand + _TEST if test else brand


def brand_of(scope: str) -> str:
    """Return who speaks, for tests or not."""
    return scope.removesuffix(_TEST)


def is_test(scope: str) -> bool:
    """Whether a consent row is of test sends."""
    return scope.endswith(_TEST)


def standing(events: Iterable[Said]) -> Standing:
    """Return what events add up to, whatever their order."""
    known = list(events)
    programs = sorted({event.program for event in known if event.program is not None})
    return Standing(
        blocked=bool(in_force(known, None)),
        programs=tuple(program for program in programs if in_force(known, program)),
        held=bool(unread(known)),
        consented=_consented(known),
    )


def in_force(events: Sequence[Said], program: str | None) -> list[Said]:
    """Return the opt-outs of a brand (None) or a program that nothing has taken back."""
    ours = [event for event in events if event.program == program]
    lifts = [event for event in ours if event.kind is Kind.LIFT]
    return [
        stop
        for stop in ours
        if stop.kind in _ENDS and not any(_takes_back(lift, stop) for lift in lifts)
    ]


def left_by(events: Sequence[Said], lift: Said) -> list[Said]:
    """Return the opt-outs in force that a lift would leave in force."""
    return [stop for stop in in_force(events, lift.program) if not _takes_back(lift, stop)]


def _takes_back(lift: Said, stop: Said) -> bool:
    """Whether a lift saw an opt-out, and may take it back.

    A START is the word of whoever holds the number: a provider, which heard it too, has lifted its
    own block by then; but a number that changed hands needs consent. Consent given elsewhere lifts
    no provider's block: the provider would refuse.
    """
    if lift.at <= stop.at + SKEW:
        return False
    if lift.source is Source.SMS:
        return stop.kind is not Kind.REASSIGNED
    return stop.source is not Source.PROVIDER


def unread(events: Iterable[Said]) -> list[Said]:
    """Return the texts that a person has yet to read.

    A clear word of the person, or of who read it, answers what was written until then to the same
    program.
    """
    known = list(events)
    answers = [event for event in known if event.kind in _ANSWERS]
    return [
        event
        for event in known
        if event.kind is Kind.HOLD
        and not any(one.program == event.program and one.at >= event.at for one in answers)
    ]


_ANSWERS = (Kind.RELEASE, Kind.OPT_OUT, Kind.LIFT)


def _consented(events: Sequence[Said]) -> bool:
    """Whether written consent came after the last opt-out. A START is none (47 CFR 64.1200)."""
    ends = [event.at for event in events if event.kind in _ENDS and event.program is None]
    return any(
        event.kind is Kind.CONSENT and all(event.at > end + SKEW for end in ends)
        for event in events
    )


_ENDS = (Kind.OPT_OUT, Kind.REASSIGNED)
