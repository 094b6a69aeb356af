"""Sinch's list of batches: what became of a doubtful attempt, found by the reference it carried.

Owns the query, the pages and their reading. Every batch with exactly our reference and recipient
counts; how far one got is in its delivery report, and is left open where that cannot be read.
Refuses a half-read list. How soon a batch is listed is not documented: none proves nothing.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode

import httpx

from notifyq.domain.provider import LookUpFailed, Seen, Sighting, Sought
from notifyq.providers.answers import read_object
from notifyq.providers.sinch.answer import ID, name_of
from notifyq.providers.sinch.report import RANKS, read_code, read_time, write_time
from notifyq.providers.wire import Answer, Lost, NeverLeft

PAGE_SIZE = 100  # Sinch's maximum
# A reference is one attempt's, so one batch is expected. More pages than this of them means that
# the list does not look at references at all.
PAGES_MAX = 10
REPORTS_MAX = 3  # of how many batches the status is asked for, each by a request of its own
LISTED = "Listed"  # our own word: it was taken, and no report says more

# Within so many seconds; NeverLeft where none are left.
Get = Callable[[httpx.URL, float], Awaitable[Answer | NeverLeft | Lost]]


async def look_up(
    get: Get, batches: httpx.URL, sought: Sought, *, timeout_s: float
) -> Seen | LookUpFailed:
    """Read the list at `batches` and return those with the reference sought."""
    deadline_s = time.monotonic() + timeout_s
    found: dict[str, Sighting] = {}
    for page in range(PAGES_MAX):
        answer = await get(_page_url(batches, sought, page), deadline_s - time.monotonic())
        if not isinstance(answer, Answer):
            return LookUpFailed(answer.code)
        body = read_object(answer.body)
        if answer.status != 200:
            return LookUpFailed(name_of(body, answer.status))
        try:
            here, is_last = _read_page(body, sought, page)
        except (KeyError, TypeError, ValueError):
            return LookUpFailed("unreadable")
        # A page may repeat what moved on to it from the one before.
        found |= {each.provider_id: each for each in here}
        if is_last:
            return Seen(await _with_reports(get, batches, sought, list(found.values()), deadline_s))
    return LookUpFailed("too_many")


def _page_url(batches: httpx.URL, sought: Sought, page: int) -> httpx.URL:
    query = {
        "client_reference": sought.reference,
        "start_date": write_time(sought.since),  # without one, Sinch lists 24 hours
        "page": page,
        "page_size": PAGE_SIZE,
    }
    return httpx.URL(f"{batches}?{urlencode(query)}")


def _read_page(
    body: Mapping[str, object], sought: Sought, page: int
) -> tuple[list[Sighting], bool]:
    """Return a page's matches, and whether it is the last.

    KeyError, TypeError and ValueError: it is not a page as Sinch documents it.
    """
    count, batches = body["count"], body.get("batches", [])
    if type(count) is not int or not isinstance(batches, list):
        raise TypeError("not a page")
    here = [_sighting(batch) for batch in batches if _is_sought(batch, sought)]
    return here, not batches or (page + 1) * PAGE_SIZE >= count


def _is_sought(batch: Mapping[str, object], sought: Sought) -> bool:
    to = batch["to"]
    if not isinstance(to, list):
        raise TypeError("not a batch")
    alike = [_digits(each) for each in to] == [_digits(sought.to)]
    return alike and batch.get("client_reference") == sought.reference


def _digits(number: object) -> str:
    return str(number).removeprefix("+")  # Sinch lists numbers without it


def _sighting(batch: Mapping[str, object]) -> Sighting:
    named, created_at = batch["id"], read_time(batch["created_at"])
    if not isinstance(named, str) or not ID.fullmatch(named) or created_at is None:
        raise TypeError("not a batch")
    reference = str(batch["client_reference"])
    return Sighting(named, created_at, LISTED, RANKS["queued"], None, reference)


async def _with_reports(
    get: Get, batches: httpx.URL, sought: Sought, found: list[Sighting], deadline_s: float
) -> tuple[Sighting, ...]:
    """Return the sightings with what their delivery reports say, as far as they can be had."""
    told = list(found)
    for place, sighting in enumerate(found[:REPORTS_MAX]):
        url = httpx.URL(f"{batches}/{sighting.provider_id}/delivery_report?type=full")
        answer = await get(url, deadline_s - time.monotonic())
        if isinstance(answer, Answer) and answer.status == 200:
            told[place] = _read_report(read_object(answer.body), sought, sighting)
    return tuple(told)


def _read_report(body: Mapping[str, object], sought: Sought, sighting: Sighting) -> Sighting:
    statuses = body.get("statuses")
    if body.get("batch_id") != sighting.provider_id or not isinstance(statuses, list):
        return sighting
    best = sighting
    for entry in statuses:
        word = entry.get("status") if isinstance(entry, dict) else None
        if not isinstance(word, str) or not _is_about(entry.get("recipients"), sought):
            continue
        rank, code = RANKS.get(word.lower(), 0), read_code(entry.get("code"))
        if rank > best.rank or (rank == best.rank and best.status == LISTED):
            named = None if code is None else str(code)
            best = replace(best, status=word, rank=rank, code=named)
    return best


def _is_about(recipients: object, sought: Sought) -> bool:
    return isinstance(recipients, list) and _digits(sought.to) in map(_digits, recipients)
