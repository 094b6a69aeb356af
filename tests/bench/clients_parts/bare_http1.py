"""Child: the same bytes written on a connection, and the answer read to its end. Argument: port.

Nothing else: no time-out, no names, no status read. What is left is the loop and the kernel.
"""

import asyncio
import re
import sys
import time
from typing import cast

import uvloop

from tests.bench.clients_parts.loading import IN_FLIGHT, Request, obey

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Slot(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        """Have nothing to do yet."""
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._bytes = self._request = b""
        self._until_s, self._count = 0.0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for `begin`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def begin(self, request: bytes, until_s: float) -> asyncio.Future[int]:
        """Post again and again; the result is how often."""
        self._request, self._until_s, self._count = request, until_s, 0
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._ended

    def data_received(self, data: bytes) -> None:
        """Go on once head and body are there."""
        received = self._bytes + data if self._bytes else data
        end = received.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(received, 0, end) if end > 3 else None
        if length is None or len(received) < end + int(length[1]):
            self._bytes = received
            return
        self._bytes = b""
        self._count += 1
        if time.perf_counter() < self._until_s:
            self._transport.write(self._request)
        else:
            self._ended.set_result(self._count)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so: nobody hangs up here."""
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("closed"))


class BareHttp1:
    """All connections."""

    def __init__(self, port: int) -> None:
        """Open nothing yet."""
        self._port = port
        self._request = b""
        self._slots: list[Slot] = []

    def take(self, request: Request) -> None:
        """Post these bytes."""
        self._request = "\r\n".join(line for [line] in request).encode("latin-1")

    async def run(self, until_s: float) -> int:
        """Post until then."""
        loop = asyncio.get_running_loop()
        while len(self._slots) < IN_FLIGHT:
            _, slot = await loop.create_connection(Slot, "127.0.0.1", self._port)
            self._slots.append(slot)
        return sum(await asyncio.gather(*(s.begin(self._request, until_s) for s in self._slots)))


if __name__ == "__main__":
    uvloop.run(obey(BareHttp1(int(sys.argv[1]))))
