"""A scripted HTTP/2 server for tests: it says when and how each stream is answered.

h2's own server closes itself at a GOAWAY; here GOAWAY is written past it, as a peer that goes on
answering would.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

GRACEFUL = 2**31 - 1


@dataclass
class Request:
    """One stream as the server read it."""

    stream_id: int
    headers: dict[str, str] = field(default_factory=dict)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False


Behaviour = Callable[["Peer", Request], None]


def answer(peer: "Peer", request: Request) -> None:
    """Answer every request at once."""
    peer.answer(request.stream_id)


class Server:
    """What all connections saw."""

    def __init__(self, behaviour: Behaviour, settings: dict[SettingCodes, int]) -> None:
        self.behaviour = behaviour
        self.settings = settings
        self.peers: list[Peer] = []
        self.begun: list[Request] = []  # the head was read
        self.seen: list[Request] = []  # all of it was read
        self.resets: list[tuple[int, int]] = []  # (stream, code) by the client
        self.peak = 0  # streams open at once on a connection
        self.port = 0
        self.scheme = "http"
        self.on_connect: Callable[[Peer], None] = Peer.greet

    @property
    def base_url(self) -> str:
        """Where it listens."""
        host = "127.0.0.1" if self.scheme == "http" else "localhost"
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def peer(self) -> "Peer":
        """The newest connection."""
        return self.peers[-1]


class Peer(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = Settings(client=False, initial_values=server.settings)
        self.h2.remote_settings = Settings(client=True)
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.requests: dict[int, Request] = {}
        self.open: set[int] = set()
        self.rest: dict[int, bytes] = {}  # of answers, for want of window
        self.events: list[Event] = []
        self.raw = bytearray()
        self.gathered: bytearray | None = None  # what is to be written in one piece
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport
        self.server.peers.append(self)
        self.server.on_connect(self)

    def greet(self) -> None:
        """Send the server's SETTINGS."""
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.raw += data
        try:
            found = self.h2.receive_data(data)
        except ProtocolError:
            self.transport.abort()
            raise
        self.flush()
        for event in found:
            self.events.append(event)
            self.hear(event)

    def hear(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(number), headers=fields):
                request = Request(number, {str(k): str(v) for k, v in fields}, list(fields))
                self.requests[number] = request
                self.server.begun.append(request)
                self.open.add(number)
                self.server.peak = max(self.server.peak, len(self.open))
            case DataReceived(stream_id=int(number), data=data):
                self.requests[number].body += data
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                self.flush()
            case StreamEnded(stream_id=int(number)):
                self.requests[number].complete = True
                self.server.seen.append(self.requests[number])
                self.server.behaviour(self, self.requests[number])
            case StreamReset(stream_id=number, error_code=code):
                self.open.discard(number)
                self.server.resets.append((number, int(code)))
            case WindowUpdated():
                for number in list(self.rest):
                    self.pump(number)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()

    # What a behaviour does.

    def answer(
        self,
        stream_id: int,
        status: int = 200,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        end: bool = True,
    ) -> None:
        """Answer; without `end` the stream stays open."""
        self.open.discard(stream_id)
        fields = [(":status", str(status)), *(headers or {}).items()]
        self.h2.send_headers(stream_id, fields, end_stream=end and not body)
        if body:
            self.rest[stream_id] = body
            self.pump(stream_id)
        self.flush()

    def pump(self, stream_id: int) -> None:
        while rest := self.rest.pop(stream_id, b""):
            size = min(len(rest), self.h2.local_flow_control_window(stream_id), 16_384)
            if size <= 0:
                self.rest[stream_id] = rest
                return
            self.h2.send_data(stream_id, rest[:size], end_stream=len(rest) == size)
            self.flush()
            if len(rest) > size:
                self.rest[stream_id] = rest[size:]

    def reset(self, stream_id: int, code: int) -> None:
        """RST_STREAM."""
        self.open.discard(stream_id)
        self.h2.reset_stream(stream_id, code)
        self.flush()

    def goaway(self, last_id: int, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY, and go on."""
        self.write(GoAwayFrame(0, last_stream_id=last_id, error_code=code, additional_data=debug))

    def write(self, frame: Frame | bytes) -> None:
        """Write a frame, or anything."""
        raw = frame if isinstance(frame, bytes) else frame.serialize()
        self.out(self.h2.data_to_send() + raw)

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.out(data)

    def out(self, data: bytes) -> None:
        if self.gathered is None:
            self.transport.write(data)
        else:
            self.gathered += data

    def hang_up(self) -> None:
        """Close after what was written."""
        if self.gathered is not None:
            self.transport.write(bytes(self.gathered))
        self.transport.close()

    def cut(self) -> None:
        """Reset."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


@asynccontextmanager
async def serving(
    behaviour: Behaviour = answer,
    *,
    context: ssl.SSLContext | None = None,
    on_connect: Callable[[Peer], None] = Peer.greet,
    port: int = 0,
    settings: dict[SettingCodes, int] | None = None,
) -> AsyncIterator[Server]:
    """Serve on loopback, in the clear or over TLS."""
    server = Server(behaviour, {SettingCodes.MAX_CONCURRENT_STREAMS: 1000, **(settings or {})})
    server.on_connect = on_connect
    server.scheme = "https" if context else "http"
    listener = await asyncio.get_running_loop().create_server(
        lambda: Peer(server), "127.0.0.1", port, ssl=context
    )
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for peer in server.peers:
            peer.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                for peer in server.peers:
                    await peer.gone.wait()
