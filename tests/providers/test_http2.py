"""What each failure of an exchange over HTTP/2 tells, against a real server per behaviour.

Every case asserts the value *and* how often the server read the whole request.
"""

import asyncio
import contextlib
import os
import random
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trustme
from h2.errors import ErrorCodes
from h2.events import PingAckReceived, PingReceived, SettingsAcknowledged, StreamReset
from h2.settings import SettingCodes
from hpack import NeverIndexedHeaderTuple
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
)

from notifyq import boottime
from notifyq.providers import http2_connection, http2_pipe, http2_stream
from notifyq.providers.http2 import Http2
from notifyq.providers.http2_connection import Connection
from notifyq.providers.http2_frames import Goaway
from notifyq.providers.wire import (
    BODY_BYTES_MAX,
    Answer,
    Lost,
    NeverLeft,
    NotProcessed,
    post_request,
)
from tests.providers.h2_server import GRACEFUL, Behaviour, Peer, Request, Server, answer, serving

WINDOW, STREAMS = SettingCodes.INITIAL_WINDOW_SIZE, SettingCodes.MAX_CONCURRENT_STREAMS
Result = Answer | NeverLeft | NotProcessed | Lost


@asynccontextmanager
async def lane(server: Server, **options: Any) -> AsyncIterator[Http2]:
    http2 = Http2(base_url=server.base_url, **{"max_in_flight": 100, **options})
    try:
        yield http2
    finally:
        await http2.aclose()


@asynccontextmanager
async def both(
    behaviour: Behaviour = answer, *, max_in_flight: int = 100, **options: Any
) -> AsyncIterator[tuple[Server, Http2]]:
    async with (
        serving(behaviour, **options) as server,
        lane(server, max_in_flight=max_in_flight) as http2,
    ):
        yield server, http2


def post(
    server: Server, body: bytes = b"{}", headers: dict[str, str] | None = None
) -> httpx.Request:
    url = httpx.URL(
        f"{server.base_url}/3/device/00fc13adff785122b4ad28809a3420982341241421348097?a=%2F"
    )
    return post_request(url, httpx.Headers(headers), body)


async def until(condition: Callable[[], bool], *, within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def proven(server: Server, http2: Http2) -> None:
    """Have one request answered, so that more than one stream may begin."""
    assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    server.begun.clear()
    server.seen.clear()


def live(http2: Http2) -> Connection:
    assert http2._live is not None
    return http2._live


def doing(*steps: Callable[[Peer, Request], object]) -> Behaviour:
    """Do one thing a request, the last for all that follow."""

    left = list(steps)

    def behave(peer: Peer, request: Request) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(peer, request)

    return behave


def both_of(*steps: Behaviour) -> Behaviour:
    """Do one thing after the other, for every request."""

    def behave(peer: Peer, request: Request) -> None:
        for step in steps:
            step(peer, request)

    return behave


def silent(peer: Peer, request: Request) -> None:
    """Answer never."""


def head_only(peer: Peer, request: Request) -> None:
    peer.answer(request.stream_id, 200, {"apns-id": "x"}, end=False)


# The request and the answer.


async def test_a_complete_answer_is_returned_as_it_was_sent() -> None:
    def behave(peer: Peer, request: Request) -> None:
        peer.answer(request.stream_id, 429, {"retry-after": "7", "x-a": "b"}, b"\xff{}")

    async with both(behave) as (server, http2):
        found = await http2.exchange(post(server), timeout_s=5)
    assert found == Answer(429, {"retry-after": "7", "x-a": "b"}, b"\xff{}")
    assert isinstance(found, Answer)
    assert found.retry_after_s() == 7
    assert len(server.seen) == 1


async def test_the_request_leaves_as_it_was_built_and_only_framing_is_added() -> None:
    headers = {"Authorization": " bearer x ", "Apns-Topic": "a.b", "Connection": "close"}
    async with both() as (server, http2):
        await http2.exchange(post(server, b'{"a":1}', headers), timeout_s=5)
    (request,) = server.seen
    assert request.body == b'{"a":1}'
    assert [tuple(map(str, field)) for field in request.fields] == [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", f"127.0.0.1:{server.port}"),
        (":path", "/3/device/00fc13adff785122b4ad28809a3420982341241421348097?a=%2F"),
        ("authorization", "bearer x"),
        ("apns-topic", "a.b"),
        ("content-length", "7"),
    ]


async def test_a_request_without_a_body_ends_with_its_head() -> None:
    async with both() as (server, http2):
        request = httpx.Request("GET", f"{server.base_url}/x")
        assert isinstance(await http2.exchange(request, timeout_s=5), Answer)
    assert (server.seen[0].body, "content-length" in server.seen[0].headers) == (b"", False)


async def test_of_several_headers_with_one_name_the_first_counts() -> None:
    def behave(peer: Peer, request: Request) -> None:
        fields = [(":status", "200"), ("a", "1"), ("a", "2")]
        peer.h2.send_headers(request.stream_id, fields, end_stream=True)
        peer.flush()

    async with both(behave) as (server, http2):
        assert await http2.exchange(post(server), timeout_s=5) == Answer(200, {"a": "1"}, b"")


async def test_a_1xx_is_no_answer_and_trailers_are_let_be() -> None:
    def behave(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(request.stream_id, [(":status", "103")])
        peer.answer(request.stream_id, 200, end=False)
        peer.h2.send_headers(request.stream_id, [("x", "y")], end_stream=True)
        peer.flush()

    async with both(behave) as (server, http2):
        assert await http2.exchange(post(server), timeout_s=5) == Answer(200, {}, b"")


async def test_paths_and_secrets_are_never_indexed_and_varying_fields_do_not_fill_the_table() -> (
    None
):
    async with both() as (server, http2):
        for number in range(50):
            headers = {"authorization": "bearer x", "apns-id": f"id-{number}", "apns-topic": "t"}
            assert isinstance(
                await http2.exchange(post(server, headers=headers), timeout_s=5), Answer
            )
        table = server.peer.h2.decoder.header_table.dynamic_entries
        entries = {bytes(name): bytes(value) for name, value in table}
    assert b":path" not in entries
    assert b"authorization" not in entries
    assert (entries[b"apns-topic"], entries[b"apns-id"]) == (b"t", b"id-0")
    assert len(table) == len(entries)
    kinds = {str(field[0]): type(field) for field in server.seen[-1].fields}
    assert kinds[":path"] is kinds["authorization"] is NeverIndexedHeaderTuple


async def test_no_priority_is_sent_and_push_is_switched_off() -> None:
    async with both() as (server, http2):
        for _ in range(3):
            await http2.exchange(post(server), timeout_s=5)
        frames = read_frames(
            bytes(server.peer.raw).removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        )
    assert not [f for f in frames if isinstance(f, PriorityFrame) or "PRIORITY" in f.flags]
    (settings,) = [f for f in frames if isinstance(f, SettingsFrame) and "ACK" not in f.flags]
    assert settings.settings[SettingsFrame.ENABLE_PUSH] == 0


def read_frames(received: bytes | bytearray) -> list[Frame]:
    raw = bytes(received).removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    found = []
    while raw:
        frame, length = Frame.parse_frame_header(memoryview(raw[:9]))
        frame.parse_body(memoryview(raw[9 : 9 + length]))
        found.append(frame)
        raw = raw[9 + length :]
    return found


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "x"), ("é", "x"), ("x", "a\r\nb: c"), ("x", "a\0b"), (":path", "/")]
)
async def test_a_header_that_cannot_be_sent_is_refused_before_anything(
    name: str, value: str
) -> None:
    async with both() as (server, http2):
        request = httpx.Request("POST", f"{server.base_url}/", stream=httpx.ByteStream(b""))
        request.headers = httpx.Headers([(name.encode(), value.encode())])
        with pytest.raises(ValueError, match="cannot be sent"):
            await http2.exchange(request, timeout_s=5)
        await proven(server, http2)


async def test_another_origin_is_refused() -> None:
    async with both() as (server, http2):
        for url in ("http://127.0.0.1:1/", f"https://127.0.0.1:{server.port}/", "http://x/"):
            with pytest.raises(ValueError, match="another origin"):
                await http2.exchange(httpx.Request("POST", url), timeout_s=5)
    assert server.peers == []


@pytest.mark.parametrize(
    ("base_url", "max_in_flight"), [("ftp://x", 1), ("x", 1), ("https://", 1), ("http://x", 0)]
)
def test_a_lane_that_cannot_be_is_refused(base_url: str, max_in_flight: int) -> None:
    with pytest.raises(ValueError, match=r"no http|below 1"):
        Http2(base_url=base_url, max_in_flight=max_in_flight)


# Never left.


async def test_nobody_listening_means_never_left() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert await once(url) == NeverLeft("econnrefused")


async def once(url: str, *, timeout_s: float = 5, **options: Any) -> Result:
    http2 = Http2(base_url=url, max_in_flight=1, **options)
    try:
        return await http2.exchange(httpx.Request("POST", url, content=b"x"), timeout_s=timeout_s)
    finally:
        await http2.aclose()


@pytest.mark.parametrize("host", ["x.invalid", "a" * 64 + ".example"])
async def test_no_such_name_means_never_left(host: str) -> None:
    assert await once(f"http://{host}", timeout_s=30) == NeverLeft("no_such_host")


def nothing(peer: Peer) -> None:
    """Say nothing at all."""


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (Peer.hang_up, "closed"),
        (Peer.cut, "econnreset"),
        (nothing, "timeout"),
        (lambda peer: peer.transport.write(b"HTTP/1.1 400 Bad\r\n\r\n"), "not_http2"),
        (lambda peer: peer.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n"), "not_http2"),
        (lambda peer: (peer.goaway(0, 11), peer.hang_up()), "goaway_11"),
        (lambda peer: peer.write(PingFrame(0, opaque_data=b"12345678")), "timeout"),
    ],
    ids=["closes", "resets", "silent", "http1", "ssh", "goaway", "no settings"],
)
async def test_a_peer_that_does_not_begin_with_settings_gets_no_request(
    greeting: Callable[[Peer], None], code: str
) -> None:
    async with serving(on_connect=greeting) as server:
        assert await once(server.base_url, timeout_s=0.5 if code == "timeout" else 5) == NeverLeft(
            code
        )
    assert server.begun == []
    assert not [f for f in read_frames(server.peers[0].raw) if isinstance(f, HeadersFrame)]


async def test_when_no_connection_opens_all_who_wait_are_told() -> None:
    async with serving(on_connect=Peer.hang_up) as server, lane(server) as http2:
        found = await asyncio.gather(
            *(http2.exchange(post(server), timeout_s=5) for _ in range(20))
        )
    assert set(map(repr, found)) == {repr(NeverLeft("closed"))}
    assert len(server.peers) == 1


async def test_reconnects_are_no_herd() -> None:
    """A peer that greets and leaves: 0, 0.1, 0.2, 0.4, 0.8 … s between the connections."""

    def leave(peer: Peer) -> None:
        peer.greet()
        peer.hang_up()

    async with serving(on_connect=leave) as server, lane(server) as http2:
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline:
            assert isinstance(await http2.exchange(post(server), timeout_s=0.2), NeverLeft | Lost)
    assert 3 <= len(server.peers) <= 6


async def test_a_peer_that_leaves_after_work_is_connected_to_again_at_once() -> None:
    def behave(peer: Peer, request: Request) -> None:
        peer.answer(request.stream_id)
        peer.goaway(request.stream_id)

    async with both(behave) as (server, http2):
        began = time.monotonic()
        for _ in range(20):
            assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
        assert time.monotonic() - began < 1
    assert len(server.peers) == 20


async def test_no_place_within_the_time_means_never_left() -> None:
    async with both(silent, max_in_flight=1) as (server, http2):
        first = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 1)
        assert await http2.exchange(post(server), timeout_s=0.1) == NeverLeft("timeout")
        server.peer.answer(1)
        assert isinstance(await first, Answer)
        assert (http2._waiting, live(http2).in_flight) == ({}, 0)
    assert len(server.begun) == 1


async def test_with_little_of_its_time_left_a_request_is_not_begun() -> None:
    async with both(doing(silent, answer), max_in_flight=1) as (server, http2):
        first = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 1)
        second = asyncio.create_task(http2.exchange(post(server), timeout_s=1))
        await asyncio.sleep(0.85)
        server.peer.answer(1)
        assert await second == NeverLeft("timeout")
        assert isinstance(await first, Answer)
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert len(server.begun) == 2


async def test_a_head_larger_than_the_peer_takes_never_leaves() -> None:
    settings = {SettingCodes.MAX_HEADER_LIST_SIZE: 600}
    async with both(settings=settings) as (server, http2):
        await proven(server, http2)
        found = await http2.exchange(post(server, headers={"x": "y" * 300}), timeout_s=5)
        assert found == NeverLeft("headers_too_large")
        assert isinstance(
            await http2.exchange(post(server, headers={"x": "y"}), timeout_s=5), Answer
        )
    assert len(server.begun) == 1


async def test_a_process_that_wakes_up_late_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps past the deadline while the request waits, as after a SIGSTOP."""
    async with both(doing(answer, silent), max_in_flight=1) as (server, http2):
        await proven(server, http2)
        first = asyncio.create_task(http2.exchange(post(server), timeout_s=50))
        await until(lambda: len(server.seen) == 1)
        second = asyncio.create_task(http2.exchange(post(server), timeout_s=50))
        await asyncio.sleep(0)
        real = time.clock_gettime(time.CLOCK_BOOTTIME)
        monkeypatch.setattr(boottime, "boottime_s", lambda: real + 99)
        server.peer.answer(3)
        assert isinstance(await first, Answer)
        assert await second == NeverLeft("timeout")
    assert len(server.begun) == 1


async def test_no_piece_of_a_body_is_written_after_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with both(settings={WINDOW: 10}) as (server, http2):
        server.on_connect = greet_and_keep_windows
        exchange = asyncio.create_task(http2.exchange(post(server, b"x" * 50), timeout_s=5))
        await until(lambda: bool(server.begun and len(server.begun[0].body) == 10))
        real = time.clock_gettime(time.CLOCK_BOOTTIME)
        monkeypatch.setattr(boottime, "boottime_s", lambda: real + 99)
        server.peer.h2.increment_flow_control_window(100, 1)
        server.peer.flush()
        await asyncio.sleep(0.1)
        assert len(server.begun[0].body) == 10
        exchange.cancel()
    assert server.seen == []


def greet_and_keep_windows(peer: Peer) -> None:
    """Never give back what was received."""
    peer.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
    peer.greet()


# After the first byte.


def raw_then(data: bytes) -> Behaviour:
    return lambda peer, request: peer.write(data)


def large(peer: Peer, request: Request) -> None:
    peer.answer(request.stream_id, 200, {}, b"x" * (BODY_BYTES_MAX + 1))


def endless(peer: Peer, request: Request) -> None:
    peer.answer(request.stream_id, 200, {}, b"x" * (BODY_BYTES_MAX + 3_000_000))


def cut_short(peer: Peer, request: Request) -> None:
    peer.answer(request.stream_id, 200, {"content-length": "9"}, end=False)
    peer.write(DataFrame(request.stream_id, b"ab", flags=["END_STREAM"]))


def promise(peer: Peer, request: Request) -> None:
    raw = bytes([0, 0, 5, 5, 4]) + struct.pack(">II", request.stream_id, 2) + b"\x88"
    peer.write(raw)


def statusless(peer: Peer, request: Request) -> None:
    block = peer.h2.encoder.encode([(":status", "2xx")])
    peer.write(HeadersFrame(request.stream_id, block, flags=["END_HEADERS", "END_STREAM"]))


LOST: dict[str, tuple[Behaviour, str]] = {
    "closes": (lambda p, r: p.hang_up(), "closed"),
    "resets": (lambda p, r: p.cut(), "econnreset"),
    "silent": (silent, "timeout"),
    "head, then silent": (head_only, "timeout"),
    "head, then closes": (both_of(head_only, lambda p, r: p.hang_up()), "closed"),
    "cancels": (lambda p, r: p.reset(r.stream_id, 8), "rst_8"),
    "internal error": (lambda p, r: p.reset(r.stream_id, 2), "rst_2"),
    "no error, no answer": (lambda p, r: p.reset(r.stream_id, 0), "rst_0"),
    "unknown code": (lambda p, r: p.reset(r.stream_id, 99), "rst_99"),
    "head, then refuses": (
        both_of(head_only, lambda p, r: p.reset(r.stream_id, 7)),
        "refused_stream",
    ),
    "head, then goaway below": (both_of(head_only, lambda p, r: p.goaway(0)), "goaway_0"),
    "goaway, then closes": (
        both_of(lambda p, r: p.goaway(r.stream_id), lambda p, r: p.hang_up()),
        "goaway_0",
    ),
    "goaway of a stream": (raw_then(bytes([0, 0, 8, 7, 0, 0, 0, 0, 1]) + bytes(8)), "not_http2"),
    "short goaway": (raw_then(bytes([0, 0, 4, 7, 0, 0, 0, 0, 0]) + bytes(4)), "not_http2"),
    "garbage": (raw_then(b"HTTP/1.1 200 OK\r\n\r\n"), "not_http2"),
    "half a frame": (both_of(raw_then(b"\0\0\x09\x01"), lambda p, r: p.hang_up()), "closed"),
    "bad padding": (raw_then(bytes([0, 0, 1, 0, 8, 0, 0, 0, 1, 9])), "not_http2"),
    "bad hpack": (raw_then(bytes([0, 0, 1, 1, 4, 0, 0, 0, 1, 0xFF])), "not_http2"),
    "no status": (statusless, "not_http2"),
    "oversized": (large, "body_too_large"),
    "far oversized": (endless, "body_too_large"),
    "body cut short": (cut_short, "not_http2"),
    "push promise": (promise, "not_http2"),
}


@pytest.mark.parametrize("case", LOST)
async def test_a_lost_answer_is_never_read_as_never_sent(case: str) -> None:
    """The server read the whole request once: whatever it did then, it may have carried it out."""
    behaviour, code = LOST[case]
    async with both(behaviour) as (server, http2):
        found = await http2.exchange(post(server), timeout_s=0.3 if code == "timeout" else 5)
    assert found == Lost(code)
    assert len(server.seen) == 1


async def test_a_stream_that_the_peer_refuses_was_not_processed_and_the_others_go_on() -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.reset(request.stream_id, 7)

    async with both(doing(answer, refuse, answer)) as (server, http2):
        for expected in (Answer, NotProcessed, Answer):
            assert isinstance(await http2.exchange(post(server), timeout_s=5), expected)
    assert len(server.peers) == 1


async def test_a_refusal_that_the_peer_did_not_say_is_none() -> None:
    """As if h2 itself had ended a stream that went wrong."""
    async with both(silent) as (server, http2):
        exchange = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 1)
        code = ErrorCodes.REFUSED_STREAM
        live(http2)._hear(StreamReset(stream_id=1, error_code=code, remote_reset=False))
        assert await exchange == Lost("rst_7")


@pytest.mark.parametrize("behaviour", [large, endless])
async def test_an_oversized_answer_is_no_harm_to_the_others(behaviour: Behaviour) -> None:
    async with both(doing(answer, silent, behaviour, answer)) as (server, http2):
        await proven(server, http2)
        other = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 1)
        assert await http2.exchange(post(server), timeout_s=5) == Lost("body_too_large")
        if behaviour is endless:
            await until(lambda: server.resets == [(5, ErrorCodes.CANCEL)])
        server.peer.answer(3)
        assert isinstance(await other, Answer)
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert len(server.peers) == 1


@pytest.mark.parametrize(
    "after",
    [
        lambda p, r: p.write(RstStreamFrame(r.stream_id, 0)),
        lambda p, r: p.write(RstStreamFrame(r.stream_id, 8)),
        lambda p, r: p.goaway(0, 2),
        lambda p, r: p.write(b"\xff" * 100),
        lambda p, r: p.hang_up(),
        lambda p, r: p.write(bytes([0, 0, 1, 1, 4, 0, 0, 0, 3, 0xFF])),
    ],
    ids=["rst 0", "rst 8", "goaway below", "garbage", "close", "bad hpack"],
)
async def test_a_complete_answer_wins_whatever_follows_in_the_same_breath(after: Behaviour) -> None:
    def behave(peer: Peer, request: Request) -> None:
        peer.gathered = bytearray()
        peer.answer(request.stream_id, 200, {}, b"yes")
        after(peer, request)
        if not peer.transport.is_closing():
            peer.transport.write(bytes(peer.gathered))
        peer.gathered = None

    async with both(behave) as (server, http2):
        assert await http2.exchange(post(server), timeout_s=5) == Answer(200, {}, b"yes")
    assert len(server.seen) == 1


async def test_an_answer_before_the_body_was_written_is_an_answer() -> None:
    """413 before the body came; then RST_STREAM(NO_ERROR), which RFC 9113 allows for just that."""

    async with both(settings={WINDOW: 10}) as (server, http2):
        server.on_connect = greet_and_keep_windows
        exchange = asyncio.create_task(http2.exchange(post(server, b"x" * 50), timeout_s=5))
        await until(lambda: bool(server.begun and len(server.begun[0].body) == 10))
        server.peer.answer(1, 413, {}, b"{}")
        assert await exchange == Answer(413, {}, b"{}")
        await until(lambda: server.resets == [(1, 8)])
        server.peer.write(RstStreamFrame(1, 0))
        second = await http2.exchange(post(server, b"x" * 5), timeout_s=5)
        assert isinstance(second, Answer)
    assert len(server.peers) == 1


# GOAWAY.


async def test_a_goaway_lets_earlier_streams_finish_and_later_ones_were_not_begun() -> None:
    async with both(doing(answer, silent)) as (server, http2):
        await proven(server, http2)
        exchanges = [
            asyncio.create_task(http2.exchange(post(server, b"%d" % n), timeout_s=5))
            for n in range(4)
        ]
        await until(lambda: len(server.seen) == 4)
        old = server.peer
        old.goaway(5, 0, b'{"reason":"Shutdown"}')
        await until(lambda: exchanges[3].done())
        assert [each.done() for each in exchanges] == [False, False, True, True]
        server.behaviour = answer
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
        assert server.peer is not old
        old.answer(5, 200, {"a": "5"})
        assert await exchanges[1] == Answer(200, {"a": "5"}, b"")
        assert not old.gone.is_set()
        old.answer(3, 400)
        found = [await each for each in exchanges]
        await asyncio.wait_for(old.gone.wait(), 5)  # drained: we close it
    assert found[0] == Answer(400, {}, b"")
    assert found[2:] == [NotProcessed("goaway_Shutdown")] * 2


async def test_a_goaway_in_two_steps_is_obeyed_at_both() -> None:
    async with both(doing(answer, silent)) as (server, http2):
        await proven(server, http2)
        exchanges = [
            asyncio.create_task(http2.exchange(post(server), timeout_s=5)) for _ in range(3)
        ]
        await until(lambda: len(server.seen) == 3)
        old = server.peer
        old.goaway(GRACEFUL)
        await asyncio.sleep(0.05)
        assert not any(each.done() for each in exchanges)
        server.behaviour = answer
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
        old.goaway(5, 0)
        old.answer(3)
        old.answer(5)
        found = [await each for each in exchanges]
    assert [type(each) for each in found] == [Answer, Answer, NotProcessed]
    assert len(server.peers) == 2


async def test_a_goaway_of_zero_says_that_nothing_was_begun() -> None:
    async with both(lambda p, r: p.goaway(0, 11, b'{"reason":"TooManyThings"}')) as (server, http2):
        found = await http2.exchange(post(server), timeout_s=5)
    assert found == NotProcessed("goaway_TooManyThings")


@pytest.mark.parametrize(
    "debug",
    [
        b"",
        b"{",
        b"[]",
        b'{"reason":1}',
        b'{"reason":"a b"}',
        b"\xff",
        b'{"reason":"' + b"x" * 99 + b'"}',
    ],
)
async def test_debug_data_that_is_no_reason_is_not_shown(debug: bytes) -> None:
    async with both(lambda p, r: p.goaway(0, 2, debug)) as (server, http2):
        assert await http2.exchange(post(server), timeout_s=5) == NotProcessed("goaway_2")


async def test_streams_above_a_goaway_stay_not_processed_when_the_connection_breaks() -> None:
    def leave(peer: Peer, request: Request) -> None:
        if len(peer.server.seen) == 3:
            peer.goaway(3)
            peer.hang_up()

    async with both(doing(answer, leave)) as (server, http2):
        await proven(server, http2)
        found = await asyncio.gather(*(http2.exchange(post(server), timeout_s=5) for _ in range(3)))
    assert found == [Lost("goaway_0"), NotProcessed("goaway_0"), NotProcessed("goaway_0")]


async def test_a_request_that_waits_for_a_place_goes_to_the_next_connection() -> None:
    async with both(doing(answer, silent), max_in_flight=2) as (server, http2):
        await proven(server, http2)
        exchanges = [
            asyncio.create_task(http2.exchange(post(server), timeout_s=5)) for _ in range(3)
        ]
        await until(lambda: len(server.seen) == 2)
        old = server.peer
        server.behaviour = answer
        old.goaway(5)
        old.answer(3)
        assert isinstance(await exchanges[2], Answer)
        old.answer(5)
        assert {type(await each) for each in exchanges} == {Answer}
    assert [len(peer.requests) for peer in server.peers] == [3, 1]


async def test_retired_connections_finish_and_the_next_request_gets_a_new_one() -> None:
    async with both(doing(answer, silent)) as (server, http2):
        http2.retire()
        await proven(server, http2)
        first = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 1)
        http2.retire()
        server.behaviour = answer
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
        server.peers[0].answer(3)
        assert isinstance(await first, Answer)
        await asyncio.wait_for(server.peers[0].gone.wait(), 5)
    assert len(server.peers) == 2


async def test_when_the_ids_are_used_up_a_new_connection_takes_over() -> None:
    async with both() as (server, http2):
        await proven(server, http2)
        live(http2)._h2.highest_outbound_stream_id = 2**31 - 5
        for _ in range(3):
            assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert [request.stream_id for request in server.seen] == [2**31 - 3, 2**31 - 1, 1]


# Limits and windows.


async def test_one_stream_until_the_first_answer_then_as_many_as_the_peer_says() -> None:
    held: list[tuple[Peer, Request]] = []
    async with both(lambda p, r: held.append((p, r)), settings={STREAMS: 3}) as (server, http2):
        exchanges = [
            asyncio.create_task(http2.exchange(post(server), timeout_s=5)) for _ in range(9)
        ]
        for expected in (1, 1, 3, 3):
            await until(lambda expected=expected: len(held) == expected)  # type: ignore[misc]
            await asyncio.sleep(0.02)
            assert len(held) == expected
            status = 403 if len(server.seen) == 1 else 200
            for peer, request in held:
                peer.answer(request.stream_id, status)
            held.clear()
        await until(lambda: len(held) == 1)
        held[0][0].answer(held[0][1].stream_id)
        await asyncio.gather(*exchanges)
    assert server.peak == 3
    assert len(server.seen) == 9


async def test_a_new_limit_of_the_peer_holds_from_then_on() -> None:
    async with both(doing(answer, silent), settings={STREAMS: 4}) as (server, http2):
        await proven(server, http2)
        exchanges = [
            asyncio.create_task(http2.exchange(post(server), timeout_s=5)) for _ in range(12)
        ]
        await until(lambda: len(server.seen) == 4)
        change(server.peer, {STREAMS: 0})
        await until(
            lambda: any(isinstance(e, SettingsAcknowledged) for e in server.peer.events[-2:])
        )
        for number in (3, 5, 7, 9):
            server.peer.answer(number)
        await asyncio.sleep(0.05)
        assert len(server.begun) == 4
        change(server.peer, {STREAMS: 2})
        await until(lambda: len(server.seen) == 6)
        server.peak = 0
        server.behaviour = answer
        change(server.peer, {STREAMS: 8})
        for number in (11, 13):
            server.peer.answer(number)
        assert {type(each) for each in await asyncio.gather(*exchanges)} == {Answer}
    assert len(server.peers) == 1


def change(peer: Peer, settings: dict[SettingCodes, int]) -> None:
    peer.h2.update_settings(dict(settings.items()))
    peer.flush()


async def test_no_more_than_max_in_flight_on_all_connections_together() -> None:
    async with both(doing(answer, silent), max_in_flight=3) as (server, http2):
        await proven(server, http2)
        exchanges = [
            asyncio.create_task(http2.exchange(post(server), timeout_s=5)) for _ in range(8)
        ]
        await until(lambda: len(server.seen) == 3)
        old = server.peer
        old.goaway(7)
        await until(lambda: len(server.peers) == 2)
        await asyncio.sleep(0.05)
        assert len(server.begun) == 3
        server.behaviour = answer
        for number in (3, 5, 7):
            old.answer(number)
        assert {type(each) for each in await asyncio.gather(*exchanges)} == {Answer}


@pytest.mark.parametrize("window", [7, 100, 5_000])
async def test_a_body_fits_through_a_tiny_window(window: int) -> None:
    body = random.Random(window).randbytes(4_096)
    async with both(settings={WINDOW: window}) as (server, http2):
        found = await asyncio.gather(
            *(http2.exchange(post(server, body), timeout_s=20) for _ in range(3))
        )
    assert {type(each) for each in found} == {Answer}
    assert [request.body for request in server.seen] == [body] * 3


async def test_a_window_that_shrinks_and_grows_in_the_middle_of_a_body_is_kept() -> None:
    async with both(settings={WINDOW: 10}) as (server, http2):
        server.on_connect = greet_and_keep_windows
        exchange = asyncio.create_task(http2.exchange(post(server, b"x" * 50), timeout_s=5))
        await until(lambda: bool(server.begun and len(server.begun[0].body) == 10))
        change(server.peer, {WINDOW: 0})  # now 10 below zero
        server.peer.h2.increment_flow_control_window(10, 1)
        server.peer.flush()
        await asyncio.sleep(0.05)
        assert len(server.begun[0].body) == 10
        change(server.peer, {WINDOW: 65_535})
        assert isinstance(await exchange, Answer)
    assert server.seen[0].body == b"x" * 50


async def test_a_large_body_is_written_in_frames_that_the_peer_takes() -> None:
    body = os.urandom(300_000)
    async with both() as (server, http2):
        found = await http2.exchange(post(server, body), timeout_s=20)
    assert isinstance(found, Answer)
    assert server.seen[0].body == body


async def test_windows_are_given_back_for_what_was_received() -> None:
    async with both(lambda p, r: p.answer(r.stream_id, 200, {}, b"x" * 8_000)) as (server, http2):
        for _ in range(60):  # 480 KB, seven times the window
            found = await http2.exchange(post(server), timeout_s=5)
            assert isinstance(found, Answer)
            assert len(found.body) == 8_000
    assert len(server.peers) == 1


async def test_windows_are_given_back_for_streams_that_nobody_waits_for() -> None:
    def late(peer: Peer, request: Request) -> None:
        if request.body == b"late":
            asyncio.get_running_loop().call_later(0.08, answer_late, peer, request)
        else:
            peer.answer(request.stream_id, 200, {}, b"x" * 8_000)

    def answer_late(peer: Peer, request: Request) -> None:
        block = peer.h2.encoder.encode([(":status", "200")])
        peer.write(HeadersFrame(request.stream_id, block, flags=["END_HEADERS"]))
        peer.h2.outbound_flow_control_window -= 8_000
        peer.write(DataFrame(request.stream_id, b"x" * 8_000, flags=["END_STREAM"]))

    async with both(late) as (server, http2):
        await proven(server, http2)
        found = await asyncio.gather(
            *(http2.exchange(post(server, b"late"), timeout_s=0.05) for _ in range(30))
        )
        assert set(map(repr, found)) == {repr(Lost("timeout"))}
        await asyncio.sleep(0.1)
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert len(server.peers) == 1


async def test_long_heads_go_and_come_in_several_frames() -> None:
    value = "".join(random.Random(1).choices("abcdefghij", k=40_000))

    def behave(peer: Peer, request: Request) -> None:
        peer.answer(request.stream_id, 200, {"x": request.headers["x"]})

    settings = {SettingCodes.MAX_HEADER_LIST_SIZE: 65_536}
    async with both(behave, settings=settings) as (server, http2):
        found = await http2.exchange(post(server, headers={"x": value}), timeout_s=5)
    assert found == Answer(200, {"x": value}, b"")


async def test_a_head_without_end_is_lost() -> None:
    def behave(peer: Peer, request: Request) -> None:
        peer.answer(request.stream_id, 200, {f"x{n}": "y" * 500 for n in range(200)})

    async with both(behave) as (server, http2):
        assert await http2.exchange(post(server), timeout_s=5) == Lost("not_http2")


# Life and death of a connection.


async def test_a_ping_of_the_peer_is_answered() -> None:
    async with both() as (server, http2):
        await proven(server, http2)
        server.peer.h2.ping(b"12345678")
        server.peer.flush()
        await until(lambda: any(isinstance(e, PingAckReceived) for e in server.peer.events))


def pings(peer: Peer) -> int:
    return sum(isinstance(event, PingReceived) for event in peer.events)


async def test_a_peer_that_was_quiet_is_asked_before_it_gets_a_request() -> None:
    async with both() as (server, http2):
        await proven(server, http2)
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
        assert pings(server.peer) == 0
        live(http2)._pulse.heard_s -= http2_pipe.QUIET_S + 1
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
        kinds = [type(event).__name__ for event in server.peer.events]
        assert kinds.index("PingReceived") < len(kinds) - 1 - kinds[::-1].index("RequestReceived")
    assert (len(server.peers), pings(server.peer)) == (1, 1)


async def test_a_quiet_peer_that_does_not_answer_gets_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its router forgot the connection: the request goes by a new one, and is not in doubt."""
    monkeypatch.setattr(http2_pipe, "PING_S", 0.1)
    async with both() as (server, http2):
        await proven(server, http2)
        server.peer.transport.pause_reading()
        live(http2)._pulse.heard_s -= http2_pipe.QUIET_S + 1
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert [len(peer.requests) for peer in server.peers] == [1, 1]


async def test_a_stream_that_times_out_is_cancelled_and_the_others_go_on() -> None:
    async with both(doing(answer, silent)) as (server, http2):
        await proven(server, http2)
        slow = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await asyncio.sleep(0)
        assert await http2.exchange(post(server), timeout_s=0.2) == Lost("timeout")
        await until(lambda: server.resets == [(5, ErrorCodes.CANCEL)])
        server.peer.answer(3)
        assert isinstance(await slow, Answer)
        server.behaviour = answer
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert len(server.peers) == 1


async def test_after_a_timeout_without_a_sign_of_life_the_connection_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2_pipe, "PING_S", 0.1)
    async with both() as (server, http2):
        await proven(server, http2)
        server.peer.transport.pause_reading()
        slow = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await asyncio.sleep(0)
        assert await http2.exchange(post(server), timeout_s=0.1) == Lost("timeout")
        assert await slow == Lost("silent")
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert len(server.peers) == 2


async def test_a_peer_that_is_only_slow_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_pipe, "PING_S", 0.1)
    async with both(doing(answer, silent, answer)) as (server, http2):
        await proven(server, http2)
        assert await http2.exchange(post(server), timeout_s=0.1) == Lost("timeout")
        await asyncio.sleep(0.2)
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert (len(server.peers), pings(server.peer)) == (1, 1)


async def test_a_cancelled_exchange_cancels_its_stream_and_nothing_else() -> None:
    async with both(doing(answer, silent)) as (server, http2):
        await proven(server, http2)
        slow = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        doomed = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 2)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        await until(lambda: server.resets == [(5, ErrorCodes.CANCEL)])
        server.peer.answer(3)
        assert isinstance(await slow, Answer)


async def test_a_cancelled_exchange_that_waits_never_begins() -> None:
    async with both(silent, max_in_flight=1) as (server, http2):
        first = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.seen) == 1)
        doomed = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await asyncio.sleep(0)
        doomed.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doomed
        server.peer.answer(1)
        assert isinstance(await first, Answer)
        await asyncio.sleep(0.02)
    assert len(server.begun) == 1


def squeeze(server: Server, http2: Http2, *, size: int = 4_096) -> None:
    """Let the kernel take little, and the server read nothing."""
    ours: socket.socket = live(http2)._pipe._transports[-1].get_extra_info("socket")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    theirs = server.peer.transport.get_extra_info("socket")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    server.peer.transport.pause_reading()


async def widen(server: Server) -> None:
    """Let the connection's window take any body."""
    server.peer.h2.increment_flow_control_window(100_000_000)
    server.peer.flush()
    await asyncio.sleep(0.05)


async def test_bytes_that_are_still_here_at_the_deadline_never_leave() -> None:
    """The server reads nothing: a part of the body waits in this process. The connection dies."""
    settings = {WINDOW: 2**31 - 1}
    async with both(settings=settings) as (server, http2):
        await proven(server, http2)
        await widen(server)
        squeeze(server, http2)
        other = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await asyncio.sleep(0)
        assert await http2.exchange(post(server, b"x" * 1_000_000), timeout_s=0.5) == Lost(
            "timeout"
        )
        assert await other == Lost("stuck")
        server.peer.transport.resume_reading()
        await asyncio.wait_for(server.peer.gone.wait(), 5)
    assert all(len(request.body) < 1_000_000 for request in server.begun)


async def test_nothing_begins_while_the_peer_takes_nothing() -> None:
    async with both(settings={WINDOW: 2**31 - 1}) as (server, http2):
        await proven(server, http2)
        await widen(server)
        squeeze(server, http2, size=100_000)
        large_one = asyncio.create_task(
            http2.exchange(post(server, b"x" * 2_000_000), timeout_s=20)
        )
        await asyncio.sleep(0.1)
        assert await http2.exchange(post(server), timeout_s=0.2) == NeverLeft("timeout")
        server.peer.transport.resume_reading()
        assert isinstance(await large_one, Answer)
        assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert len(server.peers) == 1
    assert len(server.begun) == 2


async def test_a_peer_that_makes_us_answer_and_never_reads_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2_connection, "PENDING_BYTES_MAX", 50_000)
    async with both(doing(answer, silent)) as (server, http2):
        await proven(server, http2)
        exchange = asyncio.create_task(http2.exchange(post(server), timeout_s=20))
        await until(lambda: len(server.seen) == 1)
        squeeze(server, http2)
        flood = PingFrame(0, opaque_data=b"12345678").serialize() * 10_000
        while not exchange.done():
            server.peer.transport.write(flood)
            await asyncio.sleep(0.01)
        assert await exchange == Lost("flooded")


async def test_sockets_close_hard_and_do_not_wait() -> None:
    async with both() as (server, http2):
        await http2.exchange(post(server), timeout_s=10)
        sock = live(http2)._pipe._transports[0].get_extra_info("socket")
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        silence_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 8_000 < silence_ms < 10_000
        await http2.exchange(post(server), timeout_s=2)
        silence_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 1_000 < silence_ms < 2_000


async def test_closing_ends_everything_and_says_what_is_known() -> None:
    async with both(silent, max_in_flight=1) as (server, http2):
        exchanges = [
            asyncio.create_task(http2.exchange(post(server), timeout_s=5)) for _ in range(2)
        ]
        await until(lambda: len(server.seen) == 1)
        await http2.aclose()
        assert [await each for each in exchanges] == [Lost("closed"), NeverLeft("closed")]
        assert await http2.exchange(post(server), timeout_s=5) == NeverLeft("closed")
        await asyncio.wait_for(server.peer.gone.wait(), 5)
        assert http2._connections == set()


async def test_closing_while_it_opens_is_clean() -> None:
    async with serving(on_connect=nothing) as server, lane(server) as http2:
        exchange = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await until(lambda: len(server.peers) == 1)
        await http2.aclose()
        assert await exchange == NeverLeft("closed")


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(
    authority: trustme.CA, name: str = "localhost", alpn: str = "h2"
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    context.set_alpn_protocols([alpn])
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_it_speaks_tls(authority: trustme.CA) -> None:
    body = os.urandom(200_000)
    behaviour = doing(answer, lambda p, r: p.answer(r.stream_id, 200, {}, r.body), answer)
    async with (
        serving(behaviour, context=server_context(authority)) as server,
        lane(server, context=client_context(authority)) as http2,
    ):
        await proven(server, http2)
        found = await http2.exchange(post(server, body), timeout_s=20)
        assert isinstance(found, Answer)
        many = await asyncio.gather(
            *(http2.exchange(post(server), timeout_s=9) for _ in range(200))
        )
        assert {type(each) for each in many} == {Answer}
    assert len(server.peers) == 1
    assert server.seen[0].body == body


@pytest.mark.parametrize("case", LOST)
async def test_over_tls_a_lost_answer_is_lost_as_well(case: str, authority: trustme.CA) -> None:
    behaviour, code = LOST[case]
    async with (
        serving(behaviour, context=server_context(authority)) as server,
        lane(server, context=client_context(authority)) as http2,
    ):
        found = await http2.exchange(post(server), timeout_s=0.3 if code == "timeout" else 5)
    assert isinstance(found, Lost)
    assert found.code == code or case in ("closes", "resets")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("name", "alpn", "trusted", "code"),
    [
        ("localhost", "h2", False, "tls"),
        ("elsewhere.example", "h2", True, "tls"),
        ("localhost", "http/1.1", True, "no_http2"),
    ],
)
async def test_a_handshake_that_fails_means_never_left(
    authority: trustme.CA, name: str, alpn: str, trusted: bool, code: str
) -> None:
    context = client_context(authority) if trusted else ssl.create_default_context()
    async with (
        serving(context=server_context(authority, name, alpn)) as server,
        lane(server, context=context) as http2,
    ):
        assert await http2.exchange(post(server), timeout_s=5) == NeverLeft(code)
    assert server.begun == []


async def test_a_server_without_tls_means_never_left(authority: trustme.CA) -> None:
    async with serving() as server:
        url = server.base_url.replace("http://127.0.0.1", "https://localhost")
        found = await once(url, context=client_context(authority))
    assert found in (NeverLeft("tls"), NeverLeft("closed"))  # what the loop makes of it


async def test_the_first_byte_that_the_kernel_does_not_take_is_told(authority: trustme.CA) -> None:
    async with (
        serving(context=server_context(authority)) as server,
        lane(server, context=client_context(authority)) as http2,
    ):
        await proven(server, http2)
        pipe = live(http2)._pipe
        above, below = pipe._transports
        for transport in (above, below):
            assert transport.get_write_buffer_limits() == (0, 1)


@pytest.mark.parametrize("waiting", [(0, 7), (7, 0), (7, 7)])
async def test_what_waits_above_or_below_tls_has_not_left(waiting: tuple[int, int]) -> None:
    class Half(asyncio.Transport):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            assert (high, low) == (1, 0)

        def get_write_buffer_size(self) -> int:
            return self.size

        def write(self, data: object) -> None:
            pass

    above, below = map(Half, waiting)
    pipe = http2_pipe.Pipe()
    pipe.attach(above, below)
    pipe.write(b"12345678")
    assert (pipe.pending_bytes(), pipe.has_left(pipe.mark)) == (sum(waiting), False)
    above.size = below.size = 0
    assert (pipe.pending_bytes(), pipe.has_left(pipe.mark)) == (0, True)


async def test_over_tls_bytes_that_are_still_here_at_the_deadline_never_leave(
    authority: trustme.CA,
) -> None:
    async with (
        serving(context=server_context(authority), settings={WINDOW: 2**31 - 1}) as server,
        lane(server, context=client_context(authority)) as http2,
    ):
        await proven(server, http2)
        await widen(server)
        squeeze(server, http2)
        other = asyncio.create_task(http2.exchange(post(server), timeout_s=5))
        await asyncio.sleep(0)
        assert await http2.exchange(post(server, b"x" * 1_000_000), timeout_s=0.5) == Lost(
            "timeout"
        )
        assert await other == Lost("stuck")
        server.peer.transport.resume_reading()
        await asyncio.wait_for(server.peer.gone.wait(), 5)
    assert all(len(request.body) < 1_000_000 for request in server.begun)


# Many at once.

PUSHES = 10_000 if os.environ.get("NOTIFYQ_TEST_FULL") else 2_000


class Leaving:
    """A server that carries out what it answers, and leaves after every so many streams.

    By turns it says so in one step, in two, and hangs up itself once everything is answered.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.dice = random.Random(7)
        self.carried_out: Counter[bytes] = Counter()
        self.last_id: dict[Peer, int] = {}

    def __call__(self, peer: Peer, request: Request) -> None:
        if request.stream_id > self.last_id.get(peer, GRACEFUL):
            return
        self.carried_out[request.body] += 1
        asyncio.get_running_loop().call_later(
            self.dice.random() * 0.02, self.answer, peer, request.stream_id
        )
        if len(peer.requests) < self.every or peer in self.last_id:
            return
        self.last_id[peer] = request.stream_id
        if len(peer.server.peers) % 2:
            peer.goaway(GRACEFUL)
        peer.goaway(request.stream_id, 0, b'{"reason":"Shutdown"}')

    def answer(self, peer: Peer, stream_id: int) -> None:
        if peer.transport.is_closing():
            return
        peer.answer(stream_id, 200, {"apns-id": str(stream_id)})
        left = [number for number in peer.open if number <= self.last_id.get(peer, 0)]
        if peer in self.last_id and not left and len(peer.server.peers) % 3 == 0:
            # Not a close: with requests unread that would be a reset, which may take answers
            # away that were on their way.
            peer.transport.write_eof()


async def pushed(
    count: int, every: int, *, at_once: int = 100
) -> tuple[Counter[str], Counter[bytes], int]:
    """Push so many, each again only after a definite no; return results, server's count, peers."""
    leaving = Leaving(every)
    results: Counter[str] = Counter()
    async with both(leaving) as (server, http2):
        waiting = [b"%d" % number for number in range(count)]

        async def work() -> None:
            while waiting:
                body = waiting.pop()
                found = await http2.exchange(post(server, body), timeout_s=20)
                results[type(found).__name__] += 1
                if isinstance(found, NotProcessed | NeverLeft):
                    waiting.append(body)

        await asyncio.gather(*(work() for _ in range(at_once)))
    return results, leaving.carried_out, len(server.peers)


async def test_a_peer_that_leaves_every_so_often_loses_nothing_and_gets_nothing_twice() -> None:
    every = PUSHES // 10
    results, carried_out, peers = await pushed(PUSHES, every)
    assert results["Lost"] == 0
    assert results["Answer"] == PUSHES
    assert set(carried_out.values()) == {1}
    assert len(carried_out) == PUSHES
    assert peers >= 9
    assert results["NotProcessed"] > 0  # or the test would prove little


async def test_the_test_above_sees_a_client_that_ends_every_stream_at_a_goaway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As httpcore 1.0.9 does."""

    def hear(self: Connection, goaway: Goaway) -> None:
        self.give_up(goaway.code)

    monkeypatch.setattr(Connection, "_hear_goaway", hear)
    results, carried_out, _ = await pushed(500, 50)
    assert results["Lost"] > 0
    assert results["Answer"] < len(carried_out)


async def test_the_test_above_sees_a_client_that_repeats_every_stream_at_a_goaway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Connection._hear_goaway

    def hear(self: Connection, goaway: Goaway) -> None:
        original(self, Goaway(0, goaway.code))

    monkeypatch.setattr(Connection, "_hear_goaway", hear)
    _, carried_out, _ = await pushed(200, 50, at_once=20)
    assert max(carried_out.values()) > 1


async def test_the_test_above_sees_a_client_that_forgets_the_last_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Connection._hear_goaway

    def hear(self: Connection, goaway: Goaway) -> None:
        original(self, Goaway(GRACEFUL, goaway.code))

    monkeypatch.setattr(Connection, "_hear_goaway", hear)
    monkeypatch.setattr(http2_pipe, "PING_S", 0.1)
    leaving = Leaving(50)
    async with both(leaving) as (server, http2):
        await proven(server, http2)
        found = await asyncio.gather(
            *(http2.exchange(post(server, b"%d" % n), timeout_s=0.5) for n in range(100))
        )
    assert Lost("timeout") in found


async def test_whatever_a_peer_writes_nothing_is_definite_but_what_it_said() -> None:
    """Answers with bits turned over: an exchange ends, in time, and not as never left."""
    dice = random.Random(11)

    def behave(peer: Peer, request: Request) -> None:
        if request.stream_id == 1:
            return peer.answer(1)
        peer.h2.send_headers(request.stream_id, [(":status", "200"), ("apns-id", "x" * 30)])
        peer.h2.send_data(request.stream_id, b"y" * 40, end_stream=True)
        raw = bytearray(peer.h2.data_to_send())
        for _ in range(dice.randrange(1, 6)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        peer.transport.write(bytes(raw) + dice.randbytes(dice.randrange(30)))
        if dice.random() < 0.5:
            peer.hang_up()
        return None

    kinds: Counter[str] = Counter()
    async with serving(behave) as server:
        for _ in range(200):
            async with lane(server) as http2:
                await proven(server, http2)
                found = await http2.exchange(post(server), timeout_s=0.05)
            assert isinstance(found, Answer | Lost | NotProcessed), found
            kinds[type(found).__name__] += 1
    assert kinds["Lost"] > 50


async def test_no_byte_of_a_request_is_written_before_its_stream_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Watches every write: from the first with a HEADERS frame on the stream has its id."""
    order: list[str] = []
    write, begin = http2_pipe.Pipe.write, Connection.begin

    def watched_begin(self: Connection, stream: http2_stream.Stream) -> None:
        assert stream.id == 0
        order.append("begin")
        begin(self, stream)

    def watched_write(self: http2_pipe.Pipe, data: bytes) -> None:
        frames = read_frames(data)
        heads = [frame for frame in frames if isinstance(frame, HeadersFrame)]
        for frame in heads:
            streams = http2._live._streams if http2._live else {}
            assert streams[frame.stream_id].id == frame.stream_id
            order.append("write")
        write(self, data)

    monkeypatch.setattr(http2_pipe.Pipe, "write", watched_write)
    monkeypatch.setattr(Connection, "begin", watched_begin)
    async with both() as (server, http2):
        for _ in range(3):
            assert isinstance(await http2.exchange(post(server), timeout_s=5), Answer)
    assert order == ["begin", "write"] * 3
