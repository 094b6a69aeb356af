"""The wire: one HTTP/1.1 exchange with a provider, and what its failure tells.

Owns the connections of one lane: at most `max_in_flight` at once, none shared with another lane.
Refuses to repeat, redirect, decompress, keep cookies or look for a proxy in the environment:
aiohttp's connector and request are driven directly, its session (which does all that) is not used.

Invariant: `NeverLeft` only while no byte of the request can have reached a socket. `Once.begin`
runs immediately before the first byte is written; from then on everything but a complete answer
is `Lost`. The kind of an exception only names the code, it never decides.

Cancelling: the worker does not cancel an exchange. Whoever does gets CancelledError with the
socket already reset; whether the request was carried out then stays unknown, and the attempt row,
which is still open, turns in doubt when its lease ends.
"""

import asyncio
import errno
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never
from weakref import WeakKeyDictionary

import aiohttp
import httpx
import yarl

from notifyq.domain.outcome import InDoubt, NotSent, Unavailable
from notifyq.providers.once import Failed, Once, OnceRequest, Silences, hard_socket

# An answer of a provider is a few KB; a megabyte of it is no answer that we can act on.
BODY_BYTES_MAX = 1_048_576

# An idle connection is given up before the other side does so: Node and Apache hang up after 5 s,
# load balancers after 60 s. Reusing one that is just being closed would put an attempt in doubt.
KEEPALIVE_S = 4.0

RETRY_AFTER_S_MAX = 3_600.0  # a longer wait is not obeyed: lanes probe again by themselves

_TIMEOUT_S = 30.0  # for callers through httpx that name none
_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=None)  # ours is the only one


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: status, headers (names in any case) and the whole body as sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def retry_after_s(self) -> float | None:
        """Return the header's seconds, 0 to RETRY_AFTER_S_MAX; None if absent, a date or bad."""
        text = self.headers.get("Retry-After", self.headers.get("retry-after", ""))
        if not (text.isascii() and text.isdigit()):
            return None
        return min(float(text), RETRY_AFTER_S_MAX)


@dataclass(frozen=True, slots=True)
class NeverLeft:
    """No byte of the request was written: nobody can have carried it out."""

    code: str


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The request left, and the other side says that it did not begin to work on it (HTTP/2)."""

    code: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Writing had begun and no complete answer came: it may have been carried out.

    Also when a status was seen but its body was cut short, longer than BODY_BYTES_MAX or not
    HTTP: a status without the rest would have to be believed on half the evidence.
    """

    code: str


class Wire(httpx.AsyncBaseTransport):
    """The connections of one lane. `exchange` never raises for what the network did."""

    def __init__(self, *, max_in_flight: int) -> None:
        """Open nothing yet. max_in_flight: 1 or more; further exchanges wait for a free place."""
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight {max_in_flight} is below 1")
        self._max_in_flight = max_in_flight
        self._pool: aiohttp.TCPConnector | None = None
        self._silences: Silences = WeakKeyDictionary()

    async def exchange(
        self, request: httpx.Request, *, timeout_s: float
    ) -> Answer | NeverLeft | Lost:
        """Send the request once and return its answer, or what is known without one.

        Ends within `timeout_s` seconds (above 0), waiting for a place, name look-up and
        handshake included. The request's body is bytes; `post_request` builds a cheap one.
        """
        once = Once(timeout_s, self._silences)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer(request, once)
        # TimeoutError is an OSError; UnicodeError is what looking up an impossible name raises.
        # ValueError: a header that cannot be written.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            code = _code(error)
            return Lost(code) if once.begun else NeverLeft(code)
        finally:
            once.hang_up()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Be a transport for an httpx client: ConnectError means never left, ReadError lost."""
        await request.aread()
        limits = request.extensions.get("timeout", {}).values()
        timeout_s = min((limit for limit in limits if limit is not None), default=_TIMEOUT_S)
        match await self.exchange(request, timeout_s=timeout_s):
            case Answer(status, headers, body):
                return httpx.Response(status, headers=list(headers.items()), content=body)
            case NeverLeft(code):
                raise httpx.ConnectError(code, request=request)
            case Lost(code):
                raise httpx.ReadError(code, request=request)

    async def aclose(self) -> None:
        """Close the connections, idle and busy. No exchange may follow."""
        if self._pool is not None:
            await self._pool.close()

    async def _answer(self, request: httpx.Request, once: Once) -> Answer:
        outgoing = OnceRequest(
            request.method,
            _url(request.url),
            headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw],
            data=_data(request.read()),
        )
        outgoing.once = once
        connection = await self._opened_pool().connect(outgoing, [], _NO_TIMEOUTS)
        try:
            once.prepare(connection, bodyless_answer=request.method == "HEAD")
            response = await outgoing.send(connection)
            await response.start(connection)
            body = await _read(response)
            response.release()
        except BaseException:
            connection.close()
            raise
        once.answered = True
        return Answer(response.status, response.headers, body)

    def _opened_pool(self) -> aiohttp.TCPConnector:
        # Not in __init__: a connector belongs to the running loop, a Wire may be built before it.
        if self._pool is None:
            self._pool = aiohttp.TCPConnector(
                limit=self._max_in_flight, keepalive_timeout=KEEPALIVE_S, socket_factory=hard_socket
            )
        return self._pool


Unanswered = NeverLeft | NotProcessed | Lost


def outcome_of(unanswered: Unanswered) -> NotSent | Unavailable | InDoubt:
    """Return what the want of an answer means for an attempt."""
    match unanswered:
        case NeverLeft(code):
            return NotSent(code)
        case NotProcessed(code):
            return Unavailable(code)
        case Lost(code):
            return InDoubt(code)
        case never:
            assert_never(never)


def post_request(url: httpx.URL, headers: httpx.Headers, body: bytes) -> httpx.Request:
    """Return a POST for `exchange`, which adds Host and Content-Length itself.

    Handing the body over as a stream keeps httpx from working the two out: 25 of 30 us.
    """
    return httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(body))


@lru_cache(maxsize=16)  # a provider has one URL, or a few
def _url(url: httpx.URL) -> yarl.URL:
    return yarl.URL(str(url), encoded=True)


def _data(body: bytes) -> bytes | io.BytesIO | None:
    # aiohttp writes bytes in one piece, and warns of large ones; a file it writes piece by piece.
    return (body if len(body) < 1_000_000 else io.BytesIO(body)) if body else None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while not response.content.at_eof():
        body += await response.content.readany()
        if len(body) > BODY_BYTES_MAX:
            raise Failed("body_too_large")
    return bytes(body)


def _code(error: Exception) -> str:
    """Return a short name for logs and attempt rows; nothing is decided by it."""
    match error:
        case Failed():
            return str(error)
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return "no_such_host"
        case ValueError():
            return "bad_header"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ServerDisconnectedError():
            return "closed"
        case aiohttp.ClientPayloadError():
            return "body_cut"
        case aiohttp.ClientResponseError():
            return "not_http"
        case OSError(errno=int(number)):
            return errno.errorcode.get(number, "os_error").lower()
    return "connection"
