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
from notifyq.entrypoints.api.consent_answers import ConsentAnswer, LookupAnswer
from notifyq.entrypoints.api.consenting import ConsentBody, LookupBody
from notifyq.entrypoints.api.describing import REF, body_of, json_of, operation, responses
from notifyq.entrypoints.api.redriving import DeadLettersAnswer, RedriveAnswer, RedriveBody
from notifyq.entrypoints.api.templating import (
    RenderAnswer,
    RenderBody,
    SavedAnswer,
    TemplateAnswer,
    TemplateBody,
)

VERSION = "0.1.0"
_MODELS: list[tuple[type[BaseModel], JsonSchemaMode]] = [
    (NotificationBody, "validation"),
    (ListBody, "validation"),
    (BatchBody, "validation"),
    (CancelBody, "validation"),
    (RedriveBody, "validation"),
    (TemplateBody, "validation"),
    (RenderBody, "validation"),
    (ConsentBody, "validation"),
    (LookupBody, "validation"),
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
    (ConsentAnswer, "serialization"),
    (LookupAnswer, "serialization"),
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
    _, schemas = models_json_schema(_MODELS, ref_template=REF)
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
    create = operation("createNotification", "Accept a notification, to one or to many")
    batch = operation("createNotifications", "Accept many notifications, a result for each")
    seen = operation("getNotification", "Show a notification")
    deliveries = operation("listDeliveries", "Show a notification's deliveries")
    timeline = operation("getTimeline", "Show what happened to a notification")
    return {
        "/v1/notifications": {
            "post": create
            | {
                "parameters": [_KEY, _PREFER],
                "requestBody": body_of("NotificationBody", "ListBody"),
            }
            | responses(
                {
                    "200": json_of(settled, "SeenAnswer"),
                    "202": json_of(accepted, "AcceptedAnswer", "ListAcceptedAnswer"),
                },
                _POST_PROBLEMS,
            )
        },
        "/v1/notifications/batch": {
            "post": batch
            | {"requestBody": body_of("BatchBody")}
            | responses({"200": json_of("A result for each.", "BatchAnswer")}, _BODY_PROBLEMS)
        },
        one: {
            "get": seen
            | {"parameters": [_ID]}
            | responses({"200": json_of("Found.", "SeenAnswer")}, _READ_PROBLEMS)
        },
        f"{one}/deliveries": {
            "get": deliveries
            | {"parameters": [_ID, *_PAGE]}
            | responses({"200": json_of("Found.", "DeliveriesAnswer")}, _PAGE_PROBLEMS)
        },
        f"{one}/timeline": {
            "get": timeline | {"parameters": [_ID, *_PAGE]} | responses(found, _PAGE_PROBLEMS)
        },
        **_by_hand(one),
        **_templates(),
        **_consents(),
    }


def _by_hand(one: str) -> dict[str, Any]:
    """Return the paths of what is done to notifications afterwards."""
    cancel = operation("cancelNotification", "Call a notification back")
    dead = operation("listDeadLetters", "Show what was given up on")
    redrive = operation("redriveDeadLetters", "Make dead letters due again")
    cause = {"name": "cause", "in": "query", "required": False, "schema": _TEXT}
    called = json_of("What that came to, for each delivery.", "CancelAnswer")
    return {
        f"{one}/cancel": {
            "post": cancel
            | {"parameters": [_ID], "requestBody": body_of("CancelBody") | {"required": False}}
            | responses({"200": called}, (*_BODY_PROBLEMS, "not_found", "key_in_use"))
        },
        "/v1/dead-letters": {
            "get": dead
            | {"parameters": [cause, *_PAGE]}
            | responses(
                {"200": json_of("Found.", "DeadLettersAnswer")},
                ("unauthenticated", "missing_scope", "invalid_request", "unavailable"),
            )
        },
        "/v1/dead-letters/redrive": {
            "post": redrive
            | {"requestBody": body_of("RedriveBody")}
            | responses({"200": json_of("A result for each.", "RedriveAnswer")}, _BODY_PROBLEMS)
        },
    }


def _templates() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    version = {"name": "version", "in": "query", "required": False, "schema": _NUMBER}
    save = operation("putTemplate", "Save a template's next version")
    show = operation("getTemplate", "Show a version of a template")
    render = operation("renderTemplate", "Show what a template says")
    saved = {"200": json_of("The version that says it.", "SavedAnswer")}
    shown = {"200": json_of("What it says, by channel.", "RenderAnswer")}
    return {
        "/v1/templates/{name}": {
            "put": save
            | {"parameters": [name], "requestBody": body_of("TemplateBody")}
            | responses(saved, (*_BODY_PROBLEMS, "version_conflict")),
            "get": show
            | {"parameters": [name, version]}
            | responses({"200": json_of("Found.", "TemplateAnswer")}, _PAGE_PROBLEMS),
        },
        "/v1/templates/{name}/render": {
            "post": render
            | {"parameters": [name], "requestBody": body_of("RenderBody")}
            | responses(shown, (*_BODY_PROBLEMS, "not_found"))
        },
    }


def _consents() -> dict[str, Any]:
    record = operation("recordConsent", "Write down consent, or an opt-out, with its evidence")
    look_up = operation("lookUpSuppressions", "Say whether addresses may be told, and why not")
    stands = {"200": json_of("What stands now.", "ConsentAnswer")}
    found = {"200": json_of("An answer for each.", "LookupAnswer")}
    return {
        "/v1/consents": {
            "post": record
            | {"requestBody": body_of("ConsentBody")}
            | responses(stands, (*_BODY_PROBLEMS, "provider_blocks", "opt_out_stands"))
        },
        "/v1/suppressions/lookup": {
            "post": look_up
            | {"requestBody": body_of("LookupBody")}
            | responses(found, _BODY_PROBLEMS)
        },
    }
