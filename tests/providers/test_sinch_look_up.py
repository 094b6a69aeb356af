"""Sinch's list as it is read: whose a batch is, how far it got, pages, and what fails."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.ids import reference
from notifyq.domain.provider import LookUpFailed, Seen, Sighting, Sought
from notifyq.providers.sinch import look_up as look_up_module
from notifyq.providers.sinch.look_up import PAGE_SIZE, PAGES_MAX, REPORTS_MAX
from notifyq.providers.wire import Answer, Lost, NeverLeft
from tests.providers.test_sinch import (
    BATCH,
    NOW,
    PLAN,
    REFERENCE,
    URL,
    Result,
    Script,
    answer,
    error,
    sinch,
)

SOUGHT = Sought("+14155550100", "+15005550006", "b", REFERENCE, NOW, NOW + timedelta(minutes=2))
AT = NOW + timedelta(seconds=3)
LISTED = Sighting(BATCH, AT, "Listed", 1, None, REFERENCE)
BATCHES = f"{URL}/xms/v1/{PLAN}/batches"


def batch(**changes: object) -> dict[str, object]:
    """A batch as Sinch lists it; what a look-up does not read is left out."""
    return {
        "id": BATCH,
        "to": ["14155550100"],
        "client_reference": REFERENCE,
        "created_at": "2026-11-23T12:00:03.000Z",
        "canceled": False,
        **changes,
    }


def page(*batches: object, count: int | None = None) -> Answer:
    whole = len(batches) if count is None else count
    return answer(200, {"count": whole, "page": 0, "page_size": 0, "batches": list(batches)})


def report(*statuses: object, batch_id: object = BATCH) -> Answer:
    body = {"type": "delivery_report_sms", "batch_id": batch_id, "statuses": list(statuses)}
    return answer(200, body)


def status(word: str, code: object = 0, *recipients: str) -> dict[str, object]:
    named = list(recipients or ("14155550100",))
    return {"code": code, "status": word, "count": len(named), "recipients": named}


NO_REPORT = answer(404, b"")


async def look(*results: Result) -> Seen | LookUpFailed:
    return await sinch(Script(*results)).look_up(SOUGHT, timeout_s=5)


async def test_the_request_is_the_list_by_our_reference_from_when_it_can_have_been_made() -> None:
    wire = Script(page())
    assert await sinch(wire, URL + "/").look_up(SOUGHT, timeout_s=5) == Seen(())
    (request,) = wire.requests
    query = f"client_reference={REFERENCE}&start_date=2026-11-23T12%3A00%3A00.000Z"
    assert request.method == "GET"
    assert str(request.url) == f"{BATCHES}?{query}&page=0&page_size=100"
    assert request.headers["authorization"] == "Bearer api-token"
    assert request.read() == b""


async def test_a_batch_with_our_reference_is_seen_with_what_its_report_says() -> None:
    wire = Script(page(batch()), report(status("Delivered")))
    delivered = Sighting(BATCH, AT, "Delivered", 5, None, REFERENCE)
    assert await sinch(wire).look_up(SOUGHT, timeout_s=5) == Seen((delivered,))
    assert str(wire.requests[1].url) == f"{BATCHES}/{BATCH}/delivery_report?type=full"


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        ([status("Queued", 400)], ("Queued", 1, "400")),
        ([status("Dispatched", 401)], ("Dispatched", 3, "401")),
        ([status("Aborted", 412)], ("Aborted", 4, "412")),
        ([status("Failed", "158")], ("Failed", 4, "158")),
        ([status("DELIVERED", "0")], ("DELIVERED", 5, None)),
        ([status("Unknown")], ("Unknown", 3, None)),
        ([status("Queued", 400), status("Failed", 1), status("Dispatched")], ("Failed", 4, "1")),
        ([], ("Listed", 1, None)),
        ([status("New word", 1)], ("Listed", 1, None)),
        ([status("Delivered", 0, "14155550101")], ("Listed", 1, None)),
        ([{"status": "Delivered", "code": 0}], ("Listed", 1, None)),
        ([None, 1, "x", {}, {"status": 1}], ("Listed", 1, None)),
    ],
)
async def test_how_far_it_got_is_what_the_report_says_of_the_recipient(
    statuses: list[object], found: tuple[str, int, str | None]
) -> None:
    seen = await look(page(batch()), report(*statuses))
    assert isinstance(seen, Seen)
    (message,) = seen.messages
    assert (message.status, message.rank, message.code) == found


@pytest.mark.parametrize(
    "result",
    [
        NO_REPORT,
        answer(503, b"<html>"),
        answer(200, b"<html>"),
        answer(200, {"batch_id": BATCH, "statuses": {}}),
        report(status("Delivered"), batch_id="another"),
        Lost("closed"),
        NeverLeft("econnrefused"),
    ],
)
async def test_a_batch_without_a_report_was_taken_all_the_same(result: Result) -> None:
    assert await look(page(batch()), result) == Seen((LISTED,))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"to": ["+14155550100"]}, True),
        ({"canceled": True}, True),  # by hand, and some of it may have arrived
        ({"created_at": "2026-11-20T12:00:03.000Z"}, True),  # the reference says whose it is
        ({"client_reference": None}, False),
        ({"client_reference": REFERENCE.upper()}, False),
        ({"client_reference": REFERENCE + " "}, False),
        ({"client_reference": reference(0, UUID(int=7), 2)}, False),
        ({"to": ["14155550101"]}, False),
        ({"to": ["14155550100", "14155550101"]}, False),
        ({"to": ["0014155550100"]}, False),
        ({"to": []}, False),
    ],
)
async def test_reference_and_recipient_have_to_be_exactly_ours(
    change: dict[str, object], counts: bool
) -> None:
    seen = await look(page(batch(**change)), NO_REPORT)
    assert isinstance(seen, Seen)
    assert [message.provider_id for message in seen.messages] == ([BATCH] if counts else [])


async def test_all_pages_are_read_and_a_batch_that_moved_on_counts_once() -> None:
    others = [batch(id=f"o{n}", client_reference="another") for n in range(PAGE_SIZE - 1)]
    wire = Script(
        page(*others, batch(), count=PAGE_SIZE + 2), page(batch(), batch(id="two")), NO_REPORT
    )
    seen = await sinch(wire).look_up(SOUGHT, timeout_s=5)
    assert isinstance(seen, Seen)
    assert [message.provider_id for message in seen.messages] == [BATCH, "two"]
    pages = [request.url.params["page"] for request in wire.requests[:2]]
    assert (pages, len(wire.requests)) == (["0", "1"], 4)


async def test_a_list_that_does_not_look_at_references_tells_nothing() -> None:
    others = [batch(client_reference="another")] * PAGE_SIZE
    wire = Script(page(*others, count=1_000_000))
    assert await sinch(wire).look_up(SOUGHT, timeout_s=5) == LookUpFailed("too_many")
    assert len(wire.requests) == PAGES_MAX


async def test_reports_are_asked_for_a_few_batches_only() -> None:
    wire = Script(page(*[batch(id=f"b{n}") for n in range(5)]), NO_REPORT)
    seen = await sinch(wire).look_up(SOUGHT, timeout_s=5)
    assert isinstance(seen, Seen)
    assert (len(seen.messages), len(wire.requests)) == (5, 1 + REPORTS_MAX)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (Lost("closed"), "closed"),
        (NeverLeft("econnrefused"), "econnrefused"),
        (answer(401, b""), "http_401"),
        (error(403, "blocked_account"), "blocked_account"),
        (error(429, "too_many"), "too_many"),
        (error(500, "internal_error"), "internal_error"),
        (answer(503, b"<html>"), "http_503"),
        (answer(302, b""), "http_302"),
        (answer(200, b"<html>"), "unreadable"),
        (answer(200, {}), "unreadable"),
        (answer(200, {"batches": []}), "unreadable"),
        (answer(200, {"count": "0", "batches": []}), "unreadable"),
        (answer(200, {"count": 1, "batches": {}}), "unreadable"),
        (answer(200, {"count": 1, "batches": None}), "unreadable"),
        (page("no batch"), "unreadable"),
        (page(None), "unreadable"),
        (page({}), "unreadable"),
        (page(batch(to="14155550100")), "unreadable"),
        (page(batch(id=None)), "unreadable"),
        (page(batch(id="a/../b")), "unreadable"),
        (page(batch(created_at=None)), "unreadable"),
        (page(batch(created_at="yesterday")), "unreadable"),
    ],
)
async def test_what_is_no_whole_list_tells_nothing(result: Any, code: str) -> None:
    assert await look(result) == LookUpFailed(code)


async def test_an_empty_list_may_come_without_its_batches() -> None:
    assert await look(answer(200, {"count": 0, "page": 0, "page_size": 0})) == Seen(())


async def test_a_failure_on_a_later_page_tells_nothing_either() -> None:
    first = page(batch(), *[batch(client_reference="x")] * (PAGE_SIZE - 1), count=PAGE_SIZE + 1)
    assert await look(first, Lost("timeout")) == LookUpFailed("timeout")


async def test_all_pages_share_one_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 5.0])
    monkeypatch.setattr(look_up_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    first = page(*[batch(client_reference="x")] * PAGE_SIZE, count=PAGE_SIZE + 1)
    assert await look(first, page()) == LookUpFailed("timeout")


async def test_time_that_is_up_costs_the_report_and_not_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter([0.0, 1.0, 5.0])
    monkeypatch.setattr(look_up_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert await look(page(batch()), report(status("Delivered"))) == Seen((LISTED,))
