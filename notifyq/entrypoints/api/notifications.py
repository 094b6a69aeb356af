"""POST and GET of notifications: parse, hand to the service, answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.asking import Ask, operation_of
from notifyq.domain.idempotency import Answer, Judgement, Refusal, fingerprint, hash_key
from notifyq.domain.ids import public_id, read_public_id
from notifyq.entrypoints.api import timeline
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.asks import Rules, ask_of
from notifyq.entrypoints.api.body import read
from notifyq.entrypoints.api.bulk import Bulk
from notifyq.entrypoints.api.gather import Gatherer
from notifyq.entrypoints.api.knowing import Knower
from notifyq.entrypoints.api.naming import find_notification, read_notification_id
from notifyq.entrypoints.api.paging import cut, page_answer, read_page
from notifyq.entrypoints.api.problems import RETRY_AFTER_S, Problem, unavailable
from notifyq.entrypoints.api.reading import (
    NOTIFICATION,
    Doorkeeper,
    is_list,
    read_idempotency_key,
    read_json,
)
from notifyq.entrypoints.api.waiting import WaitingRoom, read_wait
from notifyq.services.accept import Reply, recall
from notifyq.store import views
from notifyq.store.db import Pool, Unknown
from notifyq.store.tenants import Holder

SEND = "notifications:send"
READ = "notifications:read"
# GET shows so many deliveries; of more, how many are in which state.
DELIVERIES_SHOWN_MAX = 20
PAGE, PAGE_MAX = 100, 1_000  # deliveries
TIMELINE_PAGE, TIMELINE_PAGE_MAX = 20, 100  # deliveries whose entries are on one page


@dataclass(frozen=True, slots=True)
class NotificationRoutes:
    """The routes below /v1/notifications."""

    doorkeeper: Doorkeeper
    gatherer: Gatherer
    bulk: Bulk
    waiting: WaitingRoom
    pool: Pool
    now: Callable[[], datetime]
    rules: Rules
    knower: Knower

    async def post(self, request: Request) -> Response:
        """Accept a notification: 202 after its commit."""
        holder = await self.doorkeeper.admit(request, SEND)
        key = read_idempotency_key(request)
        json = await read_json(request, NOTIFICATION)
        asked = fingerprint(json.canonical)
        try:
            ask = await self._ask(holder, key, asked, json.content)
        except Problem:
            # What was accepted stays accepted, whatever the clock and the settings say by now.
            known = await self._recall(holder, key, asked)
            if known is None:
                raise
            return await self._replied(known, holder, request)
        take = self.gatherer.submit if ask.recipients is None else self.bulk.take_list
        return await self._replied(await take(ask), holder, request)

    async def get(self, request: Request) -> Response:
        """Show a notification and where its deliveries stand."""
        return json_response(await self._shown(await self._find(request)))

    async def deliveries(self, request: Request) -> Response:
        """Show a page of a notification's deliveries."""
        notification = await self._find(request)
        page = read_page(request, "dlv", default=PAGE, most=PAGE_MAX)
        found, last = await self._page(notification, page.after, page.limit)
        data = [timeline.delivery_answer(notification["cell"], delivery) for delivery in found]
        return json_response(page_answer(data, last))

    async def timeline(self, request: Request) -> Response:
        """Show everything that happened to a notification, in order; a long list's by pages."""
        notification = await self._find(request)
        page = read_page(request, "dlv", default=TIMELINE_PAGE, most=TIMELINE_PAGE_MAX)
        found, last = await self._page(notification, page.after, page.limit)
        async with self.pool.connection() as conn:
            entries = await timeline.entries(conn, notification, found, first=page.after is None)
        return json_response(page_answer(entries, last))

    async def _ask(self, holder: Holder, key: str, asked: bytes, content: Any) -> Ask:
        # The numbers of a long list take a second to look at.
        is_long = is_list(content)
        body = await asyncio.to_thread(read, content) if is_long else read(content)
        known = await self.knower.look_up(holder, [body])

        def ask() -> Ask:
            now = self.now()
            return ask_of(body, holder, known, key=key, asked=asked, now=now, rules=self.rules)

        # So does a template that somebody wrote to be slow.
        is_slow = is_long or body.template is not None
        return await asyncio.to_thread(ask) if is_slow else ask()

    async def _recall(self, holder: Holder, key: str, asked: bytes) -> Reply | None:
        name = (holder.tenant_id, operation_of(holder.test), hash_key(key))
        async with self.pool.connection() as conn:
            return await recall(conn, name, asked, cell=holder.cell)

    async def _replied(self, reply: Reply, holder: Holder, request: Request) -> Response:
        if not isinstance(reply, Answer):
            raise not_accepted(reply, holder.cell)
        named: str = orjson.loads(reply.body)["id"]
        headers = {"Location": f"/v1/notifications/{named}"}
        if reply.replayed:
            headers["Idempotent-Replayed"] = "true"
        wait_s = read_wait(request.headers.getlist("prefer"))
        if wait_s is None or READ not in holder.scopes:
            return Response(reply.body, reply.status, headers, "application/json")
        _, notification_id = read_public_id("ntf", named)
        settled = await self.waiting.wait(notification_id, wait_s, request)
        if settled is not None:
            headers["Preference-Applied"] = f"wait={wait_s}"
        if not settled:
            return Response(reply.body, reply.status, headers, "application/json")
        row = await find_notification(self.pool, holder, holder.cell, notification_id)
        shown = await self._shown(row)
        return Response(orjson.dumps(shown), 200, headers, "application/json")

    async def _find(self, request: Request) -> dict[str, Any]:
        """Return the notification that the path names, if this key may see it."""
        holder = await self.doorkeeper.admit(request, READ)
        return await find_notification(self.pool, holder, *read_notification_id(request))

    async def _shown(self, notification: dict[str, Any]) -> dict[str, Any]:
        """Return a notification as GET shows it."""
        which = {"cell": notification["cell"], "notification_id": notification["id"]}
        async with self.pool.connection() as conn:
            found = await views.deliveries_of(conn, **which, limit=DELIVERIES_SHOWN_MAX + 1)
            if len(found) <= DELIVERIES_SHOWN_MAX:
                return timeline.notification_answer(notification, found)
            return timeline.list_answer(notification, await views.states_of(conn, **which))

    async def _page(
        self, notification: dict[str, Any], after: UUID | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of deliveries, and the cursor if there are more behind it."""
        cell = notification["cell"]
        which = {"cell": cell, "notification_id": notification["id"]}
        async with self.pool.connection() as conn:
            found = await views.deliveries_of(conn, **which, after=after, limit=limit + 1)
        return cut(found, limit, lambda delivery: public_id("dlv", cell, delivery["id"]))


def not_accepted(reply: Refusal | Unknown, cell: int) -> Problem:
    """Return what a request gets that has no answer."""
    if isinstance(reply, Unknown):
        why = f"whether it was accepted is not known: {reply.reason}; retry, same key"
        return unavailable(why)
    about = reply.notification_id
    known = public_id("ntf", cell, about) if about else "one not yet known"
    if reply.judgement is Judgement.REUSED:
        return Problem("key_reused", f"the key belongs to another request, notification {known}")
    if reply.judgement is Judgement.PAST_WINDOW:
        return Problem("replay_window_over", f"the key was used for notification {known}")
    return Problem("key_in_use", "the first request still runs", retry_after_s=RETRY_AFTER_S)
