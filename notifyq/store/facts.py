"""Facts: what is known of claimed deliveries before it is decided what becomes of them."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, LiteralString

from notifyq.domain.hours import Hours
from notifyq.domain.ids import instant_of
from notifyq.domain.model import Channel, Due
from notifyq.domain.terms import Terms
from notifyq.store.db import Conn
from notifyq.store.partitions import leaf_sql
from notifyq.store.queue import Claim

# Purpose: what the decision needs to know. Cost: two primary-key look-ups a job, on the leaves of
# one day, one more where the recipient is kept here, and one where there is a cap.
FACTS: LiteralString = """
SELECT u.delivery_id, d.tenant_id, d.brand, d.program, d.address_key, c.address, c.body,
       d.state, d.expires_at, d.not_before, d.cancel_requested_at IS NOT NULL, c.more,
       d.registered_at, d.category, d.recipient, d.hours, d.time_zone, d.cap, d.sender,
       d.is_marketing, d.is_mandatory, d.is_separate, d.is_exempt, d.is_by_id, r.profile,
       CASE WHEN %(is_mail)s::bool AND d.is_marketing
            THEN unsubscribe_token(%(cell)s::int2, d.brand, d.program, d.address_key) END,
       CASE WHEN d.cap IS NOT NULL
            THEN (SELECT began_at FROM attempt_{month}
                   WHERE cell = %(cell)s::int2 AND delivery_id = u.delivery_id
                   ORDER BY number DESC LIMIT 1) END,
       d.is_by_id AND coalesce(r.erased OR r.erased_at >= u.accepted_at, false)
  FROM unnest(%(ids)s::uuid[], %(accepted_at)s::timestamptz[]) AS u (delivery_id, accepted_at),
       LATERAL (SELECT tenant_id, brand, program, address_key, state, expires_at, not_before,
                       cancel_requested_at, registered_at, category, recipient, hours,
                       time_zone, cap, sender, is_marketing, is_mandatory, is_separate, is_exempt,
                       is_by_id
                  FROM delivery_{month}
                 WHERE cell = %(cell)s::int2 AND id = u.delivery_id
                 LIMIT 1) AS d
       LEFT JOIN LATERAL (SELECT address, body, more
                            FROM content_{day}
                           WHERE cell = %(cell)s::int2 AND delivery_id = u.delivery_id
                           LIMIT 1) AS c ON true
       LEFT JOIN LATERAL (SELECT p.erased, p.erased_at,
                                 CASE WHEN NOT p.erased THEN
                                 coalesce((SELECT profile FROM recipient
                                            WHERE cell = %(cell)s::int2
                                              AND tenant_id = d.tenant_id
                                              AND test = (right(d.brand, 5) = ':test')
                                              AND id = p.merged_into), p.profile) END AS profile
                            FROM recipient AS p
                           WHERE p.cell = %(cell)s::int2 AND p.tenant_id = d.tenant_id
                             AND p.test = (right(d.brand, 5) = ':test') AND p.id = d.recipient
                             AND d.recipient IS NOT NULL
                           LIMIT 1) AS r ON true
"""

# Columns of FACTS before those of the terms, without the id, and after them.
_TERMS_AT, _AFTER_TERMS = 12, 4


async def load(
    conn: Conn, claims: Sequence[Claim], *, channel: Channel, cell: int, day: str
) -> list[Due]:
    """Return what is known of claimed deliveries, all of one day, in the order of their ids.

    A delivery that is not there is missing from the list.
    """
    is_mail = channel is Channel.EMAIL
    parameters = {
        "ids": [c.delivery_id for c in claims],
        "accepted_at": [instant_of(c.delivery_id) for c in claims],
        "cell": cell,
        "is_mail": is_mail,
    }
    cursor = await conn.execute(leaf_sql(FACTS, day=day), parameters)
    by_id = {c.delivery_id: c for c in claims}
    found = []
    for delivery_id, *fact in sorted(await cursor.fetchall(), key=itemgetter(0)):
        c = by_id[delivery_id]
        its, said, rest = fact[:_TERMS_AT], fact[_TERMS_AT:-_AFTER_TERMS], fact[-_AFTER_TERMS:]
        known = [*its, _terms(*said), *rest]
        found.append(Due(delivery_id, c.attempts, c.tries, c.criticality, c.place, *known))
    return found


def _terms(category: str | None, recipient: str | None, hours: str | None, *rest: Any) -> Terms:
    return Terms(category, recipient, Hours(hours or Hours.ANY), *rest)
