"""Who is blocked, page by page: for exports. By address keys; numbers are not kept here."""

from collections.abc import AsyncIterator
from typing import LiteralString

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

PAGE = 1_000
# Purpose: the next people of whom anything is blocked. Cost: a range of the key, however sparse.
# In the key's order: a channel's own, which is not that of its name.
NEXT: LiteralString = """
SELECT c.brand, c.channel::text, c.address_key FROM consent c
 WHERE c.cell = %(cell)s::int2
   AND (c.brand, c.channel, c.address_key)
       > (%(brand)s::text, %(channel)s::channel, %(address_key)s::bytea)
   AND (%(only)s::text IS NULL OR c.brand = %(only)s::text)
   AND (c.blocked OR c.programs <> '{}')
 ORDER BY c.brand, c.channel, c.address_key
 LIMIT %(limit)s::int4
"""


async def pages(conn: Conn, *, cell: int, scope: str | None) -> AsyncIterator[list[Person]]:
    """Yield everybody of whom a brand or a program is blocked, PAGE at a time, in order.

    scope: this one only. Each page is a statement of its own: whoever reads slowly holds nothing.
    """
    last = Person(scope or "", next(iter(Channel)), b"")
    while True:
        parameters = {
            "cell": cell,
            "brand": last.brand,
            "channel": last.channel.value,
            "address_key": last.address_key,
            "only": scope,
            "limit": PAGE,
        }
        found = await (await conn.execute(NEXT, parameters)).fetchall()
        page = [Person(brand, Channel(channel), key) for brand, channel, key in found]
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = page[-1]
