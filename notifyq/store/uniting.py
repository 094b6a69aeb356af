"""Uniting consent: what one of two recipients that become one does not want, neither wants.

An address's written consent stays its own: who gave it for one number gave it for no other one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import Channel
from notifyq.domain.policy import Consent
from notifyq.domain.preferences import CHANNELS
from notifyq.domain.profile import Profile
from notifyq.store import consents, ledger
from notifyq.store.db import Conn
from notifyq.store.ledger import Entry, Person

MERGED = "merged with a recipient who opted out"  # the reason of an opt-out by a merge


@dataclass(frozen=True, slots=True)
class Merger:
    """Who merges, in which scope opt-outs are united, and what makes their ids."""

    scope: str  # domain/consent.py: a brand, or what counts for its test sends
    actor: str
    new_id: Callable[[], UUID]


async def unite_opt_outs(conn: Conn, cell: int, person: Profile, by: Merger) -> tuple[str, ...]:
    """Block all addresses of each channel on which one is blocked; return those channels.

    So for the brand, and for each program that is blocked by itself. Channel by channel and under
    the rows' locks, in the order in which everybody locks them.
    """
    found = [one for one in CHANNELS if await _unite(conn, cell, person, one, by)]
    return tuple(channel.value for channel in found)


async def _unite(conn: Conn, cell: int, person: Profile, channel: Channel, by: Merger) -> bool:
    """Whether an address of this channel is blocked that was not before."""
    keys = await ledger.address_keys(conn, person.known(channel))
    people = {(by.scope, key): None for key in keys}
    said = await consents.lock(conn, people, cell=cell, channel=channel)
    blocked = {key: _blocked(said[by.scope, key]) for key in keys}
    everything = {what for ones in blocked.values() for what in ones}
    missing = [(key, what) for key in keys for what in sorted(everything - blocked[key])]
    for key, program in missing:
        entry = Entry(Kind.OPT_OUT, Source.MERGE, by.actor, MERGED, program=program or None)
        whose = Person(by.scope, channel, key)
        await ledger.note(conn, whose, entry, cell=cell, event_id=by.new_id())
    return bool(missing)


def _blocked(said: Consent) -> set[str]:
    """Return what is blocked: programs, and "" for the brand."""
    return {*said.programs, *([""] if said.blocked else [])}
