"""Child: a vendor that is spoken to over HTTP/1.1. Argument: which.

Every POST is answered as accepted, one to `/token` by a token. Keep-alive, no pipelining.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

from tests.bench.clients_parts import answers
from tests.bench.clients_parts.answering import answer

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Receiver(asyncio.Protocol):
    """One connection."""

    accepted = token = last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with an empty buffer."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._bytes = b""

    def data_received(self, data: bytes) -> None:
        """Answer once head and body are there."""
        received = self._bytes + data if self._bytes else data
        end = received.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(received, 0, end) if end > 3 else None
        if length is None or len(received) < end + int(length[1]):
            self._bytes = received
            return
        self._bytes = b""
        if received.startswith(b"POST /token"):
            self._transport.write(Receiver.token)
            return
        Receiver.last = received
        self._transport.write(Receiver.accepted)


def _request() -> list[list[str]]:
    """Return the request line, each field, an empty line and the body."""
    head, _, body = Receiver.last.decode("latin-1").partition("\r\n\r\n")
    return [[line] for line in (*head.split("\r\n"), "", body)]


if __name__ == "__main__":
    Receiver.accepted, Receiver.token = answers.accepted(sys.argv[1]), answers.token()
    uvloop.run(answer(Receiver, _request))
