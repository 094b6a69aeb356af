"""POST /v1/notifications/{id}/cancel: call it back; the answer says what that came to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import psycopg
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.ids import public_id
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.naming import find_notification, read_notification_id
from notifyq.entrypoints.api.problems import RETRY_AFTER_S, Problem, unavailable
from notifyq.entrypoints.api.reading import Doorkeeper, read_json
from notifyq.entrypoints.api.redriving import Reason
from notifyq.services.cancel import Called, Running, cancel
from notifyq.store.cancels import By
from notifyq.store.db import Pool, Unknown

CANCEL = "notifications:cancel"
NO_REASON = "called back by the API"  # where the request gives none


class CancelBody(BaseModel):
    """Why it is called back; the whole body may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Reason | None = None


class CancelResult(BaseModel):
    """One delivery: its state now, and what calling it back came to.

    canceled: it is never sent. requested: it may arrive, or has; it is not tried again.
    too_late: it was at rest, and nobody makes it due again.
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
    dedupe_days: int
    new_id: Callable[[], UUID]

    async def post(self, request: Request) -> Response:
        """Call every delivery back. Safe to repeat: it then says how they stand by now."""
        holder = await self.doorkeeper.admit(request, CANCEL)
        cell, notification_id = read_notification_id(request)
        reason = await _reason(request)
        await find_notification(self.pool, holder, cell, notification_id)  # or it is not theirs
        called = await self._called(cell, notification_id, By(holder.label, reason))
        told = {
            "id": public_id("ntf", cell, notification_id),
            "deliveries": [_result(cell, one) for one in called],
        }
        return json_response(told)

    async def _called(self, cell: int, notification_id: UUID, by: By) -> list[Called]:
        try:
            async with self.pool.connection() as conn:
                found = await cancel(
                    conn,
                    notification_id,
                    by,
                    cell=cell,
                    dedupe_days=self.dedupe_days,
                    new_id=self.new_id,
                )
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            why = "a delivery of it is being worked on; ask again, what is done stays done"
            raise unavailable(why) from None
        if isinstance(found, Running):
            why = "it is still being accepted; call it back when that is over"
            raise Problem("key_in_use", why, retry_after_s=RETRY_AFTER_S)
        if isinstance(found, Unknown):
            raise unavailable(f"not known to be stored: {found.reason}; ask again")
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
