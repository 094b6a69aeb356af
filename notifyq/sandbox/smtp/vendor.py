"""The relay: an SMTP server on a port of its own, whose mails go to the same counter as all others.

Owns the connections. A mail that is held is let go of when its client hangs up: nothing is accepted
for somebody who is not there any more.
"""

import asyncio
import contextlib
import secrets
from email.message import EmailMessage
from typing import cast

from notifyq.sandbox import magic
from notifyq.sandbox.counter import Counter, Taken, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.record import Acceptance
from notifyq.sandbox.smtp.dialogue import LIMIT_BYTES, Dialogue
from notifyq.sandbox.smtp.rules import (
    DETAILS,
    MAGIC,
    THROTTLED,
    USERNAME,
    Envelope,
    Reply,
    headers_of,
    read_mail,
)

VENDOR = "smtp"


magic_of = magic.recipients(magic.of_mail, MAGIC)


class Relay:
    """The vendor: its port and its connections."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self, host: str, port: int) -> int:
        """Open the port (0: any free one) and return it. OSError: it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port)
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def close(self) -> None:
        """Close the port and break every connection."""
        if self._server is not None:
            self._server.close()
        tasks = [each.task for each in self._connections if each.task]
        for connection in list(self._connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def talk(self, connection: "_Connection", writer: asyncio.StreamWriter) -> None:
        """Run one dialogue."""

        async def deliver(envelope: Envelope, raw: bytes) -> str | None:
            return await self._deliver(connection, writer, envelope, raw)

        self._connections.add(connection)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await Dialogue(connection.reader, writer, deliver).run()
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _deliver(
        self,
        connection: "_Connection",
        writer: asyncio.StreamWriter,
        envelope: Envelope,
        raw: bytes,
    ) -> str | None:
        mail = read_mail(raw, envelope)
        if isinstance(mail, Reply):
            return str(mail)
        wanted = Wanted(USERNAME, envelope.to, envelope.sender, envelope.reference, _text(mail))
        connection.is_carrying = True
        name = secrets.token_hex(5).upper()
        with self._counter.record.offering(name, headers_of(mail)):
            taken = await self._counter.take(
                wanted,
                name,
                status="queued",
                is_gone=writer.transport.is_closing,
                tell=_tell_nobody,
            )
        connection.is_carrying = False
        if taken.dropped or (taken.entry and taken.fault):
            # After acceptance there is no word that says "perhaps": half a reply, and the end.
            writer.write(b"" if taken.dropped else b"250 2.0")
            connection.abort()
            return None
        return _said(taken)


class _Connection(asyncio.StreamReaderProtocol):
    """Ends the dialogue's task when the client is gone."""

    def __init__(self, relay: Relay) -> None:
        self.reader = asyncio.StreamReader(limit=LIMIT_BYTES)
        self.task: asyncio.Task[None] | None = None
        self.is_carrying = False
        self._relay = relay
        self._carrier: asyncio.Transport | None = None
        super().__init__(self.reader, self._begin)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._carrier = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        """Called by asyncio: nobody waits for the reply any more."""
        if self.is_carrying and self.task:
            self.task.cancel()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self.task:
            self.task.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Break the connection: what was not written yet never is."""
        if self._carrier is not None:
            self._carrier.abort()

    def _begin(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.task = asyncio.create_task(self._relay.talk(self, writer))


def _said(taken: Taken) -> str:
    if taken.entry is not None:
        return f"250 2.0.0 Ok: queued as {taken.entry.provider_id}"
    if taken.fault is None:
        raise ValueError("nothing was accepted and nothing went wrong")
    if taken.fault.name == "throttle":
        return str(THROTTLED)
    code = int(taken.fault.code) if taken.fault.name == "refuse" and taken.fault.code else 451
    detail, text = DETAILS.get(code, ("0.0", "Refused by a script"))
    return str(Reply(code, detail, text))


def _text(mail: EmailMessage) -> str:
    """Return the text that a person reads, its lines ended by LF alone."""
    part = mail.get_body(("plain", "html"))
    with contextlib.suppress(LookupError, KeyError):  # a charset or a kind that nobody knows
        return str(part.get_content()).replace("\r\n", "\n").removesuffix("\n") if part else ""
    return ""


def _tell_nobody(_: Acceptance, __: Fault | None) -> None:
    """SMTP has no callbacks."""
