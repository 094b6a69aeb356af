"""The notification that a path names, as far as the key may see it."""

from typing import Any
from uuid import UUID

from starlette.requests import Request

from notifyq.domain.ids import BadId, read_public_id
from notifyq.entrypoints.api.problems import Problem
from notifyq.store import views
from notifyq.store.db import Pool
from notifyq.store.tenants import Holder


def read_notification_id(request: Request) -> tuple[int, UUID]:
    """Return (cell, id) as the path has it; Problem `not_found` if it is no id."""
    try:
        return read_public_id("ntf", request.path_params["id"])
    except BadId:
        raise Problem("not_found", "this is not a notification's id") from None


async def find_notification(
    pool: Pool, holder: Holder, cell: int, notification_id: UUID
) -> dict[str, Any]:
    """Return its row, with the cell; Problem `not_found` if there is none for this key."""
    async with pool.connection() as conn:
        found = await views.find_notification(
            conn,
            cell=cell,
            notification_id=notification_id,
            tenant_id=holder.tenant_id,
            test=holder.test,
        )
    if found is None or cell != holder.cell:
        raise Problem("not_found", "no such notification for this key")
    return {**found, "cell": cell}
