"""The routes of recipients, described for OpenAPI."""

from typing import Any

from notifyq.domain.profile import ID_LENGTH_MAX
from notifyq.entrypoints.api.describing import (
    BODY_PROBLEMS,
    PAGE_PROBLEMS,
    answer_of,
    body_of,
    operation,
    responses,
)


def recipient_paths() -> dict[str, Any]:
    """Return the paths of recipients and of what they want."""
    one = "/v1/recipients/{id}"
    text = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH_MAX}
    named = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": text}]}
    save = operation("putRecipient", "Save who a recipient is")
    show = operation("getRecipient", "Show a recipient")
    erase = operation("deleteRecipient", "Erase a recipient, now and in every version")
    merge = operation("mergeRecipients", "Make two recipients one")
    wishes = operation("getPreferences", "Show what a recipient wants; `*`: the defaults")
    wish = operation("patchPreferences", "Change what a recipient wants; `*`: the defaults")
    saved = {"200": answer_of("The version that says it.", "SavedRecipientAnswer")}
    found = {"200": answer_of("Found.", "RecipientAnswer")}
    merged = {"200": answer_of("The one recipient.", "MergedAnswer")}
    wanted = {"200": answer_of("What it wants now.", "PreferencesAnswer")}
    gone = {"204": {"description": "Nothing of it is left but that it was there."}}
    return {
        one: {
            "put": save
            | named
            | {"requestBody": body_of("RecipientBody")}
            | responses(saved, (*BODY_PROBLEMS, "version_conflict", "merged")),
            "get": show | named | responses(found, PAGE_PROBLEMS),
            "delete": erase | named | responses(gone, PAGE_PROBLEMS),
        },
        f"{one}/merge": {
            "post": merge
            | named
            | {"requestBody": body_of("MergeBody")}
            | responses(merged, (*BODY_PROBLEMS, "not_found"))
        },
        f"{one}/preferences": {
            "get": wishes | named | responses(wanted, PAGE_PROBLEMS),
            "patch": wish
            | named
            | {"requestBody": body_of("PreferencesBody")}
            | responses(wanted, BODY_PROBLEMS),
        },
    }
