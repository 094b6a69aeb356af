"""What routes are described by, for OpenAPI: parameters, bodies, answers and problems."""

from typing import Any

from notifyq.entrypoints.api.problems import KINDS

REF = "#/components/schemas/{model}"
BODY_PROBLEMS = (
    "not_json", "unauthenticated", "missing_scope", "body_too_large", "unsupported_media_type",
    "invalid_request", "unavailable",
)  # fmt: skip
POST_PROBLEMS = (
    *BODY_PROBLEMS, "missing_idempotency_key", "invalid_idempotency_key", "key_in_use",
    "replay_window_over", "key_reused", "no_sender", "no_route",
)  # fmt: skip
READ_PROBLEMS = ("unauthenticated", "missing_scope", "not_found", "unavailable")
PAGE_PROBLEMS = (*READ_PROBLEMS, "invalid_request")
TEXT, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1}
ID = {"name": "id", "in": "path", "required": True, "schema": TEXT}
PAGE = [
    {"name": "limit", "in": "query", "required": False, "schema": NUMBER},
    {"name": "cursor", "in": "query", "required": False, "schema": TEXT},
]
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Made once per notification and kept over retries; bare or quoted.",
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": TEXT,
    "description": "`wait=N`: answer when it has settled, or after N seconds (at most 30).",
}


def operation(name: str, summary: str) -> dict[str, Any]:
    """Return what every operation has."""
    return {"operationId": name, "summary": summary}


def responses(good: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    """Return answers by status: the good ones, and the problems of those codes."""
    return {"responses": good | _problems(codes)}


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code, kind in KINDS.items():
        if code in codes:
            by_status.setdefault(str(kind.status), []).append(f"`{code}`: {kind.title}.")
    return {
        status: answer_of(" ".join(lines), "ProblemAnswer", media="application/problem+json")
        for status, lines in by_status.items()
    }


def body_of(*models: str) -> dict[str, Any]:
    """Return the body of a request, which is one of these models."""
    return {"required": True, "content": {"application/json": {"schema": _one_of(models)}}}


def answer_of(description: str, *models: str, media: str = "application/json") -> dict[str, Any]:
    """Return an answer, which is one of these models."""
    return {"description": description, "content": {media: {"schema": _one_of(models)}}}


def _one_of(models: tuple[str, ...]) -> dict[str, Any]:
    refs = [{"$ref": REF.format(model=model)} for model in models]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}
