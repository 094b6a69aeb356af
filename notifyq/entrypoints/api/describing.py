"""The parts that OpenAPI's operations are described with."""

from typing import Any

from notifyq.entrypoints.api.problems import KINDS

REF = "#/components/schemas/{model}"


def operation(name: str, summary: str) -> dict[str, Any]:
    """Return the head of an operation."""
    return {"operationId": name, "summary": summary}


def responses(good: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    """Return the answers of an operation: the good ones by status, and these problems."""
    return {"responses": good | _problems(codes)}


def body_of(*models: str) -> dict[str, Any]:
    """Return a required JSON body: one of these models."""
    return {"required": True, "content": {"application/json": {"schema": _one_of(models)}}}


def json_of(description: str, *models: str, media: str = "application/json") -> dict[str, Any]:
    """Return an answer: one of these models."""
    return {"description": description, "content": {media: {"schema": _one_of(models)}}}


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code, kind in KINDS.items():
        if any(kind.status == KINDS[asked].status for asked in codes):
            by_status.setdefault(str(kind.status), []).append(f"`{code}`: {kind.title}.")
    return {
        status: json_of(" ".join(lines), "ProblemAnswer", media="application/problem+json")
        for status, lines in by_status.items()
    }


def _one_of(models: tuple[str, ...]) -> dict[str, Any]:
    refs = [{"$ref": REF.format(model=model)} for model in models]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}
