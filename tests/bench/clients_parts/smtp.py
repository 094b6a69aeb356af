"""Child: a relay that is spoken to by SMTP in plain text, and takes every mail. No pipelining."""

import asyncio
from typing import ClassVar, cast

import uvloop

from tests.bench.clients_parts.answering import answer

# Of what Postfix offers; PIPELINING and STARTTLS are not used.
_EXTENSIONS = ("SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8")
_HELLO = "".join(f"250-{each}\r\n" for each in ("relay.test", *_EXTENSIONS)).encode()
_ANSWERS = {
    b"EHLO": _HELLO + b"250 CHUNKING\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
_QUEUED = b"250 2.0.0 Ok: queued as 4XyZ0b0c5a9d0b\r\n"
_END = b"\r\n.\r\n"


class Receiver(asyncio.Protocol):
    """One connection."""

    last: ClassVar[list[bytes]] = []  # of a mail that was not the first on its connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._dialogue: list[bytes] = []
        self._bytes = b""
        self._is_mail = False
        self._transport.write(b"220 relay.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer a command, or a mail's end."""
        received = self._bytes + data if self._bytes else data
        if not received.endswith(_END if self._is_mail else b"\r\n"):
            self._bytes = received
            return
        self._bytes = b""
        self._dialogue.append(received)
        if self._is_mail:
            self._is_mail = False
            if self._dialogue[0].startswith(b"RSET"):
                Receiver.last = self._dialogue
            self._dialogue = []
            self._transport.write(_QUEUED)
            return
        self._is_mail = received.startswith(b"DATA")
        self._transport.write(_ANSWERS[received[:4]])


def _request() -> list[list[str]]:
    """Return the commands, and the mail with its end."""
    return [[piece.decode("latin-1")] for piece in Receiver.last]


if __name__ == "__main__":
    uvloop.run(answer(Receiver, _request))
