"""Twilio's list of messages: what could be the message of a doubtful attempt.

Owns the query, the pages and their reading. The list has no filter for a reference, a text or a
time of creation, and lags behind by seconds, at times by many minutes. So everything to the
recipient is read and compared here: sender (null while a Messaging Service has not chosen),
text, direction, time of creation. A text that Twilio changed (a trial account's) is not found.
Refuses a half-read list: whether a message is the only one is known only from all of it.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import httpx

from notifyq.domain.provider import LookUpFailed, Seen, Sighting, Sought
from notifyq.providers.answers import read_object
from notifyq.providers.twilio.answer import name_of
from notifyq.providers.twilio.callback import RANKS, SID, cap_zone_of
from notifyq.providers.wire import Answer, Wire

# Twilio's default. The longest messages, every character escaped, stay below BODY_BYTES_MAX.
PAGE_SIZE = 50
PAGES_MAX = 10  # more to one number within the time sought is nothing that one can tell apart
# The order of the list is not documented to be that of creation: a page this much too old as a
# whole ends the reading, one old message does not.
TOO_OLD = timedelta(hours=1)
# What is listed was taken, whatever Twilio calls its state.
_RANK_TAKEN = RANKS["accepted"]


async def look_up(
    wire: Wire, headers: httpx.Headers, url: httpx.URL, sought: Sought, *, timeout_s: float
) -> Seen | LookUpFailed:
    """Read the list of messages at `url` and return those that could be the one sought."""
    deadline_s = time.monotonic() + timeout_s
    page = _with_query(url, urlencode({"To": sought.to, "PageSize": PAGE_SIZE}))
    found: list[Sighting] = []
    for _ in range(PAGES_MAX):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return LookUpFailed("timeout")
        answer = await wire.exchange(httpx.Request("GET", page, headers=headers), timeout_s=left_s)
        if not isinstance(answer, Answer):
            return LookUpFailed(answer.code)
        body = read_object(answer.body)
        if answer.status != 200:
            return LookUpFailed(name_of(body, answer.status))
        try:
            here, following = _read_page(body, url, sought)
        except (KeyError, TypeError, ValueError, httpx.InvalidURL):
            return LookUpFailed("unreadable")
        found += here
        if following is None:
            # A page may repeat what moved on to it from the one before.
            return Seen(tuple({each.provider_id: each for each in found}.values()))
        page = following
    return LookUpFailed("too_many")


def _read_page(
    page: Mapping[str, object], url: httpx.URL, sought: Sought
) -> tuple[list[Sighting], httpx.URL | None]:
    """Return a page's matches, and the next page if there is one that is not too old.

    KeyError, TypeError, ValueError and InvalidURL: it is not a page as Twilio documents it.
    """
    messages, next_uri = page["messages"], page["next_page_uri"]
    if not isinstance(messages, list) or not isinstance(next_uri, str | None):
        raise TypeError("not a page")
    created = [_created_at(message) for message in messages]
    here = [
        _sighting(message, at)
        for message, at in zip(messages, created, strict=True)
        if sought.since <= at <= sought.until and _is_like(message, sought)
    ]
    if next_uri is None or (created and max(created) < sought.since - TOO_OLD):
        return here, None
    # Only the query of it is followed: credentials go to no other place than the list's own.
    return here, _with_query(url, next_uri.partition("?")[2])


def _with_query(url: httpx.URL, query: str) -> httpx.URL:
    return httpx.URL(f"{url}?{query}")


def _is_like(message: Mapping[str, object], sought: Sought) -> bool:
    return (
        message["to"] == sought.to
        and message["from"] in (sought.sender, None)
        and message["body"] == sought.body
        and message["direction"] == "outbound-api"
    )


def _sighting(message: Mapping[str, object], created_at: datetime) -> Sighting:
    sid, status, code = message["sid"], message["status"], message["error_code"]
    if not isinstance(sid, str) or not SID.fullmatch(sid) or not isinstance(status, str):
        raise TypeError("not a message")
    rank, named = RANKS.get(status, _RANK_TAKEN), None if code is None else str(code)
    return Sighting(sid, created_at, status, rank, named, cap_zone=cap_zone_of(rank, named))


def _created_at(message: Mapping[str, object]) -> datetime:
    found = parsedate_to_datetime(str(message["date_created"]))
    if found.tzinfo is None:
        raise ValueError("no time zone")
    return found
