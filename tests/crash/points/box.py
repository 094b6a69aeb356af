"""Callbacks as they came, read for the judge and for those who wait: by nothing of production."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

UNDELIVERED = frozenset({"undelivered", "failed"})
CAPPED = "30023"  # Twilio: the carrier takes no more of this brand today


@dataclass(frozen=True, slots=True)
class Status:
    """What was told of a message of ours."""

    number: int  # in the box
    reference: str
    sid: str
    status: str
    code: str | None
    to: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody wrote to us."""

    number: int
    sid: str
    sender: str
    receiver: str
    body: str


def statuses(box: Sequence[dict[str, Any]]) -> list[Status]:
    """Return what was told of messages of ours, in the order it came."""
    return [
        Status(
            number,
            parse_qs(urlsplit(path).query)["reference"][0],
            form["MessageSid"],
            form["MessageStatus"],
            form.get("ErrorCode"),
            form["To"],
        )
        for number, path, form in _forms(box)
        if "MessageStatus" in form
    ]


def capped(box: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Return the references of messages that a daily cap stopped."""
    return frozenset(one.reference for one in statuses(box) if one.code == CAPPED)


def letters(box: Sequence[dict[str, Any]]) -> list[Letter]:
    """Return what people wrote to us, in the order it came."""
    return [
        Letter(number, form["MessageSid"], form["From"], form["To"], form["Body"])
        for number, _, form in _forms(box)
        if "MessageStatus" not in form
    ]


def _forms(box: Sequence[dict[str, Any]]) -> Iterator[tuple[int, str, dict[str, str]]]:
    for number, raw in enumerate(box):
        form = parse_qs(raw["body"], keep_blank_values=True)
        yield number, raw["path"], {name: values[0] for name, values in form.items()}
