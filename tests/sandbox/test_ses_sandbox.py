"""The sandbox is as strict as SES and signs as SNS does; our client and AWS' own get on with it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session  # type: ignore[import-untyped]
import httpx
import pytest
from aiohttp import web
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

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
from notifyq.domain.provider import Callback, Reading, Reported
from notifyq.providers.ses.client import Ses as Client
from notifyq.providers.wire import Wire
from notifyq.sandbox.app import start
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import KINDS
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.ses import rules
from notifyq.sandbox.ses.rules import (
    ACCESS_KEY_ID,
    CONFIGURATION_SET,
    REGION,
    SECRET_ACCESS_KEY,
    SENDER,
    TOPIC,
    Account,
    judge,
)
from notifyq.sandbox.ses.signature import Signed, authenticate, sign
from notifyq.sandbox.ses.vendor import Ses, magic_of
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks

REFERENCE = "0123456789abcdefghijklmnopqrstuv"
GOOD: dict[str, Any] = {
    "FromEmailAddress": f"Shop <{SENDER}>",
    "Destination": {"ToAddresses": ["ann@example.org"]},
    "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "hello"}}}},
    "EmailTags": [{"Name": "reference", "Value": REFERENCE}],
    "ConfigurationSetName": CONFIGURATION_SET,
}


@dataclass
class World:
    """A sandbox with SES alone, and what its callbacks came to."""

    floor: Floor
    base: str = ""
    client: Client | None = None
    posted: list[dict[str, Any]] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def origin(self) -> str:
        return self.base.removesuffix("/ses")

    async def read(self, request: web.Request) -> web.Response:
        """Do as the API does: 2xx only for what is reported."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        callback = Callback(str(request.url), headers, await request.read())
        self.posted.append(json.loads(callback.body))
        assert self.client is not None
        reading = await self.client.read_callback(callback)
        self.readings.append(reading)
        async with self.more:
            self.more.notify_all()
        return web.Response(status=200 if isinstance(reading, Reported) else 503)

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
    vendor = Ses(made.floor.counter("ses", magic_of), teller, webhooks)
    async with (
        serving(vendor.routes(), "/ses") as base,
        serving([web.post("/callbacks", made.read)]) as inbox,
    ):
        made.base = base
        made.client = our_client(base)
        webhooks.set("ses", f"{inbox}/callbacks")
        yield made
        await teller.close()
        await made.client.close()


def our_client(base: str, **changes: Any) -> Client:
    settings: dict[str, Any] = {
        "name": "mail",
        "base_url": base,
        "region": REGION,
        "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRET_ACCESS_KEY,
        "configuration_set": CONFIGURATION_SET,
        "topics": frozenset({TOPIC}),
        "certificate_urls": frozenset({base.removesuffix("/ses")}),
        "now": lambda: datetime.now(UTC),
    }
    return Client(wire=Wire(max_in_flight=4), **{**settings, **changes})


def message(to: str = "ann@example.org") -> Message:
    return Message(
        reference=REFERENCE,
        collapse_id="c",
        to=to,
        sender=Sender(SENDER, 'Größe, "Shop"'),
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
        "ses",
        "ann@example.org",
        REFERENCE,
        "hello €",
        outcome.provider_id,
    )
    sent, delivered = await world.receipts(2)
    assert (sent.status, sent.rank, delivered.status, delivered.rank) == ("Send", 1, "Delivery", 5)
    assert {sent.reference, delivered.reference} == {REFERENCE}
    assert {sent.provider_id, delivered.provider_id} == {outcome.provider_id}
    assert world.floor.record.status_of(outcome.provider_id).word == "Delivery"
    kinds = [envelope["Type"] for envelope in world.posted]
    assert kinds == ["SubscriptionConfirmation", "Notification", "Notification"]


async def test_a_subscription_is_asked_for_once(world: World) -> None:
    await asyncio.gather(*(send(world) for _ in range(3)))
    await world.receipts(6)
    kinds = [envelope["Type"] for envelope in world.posted]
    assert kinds.count("SubscriptionConfirmation") == 1


async def test_who_does_not_confirm_is_told_nothing_until_it_does(world: World) -> None:
    good, world.client = world.client, our_client(world.base, topics=frozenset())
    first = await send(world)
    assert isinstance(first, Accepted)
    async with asyncio.timeout(5):
        while world.floor.record.status_of(first.provider_id).word != "Delivery":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [envelope["Type"] for envelope in world.posted] == ["SubscriptionConfirmation"]
    await world.client.close()
    world.client = good
    second = await send(world)
    assert isinstance(second, Accepted)
    assert {r.provider_id for r in await world.receipts(2)} == {second.provider_id}


CONTENT = Refusal.CONTENT
OUTCOMES: dict[str, tuple[Outcome | type[Accepted], int]] = {
    "dead": (Accepted, 1),
    "opted-out": (Accepted, 1),
    "wrong-kind": (Refused(CONTENT, "BadRequestException"), 0),
    "throttled": (Throttled("sending_rate_exceeded"), 0),
    "error": (InDoubt("InternalFailure"), 0),
    "lost": (InDoubt("closed"), 1),
    "undelivered": (Accepted, 1),
    "silent": (Accepted, 1),
    "slow": (Accepted, 1),
    "content": (Refused(CONTENT, "MessageRejected"), 0),
    "config": (Misconfigured("MailFromDomainNotVerifiedException"), 0),
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


@pytest.mark.parametrize(
    ("kind", "status", "bounce"),
    [
        ("dead", "Bounce.Permanent", Bounce.DEAD),
        ("undelivered", "Bounce.Transient", Bounce.SOFT),
        ("opted-out", "Complaint.OnAccountSuppressionList", Bounce.OPTED_OUT),
    ],
)
async def test_an_accepted_mail_ends_badly_as_its_recipient_says(
    world: World, kind: str, status: str, bounce: Bounce
) -> None:
    await send(world, f"{kind}@example.org")
    _, last = await world.receipts(2)
    assert (last.status, last.rank, last.bounce) == (status, 4, bounce)


@pytest.mark.parametrize(
    ("code", "statuses", "bounce"),
    [
        (None, ["Send", "Bounce.Permanent"], Bounce.DEAD),
        ("Transient/ContentRejected", ["Send", "Bounce.Transient"], Bounce.CONTENT),
        ("Reject", ["Send", "Reject"], Bounce.CONTENT),
        ("Complaint", ["Send", "Delivery", "Complaint"], Bounce.OPTED_OUT),
    ],
)
async def test_a_script_says_how_a_mail_ends(
    world: World, code: str | None, statuses: list[str], bounce: Bounce
) -> None:
    told = {} if code is None else {"code": code}
    world.floor.faults.add({"vendor": "ses", "fault": "undelivered", **told})
    await send(world)
    found = await world.receipts(len(statuses))
    assert [receipt.status for receipt in found] == statuses
    assert found[-1].bounce is bounce


FAULTS: dict[str, tuple[dict[str, Any], Outcome, int]] = {
    "refuse": (
        {"code": "AccountSuspendedException"},
        Misconfigured("AccountSuspendedException"),
        0,
    ),
    "throttle": ({}, Throttled("sending_rate_exceeded"), 0),
    "error_before_accept": ({"status": 503}, InDoubt("ServiceUnavailable"), 0),
    "error_after_accept": ({"status": 500}, InDoubt("InternalFailure"), 1),
    "redirect_before_accept": ({"status": 307}, InDoubt("http_307"), 0),
    "redirect_after_accept": ({"status": 303}, InDoubt("http_303"), 1),
    "html_before_accept": ({"status": 502}, InDoubt("http_502"), 0),
    "html_after_accept": ({"status": 200}, InDoubt("http_200"), 1),
    "malformed": ({}, InDoubt("http_200"), 1),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_an_answer_is_misread(world: World, fault: str) -> None:
    numbers, expected, count = FAULTS[fault]
    world.floor.faults.add({"vendor": "ses", "fault": fault, **numbers})
    assert await send(world) == expected
    assert len(world.rows()) == count


async def test_our_check_passes_and_names_what_is_missing(world: World) -> None:
    assert world.client is not None
    checks = await world.client.check(timeout_s=5)
    assert [check.name for check in checks if not check.ok] == []
    assert checks[-1].name == "events"
    for change, step in (
        ({"secret_access_key": "x"}, "credentials"),
        ({"access_key_id": "x"}, "credentials"),
        ({"region": "eu-west-1"}, "credentials"),
        ({"configuration_set": "other"}, "events"),
        ({"topics": frozenset()}, "events"),
    ):
        client = our_client(world.base, **change)
        last = (await client.check(timeout_s=5))[-1]
        await client.close()
        assert (last.name, last.ok) == (step, False)


# ------------------------------------------------------------------------------ AWS' client


def awss_client(base: str, secret: str = SECRET_ACCESS_KEY) -> Any:
    return botocore.session.Session().create_client(
        "sesv2",
        region_name=REGION,
        endpoint_url=base,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


async def test_awss_own_client_is_understood_and_understands(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    client = await asyncio.to_thread(awss_client, world.base)
    found = await asyncio.to_thread(client.send_email, **GOOD)
    assert found["MessageId"] == world.rows()[0].provider_id
    account = await asyncio.to_thread(client.get_account)
    assert account["SendQuota"]["SentLast24Hours"] == 1.0
    name = {"ConfigurationSetName": CONFIGURATION_SET}
    told = await asyncio.to_thread(client.get_configuration_set_event_destinations, **name)
    assert told["EventDestinations"][0]["SnsDestination"]["TopicArn"] == TOPIC
    refused = {**GOOD, "FromEmailAddress": "eve@example.com"}
    with pytest.raises(ClientError, match="Email address is not verified") as error:
        await asyncio.to_thread(client.send_email, **refused)
    assert error.value.response["Error"]["Code"] == "MessageRejected"
    client.close()
    stranger = await asyncio.to_thread(awss_client, world.base, "another")
    with pytest.raises(ClientError) as error:
        await asyncio.to_thread(stranger.get_account)
    assert error.value.response["Error"]["Code"] == "InvalidSignatureException"
    stranger.close()


# --------------------------------------------------------------------------------- strictness


def changed(path: str, value: object) -> dict[str, Any]:
    """GOOD with one member, by its dotted path, set to something else; None takes it out."""
    body: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    here = body
    for parent in parents:
        here = here[parent]
    here[last] = value
    if value is None:
        del here[last]
    return body


SIMPLE = "Content.Simple"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (changed("FromEmailAddress", None), "BadRequestException"),
        (changed("FromEmailAddress", 7), "BadRequestException"),
        (changed("FromEmailAddress", "notifyq"), "BadRequestException"),
        (changed("FromEmailAddress", f"Größe <{SENDER}>"), "BadRequestException"),
        (changed("FromEmailAddress", f"a\r\nBcc: x@y.org <{SENDER}>"), "BadRequestException"),
        (changed("FromEmailAddress", f"<{SENDER}> eve"), "BadRequestException"),
        (changed("FromEmailAddress", "eve@example.com"), "MessageRejected"),
        (changed("Destination", {"ToAddresses": []}), "BadRequestException"),
        (changed("Destination", {"ToAddresses": "a@b.org"}), "BadRequestException"),
        (changed("Destination", {"ToAddresses": ["a@b.org", "c@d.org"]}), "BadRequestException"),
        (changed("Destination", {"ToAddresses": ["größe@b.org"]}), "BadRequestException"),
        (changed("Destination", {"ToAddresses": ["ann"]}), "BadRequestException"),
        (changed("Destination", {"ToAddresses": [7]}), "BadRequestException"),
        (changed("Destination.CcAddresses", ["a@b.org"]), "BadRequestException"),
        (changed("Content", {"Raw": {"Data": "x"}}), "BadRequestException"),
        (changed(f"{SIMPLE}.Subject", None), "BadRequestException"),
        (changed(f"{SIMPLE}.Subject", {"Data": "Größe"}), "BadRequestException"),
        (changed(f"{SIMPLE}.Subject", {"Data": "a\nb"}), "BadRequestException"),
        (changed(f"{SIMPLE}.Subject", {"Data": "a", "Charset": "no"}), "BadRequestException"),
        (changed(f"{SIMPLE}.Subject", "s"), "BadRequestException"),
        (changed(f"{SIMPLE}.Body", {}), "BadRequestException"),
        (changed(f"{SIMPLE}.Body.HTML", {"Data": "x"}), "BadRequestException"),
        (changed("EmailTags", {}), "BadRequestException"),
        (changed("EmailTags", [{"Name": "a"}]), "BadRequestException"),
        (changed("EmailTags", [{"Name": "a", "Value": "b c"}]), "BadRequestException"),
        (changed("EmailTags", [{"Name": "a", "Value": "x" * 257}]), "BadRequestException"),
        (changed("EmailTags", [{"Name": "a", "Value": "b"}] * 2), "BadRequestException"),
        (changed("ConfigurationSetName", "other"), "NotFoundException"),
        (changed("ConfigurationSetName", 7), "BadRequestException"),
        (changed("Tags", []), "BadRequestException"),
        ([], "BadRequestException"),
    ],
)
def test_what_ses_would_not_take_is_refused(body: object, name: str) -> None:
    found = judge(body, Account())
    assert isinstance(found, rules.Refused)
    assert found.name == name


def test_what_ses_takes_is_taken() -> None:
    found = judge(GOOD, Account())
    assert isinstance(found, rules.Asked)
    assert (found.to, found.body, found.tags) == (
        "ann@example.org",
        "hello",
        {"reference": REFERENCE},
    )
    assert isinstance(judge(changed("EmailTags", None), Account()), rules.Asked)
    html = {"Html": {"Data": "ö", "Charset": "UTF-8"}}
    assert isinstance(judge(changed(f"{SIMPLE}.Body", html), Account()), rules.Asked)


async def test_a_body_that_is_no_json_is_refused_as_aws_does(world: World) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000):
        answer = await posted(world, body)
        assert (answer.status_code, named(answer)) == (400, "SerializationException")
    assert world.rows() == []


NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
NAMES = "content-type;host;x-amz-date"


def signed(names: str = NAMES, scope: str = f"{REGION}/ses", **changes: str) -> Signed:
    at = changes.get("x-amz-date", "20261123T020000Z")
    headers = {"host": "h", "content-type": "application/json", "x-amz-date": at, **changes}
    made = Signed("POST", "/ses/v2/email/outbound-emails", headers, b"{}")
    signature = sign(made, SECRET_ACCESS_KEY, f"{at[:8]}/{scope}", names)
    credential = f"{ACCESS_KEY_ID}/{at[:8]}/{scope}/aws4_request"
    text = f"Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return with_headers(made, authorization=f"AWS4-HMAC-SHA256 {text}")


def with_headers(made: Signed, **headers: str) -> Signed:
    return Signed(made.method, made.target, {**made.headers, **headers}, made.body)


def judged(made: Signed, now: datetime = NOW) -> str:
    found = authenticate(made, {ACCESS_KEY_ID: Account()}, now)
    return "ok" if isinstance(found, Account) else found.name


def test_a_signature_is_checked_in_every_part() -> None:
    good = signed()
    assert judged(good) == "ok"
    assert judged(good, NOW + timedelta(minutes=5)) == "ok"
    wrong = "InvalidSignatureException"
    assert judged(good, NOW + timedelta(minutes=5, seconds=1)) == wrong
    assert judged(good, NOW - timedelta(minutes=5, seconds=1)) == wrong
    assert judged(with_headers(good, host="other")) == wrong
    assert judged(Signed("GET", good.target, good.headers, good.body)) == wrong
    assert judged(Signed(good.method, good.target + "?a=b", good.headers, good.body)) == wrong
    assert judged(Signed(good.method, good.target, good.headers, b"{ }")) == wrong
    assert judged(with_headers(good, **{"x-amz-other": "unsigned"})) == wrong
    assert judged(signed("content-type;x-amz-date")) == wrong
    assert judged(signed("host;x-amz-date")) == wrong
    assert judged(signed("x-amz-date;host;content-type")) == wrong
    assert judged(signed(scope="eu-west-1/ses")) == wrong
    assert judged(signed(scope=f"{REGION}/email")) == wrong
    assert judged(with_headers(good, authorization="Basic x")) == "IncompleteSignatureException"
    assert judged(with_headers(good, **{"x-amz-date": "today"})) == "IncompleteSignatureException"
    assert judged(with_headers(good, **{"x-amz-security-token": "t"})) == "ExpiredTokenException"
    other = good.headers["authorization"].replace(ACCESS_KEY_ID, "AKIAOTHER")
    assert judged(with_headers(good, authorization=other)) == "UnrecognizedClientException"
    bare = {name: value for name, value in good.headers.items() if name != "authorization"}
    unsigned = Signed(good.method, good.target, bare, good.body)
    assert judged(unsigned) == "MissingAuthenticationTokenException"


async def posted(world: World, body: bytes) -> httpx.Response:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    host = world.origin.removeprefix("http://")
    headers: Mapping[str, str] = {
        "host": host,
        "content-type": "application/json",
        "x-amz-date": at,
    }
    names = ";".join(headers) if body else "host;x-amz-date"
    names = ";".join(sorted(names.split(";")))
    made = Signed("POST", "/ses/v2/email/outbound-emails", headers, body)
    signature = sign(made, SECRET_ACCESS_KEY, f"{at[:8]}/{REGION}/ses", names)
    credential = f"{ACCESS_KEY_ID}/{at[:8]}/{REGION}/ses/aws4_request"
    text = f"Credential={credential}, SignedHeaders={names}, Signature={signature}"
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.post(
            f"{world.base}/v2/email/outbound-emails",
            content=body,
            headers={**headers, "authorization": f"AWS4-HMAC-SHA256 {text}"},
        )


def named(answer: httpx.Response) -> str:
    return answer.headers["x-amzn-errortype"].partition(":")[0]


# --------------------------------------------------------------------------------------- SNS


async def test_sns_serves_its_own_certificate_only_and_takes_its_own_tokens_only(
    world: World,
) -> None:
    await send(world)
    await world.receipts(2)
    envelope = world.posted[0]
    assert envelope["SigningCertURL"].startswith(f"{world.base}/SimpleNotificationService-")
    assert len(base64.b64decode(envelope["Signature"])) == 256
    async with httpx.AsyncClient(trust_env=False) as http:
        pem = await http.get(envelope["SigningCertURL"])
        assert pem.content.startswith(b"-----BEGIN CERTIFICATE-----")
        assert (await http.get(f"{world.base}/other.pem")).status_code == 404
        assert (await http.get(envelope["SubscribeURL"])).status_code == 200
        wrong = envelope["SubscribeURL"].replace(envelope["Token"], "another")
        assert (await http.get(wrong)).status_code == 400
        wrong = envelope["SubscribeURL"].replace("ConfirmSubscription", "Publish")
        assert (await http.get(wrong)).status_code == 400


async def test_without_the_configuration_set_nothing_is_told(world: World) -> None:
    assert world.client is not None
    silent = our_client(world.base, configuration_set=None)
    first = await silent.send(message(), timeout_s=5)
    await silent.close()
    assert isinstance(first, Accepted)
    second = await send(world)
    assert isinstance(second, Accepted)
    assert {r.provider_id for r in await world.receipts(2)} == {second.provider_id}
