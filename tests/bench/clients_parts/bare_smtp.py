"""Child: the same commands and mail on a connection, each after the reply before. Argument: port.

Nothing else: no time-out, no text read of a reply. The mail leaves with its end in one piece.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop

from tests.bench.clients_parts.loading import IN_FLIGHT, Request, obey


class Slot(asyncio.Protocol):
    """One connection; one mail at a time."""

    def __init__(self) -> None:
        """Be greeted first."""
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._bytes = b""
        self._pieces: list[bytes] = []
        self._at = self._count = 0
        self._until_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting."""
        self._transport = cast(asyncio.Transport, transport)
        self._pieces = [b"", b"EHLO [127.0.0.1]\r\n"]

    def begin(self, pieces: list[bytes], until_s: float) -> asyncio.Future[int]:
        """Hand over again and again; the result is how often."""
        self._pieces, self._at, self._until_s, self._count = pieces, 0, until_s, 0
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(pieces[0])
        return self._ended

    def data_received(self, data: bytes) -> None:
        """Say the next thing once the reply is there."""
        received = self._bytes + data if self._bytes else data
        last = received.rfind(b"\n", 0, -1) + 1
        if not received.endswith(b"\n") or received[last + 3 : last + 4] != b" ":
            self._bytes = received
            return
        self._bytes = b""
        if received[:1] not in b"23":
            raise RuntimeError(f"refused: {received!r}")
        self._at += 1
        if self._at == len(self._pieces):
            self._at = 0
            if not self.opened.done():
                self.opened.set_result(None)
                return
            self._count += 1
            if time.perf_counter() >= self._until_s:
                self._ended.set_result(self._count)
                return
        self._transport.write(self._pieces[self._at])

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so: nobody hangs up here."""
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("closed"))


class BareSmtp:
    """All connections."""

    def __init__(self, port: int) -> None:
        """Open nothing yet."""
        self._port = port
        self._pieces: list[bytes] = []
        self._slots: list[Slot] = []

    def take(self, request: Request) -> None:
        """Say this."""
        self._pieces = [piece.encode("latin-1") for [piece] in request]

    async def run(self, until_s: float) -> int:
        """Hand over until then."""
        loop = asyncio.get_running_loop()
        while len(self._slots) < IN_FLIGHT:
            _, slot = await loop.create_connection(Slot, "127.0.0.1", self._port)
            await slot.opened
            self._slots.append(slot)
        return sum(await asyncio.gather(*(s.begin(self._pieces, until_s) for s in self._slots)))


if __name__ == "__main__":
    uvloop.run(obey(BareSmtp(int(sys.argv[1]))))
