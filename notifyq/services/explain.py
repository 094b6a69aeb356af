"""Explain: why somebody would, or would not, be told by a category, now or at a time past.

The very rules that decide before each send are asked, with what was known at that time: words of
consent, the recipient's profile and the tenant's defaults are kept with their times. Settings
(categories, programs) are those of today.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifyq.domain.address import BadAddress, channel_of, normal
from notifyq.domain.explaining import Answer, judge
from notifyq.domain.ids import floor_of
from notifyq.domain.model import Category, Channel
from notifyq.domain.preferences import CHANNELS
from notifyq.domain.profile import DEFAULTS, Profile
from notifyq.domain.readings import Known, Wanting
from notifyq.store import explaining, ledger, recipients
from notifyq.store.db import Conn
from notifyq.store.explaining import Latest
from notifyq.store.recipients import Book


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks about whom. at: not in the future; as of then."""

    book: Book
    scope: str  # whose consent: domain/consent.py
    recipient: str  # the producer's id, or an address
    category: Category
    at: datetime


@dataclass(frozen=True, slots=True)
class Explained:
    """What would become of a message, by each address that it would go to; there may be none."""

    is_kept: bool  # under the id that was given; else it was taken for an address
    answers: tuple[Answer, ...]


class NotKnown(ValueError):
    """Nobody was kept under the id at the time, and it is no address; the message says the mend."""


async def answer(conn: Conn, question: Question) -> Explained:
    """Return what every rule says; it reads and changes nothing.

    NotKnown: about whom it is asked is neither a recipient nor an address.
    """
    profile = await _profile(conn, question, question.recipient)
    of_all = await _profile(conn, question, DEFAULTS)
    who = Wanting(question.recipient, profile, of_all.preferences if of_all else {})
    since = await _registered(conn, question) if profile and profile.devices else {}
    answers = []
    for channel, address in _addresses(question.recipient, profile):
        known = await _look(conn, question, channel, address, since.get(address))
        answers.append(judge(question.category, question.scope, known, who, question.at))
    return Explained(profile is not None, tuple(answers))


async def latest(conn: Conn, question: Question, explained: Explained) -> Sequence[Latest]:
    """Return what became of the last deliveries that were accepted by the time, as of now.

    Those to today's addresses of a recipient, and those to older ones that named it. Reads
    deliveries from the newest on until there are 10 of them.
    """
    return await explaining.latest(
        conn,
        [one.known.address_key for one in explained.answers],
        cell=question.book.cell,
        tenant_id=question.book.tenant_id,
        brand=question.scope,
        category=question.category.name,
        recipient=question.recipient,
        before=floor_of(question.at + timedelta(milliseconds=1)),
    )


async def _profile(conn: Conn, question: Question, recipient: str) -> Profile | None:
    book = question.book
    return await recipients.as_of(
        conn,
        cell=book.cell,
        tenant_id=book.tenant_id,
        test=book.test,
        id=recipient,
        at=question.at,
    )


async def _registered(conn: Conn, question: Question) -> dict[str, datetime]:
    """Return since when its devices are known. That only moves on, and has no history."""
    found = await recipients.find(conn, question.book, question.recipient)
    since = found.profile.registered(Channel.PUSH) if found is not None else {}
    return {address: at for address, at in since.items() if at <= question.at}


async def _look(
    conn: Conn, question: Question, channel: Channel, address: str, since: datetime | None
) -> Known:
    """Return what is known of an address. One that died before it was registered lives again."""
    key = await ledger.address_key(conn, address)
    who, cell, at = ledger.Person(question.scope, channel, key), question.book.cell, question.at
    words = await explaining.events(conn, who, cell=cell, at=at)
    capped = question.category.cap is not None
    rest = await explaining.beside(conn, who, cell=cell, at=at, capped=capped)
    is_anew = since is not None and rest.dead is not None and since > rest.dead[0]
    return Known(channel, address, key, words, None if is_anew else rest.dead, rest.begun_at)


def _addresses(recipient: str, profile: Profile | None) -> list[tuple[Channel, str]]:
    """Return where somebody is told: by their profile, or the one address that was given."""
    if profile is not None:
        return [(one, address) for one in CHANNELS for address in profile.addresses(one)]
    try:
        channel = channel_of(recipient)
        return [(channel, normal(channel, recipient))]
    except BadAddress as error:
        raise NotKnown(
            "must be the id of a recipient that was kept here at the time, or an address (phone, "
            f"mail, or platform:app:token); read as an address, it {error}"
        ) from None
