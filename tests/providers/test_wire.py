"""What each failure of an exchange tells, against a real server per behaviour.

Every case asserts the value *and* how often the server read the whole request.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from notifyq import boottime
from notifyq.providers.once import Once
from notifyq.providers.wire import (
    BODY_BYTES_MAX,
    RETRY_AFTER_S_MAX,
    Answer,
    Lost,
    NeverLeft,
    Wire,
    post_request,
)

TCP_CLOSED = b"\x07"  # TCP_CLOSE in the first byte of Linux's tcp_info
OK = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
Behaviour = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A loopback server that counts the requests it has read completely."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen: list[bytes] = []
        self.connections = 0
        self.bytes_read = 0
        self.gone = asyncio.Event()  # the client hung up
        self.read_one = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages?a=%2F%7e"

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        body = await reader.readexactly(sum(lengths))
        self.seen.append(head + body)
        self.read_one.set()
        return head + body

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.behaviour(self, reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[Server]:
    server = Server(behaviour)
    tasks: set[asyncio.Task[None]] = set()

    def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(server.handle(reader, writer)))

    listener = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire(max_in_flight=4)
    yield wire
    await wire.aclose()


def post(url: str, body: bytes = b"To=%2B1") -> httpx.Request:
    return httpx.Request("POST", url, content=body)


async def answer(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        await server.request(reader)
        writer.write(OK)


def answering(raw: bytes) -> Behaviour:
    async def behave(s: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await s.request(reader)
        writer.write(raw)
        await writer.drain()

    return behave


async def close_after_reading(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.request(reader)


async def reset_after_reading(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.request(reader)
    reset(writer)


async def speak_no_tls(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read(1)
    writer.write(b"not tls at all")


async def stay_silent(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.request(reader)
    with contextlib.suppress(ConnectionResetError):
        await reader.read()
    server.gone.set()


async def reset_at_the_first_byte(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readexactly(1)
    reset(writer)


async def answer_once_then_close(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.request(reader)
    writer.write(OK)
    await server.request(reader)


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_complete_answer_is_returned_as_it_was_sent(wire: Wire) -> None:
    raw = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nX-A: b\r\nContent-Length: 3\r\n\r\n\xff{}"
    async with serving(answering(raw)) as server:
        found = await wire.exchange(post(server.url), timeout_s=5)
    assert isinstance(found, Answer)
    assert (found.status, found.body, found.headers["x-a"]) == (429, b"\xff{}", "b")
    assert found.retry_after_s() == 7
    assert len(server.seen) == 1


async def test_the_request_leaves_as_it_was_built_and_nothing_is_added_but_framing(
    wire: Wire,
) -> None:
    headers = httpx.Headers({"Content-Type": "x/y", "Authorization": "Basic QQ=="})
    async with serving(answer) as server:
        await wire.exchange(post_request(httpx.URL(server.url), headers, b"a=b"), timeout_s=5)
    head, _, body = server.seen[0].partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    assert line == "POST /messages?a=%2F%7e HTTP/1.1"
    assert {name.split(":")[0].lower() for name in rest} == {
        "host",
        "content-type",
        "authorization",
        "content-length",
    }
    assert body == b"a=b"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("999999", RETRY_AFTER_S_MAX),
        ("-1", None),
        ("1.5", None),
        ("\u0663", None),
        ("", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_read_as_bounded_seconds_or_not_at_all(
    text: str, seconds: float | None
) -> None:
    assert Answer(429, {"retry-after": text}, b"").retry_after_s() == seconds


async def test_nobody_listening_means_never_left(wire: Wire) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert await wire.exchange(post(url), timeout_s=5) == NeverLeft("econnrefused")


@pytest.mark.parametrize("host", ["x.invalid", "a" * 64 + ".example", "a..b.example"])
async def test_no_such_name_means_never_left(wire: Wire, host: str) -> None:
    found = await wire.exchange(post(f"http://{host}/"), timeout_s=30)
    assert found == NeverLeft("no_such_host")


async def test_a_failed_handshake_means_never_left(wire: Wire) -> None:
    async with serving(speak_no_tls) as server:
        url = server.url.replace("http://", "https://")
        assert await wire.exchange(post(url), timeout_s=5) == NeverLeft("tls")
    assert server.seen == []


async def test_no_free_place_within_the_time_means_never_left() -> None:
    wire = Wire(max_in_flight=1)
    async with serving(stay_silent) as server:
        first = asyncio.create_task(wire.exchange(post(server.url), timeout_s=5))
        await server.read_one.wait()
        assert await wire.exchange(post(server.url), timeout_s=0.1) == NeverLeft("timeout")
        await wire.aclose()
        assert isinstance(await first, Lost)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (close_after_reading, "closed"),
        (reset_after_reading, "econnreset"),
        (stay_silent, "timeout"),
        (answering(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{}"), "body_cut"),
        (
            answering(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            "body_cut",
        ),
        (
            answering(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"),
            None,
        ),
        (answering(b"HTTP/1.1 201 Cre"), "closed"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not_http"),
        (answering(b"HTTP/1.1 100 Continue\r\n\r\n"), "closed"),
        (
            answering(
                b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1)
                + b"x" * (BODY_BYTES_MAX + 1)
            ),
            "body_too_large",
        ),
    ],
    ids=[
        "closes",
        "resets",
        "silent",
        "cut body",
        "cut chunk",
        "bad chunk",
        "cut status",
        "garbage",
        "only 100",
        "oversized",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_a_lost_answer_is_never_read_as_never_sent(
    wire: Wire, behaviour: Behaviour, code: str | None, method: str
) -> None:
    """The server read the whole request once: whatever it did then, it may have carried it out."""
    async with serving(behaviour) as server:
        content = None if method == "GET" else b"To=%2B1"
        request = httpx.Request(method, server.url, content=content)
        found = await wire.exchange(request, timeout_s=0.3 if code == "timeout" else 5)
    assert isinstance(found, Lost)
    assert code is None or found.code == code
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
async def test_a_kept_alive_connection_that_closes_is_lost_and_not_sent_again(
    wire: Wire, method: str
) -> None:
    """aiohttp's session would send the idempotent ones of these once more."""
    async with serving(answer_once_then_close) as server:
        request = httpx.Request(method, server.url)
        assert isinstance(await wire.exchange(request, timeout_s=5), Answer)
        assert await wire.exchange(request, timeout_s=5) == Lost("closed")
    assert (len(server.seen), server.connections) == (2, 1)


async def test_a_reset_at_the_first_byte_is_lost(wire: Wire) -> None:
    async with serving(reset_at_the_first_byte) as server:
        found = await wire.exchange(post(server.url), timeout_s=5)
    assert isinstance(found, Lost)
    assert server.seen == []


async def test_a_connection_closed_while_idle_is_not_used_again(wire: Wire) -> None:
    async with serving(answering(OK)) as server:
        for _ in range(2):
            assert isinstance(await wire.exchange(post(server.url), timeout_s=5), Answer)
            await asyncio.wait_for(idle_connection(wire).closed, 5)
    assert (len(server.seen), server.connections) == (2, 2)


async def test_a_connection_that_closes_as_it_is_taken_means_never_left(wire: Wire) -> None:
    """The other side's close arrives in the turn of the loop between taking and writing."""
    async with serving(answer) as server:
        assert isinstance(await wire.exchange(post(server.url), timeout_s=5), Answer)
        idle = idle_connection(wire)
        exchange = asyncio.create_task(wire.exchange(post(server.url), timeout_s=5))
        asyncio.get_running_loop().call_soon(lambda: idle.transport.close())
        assert await exchange == NeverLeft("closed")
    assert len(server.seen) == 1


def idle_connection(wire: Wire) -> Any:
    (connections,) = wire._pool._conns.values()  # type: ignore[union-attr]
    return connections[0][0]


async def until(condition: Callable[[], bool], *, within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_an_answer_nobody_asked_for_is_not_read_as_the_next_one(wire: Wire) -> None:
    poison = asyncio.Event()

    async def behave(s: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await s.request(reader)
        writer.write(OK)
        await poison.wait()
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nwrong")
        await answer(s, reader, writer)

    async with serving(behave) as server:
        assert isinstance(await wire.exchange(post(server.url), timeout_s=5), Answer)
        poison.set()
        found = await first_other_than_answer(wire, server)
    assert found == NeverLeft("stale_connection")


async def first_other_than_answer(wire: Wire, server: Server) -> NeverLeft:
    connection = idle_connection(wire)
    await until(lambda: connection.should_close)
    found = await wire.exchange(post(server.url), timeout_s=5)
    assert isinstance(found, NeverLeft)
    assert len(server.seen) == 1
    return found


async def test_a_slow_answer_within_the_time_is_an_answer(wire: Wire) -> None:
    release = asyncio.Event()

    async def behave(s: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await s.request(reader)
        await release.wait()
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()

    async with serving(behave) as server:
        exchange = asyncio.create_task(wire.exchange(post(server.url), timeout_s=30))
        await server.read_one.wait()
        release.set()
        assert isinstance(await exchange, Answer)
    assert len(server.seen) == 1


async def test_the_time_is_kept_to_the_millisecond_not_rounded_up_to_seconds(wire: Wire) -> None:
    async with serving(stay_silent) as server:
        began = time.monotonic()
        assert await wire.exchange(post(server.url), timeout_s=5.2) == Lost("timeout")
        assert 5.1 < time.monotonic() - began < 5.7


async def test_after_giving_up_no_queued_byte_leaves(wire: Wire) -> None:
    """The server reads nothing of a large body: much of it still waits in this process then.

    A mere close would go on offering it for as long as the server lives.
    """

    async def behave(s: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        sock = writer.get_extra_info("socket")
        await s.gone.wait()
        await until(lambda: sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == TCP_CLOSED)
        s.seen.append(b"reset")

    async with serving(behave) as server:
        request = post(server.url, b"x" * 20_000_000)
        assert await wire.exchange(request, timeout_s=0.5) == Lost("timeout")
        server.gone.set()
        await until(lambda: bool(server.seen))


async def test_a_timeout_resets_the_connection(wire: Wire) -> None:
    async with serving(stay_silent) as server:
        assert await wire.exchange(post(server.url), timeout_s=0.2) == Lost("timeout")
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_cancelled_exchange_raises_and_resets(wire: Wire) -> None:
    async with serving(stay_silent) as server:
        exchange = asyncio.create_task(wire.exchange(post(server.url), timeout_s=30))
        await server.read_one.wait()
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        await asyncio.wait_for(server.gone.wait(), 5)
    assert len(server.seen) == 1


async def test_a_process_that_wakes_up_late_writes_nothing(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps past the deadline between connecting and writing, as after a SIGSTOP."""
    real = time.clock_gettime(time.CLOCK_BOOTTIME)
    for on_time, method in itertools.product((1, 2), ("POST", "GET")):
        clock = itertools.chain([real] * on_time, itertools.repeat(real + 99))
        monkeypatch.setattr(boottime, "boottime_s", lambda clock=clock: next(clock))
        async with serving(answer) as server:
            request = httpx.Request(method, server.url, content=b"a=b" * (method == "POST"))
            assert await wire.exchange(request, timeout_s=5) == NeverLeft("closed")
        assert server.seen == []


async def test_no_byte_is_written_before_the_moment_of_no_return(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches every write of this process to a socket: aiohttp must not write before `begin`.

    This is what an update of aiohttp could break: the request's own writing is its inside.
    """
    if not isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        pytest.skip("the writes of another loop cannot be watched")
    transport = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    order: list[str] = []
    for name in ("write", "writelines"):
        original = getattr(transport, name)

        def watched(self: object, data: object, original: Any = original) -> Any:
            order.append("response" if b"HTTP/1.1 201" in bytes(data) else "write")  # type: ignore[call-overload]
            return original(self, data)

        monkeypatch.setattr(transport, name, watched)
    begin = Once.begin

    def watched_begin(self: Once) -> bool:
        order.append("begin")
        return begin(self)

    monkeypatch.setattr(Once, "begin", watched_begin)
    async with serving(answer) as server:
        for method, content in [("POST", b"a=b"), ("GET", b""), ("DELETE", b""), ("PUT", b"x" * 9)]:
            request = httpx.Request(method, server.url, content=content)
            assert isinstance(await wire.exchange(request, timeout_s=5), Answer)
    assert order == ["begin", "write", "response"] * 4


async def test_sockets_close_hard_and_do_not_wait(wire: Wire) -> None:
    async with serving(answer) as server:
        await wire.exchange(post(server.url), timeout_s=10)
        sock = idle_connection(wire).transport.get_extra_info("socket")
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        silence_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 8_000 < silence_ms < 10_000
        await wire.exchange(post(server.url), timeout_s=2)
        silence_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 1_000 < silence_ms < 2_000


async def test_a_killed_process_resets_its_connection() -> None:
    program = (
        "import asyncio, httpx, sys\n"
        "from notifyq.providers.wire import Wire\n"
        "request = httpx.Request('POST', sys.argv[1], content=b'a=b')\n"
        "asyncio.run(Wire(max_in_flight=1).exchange(request, timeout_s=60))\n"
    )
    async with serving(stay_silent) as server:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, server.url, env={**os.environ, "PYTHONPATH": os.getcwd()}
        )
        await asyncio.wait_for(server.read_one.wait(), 20)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_redirect_a_cookie_and_a_compressed_body_are_handed_over_untouched(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    raw = (
        b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nSet-Cookie: a=b\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x00"
    )

    async def behave(s: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await s.request(reader)
            writer.write(raw)

    async with serving(behave) as server:
        for _ in range(2):
            found = await wire.exchange(post(server.url), timeout_s=5)
            assert isinstance(found, Answer)
            assert (found.status, found.body) == (307, b"\x1f\x8b\x00\x00")
    assert len(server.seen) == 2
    assert b"ookie" not in server.seen[1]


async def test_a_switch_of_protocols_is_an_answer_and_its_connection_is_dropped(wire: Wire) -> None:
    async with serving(answering(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n")) as server:
        found = await wire.exchange(post(server.url), timeout_s=5)
    assert isinstance(found, Answer)
    assert found.status == 101


async def test_at_most_max_in_flight_connections_are_open() -> None:
    wire = Wire(max_in_flight=3)
    async with serving(answer) as server:
        found = await asyncio.gather(
            *(wire.exchange(post(server.url), timeout_s=10) for _ in range(40))
        )
        await wire.aclose()
    assert {type(each) for each in found} == {Answer}
    assert (len(server.seen), server.connections) == (40, 3)


def test_a_lane_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        Wire(max_in_flight=0)


async def test_an_httpx_client_over_the_wire_tells_never_left_from_lost(wire: Wire) -> None:
    async with httpx.AsyncClient(transport=wire) as client:
        async with serving(answer) as server:
            assert (await client.post(server.url, content=b"a")).status_code == 201
        with pytest.raises(httpx.ConnectError, match=r"econnrefused|closed"):
            await client.post(server.url, content=b"a")
        async with serving(close_after_reading) as server:
            with pytest.raises(httpx.ReadError, match="closed"):
                await client.post(server.url, content=b"a")
    assert len(server.seen) == 1
