"""Once: the moment of an exchange after which its request may have been carried out.

Owns that moment, the deadline after which no byte may leave, and the hard close.
Refuses to begin after the deadline, on a closing connection, or on one that holds an answer
nobody asked for.
Invariant: `begun` turns true before the first byte of the request is written, and never back.
"""

import asyncio
import socket
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import AddrInfoType, Connection

from notifyq.boottime import Deadline
from notifyq.providers.sockets import Silence, harden

Silences = WeakKeyDictionary[ResponseHandler, Silence]  # of open connections


class Once:
    """What is known of one exchange: whether writing has begun, and whether it was answered."""

    __slots__ = ("_deadline", "_silences", "_transport", "answered", "begun")

    def __init__(self, timeout_s: float, silences: Silences) -> None:
        self._deadline = Deadline(timeout_s)
        self._silences = silences
        self._transport: asyncio.Transport | None = None
        self.begun = False
        self.answered = False

    def prepare(self, connection: Connection, *, bodyless_answer: bool) -> None:
        """Take the connection for this exchange; Failed if it cannot be trusted."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or protocol.should_close:
            # An answer nobody asked for is waiting on it: it would be read as ours.
            raise Failed("stale_connection")
        silence = self._silences.get(protocol) or self._silences.setdefault(protocol, Silence())
        silence.bound(transport.get_extra_info("socket"), self._deadline.left_s())
        protocol.set_response_params(
            skip_payload=bodyless_answer, read_until_eof=True, auto_decompress=False
        )
        self._transport = transport

    def begin(self) -> bool:
        """Say whether the first byte may be written now; if so it counts as written."""
        late = self._deadline.left_s() <= 0
        if late or self._transport is None or self._transport.is_closing():
            self.hang_up()
            return False
        self.begun = True
        return True

    def hang_up(self) -> None:
        """Reset the connection of an unanswered exchange: bytes still queued never leave."""
        if self._transport is not None and not self.answered:
            self._transport.abort()


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
    harden(sock)
    return sock
