"""A port before the sandbox's: what happens to a connection on the way, once, then nothing more.

The sandbox decides about whole messages. What only a network or a server before it can do is done
here: nobody listens, the connection is cut inside a request, a relay talks nonsense. What comes
through is still counted by the sandbox.
"""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from tests.providers.matrix.ground import HOST

CHUNK_BYTES = 65_536
_END_OF_MAIL = b"\r\n.\r\n"  # its last line comes with others, or alone


class Kind(Enum):
    """What happens."""

    SHUT = "nobody listens until the door is opened"
    CUT = "the connection is cut in the middle of the request, before the message's text"
    NO_RCPT = "the relay answers RCPT with `reply` and does not look at it"
    GARBLED = "the relay takes the mail and answers with `reply`"


@dataclass(frozen=True, slots=True)
class Mishap:
    """What happens, to the first who comes through."""

    kind: Kind
    reply: bytes = b""  # of an SMTP server, with its CRLF


class Door:
    """One port, and the connections that lead through it."""

    def __init__(self, behind: int, mishap: Mishap, text: str) -> None:
        """behind: the sandbox's port. text: stands in the message that the mishap is for."""
        self._behind, self._text = behind, text.encode()
        self._mishap: Mishap | None = mishap
        self._passages: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # Bound and not listening: the port is ours, and whoever connects is refused.
        self._socket = socket.socket()
        self._socket.bind((HOST, 0))
        self.port: int = self._socket.getsockname()[1]

    async def open(self) -> None:
        """Let connections in, where that was not done before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._enter, sock=self._socket)

    async def close(self) -> None:
        """Close the port and break every connection."""
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for passage in self._passages:
            passage.cancel()
        await asyncio.gather(*self._passages, return_exceptions=True)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio 3.11 reports one that is cancelled as an error.
        passage = asyncio.create_task(self._pass(reader, writer))
        self._passages.add(passage)
        passage.add_done_callback(self._passages.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what both sides say, until one of them hangs up; then hang up on both."""
        try:
            theirs, ours = await asyncio.open_connection(HOST, self._behind)
            ended = asyncio.Event()  # a mail that is to be answered otherwise
            there = asyncio.create_task(self._to_provider(reader, writer, ours, ended))
            back = asyncio.create_task(self._to_client(theirs, writer, ended))
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
                ours.transport.abort()
        finally:
            writer.transport.abort()

    async def _to_provider(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ours: asyncio.StreamWriter,
        ended: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                kind = self._mishap.kind if self._mishap else None
                if kind is Kind.CUT and self._text in data:
                    self._happens()
                    ours.write(data.partition(self._text)[0])
                    ours.close()  # once that is written
                    await ours.wait_closed()
                    return
                if kind is Kind.NO_RCPT and data.startswith(b"RCPT "):
                    writer.write(self._happens())
                    continue
                if kind is Kind.GARBLED and (b"\r\n" + data).endswith(_END_OF_MAIL):
                    ended.set()
                ours.write(data)

    async def _to_client(
        self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await theirs.read(CHUNK_BYTES):
                writer.write(self._happens() if ended.is_set() else data)
                ended.clear()

    def _happens(self) -> bytes:
        """Return the mishap's reply; it does not happen again."""
        reply = self._mishap.reply if self._mishap else b""
        self._mishap = None
        return reply
