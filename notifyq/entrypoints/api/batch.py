"""POST /v1/notifications/batch: many notifications, each under a key of its own.

Each gets what it would have got alone, its replay included: the fingerprint is that of its body
without the key. One that is refused is no matter to the others.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.asking import Ask, operation_of
from notifyq.domain.idempotency import Answer, fingerprint, hash_key
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.asks import Rules, ask_of
from notifyq.entrypoints.api.body import BatchItem, read_batch, read_item
from notifyq.entrypoints.api.bulk import Bulk
from notifyq.entrypoints.api.knowing import Knower, Known
from notifyq.entrypoints.api.notifications import SEND, not_accepted
from notifyq.entrypoints.api.problems import Problem, content
from notifyq.entrypoints.api.reading import (
    BATCH,
    Doorkeeper,
    canonical,
    is_key,
    parse,
    read_raw,
)
from notifyq.services.accept import Reply, recall_each
from notifyq.store.db import Pool
from notifyq.store.tenants import Holder

_KEY = "idempotency_key"


@dataclass(frozen=True, slots=True)
class _Item:
    """One notification of a batch: what it asks for, or why it is refused."""

    ask: Ask | None = None
    problem: Problem | None = None
    key: str | None = None  # of a refused one, where it can be read
    asked: bytes = b""
    body: BatchItem | None = None


@dataclass(frozen=True, slots=True)
class BatchRoute:
    """The route of batches."""

    doorkeeper: Doorkeeper
    bulk: Bulk
    pool: Pool
    now: Callable[[], datetime]
    rules: Rules
    knower: Knower

    async def post(self, request: Request) -> Response:
        """Accept what can be accepted: 200 with a result each, after their commits."""
        holder = await self.doorkeeper.admit(request, SEND)
        raw = await read_raw(request, BATCH)
        read = await asyncio.to_thread(self._read, raw)
        known = await self.knower.look_up(holder, [one.body for one in read if one.body])
        items = await asyncio.to_thread(self._asks, read, holder, known)
        asks = [item.ask for item in items if item.ask is not None]
        replies = iter(await self.bulk.take_batch(asks) if asks else [])
        given = [next(replies) if item.ask else item.problem for item in items]
        for index, reply in (await self._known(items, given, holder)).items():
            given[index] = reply
        request_id: str = request.state.request_id
        results = [_result(index, got, holder.cell, request_id) for index, got in enumerate(given)]
        return json_response({"results": results})

    def _read(self, raw: bytes) -> list[_Item]:
        return [self._read_one(one) for one in read_batch(parse(raw))]

    def _read_one(self, one: Any) -> _Item:
        found = _Item()
        try:
            if isinstance(one, dict) and is_key(one.get(_KEY)):
                rest = {name: value for name, value in one.items() if name != _KEY}
                found = _Item(key=one[_KEY], asked=fingerprint(canonical(rest)))
            return replace(found, body=read_item(one))
        except Problem as problem:
            return replace(found, problem=problem)

    def _asks(self, items: list[_Item], holder: Holder, known: Known) -> list[_Item]:
        now = self.now()
        return [self._ask(item, holder, known, now) for item in items]

    def _ask(self, item: _Item, holder: Holder, known: Known, now: datetime) -> _Item:
        if item.body is None:
            return item
        key, rules = item.body.idempotency_key, self.rules
        try:
            ask = ask_of(item.body, holder, known, key=key, asked=item.asked, now=now, rules=rules)
            return replace(item, ask=ask)
        except Problem as problem:
            return replace(item, problem=problem)

    async def _known(
        self, items: list[_Item], given: list[Reply | Problem | None], holder: Holder
    ) -> dict[int, Reply]:
        """Return what refused ones get whose keys are known: what was accepted stays accepted.

        Items count in their order: what comes after a refused one did not make its key known.
        """
        operation = operation_of(holder.test)
        refused = {
            index: ((holder.tenant_id, operation, hash_key(item.key)), item.asked)
            for index, item in enumerate(items)
            if item.problem is not None and item.key is not None
        }
        if not refused:
            return {}
        accepted = {
            item.ask.key_hash: index
            for index, (item, got) in enumerate(zip(items, given, strict=True))
            if item.ask is not None and isinstance(got, Answer) and not got.replayed
        }
        async with self.pool.connection() as conn:
            found = await recall_each(conn, list(refused.values()), cell=holder.cell)
        return {
            index: reply
            for (index, (key, _)), reply in zip(refused.items(), found, strict=True)
            if reply is not None and index > accepted.get(key[-1], -1)
        }


def _result(
    index: int, got: Reply | Problem | None, cell: int, request_id: str
) -> dict[str, object]:
    if isinstance(got, Answer):
        body: object = orjson.Fragment(got.body)
        return {"index": index, "status": got.status, "replayed": got.replayed, "body": body}
    assert got is not None  # what is not asked for has a problem
    problem = got if isinstance(got, Problem) else not_accepted(got, cell)
    body = content(problem, request_id)
    return {"index": index, "status": body["status"], "replayed": False, "body": body}
