"""The routes of consent, described for OpenAPI."""

from typing import Any

from notifyq.entrypoints.api.describing import (
    BODY_PROBLEMS,
    answer_of,
    body_of,
    operation,
    responses,
)


def consent_paths() -> dict[str, Any]:
    """Return the paths of consent and of what stands in its way."""
    record = operation("recordConsent", "Write down consent, or an opt-out, with its evidence")
    look_up = operation("lookUpSuppressions", "Say whether addresses may be told, and why not")
    stands = {"200": answer_of("What stands now.", "ConsentAnswer")}
    found = {"200": answer_of("An answer for each.", "LookupAnswer")}
    return {
        "/v1/consents": {
            "post": record
            | {"requestBody": body_of("ConsentBody")}
            | responses(stands, (*BODY_PROBLEMS, "provider_blocks", "opt_out_stands"))
        },
        "/v1/suppressions/lookup": {
            "post": look_up
            | {"requestBody": body_of("LookupBody")}
            | responses(found, BODY_PROBLEMS)
        },
    }
