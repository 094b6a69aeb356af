"""What the API answers. As models: OpenAPI shows them, and a test holds every answer to them."""

from datetime import datetime
from typing import Literal

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response


def json_response(content: object) -> Response:
    """Return what is there as JSON, 200."""
    return Response(orjson.dumps(content), media_type="application/json")


class DeliveryAnswer(BaseModel):
    """One channel's part of a notification."""

    id: str
    channel: str
    state: str
    scheduled_for: datetime | None
    reason: str | None


class SeenDelivery(DeliveryAnswer):
    """The same as it stands now."""

    attempts: int
    changed_at: datetime


class AcceptedAnswer(BaseModel):
    """The 202: it is committed. `durability` says where: on this database alone, or beyond."""

    id: str
    state: Literal["accepted"]
    durability: Literal["local", "cross-region"]
    deliveries: list[DeliveryAnswer]
    warnings: list[str]


class ListAcceptedAnswer(BaseModel):
    """The 202 to a list, once all of it is committed. Its deliveries are at `deliveries_url`."""

    id: str
    state: Literal["accepted"]
    durability: Literal["local", "cross-region"]
    recipients: int
    deliveries_url: str
    warnings: list[str]


class ProblemAnswer(BaseModel):
    """RFC 9457, with a code to branch on and a pointer for each fault."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]]
    request_id: str
    retryable: bool


class BatchResult(BaseModel):
    """What one notification of a batch would have been answered alone."""

    index: int
    status: int
    replayed: bool
    body: AcceptedAnswer | ProblemAnswer


class BatchAnswer(BaseModel):
    """A result for each notification, in their order."""

    results: list[BatchResult]


class SeenAnswer(BaseModel):
    """A notification as it stands. Of more than 20 deliveries, how many are in which state."""

    id: str
    state: Literal["accepted"]
    category: str
    class_: str = Field(alias="class")
    test: bool
    recipient: str | None
    metadata: dict[str, str] | None
    accepted_at: datetime
    not_before: datetime | None
    expires_at: datetime
    deliveries: list[SeenDelivery] | None = None
    states: dict[str, int] | None = None
    deliveries_url: str | None = None


class DeliveriesAnswer(BaseModel):
    """A page of deliveries, in the order of the request's recipients."""

    data: list[SeenDelivery]
    next_cursor: str | None
    has_more: bool
