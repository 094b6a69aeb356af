"""GET of an explanation: why a recipient would, or would not, be told by a category, as of a time.

It is for people who look into something, and reads much: one at a time in a process, so that it
never holds more than one of the connections that callbacks, and so opt-outs, come in by.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import psycopg
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.address import APP_LENGTH_MAX, PLATFORMS, TOKEN_LENGTH_MAX
from notifyq.domain.consent import SKEW
from notifyq.domain.model import Category
from notifyq.domain.profile import DEFAULTS
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.explained import explained_answer
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.fields import Strict, Text, Time, by
from notifyq.entrypoints.api.notifications import READ
from notifyq.entrypoints.api.preferences import CATEGORY_LENGTH_MAX
from notifyq.entrypoints.api.problems import Fault, unavailable
from notifyq.entrypoints.api.reaching import read_body
from notifyq.entrypoints.api.reading import Doorkeeper
from notifyq.services import explain
from notifyq.services.explain import Explained, NotKnown, Question
from notifyq.store import explaining
from notifyq.store.db import Pool
from notifyq.store.explaining import Latest
from notifyq.store.recipients import Book
from notifyq.store.tenants import Holder

# Of one statement; the last deliveries of somebody who is told rarely may not be found in it.
TIMEOUT_S = 2.0
# The longest address is a device's; ids of recipients are shorter.
RECIPIENT_LENGTH_MAX = max(map(len, PLATFORMS)) + APP_LENGTH_MAX + TOKEN_LENGTH_MAX + 2


def _somebody(text: str) -> None:
    """ValueError: the text stands for the tenant's defaults, by which nobody can be told."""
    if text == DEFAULTS:
        raise ValueError(f"must be a recipient or an address: {DEFAULTS} is the tenant's defaults")


class ExplainQuery(Strict):
    """What is asked. recipient: your own id for a person, or an address."""

    recipient: Annotated[Text, Field(min_length=1, max_length=RECIPIENT_LENGTH_MAX), by(_somebody)]
    category: Annotated[Text, Field(min_length=1, max_length=CATEGORY_LENGTH_MAX)]
    at: Time | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that can be answered, but for whose it is."""

    recipient: str
    category: Category
    at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class ExplainRoute:
    """The route of explanations."""

    doorkeeper: Doorkeeper
    pool: Pool
    now: Callable[[], datetime]
    categories: Mapping[str, Category]
    _one_by_one: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def get(self, request: Request) -> Response:
        """Say what every rule says, which one decides, and what became of the last deliveries."""
        holder = await self.doorkeeper.admit(request, READ)
        question = self._question(holder, request)
        async with self._one_by_one:
            try:
                explained = await self._explained(question)
            except NotKnown as error:
                raise refused([Fault("/recipient", f"{error}; {_PLUS}")]) from None
            except psycopg.errors.QueryCanceled:
                raise unavailable(f"not read within {TIMEOUT_S:g} s; {_INSTEAD}") from None
            latest = await self._latest(question, explained)
        return json_response(explained_answer(question, explained, latest))

    def _question(self, holder: Holder, request: Request) -> Question:
        given = request.query_params.multi_items()
        names = [name for name, _ in given]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise refused([Fault(f"/{name}", "is there twice: send it once") for name in twice])
        asked = read_asked(dict(given), self.categories, self.now())
        book = Book(holder.cell, holder.tenant_id, holder.test)
        return Question(book, holder.scope, asked.recipient, asked.category, asked.at)

    async def _explained(self, question: Question) -> Explained:
        async with self.pool.connection() as conn:
            await explaining.prepare(conn, timeout_s=TIMEOUT_S)
            return await explain.answer(conn, question)

    async def _latest(self, question: Question, explained: Explained) -> Sequence[Latest] | None:
        try:
            async with self.pool.connection() as conn:
                await explaining.prepare(conn, timeout_s=TIMEOUT_S)
                return await explain.latest(conn, question, explained)
        except psycopg.errors.QueryCanceled:
            return None


_PLUS = "a + is %2B in a URL"
_INSTEAD = "an operator can ask `notifyq explain`, which has time"


def read_asked(
    given: Mapping[str, str], categories: Mapping[str, Category], now: datetime
) -> Asked:
    """Return what is asked, by the names of ExplainQuery; Problem with every fault.

    categories: that are set up. now: the database's time.
    """
    query: ExplainQuery = read_body(ExplainQuery, given)
    category, faults = categories.get(query.category), []
    if category is None:
        names = ", ".join(sorted(categories)) or "none is"
        faults.append(Fault("/category", f"must be a category that is set up: {names}"))
    if query.at is not None and query.at > now + SKEW:
        faults.append(Fault("/at", "must not be in the future: leave it out to ask about now"))
    if faults or category is None:
        raise refused(faults)
    return Asked(query.recipient, category, min(query.at or now, now).astimezone(UTC))
