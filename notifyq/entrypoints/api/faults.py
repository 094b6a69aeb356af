"""Faults: what is wrong with a request, each at its place, with the rule and the mend."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from notifyq.entrypoints.api.problems import Fault, Problem

FAULTS_SHOWN_MAX = 50  # a refusal is not much longer than what it refuses


def refused(faults: Sequence[Fault]) -> Problem:
    """Return the problem of a request that breaks these rules."""
    count = f"{len(faults)} faults" if len(faults) > 1 else "1 fault"
    shown = "see errors" if len(faults) <= FAULTS_SHOWN_MAX else f"the first {FAULTS_SHOWN_MAX}:"
    return Problem("invalid_request", f"{count}; {shown}", faults=faults[:FAULTS_SHOWN_MAX])


def faults_of(error: ValidationError) -> list[Fault]:
    """Return what pydantic found, in our words and by JSON pointers."""
    return [_fault(detail) for detail in error.errors()]


def _fault(detail: ErrorDetails) -> Fault:
    # Pydantic marks a bad dict key by "[key]" after it; the key itself is the place.
    path = [part for part in detail["loc"] if part != "[key]"]
    pointer = "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)
    match detail["type"]:
        case "extra_forbidden":
            return Fault(pointer, _NOT_HERE.get(pointer, _UNKNOWN_FIELD))
        case "missing":
            return Fault(pointer, "is required")
        case "string_too_long" | "string_too_short" | "too_long" | "too_short":
            return Fault(pointer, _sized(detail))
        case "string_pattern_mismatch":
            return Fault(pointer, _PATTERN_RULES[str(path[-1])])
        case _:
            return Fault(pointer, detail["msg"][0].lower() + detail["msg"][1:])


_UNKNOWN_FIELD = "unknown field: remove it or mend its name"
# They are known elsewhere.
_NOT_HERE = {
    "/recipient": "must not stand beside recipients: send one of the two",
    "/recipients": "must not stand in a batch: a list is a request of its own",
    "/dedupe_key": "must not stand beside recipients: it is for one recipient",
}

# What a pattern asks for, in words, by the field's name.
_PATTERN_RULES = {
    "idempotency_key": "must be printable ASCII",
    "category": "must be lower-case words and digits joined by . _ or -, like order.shipped",
    "locale": "must be a language tag, like en-US",
    "template": "must be lower-case letters, digits, dots, hyphens or underscores",
    "collapse_key": "must be printable ASCII without blanks",
}


def _sized(detail: ErrorDetails) -> str:
    bounds, given = detail.get("ctx", {}), detail["input"]
    what = "characters" if isinstance(given, str) else "entries"
    if "max_length" in bounds:
        return f"must have at most {bounds['max_length']} {what}, has {len(given)}"
    return f"must have at least {bounds['min_length']} {what}, has {len(given)}"
