"""Cold reading: one notification, its timeline, where an id leads. SQLAlchemy Core, no hot path."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    select,
)

from notifyq.domain.ids import DELIVERIES_MAX, notification_of
from notifyq.store.db import Conn, rows
from notifyq.store.tables import (
    attempt,
    dead_letter,
    delivery,
    idempotency_key,
    intervention,
    job,
    lane,
    notification,
    receipt,
    tenant,
)


async def find_notification(
    conn: Conn, *, cell: int, notification_id: UUID, tenant_id: int | None, test: bool | None
) -> dict[str, Any] | None:
    """Return a notification's row; None if there is none that this tenant and mode may see.

    tenant_id and test None: for operators, who see all.
    """
    n = notification.c
    where = [n.cell == cell, n.id == notification_id]
    if tenant_id is not None:
        where.append(n.tenant_id == tenant_id)
    if test is not None:
        where.append(n.test == test)
    columns = [n.id, n.tenant_id, tenant.c.name.label("tenant"), n.test, n["class"], n.category]
    columns += [n.recipient, n.metadata, n.not_before, n.expires_at]
    joined = notification.join(tenant, and_(tenant.c.cell == n.cell, tenant.c.id == n.tenant_id))
    found = await rows(conn, select(*columns).select_from(joined).where(*where))
    return found[0] if found else None


async def deliveries_of(
    conn: Conn,
    *,
    cell: int,
    notification_id: UUID,
    after: UUID | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return a notification's deliveries in order, with the state that people see.

    after: only those behind this delivery's id. `sending` is derived here: pending, with an
    attempt that is open.
    """
    d = delivery.c
    tries = (
        select(func.count())
        .where(attempt.c.cell == d.cell, attempt.c.delivery_id == d.id)
        .scalar_subquery()
    )
    due = select(job.c.due).where(job.c.cell == d.cell, job.c.delivery_id == d.id)
    columns = [d.id, d.channel, _shown().label("state"), d.reason, d.not_before, d.expires_at]
    columns += [d.changed_at, tries.label("attempts"), due.scalar_subquery().label("due")]
    last = UUID(int=notification_id.int | DELIVERIES_MAX)
    first = max(notification_id, after or notification_id)
    return await rows(
        conn,
        select(*columns)
        .where(d.cell == cell, d.id > first, d.id <= last)
        .order_by(d.id)
        .limit(limit),
    )


async def states_of(conn: Conn, *, cell: int, notification_id: UUID) -> dict[str, int]:
    """Return how many of a notification's deliveries are in each state that people see."""
    d = delivery.c
    last = UUID(int=notification_id.int | DELIVERIES_MAX)
    found = await rows(
        conn,
        select(_shown().label("state"), func.count().label("count"))
        .where(d.cell == cell, d.id > notification_id, d.id <= last)
        .group_by(literal_column("1"))
        .order_by(literal_column("1")),
    )
    return {row["state"]: row["count"] for row in found}


def _shown() -> ColumnElement[str]:
    d = delivery.c
    open_attempt = exists().where(
        attempt.c.cell == d.cell, attempt.c.delivery_id == d.id, attempt.c.outcome == "open"
    )
    return case(
        (and_(d.state == "pending", open_attempt), literal("sending")), else_=cast(d.state, Text)
    )


async def attempts_of(
    conn: Conn, *, cell: int, delivery_ids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """Return the attempts of deliveries, in the order they began."""
    a = attempt.c
    columns = [a.delivery_id, a.number, lane.c.provider, a.epoch, a.began_at, a.send_by]
    columns += [a.ended_at, a.outcome, a.provider_id, a.code, a.late_at, a.consent_revision]
    joined = attempt.join(lane, and_(lane.c.cell == a.cell, lane.c.id == a.lane))
    return await rows(
        conn,
        select(*columns)
        .select_from(joined)
        .where(a.cell == cell, a.delivery_id.in_(delivery_ids))
        .order_by(a.began_at, a.delivery_id, a.number),
    )


async def receipts_of(
    conn: Conn, *, cell: int, delivery_ids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """Return the receipts of deliveries, in the order they came in."""
    r = receipt.c
    return await rows(
        conn,
        select(r.delivery_id, r.number, r.provider, r.provider_id, r.status, r.code, r.received_at)
        .where(r.cell == cell, r.delivery_id.in_(delivery_ids))
        .order_by(r.received_at, r.rank),
    )


async def dead_letters_of(
    conn: Conn, *, cell: int, delivery_ids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """Return the dead letters of deliveries."""
    dead = dead_letter.c
    return await rows(
        conn,
        select(dead.delivery_id, dead.cause, dead.detail, dead.at, dead.dedupe_until).where(
            dead.cell == cell, dead.delivery_id.in_(delivery_ids)
        ),
    )


async def interventions_of(
    conn: Conn, *, cell: int, delivery_ids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """Return what people, and producers by the API, did to deliveries, in order."""
    i = intervention.c
    return await rows(
        conn,
        select(i.delivery_id, i.kind, i.at, i.actor, i.reason, i.evidence)
        .where(i.cell == cell, i.delivery_id.in_(delivery_ids))
        .order_by(i.at, i.id),
    )


async def notifications_by_key(conn: Conn, *, cell: int, key_hash: bytes) -> list[UUID]:
    """Return the notifications that an idempotency key, of any tenant, stands for."""
    k = idempotency_key.c
    found = await rows(
        conn, select(k.notification_id).where(k.cell == cell, k.key_hash == key_hash)
    )
    return [row["notification_id"] for row in found]


async def notifications_by_provider_id(
    conn: Conn, *, cell: int, provider_id: str, limit: int
) -> list[UUID]:
    """Return the notifications a provider's id belongs to. Reads every attempt: for people."""
    a = attempt.c
    found = await rows(
        conn,
        select(a.delivery_id).where(a.cell == cell, a.provider_id == provider_id).limit(limit),
    )
    return [notification_of(row["delivery_id"]) for row in found]


async def notifications_by_address(
    conn: Conn, *, cell: int, address: str, limit: int
) -> list[UUID]:
    """Return the newest notifications to an address. Reads every delivery: for people."""
    d = delivery.c
    found = await rows(
        conn,
        select(d.id)
        .where(d.cell == cell, d.address_key == func.notifyq.address_key(address))
        .order_by(d.id.desc())
        .limit(limit),
    )
    return list(dict.fromkeys(notification_of(row["id"]) for row in found))


async def counts(conn: Conn, *, cell: int) -> dict[str, Any]:
    """Return what an operator looks at first: waiting, oldest due, in doubt, dead letters."""
    j, d, dead = job.c, delivery.c, dead_letter.c
    due = and_(j.cell == cell, j.due <= func.now())
    found = await rows(
        conn,
        select(
            select(func.count()).where(due).scalar_subquery().label("due"),
            select(func.min(j.due)).where(due).scalar_subquery().label("oldest_due"),
            select(func.count())
            .where(d.cell == cell, d.state == "in_doubt")
            .scalar_subquery()
            .label("in_doubt"),
            select(func.count()).where(dead.cell == cell).scalar_subquery().label("dead_letters"),
        ),
    )
    return found[0]
