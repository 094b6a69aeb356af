"""What people write to our numbers, kept once each, whatever the provider repeats."""

from typing import LiteralString

from notifyq.domain.model import Inbound
from notifyq.store.db import Conn

KEEP: LiteralString = """
INSERT INTO inbound (cell, provider, provider_id, sender, receiver, body, written_at)
VALUES (%(cell)s::int2, %(provider)s::text, %(provider_id)s::text, %(sender)s::text,
        %(receiver)s::text, %(body)s::text, %(written_at)s::timestamptz)
ON CONFLICT DO NOTHING
"""


async def keep(conn: Conn, *, cell: int, provider: str, inbound: Inbound) -> bool:
    """Store a message that somebody sent us; False if it is there already."""
    parameters = {
        "cell": cell,
        "provider": provider,
        "provider_id": inbound.provider_id,
        "sender": inbound.sender,
        "receiver": inbound.to,
        "body": inbound.body,
        "written_at": inbound.at,
    }
    return (await conn.execute(KEEP, parameters)).rowcount == 1
