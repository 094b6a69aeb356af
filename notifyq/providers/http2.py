"""The wire of HTTP/2: one exchange with a provider, and what its failure tells.

Owns the connections of one lane to one origin: one that takes new requests, and those before it
that are only finishing. Requests wait here, before anything of them is written, for a place.
Refuses to repeat a request: whoever gets NotProcessed decides that.

Invariant: `NeverLeft` only while no byte of the request was handed to a transport; from then on
see `http2_connection`. No byte of a request is handed over after its deadline.

Cancelling: an exchange that is cancelled cancels its stream; the connection goes on. Whether the
request was carried out then stays unknown.
"""

import asyncio
import socket
import ssl

import httpx

from notifyq.providers.http2_connection import Connection
from notifyq.providers.http2_stream import Result, Stream, code_of, fields_bytes, fields_of
from notifyq.providers.once import Failed, hard_socket
from notifyq.providers.wire import Lost, NeverLeft

OPEN_S = 10.0  # name, TCP, TLS and the peer's SETTINGS, together
ADDRESS_S = 3.0  # TCP to one of several addresses
BACKOFF_S, BACKOFF_S_MAX = 0.1, 5.0  # before the second connection in a row that was of no use
# With less of its time left than this a request is not begun: it would only end in doubt.
LEFT_MIN = 0.25


class Http2:
    """The connections of one lane. `exchange` never raises for what the network did."""

    def __init__(
        self, *, base_url: str, max_in_flight: int, context: ssl.SSLContext | None = None
    ) -> None:
        """Open nothing yet.

        base_url: https, or http for a server that is known to speak HTTP/2. max_in_flight: 1 or
        more, on all connections together. context: for TLS; None for the system's certificates.
        """
        self._url = httpx.URL(base_url)
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError("base_url is no http or https URL")
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight {max_in_flight} is below 1")
        self._max_in_flight = max_in_flight
        self._context = _tls(context) if self._url.scheme == "https" else None
        self._waiting: dict[Stream, None] = {}  # in the order in which they came
        self._live: Connection | None = None
        self._connections: set[Connection] = set()
        self._opening: asyncio.Task[None] | None = None
        self._useless = 0  # connections in a row that did not open, or answered nothing
        self._trouble = "timeout"  # why there is none now
        self._awake = False  # the pump is about to run
        self._closed = False

    async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
        """Send the request once and return its answer, or what is known without one.

        Ends within `timeout_s` seconds (above 0), waiting for a connection and a place included.
        ValueError: the request is for another origin, or has a header that cannot be sent.
        """
        if (request.url.scheme, request.url.netloc) != (self._url.scheme, self._url.netloc):
            raise ValueError("the request is for another origin")
        body = request.read()
        stream = Stream(fields_of(request, body), body, timeout_s)
        timer = asyncio.get_running_loop().call_later(timeout_s, self._expire, stream)
        self._waiting[stream] = None
        self._wake()
        try:
            return await stream.result
        finally:
            timer.cancel()
            self._forget(stream)

    def retire(self) -> None:
        """Let the next request open a new connection; what is in flight is still answered."""
        if self._live is not None:
            self._live.retire()

    async def aclose(self) -> None:
        """Close the connections, idle and busy. No exchange may follow."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._refuse_waiting("closed")
        ending = list(self._connections)
        for connection in ending:
            connection.give_up("closed")
        if ending:
            await asyncio.wait([connection.closed for connection in ending])

    def _expire(self, stream: Stream) -> None:
        self._forget(stream)
        stream.end(Lost("timeout") if stream.id else NeverLeft(self._trouble))

    def _forget(self, stream: Stream) -> None:
        self._waiting.pop(stream, None)
        if stream.connection is not None:
            stream.connection.drop(stream)

    def _refuse_waiting(self, code: str) -> None:
        for stream in self._waiting:
            stream.end(NeverLeft(code))
        self._waiting.clear()

    def _wake(self) -> None:
        """Pump once in the next turn of the loop: what begins together is written together."""
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Begin what has a place; open a connection if there is none."""
        self._awake = False
        if self._closed:
            self._refuse_waiting("closed")
        live = self._live
        while live is not None and self._waiting and self._has_place() and live.has_room():
            stream = next(iter(self._waiting))
            del self._waiting[stream]
            self._begin(live, stream)
        if live is not None:
            live.flush()
        if self._waiting and (live is None or live.draining):
            self._open()

    def _has_place(self) -> bool:
        return sum(each.in_flight for each in self._connections) < self._max_in_flight

    def _begin(self, live: Connection, stream: Stream) -> None:
        bytes_max = live.fields_bytes_max
        if stream.left_s() < stream.timeout_s * LEFT_MIN:
            stream.end(NeverLeft("timeout"))
        elif bytes_max is not None and fields_bytes(stream.fields) > bytes_max:
            stream.end(NeverLeft("headers_too_large"))
        else:
            stream.connection = live
            live.begin(stream)

    def _open(self) -> None:
        if self._opening is not None:
            return
        if self._live is not None and self._live.proven:
            self._useless = 0
        self._live = None
        self._opening = asyncio.get_running_loop().create_task(self._opened())

    async def _opened(self) -> None:
        """Make a connection the live one, or tell all who wait that there is none."""
        if self._useless:
            await asyncio.sleep(min(BACKOFF_S * 2 ** min(self._useless - 1, 9), BACKOFF_S_MAX))
        self._useless += 1  # until it is known to be of use
        connection = Connection(self._wake)
        try:
            async with asyncio.timeout(OPEN_S):
                await self._attach(connection)
                if code := await connection.opened:
                    raise Failed(code)
        except (Failed, OSError, UnicodeError) as error:
            connection.give_up(code_of(error))
            self._trouble = code_of(error)
            self._refuse_waiting(self._trouble)
        except BaseException:
            connection.give_up("closed")
            raise
        else:
            self._live, self._trouble = connection, "timeout"
        finally:
            self._opening = None
        self._wake()

    async def _attach(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        tls = self._context
        sock = await _connected(self._url)
        # In the clear a server may speak first; over TLS it cannot before the handshake.
        transport, _ = await loop.create_connection(
            asyncio.Protocol if tls else lambda: connection, sock=sock
        )
        above: list[asyncio.Transport] = []
        if tls:
            secured = await loop.start_tls(
                transport, connection, tls, server_hostname=self._url.host
            )
            assert secured is not None  # the type says: None where the loop was closed
            above.append(secured)
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        connection.attach(*above, transport)
        if above and above[0].get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise Failed("no_http2")


def _tls(context: ssl.SSLContext | None) -> ssl.SSLContext:
    context = context or ssl.create_default_context()
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["h2"])
    return context


async def _connected(url: httpx.URL) -> socket.socket:
    """Return a socket that is connected to one of the host's addresses, tried in their order."""
    loop = asyncio.get_running_loop()
    port = url.port or (443 if url.scheme == "https" else 80)
    trouble: OSError = OSError()
    for info in await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM):
        sock = hard_socket(info)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(ADDRESS_S):
                await loop.sock_connect(sock, info[4])
            return sock
        except OSError as error:  # a TimeoutError is one
            sock.close()
            trouble = error
        except BaseException:
            sock.close()
            raise
    raise trouble
