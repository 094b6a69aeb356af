"""OpenAPI 3.1, made from the models that validate and the table of problems that answers."""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from notifyq.entrypoints.api.answers import (
    AcceptedAnswer,
    BatchAnswer,
    DeliveriesAnswer,
    ListAcceptedAnswer,
    ProblemAnswer,
    SeenAnswer,
    json_response,
)
from notifyq.entrypoints.api.body import BatchBody, ListBody, NotificationBody
from notifyq.entrypoints.api.cancel import CancelAnswer, CancelBody
from notifyq.entrypoints.api.problems import KINDS
from notifyq.entrypoints.api.redriving import DeadLettersAnswer, RedriveAnswer, RedriveBody
from notifyq.entrypoints.api.templating import (
    RenderAnswer,
    RenderBody,
    SavedAnswer,
    TemplateAnswer,
    TemplateBody,
)

VERSION = "0.1.0"
_REF = "#/components/schemas/{model}"
_MODELS: list[tuple[type[BaseModel], JsonSchemaMode]] = [
    (NotificationBody, "validation"),
    (ListBody, "validation"),
    (BatchBody, "validation"),
    (CancelBody, "validation"),
    (RedriveBody, "validation"),
    (TemplateBody, "validation"),
    (RenderBody, "validation"),
    (AcceptedAnswer, "serialization"),
    (ListAcceptedAnswer, "serialization"),
    (BatchAnswer, "serialization"),
    (SeenAnswer, "serialization"),
    (DeliveriesAnswer, "serialization"),
    (CancelAnswer, "serialization"),
    (DeadLettersAnswer, "serialization"),
    (RedriveAnswer, "serialization"),
    (SavedAnswer, "serialization"),
    (TemplateAnswer, "serialization"),
    (RenderAnswer, "serialization"),
    (ProblemAnswer, "serialization"),
]
_BODY_PROBLEMS = (
    "not_json", "unauthenticated", "missing_scope", "body_too_large", "unsupported_media_type",
    "invalid_request", "unavailable",
)  # fmt: skip
_POST_PROBLEMS = (*_BODY_PROBLEMS, "missing_idempotency_key", "key_in_use")
_READ_PROBLEMS = ("unauthenticated", "missing_scope", "not_found", "unavailable")
_PAGE_PROBLEMS = (*_READ_PROBLEMS, "invalid_request")
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1}
_ID = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
_PAGE = [
    {"name": "limit", "in": "query", "required": False, "schema": _NUMBER},
    {"name": "cursor", "in": "query", "required": False, "schema": _TEXT},
]
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Made once per notification and kept over retries; bare or quoted.",
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "`wait=N`: answer when it has settled, or after N seconds (at most 30).",
}


async def serve(_: Request) -> Response:
    """Answer with the document."""
    return json_response(document())


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    _, schemas = models_json_schema(_MODELS, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "notifyq", "version": VERSION, "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    one = "/v1/notifications/{id}"
    accepted = "Committed. A replay adds Idempotent-Replayed: true."
    settled = "It settled while it was waited for: Preference-Applied says so."
    found = {"200": {"description": "Found.", "content": {"application/json": {}}}}
    create = _operation("createNotification", "Accept a notification, to one or to many")
    batch = _operation("createNotifications", "Accept many notifications, a result for each")
    seen = _operation("getNotification", "Show a notification")
    deliveries = _operation("listDeliveries", "Show a notification's deliveries")
    timeline = _operation("getTimeline", "Show what happened to a notification")
    return {
        "/v1/notifications": {
            "post": create
            | {"parameters": [_KEY, _PREFER], "requestBody": _body("NotificationBody", "ListBody")}
            | _responses(
                {
                    "200": _json(settled, "SeenAnswer"),
                    "202": _json(accepted, "AcceptedAnswer", "ListAcceptedAnswer"),
                },
                _POST_PROBLEMS,
            )
        },
        "/v1/notifications/batch": {
            "post": batch
            | {"requestBody": _body("BatchBody")}
            | _responses({"200": _json("A result for each.", "BatchAnswer")}, _BODY_PROBLEMS)
        },
        one: {
            "get": seen
            | {"parameters": [_ID]}
            | _responses({"200": _json("Found.", "SeenAnswer")}, _READ_PROBLEMS)
        },
        f"{one}/deliveries": {
            "get": deliveries
            | {"parameters": [_ID, *_PAGE]}
            | _responses({"200": _json("Found.", "DeliveriesAnswer")}, _PAGE_PROBLEMS)
        },
        f"{one}/timeline": {
            "get": timeline | {"parameters": [_ID, *_PAGE]} | _responses(found, _PAGE_PROBLEMS)
        },
        **_by_hand(one),
        **_templates(),
    }


def _by_hand(one: str) -> dict[str, Any]:
    """Return the paths of what is done to notifications afterwards."""
    cancel = _operation("cancelNotification", "Call a notification back")
    dead = _operation("listDeadLetters", "Show what was given up on")
    redrive = _operation("redriveDeadLetters", "Make dead letters due again")
    cause = {"name": "cause", "in": "query", "required": False, "schema": _TEXT}
    called = _json("What that came to, for each delivery.", "CancelAnswer")
    return {
        f"{one}/cancel": {
            "post": cancel
            | {"parameters": [_ID], "requestBody": _body("CancelBody") | {"required": False}}
            | _responses({"200": called}, (*_BODY_PROBLEMS, "not_found", "key_in_use"))
        },
        "/v1/dead-letters": {
            "get": dead
            | {"parameters": [cause, *_PAGE]}
            | _responses(
                {"200": _json("Found.", "DeadLettersAnswer")},
                ("unauthenticated", "missing_scope", "invalid_request", "unavailable"),
            )
        },
        "/v1/dead-letters/redrive": {
            "post": redrive
            | {"requestBody": _body("RedriveBody")}
            | _responses({"200": _json("A result for each.", "RedriveAnswer")}, _BODY_PROBLEMS)
        },
    }


def _templates() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    version = {"name": "version", "in": "query", "required": False, "schema": _NUMBER}
    save = _operation("putTemplate", "Save a template's next version")
    show = _operation("getTemplate", "Show a version of a template")
    render = _operation("renderTemplate", "Show what a template says")
    saved = {"200": _json("The version that says it.", "SavedAnswer")}
    shown = {"200": _json("What it says, by channel.", "RenderAnswer")}
    return {
        "/v1/templates/{name}": {
            "put": save
            | {"parameters": [name], "requestBody": _body("TemplateBody")}
            | _responses(saved, (*_BODY_PROBLEMS, "version_conflict")),
            "get": show
            | {"parameters": [name, version]}
            | _responses({"200": _json("Found.", "TemplateAnswer")}, _PAGE_PROBLEMS),
        },
        "/v1/templates/{name}/render": {
            "post": render
            | {"parameters": [name], "requestBody": _body("RenderBody")}
            | _responses(shown, (*_BODY_PROBLEMS, "not_found"))
        },
    }


def _operation(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "summary": summary}


def _responses(good: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    return {"responses": good | _problems(codes)}


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code, kind in KINDS.items():
        if any(kind.status == KINDS[asked].status for asked in codes):
            by_status.setdefault(str(kind.status), []).append(f"`{code}`: {kind.title}.")
    return {
        status: _json(" ".join(lines), "ProblemAnswer", media="application/problem+json")
        for status, lines in by_status.items()
    }


def _body(*models: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _one_of(models)}}}


def _json(description: str, *models: str, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": _one_of(models)}}}


def _one_of(models: tuple[str, ...]) -> dict[str, Any]:
    refs = [{"$ref": _REF.format(model=model)} for model in models]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}
