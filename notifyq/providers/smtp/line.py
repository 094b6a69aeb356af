"""The line: one connection to an SMTP server. Commands go out, each takes one reply.

Owns the socket and how it is closed: reset, so that nothing queued leaves afterwards. Refuses to
speak while a reply lies here that nobody asked for: it would be taken for the next command's.

Invariant: the mark that ends a message is handed to the transport in `end` alone, after the
message was written out, never after the deadline; `Progress.stage` is END before it is.
Written here rather than taken from aiosmtplib 5.1, which writes message and mark in one piece (so
a cut in the middle cannot be told from one after it), keeps left-over replies for the next command,
believes replies whose lines differ, and closes by flushing.
"""

import asyncio
import contextlib
import re
import ssl
from typing import cast

from notifyq.providers.smtp.progress import Broken, Progress, Stage, code_of
from notifyq.providers.smtp.reply import NotSmtp, Reply, take_reply
from notifyq.providers.sockets import Silence, harden

_RECEIVED_BYTES_MAX = 65_536  # replies that wait to be read; an EHLO's has about one KB
_PIECE_BYTES = 65_536  # TLS takes all that it is given at once; below it waits about one piece
_DOT = re.compile(rb"(?m)^\.")


class Line(asyncio.Protocol):
    """One connection. Every method but `abort` may raise Broken."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._news = asyncio.Event()  # something was received, drained or ended
        self._full = False
        self._why_ended: str | None = None
        self._silence = Silence()

    @property
    def is_fit(self) -> bool:
        """Whether another command could be sent: it is open and nothing unasked lies here."""
        return self._why_ended is None and not self._received

    @property
    def has_unasked(self) -> bool:
        """Whether more was said than was asked for."""
        return bool(self._received)

    @property
    def local_host(self) -> str:
        """Our own address, as text."""
        return str(self._open_transport().get_extra_info("sockname")[0])

    async def reply(self) -> Reply:
        """Wait for the next reply."""
        while (found := self._take()) is None:
            if self._why_ended is not None:
                raise Broken(self._why_ended)
            await self._next_news()
        return found

    async def ask(self, command: str) -> Reply:
        """Send one command and return its reply. The command is ours; it has no line break."""
        if "\r" in command or "\n" in command:
            raise ValueError("a command is one line")
        if not self.is_fit:
            raise Broken(self._why_ended or "unasked_reply")
        self._open_transport().write(command.encode() + b"\r\n")
        return await self.reply()

    async def body(self, raw: bytes) -> Reply | None:
        """Write a message without its end; return once all of it has left this process.

        raw: lines that end in CRLF. A reply: the server did not wait for the end.
        """
        stuffed = memoryview(_DOT.sub(b"..", raw))
        for start in range(0, len(stuffed), _PIECE_BYTES):
            if self.is_fit:
                self._open_transport().write(stuffed[start : start + _PIECE_BYTES])
                await asyncio.sleep(0)  # what came in meanwhile is known before more leaves
            while self._full and self.is_fit:
                await self._next_news()
        return None if self.is_fit else await self.reply()

    async def end(self, progress: Progress) -> Reply:
        """Write the end of the message and return its reply."""
        if progress.left_s() <= 0:  # this process was stopped, and wakes up before its timers
            raise Broken("timeout")
        if not self.is_fit:
            raise Broken(self._why_ended or "unasked_reply")
        transport = self._open_transport()
        progress.stage = Stage.END
        transport.write(b".\r\n")
        return await self.reply()

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS; OSError: it failed.

        What came in plain text after the server's word for it lies here unasked: see `ask`.
        """
        loop, before = asyncio.get_running_loop(), self._open_transport()
        self._transport = await loop.start_tls(before, self, context, server_hostname=host)
        self._bound_buffer()

    def bound_silence(self, progress: Progress) -> None:
        """Let the kernel stop repeating unacknowledged bytes before the deadline."""
        sock = self._open_transport().get_extra_info("socket")
        self._silence.bound(sock, progress.left_s())

    def abort(self) -> None:
        """Reset the connection: what is still queued never leaves."""
        self._why_ended = self._why_ended or "closed"
        if self._transport is not None:
            self._transport.abort()

    def part(self) -> None:
        """Say goodbye, as far as it can be said at once, and reset."""
        if self.is_fit:
            with contextlib.suppress(Broken):
                self._open_transport().write(b"QUIT\r\n")
        self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        harden(transport.get_extra_info("socket"))
        self._bound_buffer()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        if len(self._received) > _RECEIVED_BYTES_MAX:
            self._why_ended = "not_smtp"
            self.abort()
        self._news.set()

    def eof_received(self) -> bool:
        """Called by asyncio; the transport closes then."""
        self._why_ended = self._why_ended or "closed"
        self._news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._why_ended = self._why_ended or (code_of(exc) if exc else "closed")
        self._news.set()

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._full = True

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._full = False
        self._news.set()

    def _take(self) -> Reply | None:
        try:
            return take_reply(self._received)
        except NotSmtp as error:
            self.abort()
            raise Broken("not_smtp") from error

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _open_transport(self) -> asyncio.Transport:
        transport = self._transport
        if transport is None or self._why_ended is not None or transport.is_closing():
            raise Broken(self._why_ended or "closed")
        return transport

    def _bound_buffer(self) -> None:
        # Writing counts as paused while a byte waits in this process: see `body`.
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=1, low=0)
