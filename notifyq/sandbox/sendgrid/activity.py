"""SendGrid's Email Activity API: the list of messages, and one of them.

Owns the JSON and the one form of a query that is carried out: by a custom argument's value. Written
from SendGrid's OpenAPI document; the form of such a query is in none and is the one in use.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from notifyq.sandbox.record import Acceptance, Status
from notifyq.sandbox.sendgrid.events import message_id
from notifyq.sandbox.sendgrid.rules import Refused

LIMIT, LIMIT_MAX = 10, 1_000
_QUERY = re.compile(r"""unique_args\['reference'\]="([^"]*)\"""")
_DELIVERED = frozenset({"delivered", "spamreport", "unsubscribe"})
_NOT_DELIVERED = frozenset({"bounce", "dropped"})

Resource = dict[str, object]


def read_query(query: Mapping[str, str]) -> tuple[str, int] | Refused:
    """Return the reference that is asked for and how many messages at the most."""
    found = _QUERY.fullmatch(query.get("query", ""))
    limit = query.get("limit", str(LIMIT))
    if query.keys() - {"query", "limit"} or found is None:
        return Refused("invalid syntax: the sandbox takes unique_args['reference']=\"…\" alone")
    if not (limit.isascii() and limit.isdigit()) or not 1 <= int(limit) <= LIMIT_MAX:
        return Refused(f"limit must be from 1 to {LIMIT_MAX}", "limit")
    return found[1], int(limit)


def summary(entry: Acceptance, status: Status) -> Resource:
    """Return a message as it is listed."""
    return {
        "from_email": entry.sender,
        "msg_id": message_id(entry),
        "subject": "",
        "to_email": entry.to,
        "status": _status(status),
        "opens_count": 0,
        "clicks_count": 0,
        "last_event_time": _time(status.updated_at or entry.accepted_at),
    }


def details(entry: Acceptance, status: Status) -> Resource:
    """Return a message with its events and its custom arguments."""
    events = [_event("processed", entry.accepted_at)]
    if _status(status) != "processed" and status.updated_at is not None:
        events.append(_event(status.word, status.updated_at))
    shown = summary(entry, status)
    for name in ("opens_count", "clicks_count", "last_event_time"):
        del shown[name]
    arguments = {} if entry.reference is None else {"reference": entry.reference}
    return {
        **shown,
        "template_id": "",
        "asm_group_id": 0,
        "teammate": "",
        "api_key_id": "sandbox",
        "events": events,
        "originating_ip": "127.0.0.1",
        "categories": [],
        "unique_args": json.dumps(arguments),
        "outbound_ip": "127.0.0.1",
        "outbound_ip_type": "shared",
    }


def _event(name: str, at: str) -> Resource:
    named = {"bounce": "bounced", "spamreport": "spam_report"}.get(name, name)
    return {
        "event_name": named,
        "processed": _time(at),
        "bounce_type": "hard",
        "http_user_agent": "",
        "mx_server": "",
    }


def _status(status: Status) -> str:
    if status.word in _DELIVERED:
        return "delivered"
    return "not_delivered" if status.word in _NOT_DELIVERED else "processed"


def _time(iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
