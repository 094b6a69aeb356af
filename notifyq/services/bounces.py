"""Bounces: what a refusal or a receipt says of the address itself.

A transaction of its own, after the one that wrote what became of the delivery: the consent row is
locked by workers before they lock deliveries. News that is lost in between costs one more attempt,
which the provider refuses again.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from notifyq.domain.model import RANK_DELIVERED, Bounce, Receipt
from notifyq.domain.outcome import Outcome, Refusal, Refused
from notifyq.store.bounces import News, note
from notifyq.store.db import Committed, Conn, transact

_TELLING = (Bounce.DEAD, Bounce.SOFT)


def of_outcome(delivery_id: UUID, outcome: Outcome, at: datetime) -> News | None:
    """Return what an answer says of the address; None for nothing. at: when it came."""
    if isinstance(outcome, Refused) and outcome.refusal is Refusal.ADDRESS and outcome.for_good:
        return News(delivery_id, Bounce.DEAD, outcome.code, outcome.since or at)
    return None


def of_receipt(delivery_id: UUID, receipt: Receipt) -> News | None:
    """Return what a receipt says of the address; None for nothing."""
    if receipt.bounce in _TELLING:
        return News(delivery_id, receipt.bounce, receipt.code, receipt.at)
    return News(delivery_id, None, None, None) if receipt.rank == RANK_DELIVERED else None


async def keep(conn: Conn, found: Sequence[News], *, cell: int) -> int:
    """Keep news, each for itself; return how many said something new and are known to be kept."""
    kept = 0
    for news in found:

        async def work(conn: Conn, news: News = news) -> bool:
            return await note(conn, news, cell=cell)

        fate = await transact(conn, work)
        kept += isinstance(fate, Committed) and fate.value
    return kept
