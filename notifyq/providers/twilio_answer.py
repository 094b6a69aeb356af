"""What all of Twilio's answers have in common: a JSON object, and a code when it is an error."""

import json
from collections.abc import Mapping


def read_object(body: bytes) -> dict[str, object]:
    """Return the object in a body; an empty one if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def name_of(body: Mapping[str, object], status: int) -> str:
    """Return an answer's name for logs and rows: Twilio's code, or the status without one."""
    code = body.get("code")
    return f"{code}" if type(code) is int else f"http_{status}"
