"""POST and GET of notifications: parse, hand to the service, answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.asking import Ask, Part, Planned
from notifyq.domain.idempotency import Judgement, fingerprint, hash_key
from notifyq.domain.ids import BadId, public_id, read_public_id
from notifyq.domain.model import LIFETIME_S_MAX, Category, Channel
from notifyq.entrypoints.api import timeline
from notifyq.entrypoints.api.body import NotificationBody, read, refused
from notifyq.entrypoints.api.gather import Busy, Gatherer
from notifyq.entrypoints.api.problems import Fault, Problem
from notifyq.entrypoints.api.reading import Doorkeeper, read_idempotency_key, read_json
from notifyq.services.accept import (
    Answer,
    Refusal,
    Reply,
    operation_of,
    recall,
)
from notifyq.store import views
from notifyq.store.db import Pool, Unknown
from notifyq.store.tenants import Holder

SEND = "notifications:send"
READ = "notifications:read"
# When to come again where the wait is short but its length is not known.
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether a valid body can be taken: settings, as this route needs them."""

    categories: Mapping[str, Category]
    lanes: Callable[[Channel, bool], int | None]  # the lane to plan, live or test
    speaks: Callable[[Channel, str, bool], bool]  # whether a sender of the brand is there
    longest_hold_days: int


@dataclass(frozen=True, slots=True)
class NotificationRoutes:
    """The routes below /v1/notifications."""

    doorkeeper: Doorkeeper
    gatherer: Gatherer
    pool: Pool
    now: Callable[[], datetime]
    rules: Rules

    async def post(self, request: Request) -> Response:
        """Accept a notification: 202 after its commit."""
        holder = await self.doorkeeper.admit(request, SEND)
        key = read_idempotency_key(request)
        json = await read_json(request)
        asked = fingerprint(json.canonical)
        try:
            ask = self._ask(holder, key, asked, read(json.content))
        except Problem:
            # What was accepted stays accepted, whatever the clock and the settings say by now.
            known = await self._recall(holder, key, asked)
            if known is None:
                raise
            return _replied(known, holder.cell)
        try:
            return _replied(await self.gatherer.submit(ask), holder.cell)
        except Busy:
            why = "too many requests are waiting"
            raise Problem("unavailable", why, retry_after_s=RETRY_AFTER_S) from None

    async def get(self, request: Request) -> Response:
        """Show a notification and where its deliveries stand."""
        notification, deliveries = await self._find(request)
        return _json(timeline.notification_answer(notification, deliveries))

    async def timeline(self, request: Request) -> Response:
        """Show everything that happened to a notification, in order."""
        notification, deliveries = await self._find(request)
        async with self.pool.connection() as conn:
            entries = await timeline.entries(conn, notification, deliveries)
        return _json({"data": entries, "next_cursor": None, "has_more": False})

    async def _recall(self, holder: Holder, key: str, asked: bytes) -> Answer | Refusal | None:
        name = (holder.tenant_id, operation_of(holder.test), hash_key(key))
        async with self.pool.connection() as conn:
            return await recall(conn, name, asked, cell=holder.cell)

    async def _find(self, request: Request) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        holder = await self.doorkeeper.admit(request, READ)
        try:
            cell, notification_id = read_public_id("ntf", request.path_params["id"])
        except BadId:
            raise Problem("not_found", "this is not a notification's id") from None
        async with self.pool.connection() as conn:
            notification = await views.find_notification(
                conn,
                cell=cell,
                notification_id=notification_id,
                tenant_id=holder.tenant_id,
                test=holder.test,
            )
            if notification is None or cell != holder.cell:
                raise Problem("not_found", "no such notification for this key")
            deliveries = await views.deliveries_of(conn, cell=cell, notification_id=notification_id)
        return {**notification, "cell": cell}, deliveries

    def _ask(self, holder: Holder, key: str, asked: bytes, body: NotificationBody) -> Ask:
        category = self.rules.categories.get(body.category) or Category(body.category)
        not_before, expires_at = self._times(body, category)
        channel = Channel.SMS
        lane = self.rules.lanes(channel, holder.test)
        if lane is None:
            mode = "test" if holder.test else "live"
            raise Problem("no_route", f"no provider serves {channel} for {mode} keys here")
        if not self.rules.speaks(channel, holder.brand, holder.test):
            raise Problem("no_sender", f"no sender of brand {holder.brand} for {channel}")
        return Ask(
            cell=holder.cell,
            tenant_id=holder.tenant_id,
            brand=holder.brand,
            test=holder.test,
            key_hash=hash_key(key),
            fingerprint=asked,
            category=category,
            recipient=body.recipient.id,
            metadata=orjson.dumps(body.metadata).decode() if body.metadata else None,
            not_before=not_before,
            expires_at=expires_at,
            parts=(Part(channel, lane, body.recipient.phone, body.content.sms.body),),
            warnings=self._warnings(body.category),
        )

    def _warnings(self, category: str) -> tuple[str, ...]:
        if category in self.rules.categories:
            return ()
        return (f"category {category} is not configured; it is treated as transactional",)

    def _times(
        self, body: NotificationBody, category: Category
    ) -> tuple[datetime | None, datetime]:
        """Return (not_before, expires_at), both checked against each other and the clock."""
        now = self.now()
        faults = []
        start = max(now, body.not_before or now)
        longest_hold = now + timedelta(days=self.rules.longest_hold_days)
        if start > longest_hold:
            rule = f"must be within {self.rules.longest_hold_days} days from now"
            faults.append(Fault("/not_before", rule))
            start = longest_hold
        longest_s = LIFETIME_S_MAX[category.message_class]
        expires_at = body.expires_at or start + timedelta(seconds=category.expires_in_s)
        if expires_at <= now:
            faults.append(Fault("/expires_at", "is past: it must lie in the future"))
        elif expires_at <= start:
            faults.append(Fault("/expires_at", "must be later than not_before"))
        elif expires_at > start + timedelta(seconds=longest_s):
            rule = f"must be at most {longest_s} s after now or not_before for class "
            faults.append(Fault("/expires_at", rule + category.message_class))
        if faults:
            raise refused(faults)
        return (body.not_before if start > now else None), expires_at


def render_accepted(planned: Planned, *, durability: str) -> bytes:
    """Return the 202's body, as it is stored and replayed."""
    ask = planned.ask
    held = ask.not_before.isoformat() if ask.not_before and planned.reason else None
    return orjson.dumps(
        {
            "id": public_id("ntf", ask.cell, planned.notification_id),
            "state": "accepted",
            "durability": durability,
            "deliveries": [
                {
                    "id": public_id("dlv", ask.cell, delivery),
                    "channel": part.channel,
                    "state": "pending",
                    "scheduled_for": held,
                    "reason": planned.reason,
                }
                for delivery, part in zip(planned.delivery_ids, ask.parts, strict=True)
            ],
            "warnings": ask.warnings,
        }
    )


def _replied(reply: Reply, cell: int) -> Response:
    match reply:
        case Answer(status, body, replayed):
            return _answered(status, body, replayed)
        case Refusal(judgement, notification_id):
            raise _in_the_way(judgement, cell, notification_id)
        case Unknown(reason):
            detail = f"whether it was accepted is not known: {reason}; retry, same key"
            raise Problem("unavailable", detail, retry_after_s=RETRY_AFTER_S)


def _answered(status: int, body: bytes, replayed: bool) -> Response:
    headers = {"Location": f"/v1/notifications/{orjson.loads(body)['id']}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(body, status, headers, "application/json")


def _in_the_way(judgement: Judgement, cell: int, notification_id: UUID | None) -> Problem:
    known = public_id("ntf", cell, notification_id) if notification_id else "one not yet known"
    if judgement is Judgement.REUSED:
        return Problem("key_reused", f"the key belongs to another request, notification {known}")
    if judgement is Judgement.PAST_WINDOW:
        return Problem("replay_window_over", f"the key was used for notification {known}")
    return Problem("key_in_use", "the first request still runs", retry_after_s=RETRY_AFTER_S)


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
