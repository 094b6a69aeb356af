"""A relay on loopback that says and does as it is told, and the client that is sent to it."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from notifyq.domain.content import EmailContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.outcome import Outcome
from notifyq.providers.smtp.client import Smtp

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MESSAGE = Message(
    reference="0123456789abcdefghijklmnopqrstuv",
    collapse_id="00fjq2m8c0v6g",
    to="anna@example.org",
    sender=Sender("orders@shop.example.com", "Shop"),
    content=EmailContent("Your order", "It was shipped.", "<p>It was shipped.</p>"),
    callback_url="",
    validity_s=600,
    expires_at=NOW + timedelta(seconds=600),
)
LARGE = replace(MESSAGE, content=EmailContent("Large", ("x" * 75 + "\n") * 90_000))


@dataclass
class Act:
    """What a relay does instead of replying."""

    name: str


CUT, RESET, SILENT = Act("cut"), Act("reset"), Act("silent")
Said = bytes | Act


@dataclass
class Relay:
    """A relay on loopback. `says` by verb (GREETING, EHLO, …; BODY: once it read the first bytes of
    a mail; END: to its end), one for every time, or a list by turns."""

    says: dict[str, Any] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    commands: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)  # read to their end
    unended: bytes = b""  # the beginning of a mail that did not come to its end
    connections: int = 0
    ended: int = 0  # of them
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)  # where it stays silent

    DEFAULTS: ClassVar = {
        "GREETING": b"220 relay\r\n",
        "EHLO": b"250-relay\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n",
        "DATA": b"354 go\r\n",
        "END": b"250 2.0.0 Ok: queued as 4F1A23B5C\r\n",
        "STARTTLS": b"220 go\r\n",
        "AUTH": b"235 ok\r\n",
        "BODY": b"",
        "QUIT": b"221 bye\r\n",
    }

    def said(self, verb: str) -> Said:
        what = self.says.get(verb, self.DEFAULTS.get(verb, b"250 ok\r\n"))
        if isinstance(what, list):
            what = what.pop(0) if len(what) > 1 else what[0]
        assert isinstance(what, bytes | Act)
        return what

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, Left):
                await self._speak(reader, writer)
        finally:
            self.ended += 1
            writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say("GREETING", reader, writer)
        while True:
            line = (await reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")
            self.commands.append(line)
            verb = line.split(" ")[0]
            said = await self._say(verb, reader, writer)
            if verb == "STARTTLS" and said.startswith(b"220"):
                assert self.tls
                await writer.start_tls(self.tls)
                reader._transport = writer.transport  # type: ignore[attr-defined]
            if verb == "DATA" and said.startswith(b"354"):
                await self._read_mail(reader, writer)
            if verb == "QUIT":
                return

    async def _read_mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = self.unended = await reader.read(1)
        await self._say("BODY", reader, writer)
        while not (b"\r\n" + raw).endswith(b"\r\n.\r\n"):
            raw += await reader.readuntil(b"\n")
        self.mails.append(raw.removesuffix(b".\r\n"))
        await self._say("END", reader, writer)

    async def _say(
        self, verb: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        said = self.said(verb)
        if isinstance(said, bytes):
            writer.write(said)
            return said
        if said is SILENT:
            self.reached.set()
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(65_536):
                    pass
            self.gone.set()
        if said is RESET:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        raise Left


class Left(Exception):
    """The relay is done with this connection."""


@asynccontextmanager
async def relaying(
    says: dict[str, Any] | None = None,
    kind: type[Relay] = Relay,
    *,
    tls: ssl.SSLContext | None = None,
    tls_first: bool = False,
) -> AsyncIterator[Relay]:
    relay = kind(says or {}, tls)
    tasks: set[asyncio.Task[None]] = set()

    def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(relay.handle(reader, writer)))

    server = await asyncio.start_server(
        on_connect, "127.0.0.1", 0, ssl=tls if tls_first else None, limit=2**24
    )
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def smtp(port: int, **changes: Any) -> Smtp:
    given: dict[str, Any] = {
        "name": "relay",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "username": None,
        "password": None,
        "hello": None,
        "max_in_flight": 2,
        "now": lambda: NOW,
    }
    return Smtp(**{**given, **changes})


@asynccontextmanager
async def client(relay: Relay, **changes: Any) -> AsyncIterator[Smtp]:
    made = smtp(relay.port, **changes)
    yield made
    await made.close()


async def sent(
    says: dict[str, Any], message: Message = MESSAGE, *, timeout_s: float = 5, **changes: Any
) -> tuple[Outcome, Relay]:
    async with relaying(says) as relay, client(relay, **changes) as made:
        return await made.send(message, timeout_s=timeout_s), relay


async def until(condition: Callable[[], bool], *, within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
