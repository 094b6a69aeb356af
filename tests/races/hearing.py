"""Texts to us as a provider's callback brings them, for races."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from random import Random
from typing import LiteralString
from uuid import uuid4

from notifyq.domain.listening import Line, Replies
from notifyq.domain.model import Inbound
from notifyq.services.hear import Ear, Heard, hear
from notifyq.store import db
from notifyq.store.db import Conn
from tests.races.interleave import END, TO_COMMIT, Go
from tests.store import helpers as h

# The number of a delivery was met before, so that there is a row to lock.
KNOWN: LiteralString = """
INSERT INTO consent (cell, brand, channel, address_key, blocked, revision)
SELECT 0, brand, 'sms', address_key, false, 0 FROM delivery WHERE id = %s ON CONFLICT DO NOTHING
"""
OURS = "+14155550100"
REPLIES = Replies("acme: stopped", "acme: started", "acme: help")
# Kept, its key, and a row that is met; the lock; what stands, the event, the answer; its commit.
STOP: list[Go] = [3, 1, TO_COMMIT, END]


def text(body: str, sender: str, at: datetime | None = None) -> Inbound:
    """A text to our number. at: by the provider's clock."""
    return Inbound(f"SM{uuid4().hex}", sender, OURS, body, at)


def hears(
    shop: h.Shop, *texts: Inbound, provider: str = "twilio", program: str | None = None
) -> Callable[[Conn], Awaitable[list[Heard]]]:
    """Hear texts as the callback's route does, one transaction each; program: a separate one."""
    line = Line((shop.brand,), program or "default", program is not None, shop.lane.id, REPLIES)
    ear = Ear(0, db.DatabaseClock().now, h.new_id, Random().getrandbits)

    async def hearing(conn: Conn) -> list[Heard]:
        found = [await hear(conn, provider, one, line, ear) for one in texts]
        assert all(isinstance(one, Heard) and one.fresh for one in found), found
        return [one for one in found if isinstance(one, Heard)]

    return hearing
