"""Twilio's errors: a code in the body, else the status."""

from collections.abc import Mapping


def name_of(body: Mapping[str, object], status: int) -> str:
    """Return an answer's name for logs and rows: Twilio's code, or the status without one."""
    code = body.get("code")
    return f"{code}" if type(code) is int else f"http_{status}"
