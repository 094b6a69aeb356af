"""The shapes of Twilio's answers: a message, a page of them, an error.

Owns the JSON only; twilio.com/docs/messaging/api/message-resource.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from notifyq.sandbox.record import Acceptance, Status
from notifyq.sandbox.segments import segments
from notifyq.sandbox.twilio.rules import MESSAGES, Refused

PAGE_SIZE, PAGE_SIZE_MAX = 50, 1_000
LIST_PARAMETERS = frozenset(
    {"To", "From", "DateSent", "DateSent<", "DateSent>", "PageSize", "Page", "PageToken"}
)

Resource = dict[str, Any]


def message(entry: Acceptance, status: Status) -> Resource:
    """Return the message resource."""
    account = f"/2010-04-01/Accounts/{entry.account}"
    path = f"{account}/Messages/{entry.provider_id}"
    return {
        "account_sid": entry.account,
        "api_version": "2010-04-01",
        "body": entry.body,
        "date_created": _date(entry.accepted_at),
        "date_sent": status.sent_at and _date(status.sent_at),
        "date_updated": _date(status.updated_at or entry.accepted_at),
        "direction": "outbound-api",
        "error_code": status.code,
        "error_message": None,
        "from": entry.sender,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": str(segments(entry.body)),
        "price": None,
        "price_unit": "USD",
        "sid": entry.provider_id,
        "status": status.word,
        "subresource_uris": {"media": f"{path}/Media.json"},
        "to": entry.to,
        "uri": f"{path}.json",
    }


def error(refused: Refused) -> Resource:
    """Return the error body."""
    return {
        "code": refused.code,
        "message": MESSAGES.get(refused.code, "Refused by a script"),
        "more_info": f"https://www.twilio.com/docs/errors/{refused.code}",
        "status": refused.status,
    }


def page(messages: Iterable[Resource], query: Mapping[str, str], path: str) -> Resource | Refused:
    """Return one page of the messages that a list query asks for, in the order given.

    path: the list's own, without the query.
    """
    size, number = query.get("PageSize", str(PAGE_SIZE)), query.get("Page", "0")
    days = [_day(query[name]) for name in query if name.startswith("DateSent")]
    if query.keys() - LIST_PARAMETERS or not size.isdecimal() or not number.isdecimal():
        return Refused(20001)
    if None in days or not 1 <= int(size) <= PAGE_SIZE_MAX:
        return Refused(20001)
    found = [each for each in messages if _matches(each, query)]
    start = int(number) * int(size)
    here = found[start : start + int(size)]
    has_next = len(found) > start + len(here)

    def uri(page_number: int) -> str:
        return f"{path}?{urlencode({**query, 'PageSize': size, 'Page': page_number})}"

    return {
        "first_page_uri": uri(0),
        "next_page_uri": uri(int(number) + 1) if has_next else None,
        "previous_page_uri": uri(int(number) - 1) if int(number) else None,
        "uri": uri(int(number)),
        "page": int(number),
        "page_size": int(size),
        "start": start,
        "end": start + max(len(here) - 1, 0),
        "messages": here,
    }


def _matches(shown: Resource, query: Mapping[str, str]) -> bool:
    if "To" in query and shown["to"] != query["To"]:
        return False
    if "From" in query and shown["from"] != query["From"]:
        return False
    days = {name: _day(query[name]) for name in query if name.startswith("DateSent")}
    if not days:
        return True
    if shown["date_sent"] is None:  # not sent yet: no date matches
        return False
    sent = parsedate_to_datetime(shown["date_sent"]).date().isoformat()
    return all(
        {"DateSent": sent == day, "DateSent<": sent <= day, "DateSent>": sent >= day}[name]
        for name, day in days.items()
        if day is not None
    )


def _day(text: str) -> str | None:
    """Return the day (GMT) of a date or an instant; None if it is neither."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is None else found.astimezone(UTC)).date().isoformat()


def _date(iso: str) -> str:
    return format_datetime(datetime.fromisoformat(iso))
