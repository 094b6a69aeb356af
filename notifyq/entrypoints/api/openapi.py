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
from notifyq.entrypoints.api.describing import (
    BODY_PROBLEMS,
    ID,
    KEY,
    NUMBER,
    PAGE,
    PAGE_PROBLEMS,
    POST_PROBLEMS,
    PREFER,
    READ_PROBLEMS,
    REF,
    TEXT,
    answer_of,
    body_of,
    operation,
    responses,
)
from notifyq.entrypoints.api.describing_consents import consent_paths
from notifyq.entrypoints.api.describing_explain import explain_paths
from notifyq.entrypoints.api.describing_recipients import recipient_paths
from notifyq.entrypoints.api.explained import ExplainAnswer
from notifyq.entrypoints.api.preferences import PreferencesAnswer, PreferencesBody
from notifyq.entrypoints.api.reaching import (
    MergeBody,
    MergedAnswer,
    RecipientAnswer,
    RecipientBody,
    SavedRecipientAnswer,
)
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
    (RecipientBody, "validation"),
    (MergeBody, "validation"),
    (PreferencesBody, "validation"),
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
    (SavedRecipientAnswer, "serialization"),
    (RecipientAnswer, "serialization"),
    (MergedAnswer, "serialization"),
    (PreferencesAnswer, "serialization"),
    (ConsentAnswer, "serialization"),
    (LookupAnswer, "serialization"),
    (ExplainAnswer, "serialization"),
    (ProblemAnswer, "serialization"),
]


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
            | {"parameters": [KEY, PREFER], "requestBody": body_of("NotificationBody", "ListBody")}
            | responses(
                {
                    "200": answer_of(settled, "SeenAnswer"),
                    "202": answer_of(accepted, "AcceptedAnswer", "ListAcceptedAnswer"),
                },
                POST_PROBLEMS,
            )
        },
        "/v1/notifications/batch": {
            "post": batch
            | {"requestBody": body_of("BatchBody")}
            | responses({"200": answer_of("A result for each.", "BatchAnswer")}, BODY_PROBLEMS)
        },
        one: {
            "get": seen
            | {"parameters": [ID]}
            | responses({"200": answer_of("Found.", "SeenAnswer")}, READ_PROBLEMS)
        },
        f"{one}/deliveries": {
            "get": deliveries
            | {"parameters": [ID, *PAGE]}
            | responses({"200": answer_of("Found.", "DeliveriesAnswer")}, PAGE_PROBLEMS)
        },
        f"{one}/timeline": {
            "get": timeline | {"parameters": [ID, *PAGE]} | responses(found, PAGE_PROBLEMS)
        },
        **_by_hand(one),
        **_templates(),
        **recipient_paths(),
        **consent_paths(),
        **explain_paths(),
    }


def _by_hand(one: str) -> dict[str, Any]:
    """Return the paths of what is done to notifications afterwards."""
    cancel = operation("cancelNotification", "Call a notification back")
    dead = operation("listDeadLetters", "Show what was given up on")
    redrive = operation("redriveDeadLetters", "Make dead letters due again")
    cause = {"name": "cause", "in": "query", "required": False, "schema": TEXT}
    called = answer_of("What that came to, for each delivery.", "CancelAnswer")
    return {
        f"{one}/cancel": {
            "post": cancel
            | {"parameters": [ID], "requestBody": body_of("CancelBody") | {"required": False}}
            | responses({"200": called}, (*BODY_PROBLEMS, "not_found", "key_in_use"))
        },
        "/v1/dead-letters": {
            "get": dead
            | {"parameters": [cause, *PAGE]}
            | responses(
                {"200": answer_of("Found.", "DeadLettersAnswer")},
                ("unauthenticated", "missing_scope", "invalid_request", "unavailable"),
            )
        },
        "/v1/dead-letters/redrive": {
            "post": redrive
            | {"requestBody": body_of("RedriveBody")}
            | responses({"200": answer_of("A result for each.", "RedriveAnswer")}, BODY_PROBLEMS)
        },
    }


def _templates() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": TEXT}
    version = {"name": "version", "in": "query", "required": False, "schema": NUMBER}
    save = operation("putTemplate", "Save a template's next version")
    show = operation("getTemplate", "Show a version of a template")
    render = operation("renderTemplate", "Show what a template says")
    saved = {"200": answer_of("The version that says it.", "SavedAnswer")}
    shown = {"200": answer_of("What it says, by channel.", "RenderAnswer")}
    return {
        "/v1/templates/{name}": {
            "put": save
            | {"parameters": [name], "requestBody": body_of("TemplateBody")}
            | responses(saved, (*BODY_PROBLEMS, "version_conflict")),
            "get": show
            | {"parameters": [name, version]}
            | responses({"200": answer_of("Found.", "TemplateAnswer")}, PAGE_PROBLEMS),
        },
        "/v1/templates/{name}/render": {
            "post": render
            | {"parameters": [name], "requestBody": body_of("RenderBody")}
            | responses(shown, (*BODY_PROBLEMS, "not_found"))
        },
    }
