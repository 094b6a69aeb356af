"""What a request to redrive says, and what it is answered: models that OpenAPI shows."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from notifyq.domain.ids import BadId, read_public_id
from notifyq.domain.interventions import (
    OUTCOME_UNKNOWN,
    REASON_LENGTH_MAX,
    REDRIVEN_CAUSES,
    WHY,
    Refusal,
    text_fault,
)
from notifyq.entrypoints.api.faults import faults_of, refused
from notifyq.entrypoints.api.problems import Fault

# Each is a transaction of its own, and all of them before the answer.
REDRIVE_MAX = 100


def reason_text(text: str) -> str:
    """Return a reason that says something, for a model of a request."""
    fault = text_fault(text, length_max=REASON_LENGTH_MAX)
    if fault is not None:
        raise PydanticCustomError("reason", "{rule}", {"rule": fault})
    return text.strip()


Reason = Annotated[
    str,
    Field(description=f"One line, 1 to {REASON_LENGTH_MAX} characters; kept with the change."),
    AfterValidator(reason_text),
]


def _redrivable(cause: str) -> str:
    if cause not in REDRIVEN_CAUSES:
        rule = "must be one of " + ", ".join(REDRIVEN_CAUSES)
        if cause == OUTCOME_UNKNOWN:
            rule += f"; {OUTCOME_UNKNOWN}: {WHY[Refusal.OUTCOME_UNKNOWN]}"
        raise PydanticCustomError("cause", "{rule}", {"rule": rule})
    return cause


class RedriveBody(BaseModel):
    """Which dead letters to make due again: some by their ids, or those of a cause, by pages."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ids: Annotated[list[str], Field(min_length=1, max_length=REDRIVE_MAX)] | None = None
    cause: (
        Annotated[
            str, AfterValidator(_redrivable), Field(json_schema_extra={"enum": [*REDRIVEN_CAUSES]})
        ]
        | None
    ) = None
    limit: Annotated[int, Field(ge=1, le=REDRIVE_MAX)] | None = None
    cursor: str | None = None
    dry_run: bool = False
    reason: Reason | None = Field(None, description="Needed unless dry_run.")


class DeadLetterAnswer(BaseModel):
    """A delivery that was given up on."""

    id: str
    notification: str
    channel: str
    state: str
    cause: str
    detail: str | None
    at: datetime
    dedupe_until: datetime
    expires_at: datetime


class DeadLettersAnswer(BaseModel):
    """A page of dead letters, in the order of acceptance."""

    data: list[DeadLetterAnswer]
    next_cursor: str | None
    has_more: bool


class RedriveResult(BaseModel):
    """What became of one: `due` when its job is due, or why it is refused."""

    id: str
    result: Literal["redriven", "would_redrive", "refused"]
    reason: Refusal | None
    detail: str | None
    due: datetime | None


class RedriveAnswer(BaseModel):
    """A result for each; `next_cursor` leads on to the next ones of the cause."""

    data: list[RedriveResult]
    next_cursor: str | None
    has_more: bool
    dry_run: bool


def read(content: Any, *, cell: int) -> RedriveBody:
    """Validate parsed JSON; Problem `invalid_request` names every fault with its pointer."""
    try:
        body = RedriveBody.model_validate(content)
    except ValidationError as error:
        raise refused(faults_of(error)) from None
    faults = []
    if (body.ids is None) is (body.cause is None):
        faults.append(Fault("/ids", "must stand without cause, and cause without ids: send one"))
    if body.ids is not None:
        faults += [
            Fault(f"/{name}", "goes with cause, not with ids: remove it")
            for name in ("limit", "cursor")
            if getattr(body, name) is not None
        ]
    named = [(f"/ids/{n}", one) for n, one in enumerate(body.ids or ())]
    named += [("/cursor", body.cursor)] if body.cursor is not None else []
    for pointer, one in named:
        if _cell_of(one) != cell:
            faults.append(Fault(pointer, "must be a delivery's id, dlv_…"))
    if body.ids is not None and len(set(body.ids)) != len(body.ids):
        faults.append(Fault("/ids", "must not name a delivery twice"))
    if body.reason is None and not body.dry_run:
        faults.append(Fault("/reason", "is required unless dry_run: it is kept with the change"))
    if faults:
        raise refused(faults)
    return body


def _cell_of(delivery: str) -> int | None:
    try:
        return read_public_id("dlv", delivery)[0]
    except BadId:
        return None
