"""What a request about consent is answered: models that OpenAPI shows."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class ConsentAnswer(BaseModel):
    """What stands now. added: false if this very record was there already."""

    address: str
    channel: str
    kind: Literal["consent", "opt_out", "lift"]
    added: bool
    lifted: bool
    blocked: bool
    programs: list[str]
    held: bool
    consented: bool


class Word(BaseModel):
    """Something that counts now: an opt-out, a text nobody has read yet, or a dead address.

    program: it is about this one alone. source: by which way we learnt of it.
    """

    kind: Literal["opt_out", "reassigned", "hold", "dead"]
    program: str | None
    source: str
    at: datetime


class StatusAnswer(BaseModel):
    """What stands for one address, and why. Programs are blocked by themselves.

    held: marketing waits until a person has read what was written to us. consented: to marketing.
    dead: a provider says that there is nobody. changed_at: by a word of theirs, or of a provider.
    """

    address: str
    channel: str
    blocked: bool
    programs: list[str]
    held: bool
    consented: bool
    dead: bool
    changed_at: datetime | None
    why: list[Word]


class LookupAnswer(BaseModel):
    """An answer for each address, in the order of asking."""

    data: list[StatusAnswer]
