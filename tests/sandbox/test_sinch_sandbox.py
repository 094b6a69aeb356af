"""The sandbox is as strict as Sinch, breaks what it is told to break, and counts honestly."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from sinch.domains.sms.models.v1.response import (  # type: ignore[import-untyped]
    BatchDeliveryReport,
    ListBatchesResponse,
    RecipientDeliveryReport,
)
from sinch.domains.sms.sinch_events.v1 import SmsSinchEvent  # type: ignore[import-untyped]
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifyq.sandbox import telling
from notifyq.sandbox.app import start
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import SUFFIXES
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.sinch import vendor
from notifyq.sandbox.sinch.rules import (
    API_TOKEN,
    CALLBACK_SECRET,
    KEY_ID,
    KEY_SECRET,
    PROJECT_ID,
    SENDER,
    SERVICE_PLAN_ID,
)
from notifyq.sandbox.sinch.tokens import Tokens
from notifyq.sandbox.twilio import inbound as twilio_inbound
from notifyq.sandbox.twilio.rules import AUTH_TOKEN
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks

BATCHES = f"/sinch/xms/v1/{SERVICE_PLAN_ID}/batches"
GOOD: dict[str, object] = {
    "to": ["+14155550100"],
    "from": SENDER,
    "type": "mt_text",
    "body": "hello",
    "client_reference": "ref1",
}


@dataclass
class Ground:
    """A sandbox with Sinch alone, a client of its plan, and what was called back."""

    client: httpx.AsyncClient
    floor: Floor
    inbox_url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def create(self, **changes: object) -> httpx.Response:
        batch = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
        return await self.client.post(BATCHES, json=batch)

    def accepted(self) -> list[tuple[str, str, str | None]]:
        rows, _ = self.floor.record.page({"vendor": "sinch"}, start=0, limit=1_000)
        return [(row.to, row.body, row.reference) for row in rows]

    def script(self, fault: str, **rest: object) -> None:
        self.floor.faults.add({"vendor": "sinch", "fault": fault, **rest})

    async def told(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            while len(self.got) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        for headers, body in self.got:
            assert SmsSinchEvent(CALLBACK_SECRET).validate_authentication_header(headers, body)
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    record = Record()
    teller = telling.Teller(record, delay_s=0.01)
    floor = Floor(record, Faults(), Holds(), teller, Webhooks())
    counter = floor.counter(vendor.VENDOR, vendor.magic_of)
    app = web.Application()
    for route in vendor.Sinch(counter, teller, Tokens(lasts_s=1)).routes():
        app.router.add_route(route.method, f"/sinch{route.path}", route.handler)
    got: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got.append((headers, await request.read()))
        return web.Response(status=204)

    app.router.add_post("/inbox", receive)
    runner = await start(app, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    headers = {"Authorization": f"Bearer {API_TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield Ground(client, floor, f"{url}/inbox", got)
    floor.holds.release()
    await teller.close()
    await runner.cleanup()


async def test_a_good_batch_is_answered_as_sinch_does_and_recorded_once(ground: Ground) -> None:
    answer = await ground.create()
    body = answer.json()
    assert answer.status_code == 201
    assert len(body.pop("id")) == 26
    assert body.pop("created_at") == body.pop("modified_at")
    assert body == {
        "to": ["14155550100"],
        "from": SENDER.removeprefix("+"),
        "canceled": False,
        "body": "hello",
        "type": "mt_text",
        "client_reference": "ref1",
    }
    assert ground.accepted() == [("+14155550100", "hello", "ref1")]


FORMAT, CONSTRAINT = "syntax_invalid_parameter_format", "syntax_constraint_violation"
JSON, CAMPAIGN, URL_MISSING = "syntax_invalid_json", "unknown_campaign", "missing_callback_url"


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"to": None}, 400, CONSTRAINT),
        ({"to": []}, 400, CONSTRAINT),
        ({"to": "+14155550100"}, 400, CONSTRAINT),
        ({"to": ["+14155550100", "+14155550101"]}, 400, CONSTRAINT),
        ({"to": ["+1415555010x"]}, 400, FORMAT),
        ({"to": [14155550100]}, 400, FORMAT),
        ({"from": None}, 400, FORMAT),
        ({"from": "notifyq"}, 400, FORMAT),
        ({"from": "+15005550006"}, 403, CAMPAIGN),
        ({"body": None}, 400, CONSTRAINT),
        ({"body": ""}, 400, CONSTRAINT),
        ({"body": "x" * 2_001}, 400, CONSTRAINT),
        ({"body": 1}, 400, CONSTRAINT),
        ({"type": None}, 400, JSON),
        ({"type": "mt_binary"}, 400, JSON),
        ({"clientReference": "x"}, 400, JSON),
        ({"send_at": "2030-01-01T00:00:00Z"}, 400, JSON),
        ({"client_reference": "x" * 129}, 400, CONSTRAINT),
        ({"client_reference": 1}, 400, CONSTRAINT),
        ({"delivery_report": "all"}, 400, CONSTRAINT),
        ({"delivery_report": "full"}, 403, URL_MISSING),
        ({"callback_url": "notify.example.com"}, 400, FORMAT),
        ({"callback_url": "http://[::1"}, 400, FORMAT),
        ({"max_number_of_message_parts": 0}, 400, CONSTRAINT),
        ({"max_number_of_message_parts": "1"}, 400, CONSTRAINT),
        ({"expire_at": "soon"}, 400, CONSTRAINT),
        ({"expire_at": ahead(seconds=-1)}, 400, CONSTRAINT),
        ({"expire_at": ahead(days=4)}, 400, CONSTRAINT),
        ({"parameters": []}, 400, CONSTRAINT),
        ({"parameters": {"a b": {"default": "x"}}}, 400, CONSTRAINT),
        ({"parameters": {"a": "x"}}, 400, CONSTRAINT),
        ({"parameters": {"a": {"somebody": "x"}}}, 400, CONSTRAINT),
        ({"parameters": {"a": {"default": "x" * 161}}}, 400, CONSTRAINT),
    ],
)
async def test_a_bad_batch_is_refused_with_sinchs_code(
    ground: Ground, change: dict[str, object], status: int, code: str
) -> None:
    answer = await ground.create(**change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json().keys() == {"code", "text"}
    assert ground.accepted() == []


async def test_what_is_not_json_is_refused(ground: Ground) -> None:
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"to=1", "application/x-www-form-urlencoded", 415),
    ):
        answer = await ground.client.post(BATCHES, content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
    assert ground.accepted() == []


@pytest.mark.parametrize(
    "number", ["14155550100", "0014155550100", "+1 (415) 555-0100", "+14155550100"]
)
async def test_every_spelling_of_a_number_is_the_number(ground: Ground, number: str) -> None:
    assert (await ground.create(to=[number])).status_code == 201
    assert ground.accepted() == [("+14155550100", "hello", "ref1")]


@pytest.mark.parametrize(
    ("path", "authorization", "said"),
    [
        (BATCHES, "", "Bearer"),
        (BATCHES, "Basic eDp5", "Bearer"),
        (BATCHES, "Bearer wrong", "invalid_token"),
        ("/sinch/xms/v1/another/batches", f"Bearer {API_TOKEN}", "invalid_token"),
        (f"/sinch/xms/v1/{PROJECT_ID}/batches", f"Bearer {API_TOKEN}", "invalid_token"),
    ],
)
async def test_a_wrong_token_is_refused(
    ground: Ground, path: str, authorization: str, said: str
) -> None:
    headers = {"Authorization": authorization}
    for answer in (
        await ground.client.post(path, json=GOOD, headers=headers),
        await ground.client.get(path, headers=headers),
        await ground.client.get(f"{path}/x/delivery_report", headers=headers),
        await ground.client.post(f"{path}/dry_run", json=GOOD, headers=headers),
    ):
        assert answer.status_code == 401
        assert said in answer.headers["WWW-Authenticate"]
        assert "expired" not in answer.headers["WWW-Authenticate"]
    assert ground.accepted() == []


async def test_a_projects_token_is_changed_for_its_key_and_ends(ground: Ground) -> None:
    path, form = f"/sinch/xms/v1/{PROJECT_ID}/batches", {"grant_type": "client_credentials"}
    for key, data, status in (
        ((KEY_ID, "wrong"), form, 401),
        ((KEY_ID, KEY_SECRET), {"grant_type": "password"}, 400),
    ):
        answer = await ground.client.post("/sinch/oauth2/token", data=data, auth=key)
        assert answer.status_code == status
    given = await ground.client.post("/sinch/oauth2/token", data=form, auth=(KEY_ID, KEY_SECRET))
    assert (given.status_code, given.json()["expires_in"]) == (200, 1)
    headers = {"Authorization": f"Bearer {given.json()['access_token']}"}
    assert (await ground.client.post(path, json=GOOD, headers=headers)).status_code == 201
    elsewhere = await ground.client.get(BATCHES, headers=headers)
    assert elsewhere.status_code == 401
    async with asyncio.timeout(10):
        while (  # noqa: ASYNC110
            answer := await ground.client.get(path, headers=headers)
        ).status_code == 200:
            await asyncio.sleep(0.05)
    assert answer.status_code == 401
    assert "expired" in answer.headers["WWW-Authenticate"]


# ------------------------------------------------------------------------------- callbacks


async def test_each_change_of_status_is_told_and_signed(ground: Ground) -> None:
    made = await ground.create(delivery_report="per_recipient", callback_url=ground.inbox_url)
    told = await ground.told(2)
    assert [(one["status"], one["code"]) for one in told] == [("Dispatched", 401), ("Delivered", 0)]
    for one in told:
        report = RecipientDeliveryReport(**one)
        assert report.recipient == "14155550100"
        assert report.client_reference == "ref1"
        assert report.batch_id == made.json()["id"]


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        ("per_recipient_final", ["recipient_delivery_report_sms"]),
        ("full", ["delivery_report_sms"]),
        ("summary", ["delivery_report_sms"]),
        ("none", []),
    ],
)
async def test_other_reports_tell_the_end_only(ground: Ground, kind: str, types: list[str]) -> None:
    await ground.create(delivery_report=kind, callback_url=ground.inbox_url)
    await ground.create(delivery_report="per_recipient", callback_url=ground.inbox_url)
    told = await ground.told(2 + len(types))
    ours = [one for one in told if one.get("status") != "Dispatched"]
    assert sorted(one["type"] for one in ours) == sorted([*types, "recipient_delivery_report_sms"])
    for one in ours:
        if one["type"] == "delivery_report_sms":
            (status,) = BatchDeliveryReport(**one).statuses
            assert (status.status, status.recipients is not None) == ("Delivered", kind == "full")


@pytest.mark.parametrize(
    ("code", "last"),
    [
        (None, ("Failed", 159)),
        ("153", ("Failed", 153)),
        ("404", ("Aborted", 404)),
        ("Deleted", ("Deleted", 0)),
    ],
)
async def test_an_undelivered_message_ends_as_the_script_says(
    ground: Ground, code: str | None, last: tuple[str, int]
) -> None:
    ground.script("undelivered", **({} if code is None else {"code": code}))
    await ground.create(delivery_report="per_recipient_final", callback_url=ground.inbox_url)
    (told,) = await ground.told(1)
    assert (told["status"], told["code"]) == last


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"body": "Hi ${name}"}, 405),
        ({"body": "Hi ${name}", "parameters": {"name": {"14155550101": "Ann"}}}, 405),
        ({"body": "x" * 161, "max_number_of_message_parts": 1}, 411),
    ],
)
async def test_what_sinch_finds_out_later_is_told_later(
    ground: Ground, changes: dict[str, object], code: int
) -> None:
    report = {"delivery_report": "per_recipient", "callback_url": ground.inbox_url}
    assert (await ground.create(**changes, **report)).status_code == 201
    (told,) = await ground.told(1)
    assert (told["status"], told["code"]) == ("Aborted", code)


async def test_parameters_are_put_in_for_the_recipient(ground: Ground) -> None:
    values = {"default": "you", "+14155550100": "Ann"}
    await ground.create(
        body="${a}, ${b} ${a} $b", parameters={"a": values, "b": {"default": "${a}"}}
    )
    assert ground.accepted() == [("+14155550100", "Ann, ${a} Ann $b", "ref1")]


async def test_faults_of_callbacks_happen(ground: Ground) -> None:
    report = {"delivery_report": "per_recipient", "callback_url": ground.inbox_url}
    ground.script("reordered_callbacks")
    await ground.create(**report)
    assert [one["status"] for one in await ground.told(2)] == ["Delivered", "Dispatched"]
    ground.script("duplicate_callbacks")
    await ground.create(**report)
    assert len(await ground.told(6)) == 6


# ------------------------------------------------------------------------ the list, reports


async def listed(ground: Ground, **query: str) -> list[str]:
    answer = await ground.client.get(BATCHES, params=query)
    assert answer.status_code == 200, answer.text
    found = ListBatchesResponse(**answer.json())
    assert found.page_size == len(found.content)
    return [batch.body for batch in found.content]


async def test_the_list_is_filtered_by_reference_and_newest_first(ground: Ground) -> None:
    for number in range(5):
        await ground.create(body=f"n{number}", client_reference=f"r{number % 2}")
    assert await listed(ground) == ["n4", "n3", "n2", "n1", "n0"]
    assert await listed(ground, client_reference="r1") == ["n3", "n1"]
    assert await listed(ground, client_reference="r2") == []
    assert await listed(ground, page_size="2", page="1") == ["n2", "n1"]
    assert await listed(ground, page_size="2", page="3") == []
    assert await listed(ground, start_date=ahead(minutes=1)) == []
    assert await listed(ground, end_date=ahead(minutes=-1)) == []
    start = ahead(minutes=-1).replace("+00:00", "Z")
    assert len(await listed(ground, start_date=start, end_date=ahead(minutes=1))) == 5
    assert len(await listed(ground, **{"from": SENDER})) == 5
    assert await listed(ground, **{"from": "+15005550006"}) == []


@pytest.mark.parametrize(
    "query",
    [{"page_size": "101"}, {"page_size": "0"}, {"page": "-1"}, {"start_date": "x"}, {"To": "1"}],
)
async def test_a_bad_query_is_refused(ground: Ground, query: dict[str, str]) -> None:
    answer = await ground.client.get(BATCHES, params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, FORMAT)


async def test_a_batch_that_lags_is_neither_listed_nor_shown(ground: Ground) -> None:
    ground.script("lookup_lag", lag_s=0.3)
    made = (await ground.create()).json()["id"]
    assert await listed(ground) == []
    assert (await ground.client.get(f"{BATCHES}/{made}")).status_code == 404
    assert (await ground.client.get(f"{BATCHES}/{made}/delivery_report")).status_code == 404
    async with asyncio.timeout(10):
        while await listed(ground) == []:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await ground.client.get(f"{BATCHES}/{made}")).json()["id"] == made


async def test_a_report_says_how_far_a_batch_got(ground: Ground) -> None:
    made = (await ground.create(callback_url=ground.inbox_url)).json()["id"]
    url = f"{BATCHES}/{made}/delivery_report"
    statuses = set()
    async with asyncio.timeout(10):
        while "Delivered" not in statuses:
            report = BatchDeliveryReport(**(await ground.client.get(f"{url}?type=full")).json())
            (status,) = report.statuses
            assert (status.count, status.recipients) == (1, ["14155550100"])
            statuses.add(status.status)
            await asyncio.sleep(0.001)
    assert statuses <= {"Queued", "Dispatched", "Delivered"}
    summary = (await ground.client.get(url)).json()
    assert summary["client_reference"] == "ref1"
    assert "recipients" not in summary["statuses"][0]
    assert (await ground.client.get(f"{url}?type=half")).status_code == 404
    assert (await ground.client.get(f"{BATCHES}/x/delivery_report")).status_code == 404


async def test_a_dry_run_counts_and_takes_nothing(ground: Ground) -> None:
    answer = await ground.client.post(f"{BATCHES}/dry_run", json={**GOOD, "body": "x" * 161})
    assert answer.json() == {"number_of_recipients": 1, "number_of_messages": 2}
    bad = await ground.client.post(f"{BATCHES}/dry_run", json={**GOOD, "to": []})
    assert (bad.status_code, bad.json()["code"]) == (400, CONSTRAINT)
    assert ground.accepted() == []


@pytest.mark.parametrize(
    ("fault", "status"), [("lookup_error", 500), ("lookup_throttle", 429), ("lookup_drop", None)]
)
async def test_faults_of_the_list_happen_once(
    ground: Ground, fault: str, status: int | None
) -> None:
    ground.script(fault, match={"reference": "ref1"})
    assert await listed(ground, client_reference="ref2") == []
    query = {"client_reference": "ref1"}
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            await ground.client.get(BATCHES, params=query)
    else:
        assert (await ground.client.get(BATCHES, params=query)).status_code == status
    assert await listed(ground, **query) == []


# ----------------------------------------------------------------- faults, magic recipients


@pytest.mark.parametrize(
    ("fault", "status", "kind", "count"),
    [
        ({"fault": "error_before_accept"}, 500, "application/json", 0),
        ({"fault": "error_before_accept", "status": 503}, 503, "application/json", 0),
        ({"fault": "error_before_accept", "status": 502}, 502, "application/problem+json", 0),
        ({"fault": "error_after_accept"}, 500, "application/problem+json", 1),
        ({"fault": "error_after_accept", "status": 503}, 503, "application/problem+json", 1),
        ({"fault": "html_before_accept", "status": 500}, 500, "text/html", 0),
        ({"fault": "html_after_accept", "status": 503}, 503, "text/html", 1),
        ({"fault": "malformed"}, 201, "application/json", 1),
        ({"fault": "throttle", "retry_after_s": 3}, 429, "application/json", 0),
        ({"fault": "refuse", "code": "unknown_group", "status": 403}, 403, "application/json", 0),
    ],
)
async def test_only_what_was_not_taken_fails_in_sinchs_own_words(
    ground: Ground, fault: dict[str, Any], status: int, kind: str, count: int
) -> None:
    ground.script(**fault)
    answer = await ground.create()
    assert answer.status_code == status
    assert answer.headers["Content-Type"].partition(";")[0] == kind
    assert len(ground.accepted()) == count
    assert answer.headers.get("Retry-After") == ("3" if status == 429 else None)


async def test_a_hold_and_a_drop_happen_before_and_after(ground: Ground) -> None:
    for fault, count in (("hold_before_accept", 0), ("hold_after_accept", 1)):
        ground.script(fault)
        with pytest.raises(httpx.ReadTimeout):
            await ground.client.post(BATCHES, json=GOOD, timeout=0.2)
        async with asyncio.timeout(5):
            while list(ground.floor.holds):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(ground.accepted()) == count
    for fault, count in (("drop_before_accept", 1), ("drop_after_accept", 2)):
        ground.script(fault)
        with pytest.raises(httpx.RemoteProtocolError):
            await ground.create()
        assert len(ground.accepted()) == count


# What is answered (None: nothing), and what is told in the end.
EXPECTED_MAGIC: dict[str, tuple[int | None, str | None]] = {
    "0140": (400, None),
    "0141": (201, "Deleted"),
    "0142": (201, "Failed"),
    "0143": (429, None),
    "0144": (500, None),
    "0145": (None, "Delivered"),
    "0146": (201, "Failed"),
    "0147": (201, None),
    "0148": (201, "Delivered"),
    "0149": (400, None),
    "0150": (403, None),
    "0151": (None, None),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_each_magic_recipient_does_what_the_table_says(ground: Ground, suffix: str) -> None:
    status, end = EXPECTED_MAGIC[suffix]
    changes = {
        "to": [f"+1415555{suffix}"],
        "delivery_report": "per_recipient_final",
        "callback_url": ground.inbox_url,
    }
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            await ground.create(**changes)
    else:
        answer = await ground.create(**changes)
        assert answer.status_code == status
        if suffix == "0140":
            assert "14155550140" in answer.json()["text"]
    if end is not None:
        assert [one["status"] for one in await ground.told(1)] == [end]
    taken = 1 if end is not None or suffix == "0147" else 0
    assert len(ground.accepted()) == taken


# ----------------------------------------------------------------- what somebody writes to us


async def test_what_somebody_wrote_is_told_and_signed(ground: Ground) -> None:
    call = vendor.heard(ground.inbox_url, sender="+14155550100", to=SENDER, body="STOP ü")
    assert await ground.floor.teller.post(call) == 204
    (told,) = await ground.told(1)
    message = SmsSinchEvent(CALLBACK_SECRET).parse_event(ground.got[0][1])
    assert (message.from_, message.to, message.body) == ("14155550100", SENDER[1:], "STOP ü")
    assert told["type"] == "mo_text"


async def test_twilio_tells_of_it_too_and_signs_as_its_own_library_does(ground: Ground) -> None:
    url = f"{ground.inbox_url}?x=1"
    call = twilio_inbound.heard(url, sender="+14155550100", to="+15005550006", body=" Stop ")
    assert await ground.floor.teller.post(call) == 204
    headers, body = ground.got[0]
    form = dict(httpx.QueryParams(body.decode()))
    assert RequestValidator(AUTH_TOKEN).validate(url, form, headers["x-twilio-signature"])
    assert (form["SmsStatus"], form["OptOutType"], form["From"]) == (
        "received",
        "STOP",
        "+14155550100",
    )
    assert "MessageStatus" not in form
    hello = twilio_inbound.heard(url, sender="+14155550100", to="+15005550006", body="hello")
    assert b"OptOutType" not in hello.body
