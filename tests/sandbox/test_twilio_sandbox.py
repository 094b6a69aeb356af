"""The sandbox is as strict as Twilio, breaks what it is told to break, and counts honestly."""

import asyncio
import base64
import json
import re
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifyq.sandbox.app import create_app, serve, start
from notifyq.sandbox.faults import FAULTS
from notifyq.sandbox.magic import SUFFIXES
from notifyq.sandbox.record import Acceptance, Record
from notifyq.sandbox.segments import segments
from notifyq.sandbox.twilio.callbacks import sign
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN, SENDER

PATH = f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
GOOD = {"To": "+14155550100", "From": SENDER, "Body": "hello"}
SPEC = Path(__file__).parents[3] / "shared" / "specs" / "twilio_messages_subset.json"


@dataclass
class Inbox:
    """What callbacks arrived: URL as called, headers in lower case, raw body."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.more.clear()
                await self.more.wait()


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = f"http://{request.host}{request.raw_path}"
        inbox.got.append((url, headers, await request.read()))
        inbox.more.set()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/callbacks", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks"
    yield inbox
    await runner.cleanup()


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    """The base URL of a sandbox that keeps nothing."""
    runner = await start(create_app(Record(), callback_delay_s=0.01), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def client(sandbox: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=sandbox, auth=(ACCOUNT_SID, AUTH_TOKEN), trust_env=False
    ) as client:
        yield client


async def accepted(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/sandbox/messages", params=query)
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def script(client: httpx.AsyncClient, fault: str, **rest: Any) -> None:
    answer = await client.post("/sandbox/faults", json={"vendor": "twilio", "fault": fault, **rest})
    assert answer.status_code == 201, answer.text


async def held(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while True:
            rows: list[dict[str, Any]] = (await client.get("/sandbox/held")).json()["data"]
            if len(rows) == count:
                return rows
            await asyncio.sleep(0.01)


async def test_a_good_message_is_answered_as_twilio_does_and_recorded_once(
    client: httpx.AsyncClient,
) -> None:
    form = {**GOOD, "StatusCallback": "http://127.0.0.1:9/cb?x=1&reference=ref1"}
    answer = await client.post(PATH, data=form)
    body = answer.json()
    assert answer.status_code == 201
    assert re.fullmatch("SM[0-9a-f]{32}", body["sid"])
    assert (body["status"], body["date_sent"], body["num_segments"]) == ("queued", None, "1")
    (row,) = await accepted(client)
    assert row.pop("accepted_at")
    assert row == {
        "vendor": "twilio",
        "to": GOOD["To"],
        "from": SENDER,
        "reference": "ref1",
        "body": "hello",
        "provider_id": body["sid"],
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "14155550100"}, 21211),
        ({"To": "+0123456789"}, 21211),
        ({"To": "+1415555010x"}, 21211),
        ({"From": ""}, 21603),
        ({"From": "notifyq"}, 21212),
        ({"From": "+15005550007"}, 21659),
        ({"Body": ""}, 21602),
        ({"Body": " \n"}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "ftp://example.com/"}, 21609),
        ({"StatusCallback": "example.com"}, 21609),
        ({"StatusCallback": "https://a_b.example.com/"}, 21609),
        ({"StatusCallback": "https://example.com:99999/"}, 21609),
        ({"StatusCallback": "https://example.com/" + "x" * 4000}, 21609),
        ({"ValidityPeriod": "0"}, 90007),
        ({"ValidityPeriod": "36001"}, 90007),
        ({"ValidityPeriod": "1.5"}, 90007),
        ({"ValidityPeriod": ""}, 90007),
        ({"to": "+14155550100"}, 20001),
        ({"MediaUrl": "https://example.com/a.png"}, 20001),
    ],
)
async def test_what_twilio_refuses_is_refused_with_its_code(
    client: httpx.AsyncClient, change: Mapping[str, str], code: int
) -> None:
    answer = await client.post(PATH, data={**GOOD, **change})
    assert answer.status_code == 400
    assert answer.json().keys() == {"code", "message", "more_info", "status"}
    assert (answer.json()["code"], answer.json()["status"]) == (code, 400)
    assert await accepted(client) == []


@pytest.mark.parametrize(
    "raw", [b"", b"no form", b"To=%zz", b"To=%ff", b"To=\xff", b"To=a&To=b", b"&&"]
)
async def test_a_body_that_is_no_form_is_refused(client: httpx.AsyncClient, raw: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post(PATH, content=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) in {(400, 20001), (400, 21604)}
    assert await accepted(client) == []


async def test_json_is_an_unsupported_media_type(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json=GOOD)).status_code == 415


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic",
        "Basic !",
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Bearer " + base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode(),
        "Basic " + base64.b64encode(f"{ACCOUNT_SID}:wrong".encode()).decode(),
        "Basic " + base64.b64encode(f"AC{'0' * 32}:{AUTH_TOKEN}".encode()).decode(),
    ],
)
async def test_wrong_credentials_are_refused(sandbox: str, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with httpx.AsyncClient(base_url=sandbox) as client:
        answer = await client.post(PATH, data=GOOD, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, 20003)
        assert await accepted(client) == []


async def test_an_account_does_not_see_another_ones_path(client: httpx.AsyncClient) -> None:
    path = PATH.replace(ACCOUNT_SID, "AC" + "1" * 32)
    answer = await client.post(path, data=GOOD)
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


async def test_callbacks_are_signed_and_tell_sent_and_delivered(
    client: httpx.AsyncClient, inbox: Inbox
) -> None:
    url = inbox.url + "?a=%2F%C3%A9&reference=r-1"
    sid = (await client.post(PATH, data={**GOOD, "StatusCallback": url})).json()["sid"]
    await inbox.wait_for(2)
    for (called, headers, raw), status in zip(inbox.got, ["sent", "delivered"], strict=True):
        form = dict(parse_qsl(raw.decode(), strict_parsing=True))
        assert called == url
        assert (form["MessageSid"], form["MessageStatus"]) == (sid, status)
        assert form["AccountSid"] == ACCOUNT_SID
        assert headers["i-twilio-idempotency-token"]
        assert RequestValidator(AUTH_TOKEN).validate(url, form, headers["x-twilio-signature"])
    fetched = (await client.get(PATH.replace(".json", f"/{sid}.json"))).json()
    assert fetched["status"] == "delivered"
    assert fetched["date_sent"]


def test_the_signature_is_twilios() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign("12345", url, form) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("duplicate_callbacks", ["sent", "sent", "delivered", "delivered"]),
        ("reordered_callbacks", ["delivered", "sent"]),
        ("undelivered", ["sent", "undelivered"]),
    ],
)
async def test_callbacks_go_wrong_as_scripted(
    client: httpx.AsyncClient, inbox: Inbox, fault: str, statuses: list[str]
) -> None:
    await script(client, fault)
    await client.post(PATH, data={**GOOD, "StatusCallback": inbox.url})
    await inbox.wait_for(len(statuses))
    forms = [dict(parse_qsl(raw.decode())) for _, _, raw in inbox.got]
    assert [form["MessageStatus"] for form in forms] == statuses
    assert forms[-1].get("ErrorCode") == ("30003" if fault == "undelivered" else None)
    tokens = {headers["i-twilio-idempotency-token"] for _, headers, _ in inbox.got}
    assert len(tokens) == 2


async def test_no_callbacks_means_none_though_the_message_is_delivered(
    client: httpx.AsyncClient, inbox: Inbox
) -> None:
    await script(client, "no_callbacks")
    form = {**GOOD, "StatusCallback": inbox.url}
    sid = (await client.post(PATH, data=form)).json()["sid"]
    async with asyncio.timeout(10):
        while await status_of(client, sid) != "delivered":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert inbox.got == []


async def status_of(client: httpx.AsyncClient, sid: str) -> str:
    return str((await client.get(PATH.replace(".json", f"/{sid}.json"))).json()["status"])


@pytest.mark.parametrize(
    ("fault", "numbers", "status", "code", "count"),
    [
        ("refuse", {"code": 30007, "status": 403}, 403, 30007, 0),
        ("throttle", {"retry_after_s": 7}, 429, 20429, 0),
        ("throttle", {}, 429, 20429, 0),
        ("error_before_accept", {}, 500, 20500, 0),
        ("error_before_accept", {"status": 503}, 503, 20500, 0),
        ("error_after_accept", {}, 500, 20500, 1),
    ],
)
async def test_answers_go_wrong_as_scripted_as_often_as_scripted(
    client: httpx.AsyncClient,
    fault: str,
    numbers: dict[str, int],
    status: int,
    code: int,
    count: int,
) -> None:
    await script(client, fault, match={"to": GOOD["To"], "body_contains": "ell"}, **numbers)
    assert (await client.post(PATH, data={**GOOD, "Body": "other"})).status_code == 201
    answer = await client.post(PATH, data=GOOD)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("7" if "retry_after_s" in numbers else None)
    assert (await client.post(PATH, data=GOOD)).status_code == 201
    assert len(await accepted(client)) == 2 + count


@pytest.mark.parametrize(("fault", "count"), [("drop_before_accept", 0), ("drop_after_accept", 1)])
async def test_a_drop_really_closes_the_connection_without_an_answer(
    client: httpx.AsyncClient, fault: str, count: int
) -> None:
    await script(client, fault)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await client.post(PATH, data=GOOD)
    assert len(await accepted(client)) == count


async def test_scripts_are_listed_and_cleared(client: httpx.AsyncClient) -> None:
    await script(client, "throttle", times=None, match={"reference": "r"})
    (row,) = (await client.get("/sandbox/faults")).json()["data"]
    assert (row["fault"], row["left"], row["match"]) == ("throttle", None, {"reference": "r"})
    assert (await client.delete("/sandbox/faults")).status_code == 204
    assert (await client.get("/sandbox/faults")).json()["data"] == []


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([], ""),
        ({"fault": "throttle"}, "vendor"),
        ({"vendor": "pigeon", "fault": "throttle"}, "vendor"),
        ({"vendor": "twilio"}, "fault"),
        ({"vendor": "twilio", "fault": "explode"}, "fault"),
        ({"vendor": "twilio", "fault": ["throttle"]}, "fault"),
        ({"vendor": "twilio", "fault": "refuse"}, "code"),
        ({"vendor": "twilio", "fault": "refuse", "code": "21211"}, "code"),
        ({"vendor": "twilio", "fault": "refuse", "code": True}, "code"),
        ({"vendor": "twilio", "fault": "refuse", "code": 21211, "status": 200}, "status"),
        ({"vendor": "twilio", "fault": "throttle", "code": 1}, "code"),
        ({"vendor": "twilio", "fault": "slow"}, "delay_s"),
        ({"vendor": "twilio", "fault": "slow", "delay_s": -1}, "delay_s"),
        ({"vendor": "twilio", "fault": "throttle", "times": 0}, "times"),
        ({"vendor": "twilio", "fault": "throttle", "match": []}, "match"),
        ({"vendor": "twilio", "fault": "throttle", "match": {"from": "x"}}, "match.from"),
        ({"vendor": "twilio", "fault": "throttle", "match": {"to": ""}}, "match.to"),
    ],
)
async def test_a_wrong_script_is_refused_and_its_field_named(
    client: httpx.AsyncClient, data: object, named: str
) -> None:
    answer = await client.post("/sandbox/faults", json=data)
    assert (answer.status_code, answer.json()["field"]) == (422, named)
    assert (await client.get("/sandbox/faults")).json()["data"] == []


@pytest.mark.parametrize("by", ["release", "time"])
async def test_a_hold_before_acceptance_ends_in_an_acceptance(
    client: httpx.AsyncClient, by: str
) -> None:
    await script(client, "hold_before_accept", hold_s=None if by == "release" else 0.1)
    post = asyncio.create_task(client.post(PATH, data=GOOD))
    if by == "release":
        (row,) = await held(client, 1)
        assert (row["to"], row["fault"]) == (GOOD["To"], "hold_before_accept")
        assert await accepted(client) == []
        assert (await client.delete("/sandbox/held")).json() == {"released": 1}
    assert (await post).status_code == 201
    assert len(await accepted(client)) == 1
    assert await held(client, 0) == []


@pytest.mark.parametrize(("fault", "count"), [("hold_before_accept", 0), ("hold_after_accept", 1)])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_goes_away_during_a_hold(
    client: httpx.AsyncClient, inbox: Inbox, fault: str, count: int, how: str
) -> None:
    """Before acceptance: never accepted. After: accepted, and the evidence comes by callback."""
    await script(client, fault)
    raw = raw_request({**GOOD, "StatusCallback": inbox.url})
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(raw)
    await held(client, 1)
    assert len(await accepted(client)) == count
    assert inbox.got == []
    if how == "reset":
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    await held(client, 0)
    assert (await client.post(PATH, data={**GOOD, "Body": "next"})).status_code == 201
    assert len(await accepted(client)) == count + 1
    await inbox.wait_for(2 * count)


def raw_request(form: Mapping[str, str]) -> bytes:
    body = urlencode(form).encode()
    basic = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def test_a_killed_client_is_not_accepted(client: httpx.AsyncClient) -> None:
    await script(client, "hold_before_accept")
    program = (
        "import socket, sys\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "s.sendall(sys.stdin.buffer.read())\n"
        "s.recv(1)\n"
    )
    host, port = client.base_url.host, str(client.base_url.port)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, host, port, stdin=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(raw_request(GOOD))
    child.stdin.close()
    await held(client, 1)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await held(client, 0)
    assert await accepted(client) == []


EXPECTED_MAGIC = {
    "0140": (400, 21211, 0),
    "0141": (400, 21610, 0),
    "0142": (400, 21614, 0),
    "0143": (429, 20429, 0),
    "0144": (500, 20500, 0),
    "0145": (None, None, 1),
    "0146": (201, None, 1),
    "0147": (201, None, 1),
    "0148": (201, None, 1),
    "0149": (400, 21617, 0),
    "0150": (400, 21612, 0),
    "0151": (None, None, 0),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_each_magic_recipient_does_what_the_table_says(
    client: httpx.AsyncClient, suffix: str
) -> None:
    status, code, count = EXPECTED_MAGIC[suffix]
    form = {**GOOD, "To": f"+1212555{suffix}"}
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(PATH, data=form)
    else:
        answer = await client.post(PATH, data=form)
        assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert len(await accepted(client)) == count
    if suffix == "0143":
        assert (await client.post(PATH, data=form)).status_code == 201


async def test_the_list_is_newest_first_filtered_and_paged(client: httpx.AsyncClient) -> None:
    for number in range(5):
        to = GOOD["To"] if number % 2 else "+14155550101"
        await client.post(PATH, data={**GOOD, "To": to, "Body": f"n{number}"})
    everything = (await client.get(PATH)).json()["messages"]
    assert [each["body"] for each in everything] == ["n4", "n3", "n2", "n1", "n0"]
    one = (await client.get(PATH, params={"To": "+14155550101", "PageSize": "2"})).json()
    assert [each["body"] for each in one["messages"]] == ["n4", "n2"]
    assert one["next_page_uri"].endswith("Page=1")
    following = (await client.get("/twilio" + one["next_page_uri"])).json()
    assert [each["body"] for each in following["messages"]] == ["n0"]
    assert following["next_page_uri"] is None
    before = (await client.get("/twilio" + following["previous_page_uri"])).json()
    assert [each["body"] for each in before["messages"]] == ["n4", "n2"]
    assert (await client.get(PATH, params={"DateSent>": "2999-01-01"})).json()["messages"] == []
    for wrong in ({"Body": "n1"}, {"PageSize": "0"}, {"PageSize": "1001"}, {"DateSent": "x"}):
        assert (await client.get(PATH, params=wrong)).status_code == 400


async def test_a_lagging_look_up_does_not_show_the_message_yet(client: httpx.AsyncClient) -> None:
    await script(client, "lookup_lag", lag_s=3600)
    sid = (await client.post(PATH, data=GOOD)).json()["sid"]
    assert (await client.get(PATH)).json()["messages"] == []
    assert (await client.get(PATH.replace(".json", f"/{sid}.json"))).status_code == 404
    assert len(await accepted(client)) == 1


async def test_a_list_fails_as_scripted_as_often_as_scripted(client: httpx.AsyncClient) -> None:
    await client.post(PATH, data=GOOD)
    for name, status, code in (("lookup_error", 503, 20500), ("lookup_throttle", 429, 20429)):
        more = {"status": 503} if name == "lookup_error" else {"retry_after_s": 7}
        await script(client, name, match={"to": GOOD["To"]}, **more)
        assert (await client.get(PATH, params={"To": "+14155550199"})).status_code == 200
        answer = await client.get(PATH, params={"To": GOOD["To"]})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers.get("retry-after") == (None if status == 503 else "7")
        assert len((await client.get(PATH, params={"To": GOOD["To"]})).json()["messages"]) == 1
    await script(client, "lookup_drop")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(PATH)
    assert len((await client.get(PATH)).json()["messages"]) == 1


async def test_acceptances_are_filtered_and_paged(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.post(PATH, data={**GOOD, "Body": f"n{number}"})
    seen: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        answer = await client.get("/sandbox/messages", params={"limit": "2", "cursor": cursor})
        seen += [row["body"] for row in answer.json()["data"]]
        cursor = answer.json()["next_cursor"]
    assert seen == ["n0", "n1", "n2", "n3", "n4"]
    assert await accepted(client, vendor="sinch") == []
    assert len(await accepted(client, to=GOOD["To"])) == 5
    for query, name in [({"limit": "0"}, "limit"), ({"cursor": "x"}, "cursor"), ({"a": "b"}, "a")]:
        answer = await client.get("/sandbox/messages", params=query)
        assert (answer.status_code, answer.json()["field"]) == (422, name)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" * 5, 2),
        ("é" * 160, 1),
        ("ę" * 70, 1),
        ("ę" * 71, 2),
        ("👍" * 35, 1),
        ("👍" * 36, 2),
        ("👍" * 67, 3),
    ],
)
def test_segments_are_counted_as_the_network_does(text: str, parts: int) -> None:
    assert segments(text) == parts


def entry(number: int) -> Acceptance:
    return Acceptance(
        "twilio", "AC", "+1", "+2", None, "b", "2026-01-01T00:00:00+00:00", f"S{number}"
    )


def test_the_record_outlives_its_process_and_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "record"
    record = Record(path)
    record.add(entry(1), "queued")
    record.move("S1", "undelivered", 30003)
    record.close()
    with path.open("ab") as file:
        file.write(b'{"accepted": {"vendor": "twi')
    again = Record(path)
    again.add(entry(2), "queued")
    again.close()
    third = Record(path)
    rows, following = third.page({}, start=0, limit=9)
    third.close()
    assert rows == [entry(1), entry(2)]
    assert following is None
    assert (third.status_of("S1").word, third.status_of("S1").code) == ("undelivered", 30003)


async def test_serve_runs_until_sigterm_and_keeps_its_store(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for expected in (1, 2):
        ready = asyncio.Event()
        running = asyncio.create_task(serve(port=port, store=tmp_path / "store", ready=ready.set))
        await asyncio.wait_for(ready.wait(), 5)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", auth=(ACCOUNT_SID, AUTH_TOKEN)
        ) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.post(PATH, data=GOOD)).status_code == 201
            assert len(await accepted(client)) == expected
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(running, 5)


async def test_answers_match_the_published_description(client: httpx.AsyncClient) -> None:
    if not SPEC.exists():
        pytest.skip("the published description of the API is not here")
    spec = json.loads(SPEC.read_text())
    schemas = spec["components"]["schemas"]
    created = (await client.post(PATH, data={**GOOD, "Body": "👍"})).json()
    listed = (await client.get(PATH)).json()
    fetched = (await client.get(PATH.replace(".json", f"/{created['sid']}.json"))).json()
    message = schemas["api.v2010.account.message"]
    for shown in (created, fetched, listed["messages"][0]):
        assert shown.keys() == message["properties"].keys()
        for name, value in shown.items():
            check(message["properties"][name], schemas, name, value)
    operation = spec["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["get"]
    page = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert listed.keys() == page.keys()


def check(schema: dict[str, Any], schemas: dict[str, Any], name: str, value: object) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if value is None:
        assert schema.get("nullable"), name
        return
    kinds = {"string": str, "integer": int, "object": dict}
    assert isinstance(value, kinds[schema["type"]]), name
    if "enum" in schema:
        assert value in schema["enum"], name
    if "pattern" in schema:
        assert re.fullmatch(schema["pattern"], str(value)), name


def test_every_fault_has_a_test() -> None:
    text = "".join(file.read_text() for file in Path(__file__).parent.glob("*.py"))
    assert [name for name in FAULTS if f'"{name}"' not in text] == []


async def test_a_slow_answer_comes_after_the_acceptance(client: httpx.AsyncClient) -> None:
    await script(client, "slow", delay_s=0.3)
    post = asyncio.create_task(client.post(PATH, data=GOOD))
    async with asyncio.timeout(10):
        while not await accepted(client):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not post.done()
    assert (await post).status_code == 201
