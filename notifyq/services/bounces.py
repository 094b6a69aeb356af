"""Bounces: what a refusal or a receipt says of the address itself.

A transaction of its own, after the one that wrote what became of the delivery: the consent row is
locked by workers before they lock deliveries. News that is lost in between costs one more attempt,
which the provider refuses again. Not so an objection, which nobody tells again once it is
acknowledged: every copy of it is acted on, and it is noted once.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import RANK_DELIVERED, Bounce, Channel, Receipt
from notifyq.domain.outcome import Outcome, Refusal, Refused
from notifyq.store import ledger
from notifyq.store.bounces import News, note, person_of
from notifyq.store.db import Committed, Conn, Unknown, transact

_TELLING = (Bounce.DEAD, Bounce.SOFT, Bounce.OPTED_OUT)


def of_outcome(delivery_id: UUID, outcome: Outcome, at: datetime) -> News | None:
    """Return what an answer says of the address; None for nothing. at: when it came."""
    if isinstance(outcome, Refused) and outcome.refusal is Refusal.ADDRESS and outcome.for_good:
        return News(delivery_id, Bounce.DEAD, outcome.code, outcome.since or at)
    if isinstance(outcome, Refused) and outcome.refusal is Refusal.OPTED_OUT:
        return News(delivery_id, Bounce.OPTED_OUT, outcome.code, outcome.since or at)
    return None


def of_receipt(delivery_id: UUID, receipt: Receipt) -> News | None:
    """Return what a receipt says of the address; None for nothing."""
    if receipt.bounce in _TELLING:
        return News(delivery_id, receipt.bounce, receipt.code, receipt.at, _told(receipt))
    return News(delivery_id, None, None, None) if receipt.rank == RANK_DELIVERED else None


def is_objection(news: News) -> bool:
    """Whether it says that the person wants nothing more: then it must not be lost."""
    return news.bounce is Bounce.OPTED_OUT


async def keep(
    conn: Conn, found: Sequence[News], *, cell: int, new_id: Callable[[], UUID]
) -> int | Unknown:
    """Keep news, each for itself; return how many said something new and are known to be kept.

    Unknown: an objection may be there or not. Whoever told of it must tell it again.
    """
    kept, doubt = 0, None
    for news in found:

        async def work(conn: Conn, news: News = news) -> bool:
            if is_objection(news):
                return await _opt_out(conn, news, cell=cell, event_id=new_id())
            return await note(conn, news, cell=cell)

        fate = await transact(conn, work)
        if isinstance(fate, Committed):
            kept += fate.value
        elif is_objection(news):
            doubt = fate
    return kept if doubt is None else doubt


def _told(receipt: Receipt) -> dict[str, str]:
    """Return what every copy of a receipt says, and no other receipt."""
    told = {
        "reference": receipt.reference,
        "provider_id": receipt.provider_id,
        "status": receipt.status,
    }
    return told if receipt.at is None else told | {"told_at": receipt.at.isoformat()}


async def _opt_out(conn: Conn, news: News, *, cell: int, event_id: UUID) -> bool:
    """Take a provider's word that somebody objects. Its list may add to ours, never take away.

    An inbound STOP was probably lost: what the person said to a program's own number is not known,
    so it counts for the brand, but for a separate program for that.
    """
    person = await person_of(conn, news.delivery_id, cell=cell)
    if person is None:
        return False
    source = Source.EMAIL if person.who.channel is Channel.EMAIL else Source.PROVIDER
    entry = ledger.Entry(
        Kind.OPT_OUT,
        source,
        actor=f"provider:{person.provider}" if person.provider else "provider",
        reason=f"the provider says so: {news.code or 'no code'}",
        at=news.at,
        program=person.separate_program,
        evidence={"delivery_id": str(news.delivery_id), "code": news.code} | dict(news.told),
        once=tuple(news.told),
    )
    return (await ledger.note(conn, person.who, entry, cell=cell, event_id=event_id)).added
