"""Twilio's errors: a code in the body, else the status; and the one that a new day mends."""

from collections.abc import Mapping

# 30023: T-Mobile carries no more segments of the brand today. Its day begins at midnight Pacific
# time (Twilio's error page of 30023): no try before it can succeed, by whichever number.
CAPPED = 30023
CAP_ZONE = "America/Los_Angeles"


def name_of(body: Mapping[str, object], status: int) -> str:
    """Return an answer's name for logs and rows: Twilio's code, or the status without one."""
    code = body.get("code")
    return f"{code}" if type(code) is int else f"http_{status}"
