"""Consent rows and the ledger behind them.

One row per (brand, channel, address) can be locked; a send reads it under that lock in the
transaction that begins the attempt, an opt-out changes it under the same lock. So one of the two
comes first, and an opt-out that came first wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString

from notifyq.domain.model import Channel
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
# Purpose: count begins of what is capped; those of more than a day ago are forgotten.
COUNT: LiteralString = """
UPDATE consent AS c
   SET begun_at = ARRAY(SELECT at FROM unnest(c.begun_at) AS at
                         WHERE at > now() - interval '24 hours' ORDER BY at)
                  || array_fill(now(), ARRAY[k.begun])
  FROM unnest(%(brands)s::text[], %(address_keys)s::bytea[], %(begun)s::int4[])
         AS k (brand, address_key, begun)
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


async def count(
    conn: Conn, begun: Mapping[tuple[str, bytes], int], *, cell: int, channel: Channel
) -> None:
    """Count begins of what is capped against addresses whose rows this transaction has locked."""
    ordered = sorted(begun)
    parameters = {
        "cell": cell,
        "channel": channel,
        "brands": [brand for brand, _ in ordered],
        "address_keys": [address_key for _, address_key in ordered],
        "begun": [begun[key] for key in ordered],
    }
    if ordered:
        await conn.execute(COUNT, parameters)
