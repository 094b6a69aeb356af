"""SendGrid's Email Activity API: the message that carries a doubtful attempt's reference.

Owns the query and its reading. It is bought apart, lets six requests a minute through, lags behind
and has nothing of European subusers; none of that is told from "no such message".
Invariant: a message counts only if its own details carry our reference. What the list found is
never taken at its word: the form of the query for custom arguments is in no document of SendGrid's
but in use (`unique_args['name']="value"`), and a query that is ignored would list anybody's mails.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED
from notifyq.domain.provider import LookUpFailed, Seen, Sighting, Sought
from notifyq.providers.answers import read_object
from notifyq.providers.sendgrid.answer import message_id, name_of
from notifyq.providers.sendgrid.events import ARGUMENT
from notifyq.providers.wire import Answer, Wire

# One mail has one message. More than two is a query that was not understood, and six requests a
# minute are let through: the list and two messages are three of them.
MESSAGES_MAX = 2

RANKS: Mapping[str, int] = {
    "processed": 1,
    "not_delivered": RANK_UNDELIVERED,
    "delivered": RANK_DELIVERED,
}
_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")


async def look_up(
    wire: Wire, headers: httpx.Headers, base_url: str, sought: Sought, *, timeout_s: float
) -> Seen | LookUpFailed:
    """Return the message with the sought reference, if SendGrid shows it already."""
    deadline_s = time.monotonic() + timeout_s

    async def ask(path: str) -> Mapping[str, object] | LookUpFailed:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return LookUpFailed("timeout")
        request = httpx.Request("GET", f"{base_url}{path}", headers=headers)
        answer = await wire.exchange(request, timeout_s=left_s)
        if not isinstance(answer, Answer):
            return LookUpFailed(answer.code)
        return read_object(answer.body) if answer.status == 200 else LookUpFailed(name_of(answer))

    query = quote(f"""unique_args['{ARGUMENT}']="{sought.reference}\"""", safe="")
    listed = await ask(f"/v3/messages?limit={MESSAGES_MAX + 1}&query={query}")
    if isinstance(listed, LookUpFailed):
        return listed
    ids = _ids(listed)
    if ids is None:
        return LookUpFailed("unreadable")
    if len(ids) > MESSAGES_MAX:
        return LookUpFailed("too_many")
    found: list[Sighting] = []
    for each in ids:
        details = await ask(f"/v3/messages/{each}")
        if isinstance(details, LookUpFailed):
            return details
        sighting = _sighting(details, each, sought)
        if sighting is None:
            return LookUpFailed("not_ours")
        found.append(sighting)
    return Seen(tuple(found))


def _ids(listed: Mapping[str, object]) -> list[str] | None:
    """Return the ids on a list; None if it is no list as documented."""
    messages = listed.get("messages")
    if not isinstance(messages, list):
        return None
    ids = [each.get("msg_id") if isinstance(each, dict) else None for each in messages]
    named = [each for each in ids if isinstance(each, str) and _ID.fullmatch(each)]
    return named if len(named) == len(ids) else None


def _sighting(details: Mapping[str, object], listed_id: str, sought: Sought) -> Sighting | None:
    """Return the message, if its own details prove that it is the one sought."""
    provider_id, status = message_id(details.get("msg_id")), details.get("status")
    arguments = details.get("unique_args")  # JSON in a string
    planted = read_object(arguments.encode(errors="replace")) if isinstance(arguments, str) else {}
    if details.get("msg_id") != listed_id or provider_id is None:
        return None
    if planted.get(ARGUMENT) != sought.reference:
        return None
    created_at = _created_at(details.get("events"))
    if not isinstance(status, str) or status not in RANKS or created_at is None:
        return None
    return Sighting(provider_id, created_at, status, RANKS[status], None, sought.reference)


def _created_at(events: object) -> datetime | None:
    """Return when the first event happened; None if there is none, or one without its time."""
    try:
        # what is not a list of objects raises below
        texts = [event["processed"] for event in events]  # type: ignore[attr-defined]
        times = [datetime.fromisoformat(text) for text in texts]
        return min(at.astimezone(UTC) for at in times) if times else None
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
