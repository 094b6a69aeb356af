"""Consent rows and the ledger behind them.

One row per (brand, channel, address) can be locked; a send reads it under that lock in the
transaction that begins the attempt, an opt-out changes it under the same lock. So one of the two
comes first, and an opt-out that came first wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString

from notifyq.domain.model import Channel, Due
from notifyq.domain.policy import Consent
from notifyq.store.db import Conn

# Purpose: a consent row for everybody who has none yet, so that there is always one to lock.
MEET: LiteralString = """
INSERT INTO consent (cell, brand, channel, address_key, blocked, revision)
SELECT %(cell)s::int2, k.brand, %(channel)s::channel, k.address_key, false, 0
  FROM unnest(%(brands)s::text[], %(address_keys)s::bytea[]) AS k (brand, address_key)
ON CONFLICT DO NOTHING
"""
# Purpose: lock and read consent rows in the order of the arrays (which is the key's order, so
# that two batches cannot wait in a circle). A statement of its own: the rows may have been
# changed since the one before, and only a new snapshot shows it.
LOCK: LiteralString = """
SELECT asked.brand, asked.address_key, c.blocked, c.revision, c.dead_at, c.programs, c.held,
       c.consented, c.begun_at
  FROM unnest(%(brands)s::text[], %(address_keys)s::bytea[]) AS asked (brand, address_key),
       LATERAL (SELECT blocked, revision, dead_at, programs, held, consented, begun_at FROM consent
                 WHERE cell = %(cell)s::int2 AND brand = asked.brand
                   AND channel = %(channel)s::channel AND address_key = asked.address_key
                 LIMIT 1 FOR NO KEY UPDATE) AS c
"""
# Purpose: let addresses that were called dead, or will be by older news, be sent to again.
REVIVE: LiteralString = """
UPDATE consent AS c SET dead_at = NULL, dead_code = NULL, soft_bounces = 0, soft_since = NULL,
       alive_at = now()
  FROM unnest(%(brands)s::text[], %(address_keys)s::bytea[]) AS k (brand, address_key)
 WHERE c.cell = %(cell)s::int2 AND c.brand = k.brand AND c.channel = %(channel)s::channel
   AND c.address_key = k.address_key
"""
# Purpose: count begins of what is capped, each in the place of the one before of its delivery;
# those of more than a day ago are forgotten. Two that began at once are two.
COUNT: LiteralString = """
WITH begun AS MATERIALIZED (
    SELECT * FROM unnest(%(brands)s::text[], %(address_keys)s::bytea[], %(before)s::timestamptz[])
                    AS b (brand, address_key, before)
)
UPDATE consent AS c
   SET begun_at = ARRAY(
           SELECT at
             FROM (SELECT unnest(c.begun_at)
                   EXCEPT ALL
                   SELECT before FROM begun
                    WHERE brand = c.brand AND address_key = c.address_key
                   UNION ALL
                   SELECT now() FROM begun
                    WHERE brand = c.brand AND address_key = c.address_key) AS counts (at)
            WHERE at > now() - interval '24 hours'
            ORDER BY at)
  FROM (SELECT DISTINCT brand, address_key FROM begun) AS k
 WHERE c.cell = %(cell)s::int2 AND c.brand = k.brand AND c.channel = %(channel)s::channel
   AND c.address_key = k.address_key
"""


async def lock(
    conn: Conn, people: Mapping[tuple[str, bytes], datetime | None], *, cell: int, channel: Channel
) -> dict[tuple[str, bytes], Consent]:
    """Lock the consent rows of (brand, address key) pairs, made if missing; return what they say.

    people: since when each address is registered, where that is known. One that died before lives
    again: it is another registration.

    In two statements, and before deciding: any other order lets an opt-out slip that committed
    first. Once for all that one transaction begins, in the keys' order: in parts, two
    transactions could wait for each other in a circle.
    """
    ordered = sorted(people)
    parameters = {
        "cell": cell,
        "channel": channel,
        "brands": [brand for brand, _ in ordered],
        "address_keys": [address_key for _, address_key in ordered],
    }
    await conn.execute(MEET, parameters)
    cursor = await conn.execute(LOCK, parameters)
    found = {(row[0], row[1]): _read(row[2:]) for row in await cursor.fetchall()}
    anew = [key for key, said in found.items() if _is_after(people[key], said.dead_at)]
    await revive(conn, anew, cell=cell, channel=channel)
    return found | {key: replace(found[key], dead_at=None) for key in anew}


async def revive(
    conn: Conn, keys: Iterable[tuple[str, bytes]], *, cell: int, channel: Channel
) -> None:
    """Take back that addresses are dead; their rows are locked by this transaction.

    News of what happened before does not count any more, however late it comes.
    """
    ordered = sorted(set(keys))
    parameters = {
        "cell": cell,
        "channel": channel,
        "brands": [brand for brand, _ in ordered],
        "address_keys": [address_key for _, address_key in ordered],
    }
    if ordered:
        await conn.execute(REVIVE, parameters)


def _read(row: Sequence[Any]) -> Consent:
    blocked, revision, dead_at, programs, held, consented, begun_at = row
    return Consent(blocked, revision, dead_at, tuple(programs), held, consented, tuple(begun_at))


def _is_after(since: datetime | None, dead_at: datetime | None) -> bool:
    return since is not None and dead_at is not None and since > dead_at


async def count(conn: Conn, begun: Iterable[Due], *, cell: int, channel: Channel) -> None:
    """Count what this transaction began, as far as it is capped, at the addresses it has locked."""
    capped = [due for due in begun if due.terms.cap is not None]
    parameters = {
        "cell": cell,
        "channel": channel,
        "brands": [due.brand for due in capped],
        "address_keys": [due.address_key for due in capped],
        "before": [due.begun_at for due in capped],
    }
    if capped:
        await conn.execute(COUNT, parameters)
