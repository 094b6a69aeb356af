"""What providers tell of an address, kept in its consent row: dead since when, soft bounces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifyq.domain.model import Bounce, Channel
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Purpose: note what became of one delivery's message. A registration, or a person's word that the
# address is good, that is newer than the news makes it count for nothing. Cost: two key look-ups;
# nothing is written of an address that has delivered before and has delivered again.
NOTE: LiteralString = """
UPDATE consent AS c
   SET dead_at = CASE WHEN n.kind = 'dead'
                        OR (n.kind = 'soft' AND c.soft_bounces + 1 >= %(soft_max)s::int4
                            AND n.at >= c.soft_since + make_interval(hours => %(soft_hours)s::int4))
                      THEN greatest(c.dead_at, n.at) ELSE c.dead_at END,
       dead_code = CASE WHEN n.kind = 'dead'
                          OR (n.kind = 'soft' AND c.soft_bounces + 1 >= %(soft_max)s::int4
                              AND n.at >= c.soft_since
                                          + make_interval(hours => %(soft_hours)s::int4))
                        THEN coalesce(n.code, n.kind) ELSE c.dead_code END,
       soft_bounces = CASE n.kind WHEN 'soft' THEN least(c.soft_bounces + 1, 32767)
                                  WHEN 'dead' THEN c.soft_bounces ELSE 0 END,
       soft_since = CASE n.kind WHEN 'soft' THEN least(c.soft_since, n.at)
                                WHEN 'dead' THEN c.soft_since END
  FROM (SELECT d.brand, d.channel, d.address_key, d.registered_at, w.kind, w.code, w.at
          FROM (SELECT %(kind)s::text AS kind, %(code)s::text AS code,
                       coalesce(%(at)s::timestamptz, now()) AS at) AS w,
               LATERAL (SELECT brand, channel, address_key, registered_at FROM delivery
                         WHERE cell = %(cell)s::int2 AND id = %(delivery_id)s::uuid
                         LIMIT 1) AS d) AS n
 WHERE c.cell = %(cell)s::int2 AND c.brand = n.brand AND c.channel = n.channel
   AND c.address_key = n.address_key
   AND (n.kind <> 'delivered' OR c.soft_bounces > 0)
   AND (c.alive_at IS NULL OR n.kind = 'delivered' OR n.at > c.alive_at)
   AND (n.registered_at IS NULL OR n.registered_at <= n.at)
"""

# Purpose: who a delivery went to, and by which account last.
PERSON: LiteralString = """
SELECT d.brand, d.channel::text, d.address_key, CASE WHEN d.is_separate THEN d.program END,
       (SELECT l.provider FROM attempt a JOIN lane l ON l.cell = a.cell AND l.id = a.lane
         WHERE a.cell = d.cell AND a.delivery_id = d.id ORDER BY a.number DESC LIMIT 1)
  FROM delivery d WHERE d.cell = %(cell)s::int2 AND d.id = %(delivery_id)s::uuid
"""

# Several in a row over some days, without one that arrived between them, are as good as dead: a
# mailbox that stays full has nobody. A phone that is off for a flight, or a provider that blocks
# us for an hour, is not gone, however many bounce meanwhile.
SOFT_BOUNCES_MAX = 5
SOFT_BOUNCES_HOURS = 72


@dataclass(frozen=True, slots=True)
class News:
    """What a provider told about the address of a delivery. bounce None: it arrived."""

    delivery_id: UUID
    bounce: Bounce | None
    code: str | None
    at: datetime | None  # by the provider's clock; None: now
    told: Mapping[str, str] = field(default_factory=dict)  # what a copy of it has in common with it


@dataclass(frozen=True, slots=True)
class Sent:
    """Who a delivery went to."""

    who: Person
    separate_program: str | None  # of its own, out of a STOP of the brand
    provider: str | None  # the account of the last attempt


async def person_of(conn: Conn, delivery_id: UUID, *, cell: int) -> Sent | None:
    """Return whom a delivery went to; None if there is no such delivery."""
    parameters = {"cell": cell, "delivery_id": delivery_id}
    row = await (await conn.execute(PERSON, parameters)).fetchone()
    if row is None:
        return None
    brand, channel, address_key, program, provider = row
    return Sent(Person(brand, Channel(channel), address_key), program, provider)


async def note(conn: Conn, news: News, *, cell: int) -> bool:
    """Keep what it says of the address; False if it says nothing new."""
    parameters = {
        "cell": cell,
        "delivery_id": news.delivery_id,
        "kind": "delivered" if news.bounce is None else news.bounce,
        "code": news.code,
        "at": news.at,
        "soft_max": SOFT_BOUNCES_MAX,
        "soft_hours": SOFT_BOUNCES_HOURS,
    }
    return (await conn.execute(NOTE, parameters)).rowcount == 1
