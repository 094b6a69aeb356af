"""POST /v1/notifications/{id}/cancel: call it back; the answer says what that came to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import orjson
import psycopg
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.ids import BadId, public_id, read_public_id
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.problems import Problem
from notifyq.entrypoints.api.reading import Doorkeeper, read_json
from notifyq.entrypoints.api.redriving import Reason
from notifyq.services.cancel import Called, Running, cancel
from notifyq.store import views
from notifyq.store.cancels import By
from notifyq.store.db import Pool, Unknown

CANCEL = "notifications:cancel"
NO_REASON = "called back by the API"  # where the request gives none
RETRY_AFTER_S = 1


class CancelBody(BaseModel):
    """Why it is called back; the whole body may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Reason | None = None


class CancelResult(BaseModel):
    """One delivery: its state now, and what calling it back came to.

    canceled: it is never sent. requested: it is on its way and may arrive; it is not tried again.
    too_late: it was at rest.
    """

    id: str
    channel: str
    state: str
    cancel: Literal["canceled", "requested", "too_late"]


class CancelAnswer(BaseModel):
    """Every delivery of the notification."""

    id: str
    deliveries: list[CancelResult]


@dataclass(frozen=True, slots=True)
class CancelRoute:
    """The route that calls a notification back."""

    doorkeeper: Doorkeeper
    pool: Pool
    new_id: Callable[[], UUID]

    async def post(self, request: Request) -> Response:
        """Call every delivery back. Safe to repeat: it then says how they stand by now."""
        holder = await self.doorkeeper.admit(request, CANCEL)
        try:
            cell, notification_id = read_public_id("ntf", request.path_params["id"])
        except BadId:
            raise Problem("not_found", "this is not a notification's id") from None
        reason = await _reason(request)
        async with self.pool.connection() as conn:
            known = await views.find_notification(
                conn,
                cell=cell,
                notification_id=notification_id,
                tenant_id=holder.tenant_id,
                test=holder.test,
            )
        if known is None or cell != holder.cell:
            raise Problem("not_found", "no such notification for this key")
        called = await self._called(cell, notification_id, By(holder.label, reason))
        told = {
            "id": public_id("ntf", cell, notification_id),
            "deliveries": [_result(cell, one) for one in called],
        }
        return Response(orjson.dumps(told), media_type="application/json")

    async def _called(self, cell: int, notification_id: UUID, by: By) -> list[Called]:
        try:
            async with self.pool.connection() as conn:
                found = await cancel(conn, notification_id, by, cell=cell, new_id=self.new_id)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            why = "a delivery of it is being worked on; ask again, what is done stays done"
            raise Problem("unavailable", why, retry_after_s=RETRY_AFTER_S) from None
        if isinstance(found, Running):
            why = "it is still being accepted; call it back when that is over"
            raise Problem("key_in_use", why, retry_after_s=RETRY_AFTER_S)
        if isinstance(found, Unknown):
            why = f"not known to be stored: {found.reason}; ask again"
            raise Problem("unavailable", why, retry_after_s=RETRY_AFTER_S)
        return found


async def _reason(request: Request) -> str:
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return NO_REASON
    content = (await read_json(request)).content
    try:
        return CancelBody.model_validate(content).reason or NO_REASON
    except ValidationError as error:
        raise refused(faults_of(error)) from None


def _result(cell: int, called: Called) -> dict[str, object]:
    return {
        "id": public_id("dlv", cell, called.delivery_id),
        "channel": called.channel,
        "state": called.state,
        "cancel": called.came,
    }
