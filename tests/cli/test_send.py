"""Sending a file: every line's end is told, nothing is sent twice, and the key's order holds."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from aiohttp import web
from click.testing import CliRunner, Result

from notifyq import migrate
from notifyq.bootstrap.api import api_parts
from notifyq.cli import posting
from notifyq.cli.ndjson import LINE_BYTES_MAX
from notifyq.cli.send import send
from notifyq.cli.tenants import SCOPES, make_key
from notifyq.config.read import load
from notifyq.entrypoints.api.app import create_app
from notifyq.store import db, tenants

SAMPLES = Path(migrate.__file__).with_name("samples")
SETTINGS = Path(__file__).parents[2] / "bin" / "demo.toml"
KEY = "nq_test_0123456789"
Answer = Callable[["FakeApi", web.Request, dict[str, Any]], web.StreamResponse]


def line(key: str | None = "k1", /, **more: Any) -> str:
    body = {
        "recipient": {"phone": "+14155550123"},
        "category": "order.shipped",
        "content": {"sms": {"body": "Shipped."}},
    }
    named = {} if key is None else {"idempotency_key": key}
    return json.dumps(named | body | more)


def run(url: str, *arguments: str, text: str | bytes = "", key: str | None = KEY) -> Result:
    environ = {"NOTIFYQ_URL": url, "NOTIFYQ_API_KEY": key}
    return CliRunner().invoke(send, [*arguments, "-"], input=text, env=environ)


def report(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@dataclass
class FakeApi:
    """An API that answers as it is told, in a thread of its own."""

    answer: Answer
    url: str = ""
    keys: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0
    wait_s: float = 0.0

    async def post(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        self.keys.append(request.headers["Idempotency-Key"])
        body = await request.json()
        self.bodies.append(body)
        await asyncio.sleep(self.wait_s)
        self.at_once -= 1
        return self.answer(self, request, body)


def accepted(api: FakeApi, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"id": f"ntf_{len(api.keys)}"}, status=202)


def problem(status: int, code: str, **more: Any) -> web.Response:
    headers = more.pop("headers", None)
    body = {"status": status, "code": code, "detail": code, "errors": [], **more}
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


@contextmanager
def fake_api(answer: Answer = accepted, wait_s: float = 0.0) -> Iterator[FakeApi]:
    api = FakeApi(answer, wait_s=wait_s)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/notifications", api.post)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert ready.wait(10)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once."""
    monkeypatch.setattr(posting, "BACKOFF_S", 0.001)


@dataclass(frozen=True)
class RealApi:
    url: str
    database_url: str

    def key(self, tenant: str) -> str:
        async def make() -> str:
            async with await db.connect(self.database_url, autocommit=True) as conn:
                await tenants.create(conn, cell=0, name=tenant, brand=tenant, actor="test")
            return await make_key(
                self.database_url, tenant=tenant, test=True, scopes=SCOPES, by="test"
            )

        return asyncio.run(make())

    def notifications(self) -> int:
        with psycopg.connect(self.database_url) as conn:
            row = conn.execute("SELECT count(*) FROM notifyq.notification").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def api(database_url: str) -> Iterator[RealApi]:
    """The real application on a real port."""
    environ = {
        "NOTIFYQ_DATABASE_URL": database_url,
        "NOTIFYQ_SANDBOX_URL": "http://127.0.0.1:1",
        "NOTIFYQ_CONFIG": str(SETTINGS),
    }
    app = create_app(api_parts(load(environ)))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield RealApi(f"http://127.0.0.1:{port}", database_url)
    server.should_exit = True
    thread.join()


def until(true: Callable[[], object], wait_s: float = 15.0) -> None:
    deadline = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_each_line_of_the_samples_ends_as_their_own_file_says(api: RealApi) -> None:
    expected = json.loads((SAMPLES / "expected.json").read_text())
    for name, wanted in expected.items():
        environ = {"NOTIFYQ_URL": api.url, "NOTIFYQ_API_KEY": api.key(name)}
        result = CliRunner().invoke(send, [str(SAMPLES / f"{name}.ndjson"), "--json"], env=environ)
        assert result.exit_code == 1, result.output
        told = report(result)
        refused = {str(r["line"]): r for r in told["refused"]}
        assert refused.keys() == wanted["refused"].keys()
        for number, should in wanted["refused"].items():
            seen = {k: refused[number][k] for k in ("status", "code", "pointer")}
            assert seen == {"pointer": None} | should
            assert refused[number]["detail"]
        replayed = Counter(a["replayed"] for a in told["accepted"])
        assert (replayed[False], replayed[True]) == (wanted["accepted"], wanted["replayed"])
        counts = told["counts"]
        assert (counts["lines"], counts["blank"]) == (wanted["lines"], wanted["blank"])
        assert told["failed"] == []
        assert told["stopped"] is None


def test_run_again_it_replays_and_sends_nothing(api: RealApi) -> None:
    key = api.key("acme")
    text = "\n".join(line(f"k{n}") for n in range(40))
    first = report(run(api.url, "--json", text=text, key=key))
    assert first["counts"] | {"blank": 0} == {
        "lines": 40, "blank": 0, "sent": 40, "replayed": 0, "refused": 0, "failed": 0,
    }  # fmt: skip
    before = api.notifications()
    result = run(api.url, "--json", text=text, key=key)
    again = report(result)
    assert result.exit_code == 0
    assert again["counts"]["replayed"] == 40
    assert api.notifications() == before == 40
    assert {a["id"] for a in again["accepted"]} == {a["id"] for a in first["accepted"]}


def test_a_key_that_is_not_known_stops_at_once(api: RealApi) -> None:
    text = "\n".join(line(f"k{n}") for n in range(500))
    result = run(api.url, text=text, key="nq_test_" + "0" * 48)
    assert result.exit_code == 1
    assert "the API refuses NOTIFYQ_API_KEY (401)" in result.stderr
    assert "0 lines" in result.stdout
    assert api.notifications() == 0


def test_a_bad_line_is_told_by_number_and_the_rest_goes_on() -> None:
    bad = [
        '{"idempotency_key": "a", ',
        line(None),
        line("x" * 256),
        line("é"),
        '{"idempotency_key": 7}',
        "[1]",
        "7",
        "\x00\xff",
    ]
    text = "\n\n" + "\n".join([line("good"), *bad, "  ", line("better")])
    with fake_api() as api:
        result = run(api.url, "--json", text=text)
    told = report(result)
    assert result.exit_code == 1
    assert [r["line"] for r in told["refused"]] == list(range(4, 12))
    assert [(r["code"], r["pointer"]) for r in told["refused"]] == [
        ("not_json", None),
        ("missing_idempotency_key", "/idempotency_key"),
        ("invalid_idempotency_key", "/idempotency_key"),
        ("invalid_idempotency_key", "/idempotency_key"),
        ("invalid_idempotency_key", "/idempotency_key"),
        ("invalid_request", ""),
        ("invalid_request", ""),
        ("not_json", None),
    ]
    assert [a["line"] for a in told["accepted"]] == [3, 13]
    assert told["counts"]["blank"] == 3
    assert "line 5: refused: missing_idempotency_key /idempotency_key: is required" in result.stderr
    assert "\x00" not in result.stderr


def test_a_refusal_names_code_pointer_and_detail() -> None:
    faults = [{"pointer": "/a", "detail": "is odd"}, {"pointer": "/b", "detail": "\x1b[31mred"}]

    def refuse(*_: object) -> web.Response:
        return problem(422, "invalid_request", errors=faults, retryable=False)

    with fake_api(refuse) as api:
        result = run(api.url, "--json", text=line())
    assert report(result)["refused"] == [
        {
            "line": 1,
            "status": 422,
            "code": "invalid_request",
            "pointer": "/a",
            "detail": "is odd; /b \x1b[31mred",
        }
    ]
    assert "line 1: refused: invalid_request /a: is odd; /b \\x1b[31mred\n" in result.stderr
    assert len(api.keys) == 1


def test_the_key_travels_in_the_header_and_not_in_the_body() -> None:
    with fake_api() as api:
        run(api.url, text=line(' a"b\\c '))
    assert api.keys == ['" a\\"b\\\\c "']
    assert "idempotency_key" not in api.bodies[0]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("status", "code"), [(503, "unavailable"), (409, "key_in_use"), (500, "internal")]
)
def test_a_passing_no_is_tried_again_with_the_same_key(status: int, code: str) -> None:
    def third_time(api: FakeApi, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if len(api.keys) < 3:
            return problem(status, code, retryable=True)
        return accepted(api, request, body)

    with fake_api(third_time) as api:
        result = run(api.url, text=line("same"))
    assert result.exit_code == 0
    assert api.keys == ['"same"'] * 3
    assert "1 sent" in result.stdout


@pytest.mark.usefixtures("hurried")
def test_a_lost_connection_is_tried_again_with_the_same_key() -> None:
    def drop_first(api: FakeApi, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if len(api.keys) == 1:
            assert request.transport is not None
            request.transport.close()
        return accepted(api, request, body)

    with fake_api(drop_first) as api:
        result = run(api.url, text=line("same"))
    assert result.exit_code == 0, result.output
    assert api.keys == ['"same"'] * 2


@pytest.mark.usefixtures("hurried")
def test_retries_are_bounded_and_end_as_failed() -> None:
    with fake_api(lambda *_: problem(503, "unavailable", retryable=True)) as api:
        result = run(api.url, "--json", "--retries", "3", text=line())
    told = report(result)
    assert result.exit_code == 1
    assert len(api.keys) == 4
    assert [(f["line"], f["status"], f["code"]) for f in told["failed"]] == [
        (1, 503, "unavailable")
    ]
    assert told["refused"] == []


@pytest.mark.usefixtures("hurried")
def test_nobody_there_is_failed_not_refused() -> None:
    result = run("http://127.0.0.1:1", "--json", "--retries", "1", text=line())
    assert result.exit_code == 1
    failed = report(result)["failed"]
    assert [(f["status"], f["code"]) for f in failed] == [(None, "no_answer")]


@pytest.mark.usefixtures("hurried")
def test_retry_after_is_obeyed() -> None:
    times: list[float] = []

    def later(api: FakeApi, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        times.append(time.monotonic())
        if len(times) == 1:
            return problem(503, "unavailable", retryable=True, headers={"Retry-After": "1"})
        return accepted(api, request, body)

    with fake_api(later) as api:
        assert run(api.url, text=line()).exit_code == 0
    assert times[1] - times[0] >= 1.0


def test_more_patience_than_is_sensible_is_not_had() -> None:
    def much_later(*_: object) -> web.Response:
        headers = {"Retry-After": "86400"}
        return problem(503, "unavailable", retryable=True, headers=headers)

    with fake_api(much_later) as api:
        assert run(api.url, text=line()).exit_code == 1
    assert len(api.keys) == 1


def test_several_are_in_flight_and_never_more_than_asked() -> None:
    text = "\n".join(line(f"k{n}") for n in range(40))
    with fake_api(wait_s=0.02) as api:
        assert run(api.url, "--concurrency", "4", text=text).exit_code == 0
    assert api.at_once_max == 4


def test_lines_of_one_key_go_in_the_order_of_the_file() -> None:
    text = "\n".join(line("same", metadata={"n": str(n)}) for n in range(10))
    with fake_api(wait_s=0.01) as api:
        run(api.url, text=text)
    assert [body["metadata"]["n"] for body in api.bodies] == [str(n) for n in range(10)]
    assert api.at_once_max == 1


def test_a_line_that_is_too_long_is_not_sent() -> None:
    room = LINE_BYTES_MAX - len(line("a", pad=""))
    fits, over = line("a", pad="x" * room), line("b", pad="x" * (room + 1))
    assert len(fits) == LINE_BYTES_MAX
    huge = "x" * (LINE_BYTES_MAX * 5)
    with fake_api() as api:
        told = report(run(api.url, "--json", text="\r\n".join([fits, over, huge, line("c")])))
    assert [(r["line"], r["status"], r["code"]) for r in told["refused"]] == [
        (2, 413, "body_too_large"),
        (3, 413, "body_too_large"),
    ]
    assert [a["line"] for a in told["accepted"]] == [1, 4]


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    with fake_api() as api:
        assert run(api.url, text=b"\xef\xbb\xbf" + line().encode()).exit_code == 0


def test_an_answer_of_something_else_is_no_acceptance() -> None:
    with fake_api(lambda *_: web.Response(text="<html>", status=200)) as api:
        result = run(api.url, text=line())
    assert result.exit_code == 1
    assert "answered 200, not as notifyq does: check NOTIFYQ_URL" in result.stderr


def test_a_key_without_the_scope_stops_at_once() -> None:
    with fake_api(lambda *_: problem(403, "missing_scope", retryable=False)) as api:
        text = "\n".join(line(f"k{n}") for n in range(100))
        result = run(api.url, "--json", "--concurrency", "1", text=text)
    assert result.exit_code == 1
    assert len(api.keys) == 1
    assert report(result)["stopped"]


@pytest.mark.parametrize("key", [None, "", " ", "secret", "nq_test_\xe9"])
def test_without_a_usable_key_it_is_misused(key: str | None) -> None:
    result = run("http://127.0.0.1:1", text=line(), key=key)
    assert result.exit_code == 2
    assert "NOTIFYQ_API_KEY" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("url", ["ftp://x", "nowhere", "http://"])
def test_a_url_that_leads_nowhere_is_misused(url: str) -> None:
    result = run(url, text=line())
    assert result.exit_code == 2
    assert "NOTIFYQ_URL" in result.stderr


def test_no_file_is_misused(tmp_path: Path) -> None:
    environ = {"NOTIFYQ_API_KEY": KEY}
    assert CliRunner().invoke(send, [str(tmp_path / "none")], env=environ).exit_code == 2


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine() -> None:
    with fake_api() as api:
        environ = {"NOTIFYQ_URL": api.url, "NOTIFYQ_API_KEY": KEY}
        environ |= {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
        result = CliRunner().invoke(send, ["--retries", "0", "-"], input=line(), env=environ)
    assert result.exit_code == 0, result.output


@contextmanager
def process(url: str) -> Iterator[subprocess.Popen[bytes]]:
    code = "from notifyq.cli.send import send; send()"
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        [sys.executable, "-c", code, "-"],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=os.environ | {"NOTIFYQ_URL": url, "NOTIFYQ_API_KEY": KEY},
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def test_a_line_is_sent_when_it_comes_not_when_the_pipe_ends() -> None:
    with fake_api() as api, process(api.url) as sending:
        assert sending.stdin is not None
        sending.stdin.write(line("first").encode() + b"\n")
        sending.stdin.flush()
        until(lambda: api.keys == ['"first"'])
        out, _ = sending.communicate(line("second").encode())
        assert sending.returncode == 0
        assert b"2 sent" in out


def test_ctrl_c_ends_it_though_the_pipe_goes_on() -> None:
    with fake_api() as api, process(api.url) as sending:
        assert sending.stdin is not None
        assert sending.stderr is not None
        assert sending.stdout is not None
        sending.stdin.write(line("first").encode() + b"\n")
        sending.stdin.flush()
        until(lambda: api.keys)
        sending.send_signal(signal.SIGINT)
        ready, _, _ = select.select([sending.stderr], [], [], 10)
        assert ready
        assert sending.wait(10) == 1
        assert b"interrupted; run it again" in sending.stderr.read()
        assert b" sent, 0 replayed" in sending.stdout.read()


def test_the_server_is_real_enough() -> None:
    """The fake answers as httpx expects, so that the tests above are about `send`."""
    with fake_api() as api:
        answer = httpx.post(
            f"{api.url}/v1/notifications", json={}, headers={"Idempotency-Key": "k"}
        )
    assert answer.status_code == 202
