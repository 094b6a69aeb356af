"""What providers' answers have in common."""

import json


def read_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a body; an empty one if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
