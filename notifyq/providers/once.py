"""Once: the moment of an exchange after which its request may have been carried out.

Owns that moment, the deadline after which no byte may leave, and the hard close.
Refuses to begin after the deadline, on a closing connection, or on one that holds an answer
nobody asked for.
Invariant: `begun` turns true before the first byte of the request is written, and never back.
"""

import asyncio
import socket
import struct
import time
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import AddrInfoType, Connection

SilencesMs = WeakKeyDictionary[ResponseHandler, int]  # TCP_USER_TIMEOUT of open connections

# Linux has both; elsewhere the deadline is kept by this process alone, while it runs.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_LINGER_0 = struct.pack("ii", 1, 0)  # close() resets; what the kernel has not sent is dropped


class Once:
    """What is known of one exchange: whether writing has begun, and whether it was answered."""

    __slots__ = ("_deadline_s", "_silences_ms", "_transport", "answered", "begun")

    def __init__(self, timeout_s: float, silences_ms: SilencesMs) -> None:
        self._deadline_s = _boottime_s() + timeout_s
        self._silences_ms = silences_ms
        self._transport: asyncio.Transport | None = None
        self.begun = False
        self.answered = False

    def prepare(self, connection: Connection, *, bodyless_answer: bool) -> None:
        """Take the connection for this exchange; Failed if it cannot be trusted."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or protocol.should_close:
            # An answer nobody asked for is waiting on it: it would be read as ours.
            raise Failed("stale_connection")
        self._bound_silence(protocol, transport)
        protocol.set_response_params(
            skip_payload=bodyless_answer, read_until_eof=True, auto_decompress=False
        )
        self._transport = transport

    def begin(self) -> bool:
        """Say whether the first byte may be written now; if so it counts as written."""
        late = self._left_s() <= 0
        if late or self._transport is None or self._transport.is_closing():
            self.hang_up()
            return False
        self.begun = True
        return True

    def hang_up(self) -> None:
        """Reset the connection of an unanswered exchange: bytes still queued never leave."""
        if self._transport is not None and not self.answered:
            self._transport.abort()

    def _bound_silence(self, protocol: ResponseHandler, transport: asyncio.Transport) -> None:
        """Let the kernel stop repeating unacknowledged bytes before the deadline.

        It does so for a process that is stopped, too. Kept while it fits: a call costs 15 us.
        """
        left_ms = max(self._left_s(), 0) * 1_000
        if left_ms / 2 <= self._silences_ms.get(protocol, 0) <= left_ms:
            return
        silence_ms = max(1, int(left_ms * 0.9))
        sock = transport.get_extra_info("socket")
        if _USER_TIMEOUT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, silence_ms)
        self._silences_ms[protocol] = silence_ms

    def _left_s(self) -> float:
        return self._deadline_s - _boottime_s()


class OnceRequest(aiohttp.ClientRequest):
    """aiohttp's request without headers of its own, never written after the deadline."""

    once: Once

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Add none: no Accept-Encoding above all, bodies are read as they are sent."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request: here when it has no body, else in `write_bytes`, head and body."""
        if not self.body and not self.once.begin():
            raise Failed("closed")
        return await super().send(conn)

    async def write_bytes(self, *args: Any, **kwargs: Any) -> None:
        """Write head and body, one turn of the loop after `send`.

        In that turn the other side may have hung up. Or this process was stopped: it wakes up here
        before its timers fire, and would write after its deadline.
        """
        if self.once.begun or self.once.begin():
            await super().write_bytes(*args, **kwargs)


class Failed(aiohttp.ClientError):
    """A failure under its code."""


def hard_socket(address: AddrInfoType) -> socket.socket:
    """Return an unconnected socket that resets when it is closed, also by the process's death."""
    sock = socket.socket(*address[:3])  # family, type, protocol
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _boottime_s() -> float:
    # Runs on while the machine sleeps, as the lease that timeout_s was cut from does.
    return time.clock_gettime(_BOOTTIME)
