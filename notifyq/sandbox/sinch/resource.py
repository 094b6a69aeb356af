"""The shapes of Sinch's answers: a batch, a page of them, a delivery report, an error.

Owns the JSON only; github.com/sinch/docs, sms-guide. Numbers are shown without a plus, times in
UTC to the millisecond, and what is null is left out.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from notifyq.sandbox.record import Acceptance, Status
from notifyq.sandbox.sinch.rules import Refused

PAGE_SIZE, PAGE_SIZE_MAX = 30, 100
LIST_PARAMETERS = frozenset(
    {"page", "page_size", "from", "start_date", "end_date", "client_reference"}
)

Resource = dict[str, Any]


def batch(entry: Acceptance) -> Resource:
    """Return the batch."""
    at = time(entry.accepted_at)
    shown = {
        "id": entry.provider_id,
        "to": [entry.to.removeprefix("+")],
        "from": entry.sender.removeprefix("+"),
        "canceled": False,
        "body": entry.body,
        "type": "mt_text",
        "created_at": at,
        "modified_at": at,
        "client_reference": entry.reference,
    }
    return {name: value for name, value in shown.items() if value is not None}


def page(entries: Iterable[Acceptance], query: Mapping[str, str], now: datetime) -> Resource | None:
    """Return one page of the batches that a query asks for, in the order given; None: a bad query.

    Without a start it begins 24 hours before `now`.
    """
    number, size = query.get("page", "0"), query.get("page_size", str(PAGE_SIZE))
    start = instant(query["start_date"]) if "start_date" in query else None
    end = instant(query["end_date"]) if "end_date" in query else None
    bad_times = ("start_date" in query and not start) or ("end_date" in query and not end)
    if query.keys() - LIST_PARAMETERS or not number.isdecimal() or not size.isdecimal():
        return None
    if bad_times or not 1 <= int(size) <= PAGE_SIZE_MAX:
        return None
    since = start.timestamp() if start else now.timestamp() - 86_400
    found = [
        entry
        for entry in entries
        if _at(entry) >= since
        and (end is None or _at(entry) < end.timestamp())
        and query.get("client_reference", entry.reference) == entry.reference
        and query.get("from", entry.sender).removeprefix("+") == entry.sender.removeprefix("+")
    ]
    first = int(number) * int(size)
    here = [batch(entry) for entry in found[first : first + int(size)]]
    return {"count": len(found), "page": int(number), "page_size": len(here), "batches": here}


def report(entry: Acceptance, status: Status, *, full: bool) -> Resource:
    """Return the batch's delivery report."""
    one: Resource = {"code": code_of(status.code), "status": status.word, "count": 1}
    if full:
        one["recipients"] = [entry.to.removeprefix("+")]
    shown = {
        "type": "delivery_report_sms",
        "batch_id": entry.provider_id,
        "total_message_count": 1,
        "statuses": [one],
        "client_reference": entry.reference,
    }
    return {name: value for name, value in shown.items() if value is not None}


def error(refused: Refused) -> Resource:
    """Return the error body."""
    return {"code": refused.code, "text": refused.text}


def code_of(code: int | str | None) -> int:
    """Return a delivery report's code as the number that it is; 0: none."""
    return int(code or 0)


def time(iso: str) -> str:
    """Return a time as Sinch writes it."""
    at = datetime.fromisoformat(iso).astimezone(UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: str) -> datetime | None:
    """Return the instant of a date or time, UTC where it names no zone; None if it is neither."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _at(entry: Acceptance) -> float:
    return datetime.fromisoformat(entry.accepted_at).timestamp()
