"""Child: the same fields and body by h2 on one connection, each answer read to its end.

Argument: port. Nothing else: no time-out, no check of fields, nothing read of an answer. Fields
that no table may keep are written out each time, as in the request that was taken.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RemoteSettingsChanged, StreamEnded
from hpack import HeaderTuple, NeverIndexedHeaderTuple

from tests.bench.clients_parts.loading import IN_FLIGHT, Request, obey

_CONFIG = H2Configuration(
    client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
)


class Connection(asyncio.Protocol):
    """The one connection."""

    def __init__(self) -> None:
        """Write nothing yet."""
        self._h2 = H2Connection(_CONFIG)
        self._transport: asyncio.Transport | None = None
        self._in_flight = self._count = 0
        self._until_s = 0.0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.fields: list[HeaderTuple] = []
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._flush()

    def begin(self, until_s: float) -> asyncio.Future[int]:
        """Post again and again; the result is how often."""
        self._until_s, self._count = until_s, 0
        self._ended = asyncio.get_running_loop().create_future()
        for _ in range(IN_FLIGHT):
            self._post()
        self._flush()
        return self._ended

    def data_received(self, data: bytes) -> None:
        """Post again for each answer that came; write once."""
        for event in self._h2.receive_data(data):
            if isinstance(event, StreamEnded):
                self._in_flight -= 1
                self._count += 1
                if time.perf_counter() < self._until_s:
                    self._post()
            elif isinstance(event, RemoteSettingsChanged):
                self.opened.set_result(None)
        self._flush()
        if not self._in_flight and not self._ended.done():
            self._ended.set_result(self._count)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so: nobody hangs up here."""
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("closed"))

    def _post(self) -> None:
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, self.fields)
        self._h2.send_data(stream, self.body, end_stream=True)
        self._in_flight += 1

    def _flush(self) -> None:
        assert self._transport is not None
        if data := self._h2.data_to_send():
            self._transport.write(data)


class BareHttp2:
    """The connection, once it is there."""

    def __init__(self, port: int) -> None:
        """Open nothing yet."""
        self._port = port
        self._connection: Connection | None = None
        self._fields: list[HeaderTuple] = []
        self._body = b""

    def take(self, request: Request) -> None:
        """Post these fields and this body."""
        *fields, (_, body, _) = request
        self._fields = [
            (HeaderTuple if kept else NeverIndexedHeaderTuple)(name.encode(), value.encode())
            for name, value, kept in fields
        ]
        self._body = body.encode("latin-1")

    async def run(self, until_s: float) -> int:
        """Post until then."""
        if self._connection is None:
            loop = asyncio.get_running_loop()
            _, made = await loop.create_connection(Connection, "127.0.0.1", self._port)
            made.fields, made.body = self._fields, self._body
            await made.opened
            self._connection = made
        return await self._connection.begin(until_s)


if __name__ == "__main__":
    uvloop.run(obey(BareHttp2(int(sys.argv[1]))))
