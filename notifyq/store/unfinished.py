"""Unfinished keys: requests between two of their atomic phases, and who may go on with them.

A claim is a token on the key's row and a time in the row beside it. Every phase is conditional on
the token and on the recovery point that the phase before left: whoever was taken over writes
nothing more. Locks are taken in one order, this table's row and then the key's.
"""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from notifyq.domain.asking import Planned
from notifyq.store.db import Conn

# Purpose: take the key of a request in phases, with a claim; no row comes back if it is known.
TAKE: LiteralString = """
WITH taken AS (
    INSERT INTO idempotency_key (cell, tenant_id, operation, key_hash, fingerprint,
                                 recovery_point, claim_token, notification_id)
    VALUES (%(cell)s::int2, %(tenant_id)s::int4, %(operation)s::text, %(key_hash)s::bytea,
            %(fingerprint)s::bytea, %(recovery_point)s::text, %(token)s::uuid,
            %(notification_id)s::uuid)
    ON CONFLICT DO NOTHING
    RETURNING cell, notification_id, tenant_id, operation, key_hash
)
INSERT INTO unfinished_key (cell, notification_id, tenant_id, operation, key_hash, claimed_until,
                            ask)
SELECT cell, notification_id, tenant_id, operation, key_hash,
       now() + make_interval(secs => %(claim_s)s::float8), %(ask)s::bytea
  FROM taken
RETURNING notification_id
"""
# Purpose: move a key from one recovery point to the next, if the claim still stands; the claim
# is renewed, or with the last phase both are over. A row comes back if it was moved.
ADVANCE: LiteralString = """
WITH held AS MATERIALIZED (
    SELECT cell, tenant_id, operation, key_hash, notification_id FROM unfinished_key
     WHERE cell = %(cell)s::int2 AND notification_id = %(notification_id)s::uuid
       FOR UPDATE
), moved AS (
    UPDATE idempotency_key AS k
       SET recovery_point = %(next)s::text,
           claim_token = CASE WHEN %(next)s::text <> 'finished' THEN k.claim_token END
      FROM held
     WHERE k.cell = held.cell AND k.tenant_id = held.tenant_id AND k.operation = held.operation
       AND k.key_hash = held.key_hash
       AND k.claim_token = %(token)s::uuid AND k.recovery_point = %(recovery_point)s::text
    RETURNING k.cell, k.notification_id
), renewed AS (
    UPDATE unfinished_key AS u
       SET claimed_until = now() + make_interval(secs => %(claim_s)s::float8)
      FROM moved
     WHERE u.cell = moved.cell AND u.notification_id = moved.notification_id
       AND %(next)s::text <> 'finished'
), over AS (
    DELETE FROM unfinished_key AS u USING moved
     WHERE u.cell = moved.cell AND u.notification_id = moved.notification_id
       AND %(next)s::text = 'finished'
)
SELECT notification_id FROM moved
"""
# Purpose: take over the oldest claim that has run out (or that of one request): a new token, so
# that whoever had it can write nothing more. What is being written this moment is skipped.
# A completer's try counts from its start, and puts the next one off: a key that makes whoever
# takes it fail, or die, is behind all others from then on.
TAKE_OVER: LiteralString = """
WITH due AS MATERIALIZED (
    SELECT cell, notification_id, tenant_id, operation, key_hash, tries, ask FROM unfinished_key
     WHERE cell = %(cell)s::int2 AND claimed_until < now()
       AND (%(only)s::uuid IS NULL OR notification_id = %(only)s::uuid)
     ORDER BY claimed_until
     LIMIT 1
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE idempotency_key AS k SET claim_token = %(token)s::uuid
      FROM due
     WHERE k.cell = due.cell AND k.tenant_id = due.tenant_id AND k.operation = due.operation
       AND k.key_hash = due.key_hash AND k.notification_id = due.notification_id
       AND k.claim_token IS NOT NULL
    RETURNING k.recovery_point
), renewed AS (
    UPDATE unfinished_key AS u
       SET claimed_until = now() + make_interval(secs => least(
               %(claim_s)s::float8 * CASE WHEN %(counts)s::bool THEN 2 ^ least(due.tries, 20)
                                          ELSE 1 END, %(backoff_s_max)s::float8)),
           tries = due.tries + CASE WHEN %(counts)s::bool THEN 1 ELSE 0 END,
           trouble = CASE WHEN %(counts)s::bool THEN 'begun, and never ended' ELSE u.trouble END
      FROM due
     WHERE u.cell = due.cell AND u.notification_id = due.notification_id
)
SELECT due.notification_id, (SELECT recovery_point FROM claimed), due.ask FROM due
"""
TROUBLE: LiteralString = """
UPDATE unfinished_key SET trouble = left(%(trouble)s::text, 500)
 WHERE cell = %(cell)s::int2 AND notification_id = %(notification_id)s::uuid AND tries > 0
"""
UNFINISHED_BETWEEN: LiteralString = """
SELECT EXISTS (SELECT 1 FROM unfinished_key
                WHERE cell = %(cell)s::int2
                  AND notification_id >= %(low)s::uuid AND notification_id < %(high)s::uuid)
"""
CLAIM_S = 10.0  # no phase takes longer; then the claim may be taken over
BACKOFF_S_MAX = 3_600.0  # between two tries of the completer with one key


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to go on with a request, from a recovery point."""

    notification_id: UUID
    token: UUID
    recovery_point: str | None  # None: its key is not there, or is finished
    ask: bytes


async def take(
    conn: Conn, planned: Planned, *, recovery_point: str, token: UUID, ask: bytes
) -> bool:
    """Insert a request's key and the claim on it; False if the key is known."""
    key = planned.ask
    parameters = {
        "cell": key.cell,
        "tenant_id": key.tenant_id,
        "operation": key.operation,
        "key_hash": key.key_hash,
        "fingerprint": key.fingerprint,
        "recovery_point": recovery_point,
        "token": token,
        "notification_id": planned.notification_id,
        "claim_s": CLAIM_S,
        "ask": ask,
    }
    return (await conn.execute(TAKE, parameters)).rowcount == 1


async def advance(
    conn: Conn, *, cell: int, notification_id: UUID, token: UUID, recovery_point: str, to: str
) -> bool:
    """Move a key to its next recovery point; False if the claim was taken over."""
    parameters = {
        "cell": cell,
        "notification_id": notification_id,
        "token": token,
        "recovery_point": recovery_point,
        "next": to,
        "claim_s": CLAIM_S,
    }
    return (await conn.execute(ADVANCE, parameters)).rowcount == 1


async def take_over(
    conn: Conn, *, cell: int, token: UUID, only: UUID | None = None
) -> Claim | None:
    """Claim the request whose claim ran out first; None if there is none.

    only: this one, for its client's retry; else it is a try of the completer, and counted.
    """
    parameters = {
        "cell": cell,
        "token": token,
        "only": only,
        "counts": only is None,
        "claim_s": CLAIM_S,
        "backoff_s_max": BACKOFF_S_MAX,
    }
    row = await (await conn.execute(TAKE_OVER, parameters)).fetchone()
    return None if row is None else Claim(row[0], token, row[1], row[2])


async def note_trouble(conn: Conn, *, cell: int, notification_id: UUID, trouble: str) -> None:
    """Say why the completer's last try with a request failed."""
    parameters = {"cell": cell, "notification_id": notification_id, "trouble": trouble}
    await conn.execute(TROUBLE, parameters)


async def unfinished_between(conn: Conn, *, cell: int, low: UUID, high: UUID) -> bool:
    """Whether a request in [low, high) is unfinished: its answer has yet to be stored there."""
    parameters = {"cell": cell, "low": low, "high": high}
    row = await (await conn.execute(UNFINISHED_BETWEEN, parameters)).fetchone()
    return bool(row and row[0])
