"""The route of explanations, described for OpenAPI."""

from typing import Any

from notifyq.entrypoints.api.describing import TEXT, answer_of, operation, responses

_TIME = {"type": "string", "format": "date-time"}
_PARAMETERS = [
    {
        "name": "recipient",
        "in": "query",
        "required": True,
        "schema": TEXT,
        "description": "Your own id for a person who is kept here; or an address.",
    },
    {
        "name": "category",
        "in": "query",
        "required": True,
        "schema": TEXT,
        "description": "One that is set up.",
    },
    {
        "name": "at",
        "in": "query",
        "required": False,
        "schema": _TIME,
        "description": "As of then, not in the future; default: now.",
    },
]


def explain_paths() -> dict[str, Any]:
    """Return the path of explanations."""
    asked = operation("explain", "Say why a recipient would, or would not, be told")
    told = {"200": answer_of("What every rule says, for each address.", "ExplainAnswer")}
    problems = ("unauthenticated", "missing_scope", "invalid_request", "unavailable")
    return {"/v1/explain": {"get": asked | {"parameters": _PARAMETERS} | responses(told, problems)}}
