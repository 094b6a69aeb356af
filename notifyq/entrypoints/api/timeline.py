"""What people and producers see of a notification: its answer and its timeline, from rows."""

from datetime import datetime
from typing import Any

import orjson

from notifyq.domain.ids import instant_of, public_id
from notifyq.store import views
from notifyq.store.db import Conn


def notification_answer(
    notification: dict[str, Any], deliveries: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a notification as GET shows it."""
    cell = notification["cell"]
    shown = [delivery_answer(cell, delivery) for delivery in deliveries]
    return _head(notification) | {"deliveries": shown}


def list_answer(notification: dict[str, Any], states: dict[str, int]) -> dict[str, Any]:
    """Return a notification of many deliveries: how many are in which state, and where they are."""
    head = _head(notification)
    url = f"/v1/notifications/{head['id']}/deliveries"
    return head | {"states": states, "deliveries_url": url}


def _head(notification: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": public_id("ntf", notification["cell"], notification["id"]),
        "state": "accepted",
        "category": notification["category"],
        "class": notification["class"],
        "test": notification["test"],
        "recipient": notification["recipient"],
        "metadata": orjson.loads(notification["metadata"] or "null"),
        "accepted_at": instant_of(notification["id"]),
        "not_before": notification["not_before"],
        "expires_at": notification["expires_at"],
    }


async def entries(
    conn: Conn,
    notification: dict[str, Any],
    deliveries: list[dict[str, Any]],
    *,
    first: bool = True,
    operator: bool = False,
) -> list[dict[str, Any]]:
    """Return what happened to these deliveries, the oldest first: each entry is a row somewhere.

    first: with what happened to the notification itself. operator: with who did something by hand
    and why; a producer sees that it was done.
    """
    cell = notification["cell"]
    ids = [delivery["id"] for delivery in deliveries]
    accepted = _entry(instant_of(notification["id"]), "notification.accepted", None)
    found = [accepted] if first else []
    for attempt in await views.attempts_of(conn, cell=cell, delivery_ids=ids):
        found += _attempt_entries(cell, attempt)
    for receipt in await views.receipts_of(conn, cell=cell, delivery_ids=ids):
        found.append(_receipt_entry(cell, receipt))
    for dead in await views.dead_letters_of(conn, cell=cell, delivery_ids=ids):
        named = public_id("dlv", cell, dead["delivery_id"])
        found.append(_entry(dead["at"], "delivery.dead_lettered", named, cause=dead["cause"]))
    for done in await views.interventions_of(conn, cell=cell, delivery_ids=ids):
        found.append(_intervention_entry(cell, done, operator))
    for delivery in deliveries:
        named = public_id("dlv", cell, delivery["id"])
        event = f"delivery.{delivery['state']}"
        found.append(_entry(delivery["changed_at"], event, named, reason=delivery["reason"]))
    return sorted(found, key=lambda entry: entry["at"])


def delivery_answer(cell: int, delivery: dict[str, Any]) -> dict[str, Any]:
    """Return a delivery as it is shown."""
    waits = delivery["state"] == "pending"
    return {
        "id": public_id("dlv", cell, delivery["id"]),
        "channel": delivery["channel"],
        "state": delivery["state"],
        "reason": delivery["reason"],
        "scheduled_for": delivery["due"] if waits and delivery["reason"] else None,
        "attempts": delivery["attempts"],
        "changed_at": delivery["changed_at"],
    }


def _attempt_entries(cell: int, attempt: dict[str, Any]) -> list[dict[str, Any]]:
    named = public_id("dlv", cell, attempt["delivery_id"])
    which = {"attempt": attempt["number"], "provider": attempt["provider"]}
    begun = _entry(attempt["began_at"], "attempt.begun", named, **which, epoch=attempt["epoch"])
    if attempt["outcome"] == "open":
        return [begun]
    told = {"provider_id": attempt["provider_id"], "code": attempt["code"]}
    at = attempt["ended_at"] or attempt["send_by"]
    ended = _entry(at, f"attempt.{attempt['outcome']}", named, **which, **told)
    if attempt["late_at"] is None:
        return [begun, ended]
    return [begun, ended, _entry(attempt["late_at"], "attempt.accepted_late", named, **which)]


def _receipt_entry(cell: int, receipt: dict[str, Any]) -> dict[str, Any]:
    return _entry(
        receipt["received_at"],
        "receipt",
        public_id("dlv", cell, receipt["delivery_id"]),
        attempt=receipt["number"],
        provider=receipt["provider"],
        provider_id=receipt["provider_id"],
        status=receipt["status"],
        code=receipt["code"],
    )


# What was done by hand, as an event.
_DONE = {
    "redrive": "delivery.redriven",
    "redrive_past_dedupe": "delivery.redriven",
    "discard": "delivery.discarded",
    "carried_out": "delivery.resolved",
    "not_carried_out": "delivery.resolved",
    "cancel": "delivery.called_back",
}


def _intervention_entry(cell: int, done: dict[str, Any], operator: bool) -> dict[str, Any]:
    named = public_id("dlv", cell, done["delivery_id"])
    told = {name: done[name] for name in ("actor", "reason", "evidence")} if operator else {}
    return _entry(done["at"], _DONE[done["kind"]], named, kind=done["kind"], **told)


def _entry(at: datetime, event: str, delivery: str | None, **more: object) -> dict[str, Any]:
    told = {key: value for key, value in more.items() if value is not None}
    return {"at": at, "event": event, "delivery": delivery, **told}
