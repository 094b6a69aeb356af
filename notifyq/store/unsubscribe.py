"""Tokens of one-click unsubscribe: made and read by the database, which keeps their secret."""

from dataclasses import dataclass
from typing import LiteralString

from notifyq.domain.model import Channel
from notifyq.store.db import Conn
from notifyq.store.ledger import Person

# Text before it is looked at: longer ones are nobody's.
TOKEN_LENGTH_MAX = 400
READ: LiteralString = """
SELECT cell, brand, program, address_key FROM notifyq.read_unsubscribe_token(%s::text)
"""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for: one list (a program) of a brand, at one mail address."""

    cell: int
    person: Person
    program: str


async def read(conn: Conn, token: str) -> Token | None:
    """Return what a token stands for; None if it is none of ours."""
    if not token.isascii() or not 0 < len(token) <= TOKEN_LENGTH_MAX or "\x00" in token:
        return None
    row = await (await conn.execute(READ, (token,))).fetchone()
    if row is None:
        return None
    cell, brand, program, address_key = row
    return Token(cell, Person(brand, Channel.EMAIL, address_key), program)
