"""OpenAPI 3.1, made from the models that validate and the table of problems that answers."""

from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from notifyq.entrypoints.api.body import AcceptedAnswer, NotificationBody, ProblemAnswer
from notifyq.entrypoints.api.problems import KINDS

VERSION = "0.1.0"
_REF = "#/components/schemas/{model}"


async def serve(_: Request) -> Response:
    """Answer with the document."""
    return Response(orjson.dumps(document()), media_type="application/json")


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (NotificationBody, "validation"),
        (AcceptedAnswer, "serialization"),
        (ProblemAnswer, "serialization"),
    ]
    _, schemas = models_json_schema(models, ref_template=_REF)
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
    accepted = _json("AcceptedAnswer", "Committed. A replay adds Idempotent-Replayed: true.")
    post_problems = (
        "not_json", "missing_idempotency_key", "unauthenticated", "missing_scope", "key_in_use",
        "body_too_large", "unsupported_media_type", "invalid_request", "unavailable",
    )  # fmt: skip
    read_problems = ("unauthenticated", "missing_scope", "not_found", "unavailable")
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "Made once per notification and kept over retries; bare or quoted.",
    }
    body = {"required": True, "content": {"application/json": {"schema": _ref("NotificationBody")}}}
    found = {"200": {"description": "Found.", "content": {"application/json": {}}}}
    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {
        "/v1/notifications": {
            "post": {
                "operationId": "createNotification",
                "summary": "Accept a notification",
                "parameters": [key],
                "requestBody": body,
                "responses": {"202": accepted} | _problems(post_problems),
            }
        },
        "/v1/notifications/{id}": {
            "get": {
                "operationId": "getNotification",
                "summary": "Show a notification",
                "parameters": one,
                "responses": found | _problems(read_problems),
            }
        },
        "/v1/notifications/{id}/timeline": {
            "get": {
                "operationId": "getTimeline",
                "summary": "Show what happened to a notification",
                "parameters": one,
                "responses": found | _problems(read_problems),
            }
        },
    }


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code, kind in KINDS.items():
        if any(kind.status == KINDS[asked].status for asked in codes):
            by_status.setdefault(str(kind.status), []).append(f"`{code}`: {kind.title}.")
    return {
        status: _json("ProblemAnswer", " ".join(lines), "application/problem+json")
        for status, lines in by_status.items()
    }


def _json(model: str, description: str, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": _ref(model)}}}


def _ref(model: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=model)}
