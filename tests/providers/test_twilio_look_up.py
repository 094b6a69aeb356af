"""Twilio's list as it is read: what counts as the message sought, pages, and what fails."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from notifyq.domain.content import SmsContent
from notifyq.domain.provider import LookUpFailed, Provider, Seen, Sighting, Sought
from notifyq.providers.twilio import look_up as look_up_module
from notifyq.providers.twilio.client import Twilio
from notifyq.providers.twilio.look_up import PAGES_MAX
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire
from notifyq.sandbox.app import create_app, start
from notifyq.sandbox.record import Record
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN, SENDER
from tests.providers.test_twilio import BODY, MESSAGE, answer, error, twilio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOUGHT = Sought("+14155550100", SENDER, "Größe & 50 %", "ref", NOON, NOON + timedelta(minutes=2))
SID = "SM" + "0a" * 16
PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


class Pages(Wire):
    """Answers each request with the next of what it was given, and keeps the requests."""

    def __init__(self, *results: Answer | NeverLeft | Lost) -> None:
        super().__init__(max_in_flight=1)
        self.results = list(results)
        self.requests: list[httpx.Request] = []

    async def exchange(
        self, request: httpx.Request, *, timeout_s: float
    ) -> Answer | NeverLeft | Lost:
        self.requests.append(request)
        return self.results.pop(0)


def listed(**changes: object) -> dict[str, object]:
    """A message as Twilio lists it; what a look-up does not read is left out."""
    return {
        "sid": SID,
        "to": SOUGHT.to,
        "from": SOUGHT.sender,
        "body": SOUGHT.body,
        "direction": "outbound-api",
        "date_created": format_datetime(NOON + timedelta(seconds=3)),
        "status": "sent",
        "error_code": None,
        **changes,
    }


def page(*messages: object, following: str | None = None) -> Answer:
    return answer(200, {"messages": list(messages), "next_page_uri": following})


async def look(*results: Answer | NeverLeft | Lost) -> Seen | LookUpFailed:
    return await twilio(Pages(*results)).look_up(SOUGHT, timeout_s=5)


async def names(*messages: object) -> list[str]:
    found = await look(page(*messages))
    assert isinstance(found, Seen), found
    return [each.provider_id for each in found.messages]


async def test_the_request_is_the_list_of_what_went_to_the_number() -> None:
    wire = Pages(page())
    assert await twilio(wire, "https://api.twilio.com/").look_up(SOUGHT, timeout_s=5) == Seen(())
    (request,) = wire.requests
    assert request.method == "GET"
    assert str(request.url) == f"https://api.twilio.com{PATH}?To=%2B14155550100&PageSize=50"
    assert request.headers["authorization"].startswith("Basic ")
    assert request.read() == b""


async def test_a_message_that_is_alike_in_everything_is_seen() -> None:
    at = NOON + timedelta(seconds=3)
    assert await look(page(listed())) == Seen((Sighting(SID, at, "sent", 3, None),))
    failed = listed(status="undelivered", error_code=30003)
    assert await look(page(failed)) == Seen((Sighting(SID, at, "undelivered", 4, "30003"),))


async def test_a_days_cap_is_seen_with_where_its_day_ends() -> None:
    seen = await look(page(listed(status="failed", error_code=30023)))
    assert isinstance(seen, Seen)
    assert [(one.rank, one.cap_zone) for one in seen.messages] == [(4, "America/Los_Angeles")]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"from": None}, True),
        ({"status": "canceled"}, True),  # no word of a callback, but it was taken
        ({"date_created": format_datetime(SOUGHT.since)}, True),
        ({"date_created": format_datetime(SOUGHT.until)}, True),
        ({"date_created": format_datetime(SOUGHT.since - timedelta(seconds=1))}, False),
        ({"date_created": format_datetime(SOUGHT.until + timedelta(seconds=1))}, False),
        ({"to": "+14155550101"}, False),
        ({"from": "+14155550101"}, False),
        ({"from": ""}, False),
        ({"body": SOUGHT.body + " "}, False),
        ({"body": None}, False),
        ({"direction": "inbound"}, False),
        ({"direction": "outbound-reply"}, False),
    ],
)
async def test_each_part_of_a_message_has_to_be_alike(
    change: dict[str, object], counts: bool
) -> None:
    assert await names(listed(**change)) == ([SID] if counts else [])


def a_sid(number: int) -> str:
    return f"SM{number:032x}"


async def test_all_pages_are_read_by_the_lists_own_url() -> None:
    """Whether a message is the only one is known only from the whole list."""
    wire = Pages(
        page(listed(sid=a_sid(1)), following=f"{PATH}?To=%2B14155550100&Page=1&PageToken=PA%2F1"),
        page(listed(sid=a_sid(1)), listed(sid=a_sid(2)), following="https://evil.example/?x=1"),
        page(),
    )
    found = await twilio(wire).look_up(SOUGHT, timeout_s=5)
    assert isinstance(found, Seen)
    # The first has moved on to the second page while it was read: still one message.
    assert [each.provider_id for each in found.messages] == [a_sid(1), a_sid(2)]
    base = f"https://api.twilio.com{PATH}"
    assert [str(request.url) for request in wire.requests[1:]] == [
        f"{base}?To=%2B14155550100&Page=1&PageToken=PA%2F1",
        f"{base}?x=1",
    ]


async def test_reading_ends_with_a_page_that_is_too_old_as_a_whole() -> None:
    old = listed(date_created=format_datetime(NOON - timedelta(hours=1, seconds=1)))
    more = f"{PATH}?Page=1"
    assert await look(page(old, following=more)) == Seen(())
    # A young one among them: the order is not by creation alone.
    found = await look(page(old, listed(body="x"), following=more), page(listed()))
    assert isinstance(found, Seen)
    assert len(found.messages) == 1


async def test_a_list_without_an_end_tells_nothing() -> None:
    pages = [page(listed(), following=f"{PATH}?Page={n}") for n in range(PAGES_MAX + 1)]
    wire = Pages(*pages)
    assert await twilio(wire).look_up(SOUGHT, timeout_s=5) == LookUpFailed("too_many")
    assert len(wire.requests) == PAGES_MAX


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (Lost("closed"), "closed"),
        (NeverLeft("econnrefused"), "econnrefused"),
        (error(401, 20003), "20003"),
        (error(429, 20429), "20429"),
        (error(500, 20500), "20500"),
        (answer(503, b"<html>"), "http_503"),
        (answer(302, b""), "http_302"),
        (answer(200, b"<html>"), "unreadable"),
        (answer(200, {}), "unreadable"),
        (answer(200, {"messages": [], "next_page_uri": 1}), "unreadable"),
        (answer(200, {"messages": {}, "next_page_uri": None}), "unreadable"),
        (page(listed(), following="?\x00"), "unreadable"),
        (page(listed(), following="?\ud800"), "unreadable"),
        (page("no message"), "unreadable"),
        (page(None), "unreadable"),
        (page({}), "unreadable"),
        (page(listed(sid="CA1")), "unreadable"),
        (page(listed(sid=None)), "unreadable"),
        (page(listed(status=None)), "unreadable"),
        (page(listed(date_created=None)), "unreadable"),
        (page(listed(date_created="2026-11-22T12:00:00Z")), "unreadable"),
        (page(listed(date_created="Sun, 22 Nov 2026 12:00:03")), "unreadable"),
    ],
)
async def test_what_is_no_whole_list_tells_nothing(result: Any, code: str) -> None:
    assert await look(result) == LookUpFailed(code)


async def test_a_failure_on_a_later_page_tells_nothing_either() -> None:
    first = page(listed(), following=f"{PATH}?Page=1")
    assert await look(first, Lost("timeout")) == LookUpFailed("timeout")


async def test_all_pages_share_one_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 5.0])
    monkeypatch.setattr(look_up_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    first = page(listed(), following=f"{PATH}?Page=1")
    assert await look(first, page()) == LookUpFailed("timeout")


WEAKER: dict[str, Callable[[dict[str, Any], Sought], bool]] = {
    "body": lambda m, s: m["to"] == s.to and m["from"] in (s.sender, None),
    "sender": lambda m, s: m["to"] == s.to and m["body"] == s.body,
    "direction": lambda m, s: m["body"] == s.body and m["from"] in (s.sender, None),
}


@pytest.mark.parametrize("left_out", [None, *WEAKER])
async def test_a_comparison_that_leaves_a_part_out_takes_another_message(
    monkeypatch: pytest.MonkeyPatch, left_out: str | None
) -> None:
    if left_out is not None:
        monkeypatch.setattr(look_up_module, "_is_like", WEAKER[left_out])
    alike = [
        listed(body="another"),
        listed(**{"from": "+14155550101"}),
        listed(direction="inbound"),
    ]
    assert (await names(*alike) == []) is (left_out is None)


# ------------------------------------------------------------------------- the real sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    runner = await start(create_app(Record(), callback_delay_s=0.01), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def client(sandbox: str) -> AsyncIterator[Twilio]:
    made = twilio(Wire(max_in_flight=2), f"{sandbox}/twilio")
    yield made
    await made.close()


def sought() -> Sought:
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    return Sought(MESSAGE.to, SENDER, BODY, "ref", now - minute, now + minute)


async def test_what_the_sandbox_took_is_seen_and_the_look_up_may_be_repeated(
    client: Provider, sandbox: str
) -> None:
    assert await client.look_up(sought(), timeout_s=5) == Seen(())
    for number in range(60):  # more than a page
        await client.send(replace(MESSAGE, content=SmsContent(f"n{number}")), timeout_s=5)
    await client.send(replace(MESSAGE, to="+14155550145"), timeout_s=5)
    wanted = replace(sought(), body="n0")
    first = await client.look_up(wanted, timeout_s=5)
    assert isinstance(first, Seen)
    (message,) = first.messages
    async with httpx.AsyncClient(base_url=sandbox) as http:
        rows = (await http.get("/sandbox/messages")).json()["data"]
    assert message.provider_id == rows[0]["provider_id"]
    again = await client.look_up(wanted, timeout_s=5)
    assert isinstance(again, Seen)
    assert [m.provider_id for m in again.messages] == [message.provider_id]
    lost = await client.look_up(replace(sought(), to="+14155550145"), timeout_s=5)
    assert isinstance(lost, Seen)
    assert len(lost.messages) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [("lookup_error", "20500"), ("lookup_throttle", "20429"), ("lookup_drop", "closed")],
)
async def test_a_list_that_fails_is_a_failed_look_up(
    client: Provider, sandbox: str, fault: str, code: str
) -> None:
    await client.send(MESSAGE, timeout_s=5)
    async with httpx.AsyncClient(base_url=sandbox) as http:
        await http.post("/sandbox/faults", json={"vendor": "twilio", "fault": fault})
    assert await client.look_up(sought(), timeout_s=5) == LookUpFailed(code)
    found = await client.look_up(sought(), timeout_s=5)
    assert isinstance(found, Seen)
    assert len(found.messages) == 1


async def test_wrong_credentials_are_a_failed_look_up(sandbox: str) -> None:
    stranger = twilio(Wire(max_in_flight=1), f"{sandbox}/twilio", token=AUTH_TOKEN + "x")
    assert await stranger.look_up(sought(), timeout_s=5) == LookUpFailed("20003")
    await stranger.close()
