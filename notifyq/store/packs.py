"""What was sent to a person, and what was not, beside the word of theirs that each send had read.

An attempt keeps the revision of the consent row that allowed it, read under the row's lock. So
what came first is known without a clock: an attempt of revision n began after the n-th event was
committed, and before the next one was.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Cost: reads every delivery that is kept: numbers are not indexed.
SENDS: LiteralString = """
SELECT a.consent_revision, d.id, coalesce(d.category, n.category), d.program, d.is_marketing,
       d.is_exempt, d.is_separate, d.template, d.template_version, d.locale, d.state::text,
       d.reason, d.changed_at, a.number, l.provider, a.began_at, a.ended_at, a.outcome::text,
       a.code, a.provider_id, a.late_at
  FROM delivery d
  LEFT JOIN notification n
    ON n.cell = d.cell AND n.id = (left(d.id::text, 32) || '0000')::uuid
  LEFT JOIN attempt a ON a.cell = d.cell AND a.delivery_id = d.id
  LEFT JOIN lane l ON l.cell = a.cell AND l.id = a.lane
 WHERE d.cell = %(cell)s::int2 AND d.brand = %(brand)s::text
   AND d.channel = %(channel)s::channel AND d.address_key = %(address_key)s::bytea
 ORDER BY a.began_at, d.id, a.number
"""


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt."""

    number: int
    provider: str | None
    began_at: datetime
    ended_at: datetime | None
    outcome: str
    code: str | None
    provider_id: str | None
    late_at: datetime | None  # evidence came then that it was carried out after all


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt of a delivery, or a delivery that was never tried."""

    revision: int | None  # of the consent row that it had read; None: never tried
    delivery_id: UUID
    category: str | None
    program: str
    is_marketing: bool
    is_exempt: bool  # the answer to a STOP or HELP, or an approved emergency
    is_separate: bool  # a STOP of the brand does not reach its program
    template: str | None
    template_version: int | None
    locale: str | None
    state: str
    reason: str | None
    changed_at: datetime
    tried: Try | None


async def sends(conn: Conn, person: Person, *, cell: int) -> list[Sent]:
    """Return everything that was accepted for a person and is kept, in the order of the sends.

    What was never tried comes last.
    """
    parameters = {
        "cell": cell,
        "brand": person.brand,
        "channel": person.channel.value,
        "address_key": person.address_key,
    }
    cursor = await conn.execute(SENDS, parameters)
    return [_sent(row) for row in await cursor.fetchall()]


def _sent(row: tuple[Any, ...]) -> Sent:
    tried = Try(*row[_ABOUT:]) if row[_ABOUT] is not None else None
    values: list[Any] = [*row[:_ABOUT], tried]
    return Sent(*values)


_ABOUT = len(fields(Sent)) - 1  # columns before the attempt's
