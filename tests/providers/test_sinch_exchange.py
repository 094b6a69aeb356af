"""Real exchanges on loopback: the client and the sandbox, which was written apart from it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from notifyq.domain.content import SmsContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.model import Bounce, Inbound, Receipt
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.provider import Callback, LookUpFailed, Reported, Seen, Sought
from notifyq.providers.sinch.client import Sinch
from notifyq.providers.sinch.token import Credentials, Project, ServicePlan
from notifyq.providers.wire import Wire
from notifyq.sandbox.app import start
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import SUFFIXES
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.sinch import rules, vendor
from notifyq.sandbox.sinch.tokens import Tokens
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks
from tests.providers.test_sinch import BODY, MALFORMED, MESSAGE, REFERENCE

PLAN = ServicePlan(rules.SERVICE_PLAN_ID, rules.API_TOKEN)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Ground:
    """A sandbox, clients of it, and the callbacks that came."""

    url: str
    floor: Floor
    clients: list[Sinch] = field(default_factory=list)
    got: list[Callback] = field(default_factory=list)

    def client(self, credentials: Credentials = PLAN, **more: Any) -> Sinch:
        given = {"callback_secret": rules.CALLBACK_SECRET, "now": now, **more}
        made = Sinch(
            name="sinch",
            base_url=f"{self.url}/sinch",
            credentials=credentials,
            wire=Wire(max_in_flight=2),
            **given,
        )
        self.clients.append(made)
        return made

    def project(self) -> Project:
        auth_url = f"{self.url}/sinch/oauth2/token"
        return Project(rules.PROJECT_ID, rules.KEY_ID, rules.KEY_SECRET, auth_url)

    def message(self, to: str = "+14155550100", **changes: Any) -> Message:
        given = {
            "sender": Sender(rules.SENDER),
            "callback_url": f"{self.url}/inbox?reference={REFERENCE}",
            "expires_at": now() + timedelta(minutes=10),
            **changes,
        }
        return replace(MESSAGE, to=to, **given)

    def sought(self) -> Sought:
        minute = timedelta(minutes=1)
        return Sought("+14155550100", rules.SENDER, BODY, REFERENCE, now() - minute, now() + minute)

    def accepted(self) -> list[tuple[str, str | None]]:
        rows, _ = self.floor.record.page({"vendor": "sinch"}, start=0, limit=100)
        return [(row.body, row.reference) for row in rows]

    def script(self, fault: str, **rest: object) -> None:
        self.floor.faults.add({"vendor": "sinch", "fault": fault, **rest})

    async def told(self, count: int) -> list[Callback]:
        async with asyncio.timeout(10):
            while len(self.got) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return self.got


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    record = Record()
    teller = Teller(record, delay_s=0.01)
    floor = Floor(record, Faults(), Holds(), teller, Webhooks())
    counter = floor.counter(vendor.VENDOR, vendor.magic_of)
    app = web.Application()
    for route in vendor.Sinch(counter, teller, Tokens(lasts_s=61)).routes():
        app.router.add_route(route.method, f"/sinch{route.path}", route.handler)
    runner_url = ""
    got: list[Callback] = []

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got.append(Callback(f"{runner_url}{request.raw_path}", headers, await request.read()))
        return web.Response(status=204)

    app.router.add_post("/inbox", receive)
    runner = await start(app, "127.0.0.1", 0)
    runner_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made = Ground(runner_url, floor, got=got)
    yield made
    for client in made.clients:
        await client.close()
    floor.holds.release()
    await teller.close()
    await runner.cleanup()


# What the client makes of the answer, and how often the sandbox took the message.
MAGIC_OUTCOMES: dict[str, tuple[Outcome | type[Accepted], int]] = {
    "0100": (Accepted, 1),
    "0140": (Refused(Refusal.ADDRESS, MALFORMED), 0),
    "0141": (Accepted, 1),
    "0142": (Accepted, 1),
    "0143": (Throttled("too_many_requests"), 0),
    "0144": (Unavailable("internal_error"), 0),
    "0145": (InDoubt("closed"), 1),
    "0146": (Accepted, 1),
    "0147": (Accepted, 1),
    "0148": (Accepted, 1),
    "0149": (Refused(Refusal.CONTENT, "syntax_constraint_violation"), 0),
    "0150": (Misconfigured("unknown_campaign"), 0),
    "0151": (InDoubt("closed"), 0),
}


@pytest.mark.parametrize("suffix", MAGIC_OUTCOMES)
async def test_a_send_to_the_sandbox_ends_as_its_recipient_says(
    ground: Ground, suffix: str
) -> None:
    expected, count = MAGIC_OUTCOMES[suffix]
    found = await ground.client().send(ground.message(f"+1415555{suffix}"), timeout_s=8)
    assert found == expected or type(found) is expected
    assert ground.accepted() == [(BODY, REFERENCE)] * count


def test_every_magic_recipient_is_sent_to() -> None:
    assert MAGIC_OUTCOMES.keys() == {*SUFFIXES, "0100"}


@pytest.mark.parametrize(
    ("fault", "expected", "count"),
    [
        ({"fault": "error_before_accept", "status": 503}, Unavailable("internal_error"), 0),
        ({"fault": "error_before_accept", "status": 502}, InDoubt("http_502"), 0),
        ({"fault": "error_after_accept", "status": 500}, InDoubt("http_500"), 1),
        ({"fault": "error_after_accept", "status": 503}, InDoubt("http_503"), 1),
        ({"fault": "error_after_accept", "status": 504}, InDoubt("http_504"), 1),
        ({"fault": "html_after_accept", "status": 500}, InDoubt("http_500"), 1),
        ({"fault": "html_after_accept", "status": 503}, InDoubt("http_503"), 1),
        ({"fault": "html_after_accept", "status": 200}, InDoubt("http_200"), 1),
        ({"fault": "redirect_after_accept", "status": 303}, InDoubt("http_303"), 1),
        ({"fault": "malformed"}, InDoubt("http_201"), 1),
        ({"fault": "throttle", "retry_after_s": 9}, Throttled("too_many_requests", 9.0), 0),
        ({"fault": "hold_after_accept", "hold_s": 5}, InDoubt("timeout"), 1),
        ({"fault": "hold_before_accept", "hold_s": 5}, InDoubt("timeout"), 0),
    ],
)
async def test_no_answer_after_an_acceptance_is_definite(
    ground: Ground, fault: dict[str, Any], expected: Outcome, count: int
) -> None:
    ground.script(**fault)
    assert await ground.client().send(ground.message(), timeout_s=1) == expected
    async with asyncio.timeout(5):
        while list(ground.floor.holds):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(ground.accepted()) == count


async def test_a_send_is_told_of_in_callbacks_that_the_client_believes(ground: Ground) -> None:
    client = ground.client()
    accepted = await client.send(ground.message(), timeout_s=5)
    assert isinstance(accepted, Accepted)
    found = [await client.read_callback(what) for what in await ground.told(2)]
    receipts = [one for each in found if isinstance(each, Reported) for one in each.receipts]
    assert [
        (one.reference, one.provider_id, one.status, one.rank, one.code) for one in receipts
    ] == [
        (REFERENCE, accepted.provider_id, "Dispatched", 3, "401"),
        (REFERENCE, accepted.provider_id, "Delivered", 5, None),
    ]
    assert all(
        one.at is not None and abs((now() - one.at).total_seconds()) < 60 for one in receipts
    )


@pytest.mark.parametrize(
    ("suffix", "status", "code", "bounce"),
    [
        ("0141", "Deleted", None, Bounce.DEAD),
        ("0142", "Failed", "302", Bounce.DEAD),
        ("0146", "Failed", "159", Bounce.SOFT),
    ],
)
async def test_a_message_that_does_not_arrive_says_why(
    ground: Ground, suffix: str, status: str, code: str | None, bounce: Bounce
) -> None:
    client = ground.client()
    await client.send(ground.message(f"+1415555{suffix}"), timeout_s=5)
    last = await client.read_callback((await ground.told(2))[-1])
    assert isinstance(last, Reported)
    (receipt,) = last.receipts
    assert isinstance(receipt, Receipt)
    assert (receipt.status, receipt.code, receipt.bounce) == (status, code, bounce)


@pytest.mark.parametrize("text", ["Hi ${name}, ${a.b}", "x" * 161, "я" * 800, "€" * 800, "😀" * 99])
async def test_every_text_arrives_as_it_was_written(ground: Ground, text: str) -> None:
    client = ground.client()
    await client.send(ground.message(content=SmsContent(text)), timeout_s=5)
    last = await client.read_callback((await ground.told(2))[-1])
    assert isinstance(last, Reported)
    assert [one.status for one in last.receipts] == ["Delivered"]
    assert ground.accepted() == [(text, REFERENCE)]


async def test_a_lost_answer_is_found_by_its_reference(ground: Ground) -> None:
    client = ground.client()
    assert await client.look_up(ground.sought(), timeout_s=5) == Seen(())
    ground.script("drop_after_accept")
    assert await client.send(ground.message(), timeout_s=5) == InDoubt("closed")
    other = ground.message(reference="another")
    assert isinstance(await client.send(other, timeout_s=5), Accepted)
    await ground.told(4)
    seen = await client.look_up(ground.sought(), timeout_s=5)
    assert isinstance(seen, Seen)
    (message,) = seen.messages
    rows, _ = ground.floor.record.page({}, start=0, limit=1)
    assert (message.provider_id, message.reference) == (rows[0].provider_id, REFERENCE)
    assert (message.status, message.rank, message.code) == ("Delivered", 5, None)
    assert abs((now() - message.created_at).total_seconds()) < 60


async def test_a_list_that_lags_proves_nothing(ground: Ground) -> None:
    client = ground.client()
    ground.script("lookup_lag", lag_s=0.3)
    await client.send(ground.message(), timeout_s=5)
    assert await client.look_up(ground.sought(), timeout_s=5) == Seen(())
    async with asyncio.timeout(10):
        while await client.look_up(ground.sought(), timeout_s=5) == Seen(()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("lookup_error", "internal_error"),
        ("lookup_throttle", "too_many_requests"),
        ("lookup_drop", "closed"),
    ],
)
async def test_a_list_that_fails_is_a_failed_look_up(ground: Ground, fault: str, code: str) -> None:
    client = ground.client()
    ground.script(fault)
    assert await client.look_up(ground.sought(), timeout_s=5) == LookUpFailed(code)
    assert await client.look_up(ground.sought(), timeout_s=5) == Seen(())


async def test_a_project_sends_with_a_token_of_its_own(ground: Ground) -> None:
    client = ground.client(ground.project())
    for _ in range(2):
        assert isinstance(await client.send(ground.message(), timeout_s=5), Accepted)
    assert [check.ok for check in await client.check(timeout_s=5)] == [True] * 5
    seen = await client.look_up(ground.sought(), timeout_s=5)
    assert isinstance(seen, Seen)
    assert len(seen.messages) == 2


async def test_wrong_credentials_send_nothing_and_are_found_by_the_check(ground: Ground) -> None:
    plan = ground.client(ServicePlan(rules.SERVICE_PLAN_ID, "wrong"))
    assert await plan.send(ground.message(), timeout_s=5) == Misconfigured("http_401")
    assert [check.ok for check in await plan.check(timeout_s=5)] == [True, True, False]
    project = ground.client(replace(ground.project(), key_secret="wrong"))
    assert await project.send(ground.message(), timeout_s=5) == Misconfigured("token_http_401")
    assert [check.ok for check in await project.check(timeout_s=5)] == [False]
    assert [check.ok for check in await ground.client().check(timeout_s=5)] == [True] * 4
    assert ground.accepted() == []


async def test_what_somebody_writes_is_heard(ground: Ground) -> None:
    call = vendor.heard(f"{ground.url}/inbox", sender="+14155550100", to=rules.SENDER, body="STOP")
    await ground.floor.teller.post(call)
    found = await ground.client().read_callback((await ground.told(1))[0])
    assert isinstance(found, Reported)
    (said,) = found.inbound
    assert isinstance(said, Inbound)
    assert (said.sender, said.to, said.body) == ("+14155550100", rules.SENDER, "STOP")


async def test_a_sandbox_that_is_not_there_was_never_reached() -> None:
    client = Sinch(
        name="sinch",
        base_url="http://127.0.0.1:1/sinch",
        credentials=PLAN,
        callback_secret=None,
        wire=Wire(max_in_flight=1),
        now=now,
    )
    assert await client.send(MESSAGE, timeout_s=5) == NotSent("econnrefused")
    await client.close()
