"""The sandbox is as strict as SendGrid and signs as it does; our client gets on with it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest
from sendgrid.helpers.eventwebhook import EventWebhook  # type: ignore[import-untyped]

from notifyq.domain.content import EmailContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.model import Bounce, Receipt
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    Outcome,
    Refusal,
    Refused,
    Throttled,
)
from notifyq.domain.provider import Callback, LookUpFailed, Reading, Reported, Seen, Sought
from notifyq.providers.sendgrid.client import SendGrid as Client
from notifyq.providers.wire import Wire
from notifyq.sandbox.app import start
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import KINDS
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.sendgrid import rules
from notifyq.sandbox.sendgrid.events import PUBLIC_KEY
from notifyq.sandbox.sendgrid.rules import API_KEY, SENDER, TO, Account, judge
from notifyq.sandbox.sendgrid.vendor import SendGrid, magic_of
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks

SPEC = Path(__file__).parents[3] / "shared" / "specs" / "tsg_mail_v3.json"
REFERENCE = "0123456789abcdefghijklmnopqrstuv"
GOOD: dict[str, Any] = {
    "personalizations": [
        {"to": [{"email": "ann@example.org"}], "custom_args": {"reference": REFERENCE}}
    ],
    "from": {"email": SENDER, "name": "Shop"},
    "subject": "s",
    "content": [{"type": "text/plain", "value": "hello"}],
}


@dataclass
class World:
    """A sandbox with SendGrid alone, and what its callbacks came to."""

    floor: Floor
    base: str = ""
    client: Client | None = None
    posted: list[Callback] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        callback = Callback(str(request.url), headers, await request.read())
        self.posted.append(callback)
        assert self.client is not None
        self.readings.append(await self.client.read_callback(callback))
        async with self.more:
            self.more.notify_all()
        return web.Response(status=200)

    async def receipts(self, count: int) -> list[Receipt]:
        def found() -> list[Receipt]:
            believed = [each for each in self.readings if isinstance(each, Reported)]
            return [receipt for each in believed for receipt in each.receipts]

        async with asyncio.timeout(10), self.more:
            await self.more.wait_for(lambda: len(found()) >= count)
        return found()

    def rows(self) -> list[Any]:
        return self.floor.record.page({}, start=0, limit=100)[0]


@asynccontextmanager
async def serving(routes: list[web.RouteDef], prefix: str = "") -> AsyncIterator[str]:
    app = web.Application()
    for route in routes:
        app.router.add_route(route.method, f"{prefix}{route.path}", route.handler)
    runner = await start(app, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
    await runner.cleanup()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    record, holds, faults, webhooks = Record(), Holds(), Faults(), Webhooks()
    teller = Teller(record, delay_s=0.01)
    made = World(Floor(record, faults, holds, teller, webhooks))
    vendor = SendGrid(made.floor.counter("sendgrid", magic_of), teller, webhooks)
    async with (
        serving(vendor.routes(), "/sendgrid") as base,
        serving([web.post("/callbacks", made.read)]) as inbox,
    ):
        made.base = base
        made.client = our_client(base)
        webhooks.set("sendgrid", f"{inbox}/callbacks")
        yield made
        await teller.close()
        await made.client.close()


def our_client(base: str, **changes: Any) -> Client:
    settings: dict[str, Any] = {
        "name": "mail",
        "base_url": base,
        "api_key": API_KEY,
        "webhook_public_key": PUBLIC_KEY,
        "email_activity": True,
        "now": lambda: datetime.now(UTC),
    }
    return Client(wire=Wire(max_in_flight=4), **{**settings, **changes})


def message(to: str = "ann@example.org") -> Message:
    return Message(
        reference=REFERENCE,
        collapse_id="c",
        to=to,
        sender=Sender(SENDER, "Größe"),
        content=EmailContent("Größe", "hello €", "<p>hello</p>"),
        callback_url="http://127.0.0.1:9/x",
        validity_s=60,
        expires_at=datetime.now(UTC) + timedelta(minutes=1),
    )


async def send(world: World, to: str = "ann@example.org") -> Outcome:
    assert world.client is not None
    return await world.client.send(message(to), timeout_s=5)


# ----------------------------------------------------------------------------- our client


async def test_a_mail_of_ours_is_accepted_told_of_and_believed(world: World) -> None:
    outcome = await send(world)
    assert isinstance(outcome, Accepted)
    (row,) = world.rows()
    assert (row.vendor, row.to, row.reference, row.body, row.provider_id) == (
        "sendgrid",
        "ann@example.org",
        REFERENCE,
        "hello €",
        outcome.provider_id,
    )
    found = await world.receipts(2)
    assert [(each.status, each.rank) for each in found] == [("processed", 1), ("delivered", 5)]
    assert {each.reference for each in found} == {REFERENCE}
    assert {each.provider_id for each in found} == {outcome.provider_id}


async def test_sendgrids_own_validator_believes_the_events(world: World) -> None:
    await send(world)
    await world.receipts(2)
    oracle = EventWebhook(PUBLIC_KEY)
    for callback in world.posted:
        signature = callback.headers["x-twilio-email-event-webhook-signature"]
        timestamp = callback.headers["x-twilio-email-event-webhook-timestamp"]
        assert oracle.verify_signature(callback.body.decode(), signature, timestamp)
        assert not oracle.verify_signature(callback.body.decode() + " ", signature, timestamp)


CONTENT, ADDRESS = Refusal.CONTENT, Refusal.ADDRESS
OUTCOMES: dict[str, tuple[Outcome | type[Outcome], int]] = {
    "dead": (Refused(ADDRESS, f"http_400.{TO}"), 0),
    "opted-out": (Accepted, 1),
    "wrong-kind": (Refused(ADDRESS, f"http_400.{TO}"), 0),
    "throttled": (Throttled, 0),
    "error": (InDoubt("http_500"), 0),
    "lost": (InDoubt("closed"), 1),
    "undelivered": (Accepted, 1),
    "silent": (Accepted, 1),
    "slow": (Accepted, 1),
    "content": (Refused(CONTENT, "http_400.content"), 0),
    "config": (Misconfigured("http_403.from"), 0),
    "dropped": (InDoubt("closed"), 0),
}


@pytest.mark.parametrize("kind", OUTCOMES)
async def test_a_send_ends_as_its_recipient_says(world: World, kind: str) -> None:
    expected, count = OUTCOMES[kind]
    found = await send(world, f"{kind}+x@example.org")
    assert found == expected or type(found) is expected
    assert [row.reference for row in world.rows()] == [REFERENCE] * count


def test_every_kind_of_recipient_is_tried() -> None:
    assert OUTCOMES.keys() == KINDS.keys() == rules.MAGIC.keys()


async def test_a_rate_limit_says_when_it_is_over(world: World) -> None:
    world.floor.faults.add({"vendor": "sendgrid", "fault": "throttle", "retry_after_s": 60})
    found = await send(world)
    assert isinstance(found, Throttled)
    assert found.retry_after_s is not None
    assert 50 < found.retry_after_s <= 60


@pytest.mark.parametrize(
    ("code", "statuses", "bounce"),
    [
        (None, ["processed", "bounce"], Bounce.DEAD),
        ("blocked", ["processed", "blocked"], Bounce.SOFT),
        ("Bounced-Address", ["processed", "dropped"], Bounce.DEAD),
        ("Unsubscribed-Address", ["processed", "dropped"], Bounce.OPTED_OUT),
        ("Spam-Content", ["processed", "dropped"], Bounce.CONTENT),
        ("spamreport", ["processed", "delivered", "spamreport"], Bounce.OPTED_OUT),
        ("unsubscribe", ["processed", "delivered", "unsubscribe"], Bounce.OPTED_OUT),
    ],
)
async def test_a_script_says_how_a_mail_ends(
    world: World, code: str | None, statuses: list[str], bounce: Bounce
) -> None:
    told = {} if code is None else {"code": code}
    world.floor.faults.add({"vendor": "sendgrid", "fault": "undelivered", **told})
    await send(world)
    found = await world.receipts(len(statuses))
    assert [receipt.status for receipt in found] == statuses
    assert found[-1].bounce is bounce


FAULTS: dict[str, tuple[dict[str, Any], Outcome, int]] = {
    "refuse": ({"code": "credits", "status": 401}, Misconfigured("credits_exceeded"), 0),
    "error_before_accept": ({"status": 503}, InDoubt("http_503"), 0),
    "error_after_accept": ({"status": 500}, InDoubt("http_500"), 1),
    "redirect_before_accept": ({"status": 307}, InDoubt("http_307"), 0),
    "redirect_after_accept": ({"status": 303}, InDoubt("http_303"), 1),
    "html_before_accept": ({"status": 502}, InDoubt("http_502"), 0),
    "html_after_accept": ({"status": 202}, InDoubt("http_202"), 1),
    "malformed": ({}, InDoubt("http_202"), 1),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_an_answer_is_misread(world: World, fault: str) -> None:
    numbers, expected, count = FAULTS[fault]
    world.floor.faults.add({"vendor": "sendgrid", "fault": fault, **numbers})
    assert await send(world) == expected
    assert len(world.rows()) == count


async def test_our_check_passes_and_names_what_is_missing(world: World) -> None:
    assert world.client is not None
    checks = await world.client.check(timeout_s=5)
    assert [check.name for check in checks if not check.ok] == []
    assert checks[-1].name == "events"
    stranger = our_client(world.base, api_key="SG.other")
    last = (await stranger.check(timeout_s=5))[-1]
    await stranger.close()
    assert (last.name, last.ok) == ("credentials", False)


# --------------------------------------------------------------------------------- look-up


def sought(reference: str = REFERENCE) -> Sought:
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    return Sought("ann@example.org", SENDER, "hello €", reference, now - minute, now + minute)


async def test_a_lost_answer_is_found_by_its_reference(world: World) -> None:
    assert world.client is not None
    world.floor.faults.add({"vendor": "sendgrid", "fault": "drop_after_accept"})
    assert await send(world) == InDoubt("closed")
    await world.receipts(2)
    found = await world.client.look_up(sought(), timeout_s=5)
    assert isinstance(found, Seen)
    (sighting,) = found.messages
    assert (sighting.provider_id, sighting.reference, sighting.rank) == (
        world.rows()[0].provider_id,
        REFERENCE,
        5,
    )
    assert await world.client.look_up(sought("another"), timeout_s=5) == Seen(())


async def test_a_list_that_lags_shows_nothing_yet(world: World) -> None:
    assert world.client is not None
    world.floor.faults.add({"vendor": "sendgrid", "fault": "lookup_lag", "lag_s": 60})
    assert isinstance(await send(world), Accepted)
    assert await world.client.look_up(sought(), timeout_s=5) == Seen(())


@pytest.mark.parametrize(
    ("fault", "code"),
    [("lookup_error", "http_500"), ("lookup_throttle", "http_429"), ("lookup_drop", "closed")],
)
async def test_a_list_that_fails_teaches_nothing(world: World, fault: str, code: str) -> None:
    assert world.client is not None
    world.floor.faults.add({"vendor": "sendgrid", "fault": fault})
    assert await world.client.look_up(sought(), timeout_s=5) == LookUpFailed(code)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"query": 'to_email="ann@example.org"'},
        {"query": "unique_args['reference']=\"x\"", "limit": "0"},
        {"query": "unique_args['reference']=\"x\"", "limit": "1001"},
        {"query": "unique_args['reference']=\"x\"", "limit": "x"},
        {"query": "unique_args['reference']=\"x\"", "page": "1"},
    ],
)
async def test_a_query_that_is_not_understood_is_refused(
    world: World, query: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        assert (await http.get(f"{world.base}/v3/messages", params=query)).status_code == 400
        assert (await http.get(f"{world.base}/v3/messages/x")).status_code == 404


# ------------------------------------------------------------------------------ strictness


def changed(path: str, value: object) -> dict[str, Any]:
    """GOOD with one member, by its dotted path, set to something else; None takes it out."""
    body: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    here: Any = body
    for parent in parents:
        here = here[parent]
    here[last] = value
    if value is None:
        del here[last]
    return body


ONE = "personalizations.0"
PLAIN, HTML = GOOD["content"][0], {"type": "text/html", "value": "<p>"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ([], 400, None),
        (changed("from", None), 400, "from"),
        (changed("from", "x"), 400, "from"),
        (changed("from.email", None), 400, "from.email"),
        (changed("from.email", "notifyq"), 400, "from.email"),
        (changed("from.email", "eve@example.com"), 403, "from"),
        (changed("from.name", 7), 400, "from.name"),
        (changed("subject", None), 400, "subject"),
        (changed("subject", ""), 400, "subject"),
        (changed("subject", "a\nb"), 400, "subject"),
        (changed("subject", "x" * 999), 400, "subject"),
        (changed("content", []), 400, "content"),
        (changed("content", [{"type": "text/plain"}]), 400, "content.0.value"),
        (changed("content", [{"type": "text/plain", "value": ""}]), 400, "content.0.value"),
        (changed("content", [HTML, PLAIN]), 400, "content"),
        (changed("content", [PLAIN, PLAIN]), 400, "content"),
        (changed("content", [{"type": "text/x", "value": "x"}]), 400, "content"),
        (changed("personalizations", []), 400, "personalizations"),
        (changed("personalizations", GOOD["personalizations"] * 2), 400, "personalizations"),
        (changed(f"{ONE}.to", []), 400, f"{ONE}.to"),
        (changed(f"{ONE}.to", [{"email": "a@b.org"}] * 2), 400, f"{ONE}.to"),
        (changed(f"{ONE}.to.0.email", "ann"), 400, TO),
        (changed(f"{ONE}.to.0.email", "größe@example.org"), 400, TO),
        (changed(f"{ONE}.to.0.mail", "x"), 400, f"{ONE}.to.0.mail"),
        (changed(f"{ONE}.custom_args", []), 400, f"{ONE}.custom_args"),
        (changed(f"{ONE}.custom_args.reference", 7), 400, f"{ONE}.custom_args"),
        (changed(f"{ONE}.custom_args.reference", "x" * 10_000), 400, f"{ONE}.custom_args"),
        (changed(f"{ONE}.unique_args", {}), 400, f"{ONE}.unique_args"),
        (changed("custom_args", {}), 400, "custom_args"),
    ],
)
def test_what_sendgrid_would_not_take_is_refused(
    body: object, status: int, field: str | None
) -> None:
    found = judge(body, Account())
    assert isinstance(found, rules.Refused)
    assert (found.status, found.field) == (status, field)


async def test_what_is_no_json_or_has_no_key_is_refused(world: World) -> None:
    url = f"{world.base}/v3/mail/send"
    good = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False) as http:
        for changes, body, status in (
            ({}, b"{", 400),
            ({}, b"[" * 100_000, 400),
            ({"Content-Type": "text/plain"}, json.dumps(GOOD).encode(), 415),
            ({"Authorization": "Bearer SG.x"}, json.dumps(GOOD).encode(), 401),
            ({"Authorization": API_KEY}, json.dumps(GOOD).encode(), 401),
            ({"Authorization": ""}, json.dumps(GOOD).encode(), 401),
        ):
            answer = await http.post(url, content=body, headers={**good, **changes})
            assert answer.status_code == status
            assert list(answer.json()["errors"][0]) == ["message", "field", "help"]
        for path in ("scopes", "messages", "messages/x", "user/webhooks/event/settings/all"):
            assert (await http.get(f"{world.base}/v3/{path}")).status_code == 401
        answer = await http.post(url, json=GOOD, headers=good)
        assert (answer.status_code, answer.content) == (202, b"")
    assert len(world.rows()) == 1


@pytest.mark.skipif(not SPEC.exists(), reason="no ../shared/specs")
def test_what_sendgrids_own_document_refuses_is_not_taken_here() -> None:
    document = OpenAPI.from_dict(json.loads(SPEC.read_bytes()))

    def is_valid(body: object) -> bool:
        asked = MockRequest(
            "https://api.sendgrid.com",
            "post",
            "/v3/mail/send",
            data=json.dumps(body).encode(),
            content_type="application/json",
            headers={"Authorization": "Bearer x"},
        )
        try:
            document.validate_request(asked)
        except OpenAPIError:
            return False
        return True

    assert is_valid(GOOD)
    broken = [
        changed("from.email", None),
        changed("subject", ""),
        changed("content", [{"type": "text/plain", "value": ""}]),
        changed(f"{ONE}.to.0.email", None),
        changed("personalizations", None),
    ]
    for body in broken:
        assert not is_valid(body), body
        assert isinstance(judge(body, Account()), rules.Refused), body
