"""From a valid body to what accept takes: settings are looked up, times are bounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from notifyq.domain.asking import Ask, Dedupe, Part, Planned
from notifyq.domain.idempotency import dedupe_mark, hash_key
from notifyq.domain.ids import public_id
from notifyq.domain.model import HOURS, LIFETIME_S_MAX, Category, MessageClass
from notifyq.entrypoints.api.body import Body, ListBody, NotificationBody
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.knowing import Known
from notifyq.entrypoints.api.parts import Asked, Times, Ways, parts_of
from notifyq.entrypoints.api.problems import Fault
from notifyq.store.tenants import Holder


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether a valid body can be taken: settings, as these routes need them."""

    categories: Mapping[str, Category]
    ways: Ways
    longest_hold_days: int
    dedupe_window_s: int


def ask_of(
    body: Body, holder: Holder, known: Known, *, key: str, asked: bytes, now: datetime, rules: Rules
) -> Ask:
    """Return what a valid body asks for; Problem if it cannot be taken here and now.

    known: the recipients and templates that it names. asked: the request's fingerprint.
    """
    category = rules.categories.get(body.category) or Category(
        body.category, hours=HOURS[MessageClass.TRANSACTIONAL]
    )
    times = _times(body, category, now, rules.longest_hold_days)
    parts = parts_of(body, Asked(category, holder, known, times), rules.ways)
    is_list = isinstance(body, ListBody)
    return Ask(
        cell=holder.cell,
        tenant_id=holder.tenant_id,
        brand=holder.scope,
        test=holder.test,
        key_hash=hash_key(key),
        fingerprint=asked,
        category=category,
        recipient=body.recipient.id if isinstance(body, NotificationBody) else None,
        metadata=orjson.dumps(body.metadata).decode() if body.metadata else None,
        not_before=times.not_before,
        expires_at=times.expires_at,
        parts=tuple(part for of_one in parts for part in of_one),
        warnings=_warnings(body.category, rules),
        recipients=len(parts) if is_list else None,
        widths=tuple(len(of_one) for of_one in parts) if is_list else (),
        dedupe=_dedupe(body, holder, rules),
    )


def render_accepted(planned: Planned, *, durability: str) -> bytes:
    """Return the 202's body, as it is stored and replayed."""
    ask = planned.ask
    named = public_id("ntf", ask.cell, planned.notification_id)
    head = {"id": named, "state": "accepted", "durability": durability}
    if ask.recipients is None:
        rest: dict[str, object] = {"deliveries": _deliveries(planned)}
    else:
        url = f"/v1/notifications/{named}/deliveries"
        rest = {"recipients": ask.recipients, "deliveries_url": url}
    return orjson.dumps({**head, **rest, "warnings": ask.warnings})


def _deliveries(planned: Planned) -> list[dict[str, object]]:
    return [
        {
            "id": public_id("dlv", planned.ask.cell, delivery),
            "channel": part.channel,
            "state": part.state,
            "scheduled_for": _when(planned, part),
            "reason": planned.reason(part),
        }
        for delivery, part in zip(planned.delivery_ids, planned.ask.parts, strict=True)
    ]


def _when(planned: Planned, part: Part) -> str | None:
    """Return when a part is due, as far as that is known now; None for at once, or never."""
    due = None if part.suppressed else planned.due(part)
    return None if due is None else due.isoformat()


def _dedupe(body: Body, holder: Holder, rules: Rules) -> Dedupe | None:
    if not isinstance(body, NotificationBody) or body.dedupe_key is None:
        return None
    mark = dedupe_mark(
        test=holder.test,
        recipient=body.recipient.id,
        addresses=body.recipient.all_addresses,
        category=body.category,
        dedupe_key=body.dedupe_key,
    )
    return Dedupe(mark, rules.dedupe_window_s)


def _warnings(category: str, rules: Rules) -> tuple[str, ...]:
    if category in rules.categories:
        return ()
    return (f"category {category} is not configured; it is treated as transactional",)


def _times(body: Body, category: Category, now: datetime, longest_hold_days: int) -> Times:
    """Return not_before and expires_at, both checked against each other and the clock."""
    faults = []
    start = max(now, body.not_before or now)
    longest_hold = now + timedelta(days=longest_hold_days)
    if start > longest_hold:
        faults.append(Fault("/not_before", f"must be within {longest_hold_days} days from now"))
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
    return Times(now, body.not_before if start > now else None, expires_at)
