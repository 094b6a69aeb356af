"""One client's dialogue with the relay: commands in their order, and mails up to their end.

Owns the protocol; what becomes of a mail is asked of `deliver`. One command, one reply: pipelining
is not offered, and what comes early is read in its turn.
"""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable

from notifyq.sandbox import magic
from notifyq.sandbox.smtp.rules import (
    COMMAND_BYTES_MAX,
    LINE_BYTES_MAX,
    OK,
    PASSWORD,
    SEQUENCE,
    SIZE_BYTES_MAX,
    SYNTAX,
    TOO_LARGE,
    UNKNOWN,
    USERNAME,
    Envelope,
    Path,
    Reply,
    judge_recipient,
    judge_sender,
    read_path,
)

# Says what becomes of a mail; None: the connection is broken instead.
Deliver = Callable[[Envelope, bytes], Awaitable[str | None]]

_OFFERS = (
    *("SIZE " + str(SIZE_BYTES_MAX), "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"),
    "AUTH PLAIN LOGIN",
)
_BAD_LOGIN = Reply(535, "7.8", "Authentication credentials invalid")


class Dialogue:
    """A connection, from its greeting to its end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deliver: Deliver
    ) -> None:
        self._reader, self._writer, self._deliver = reader, writer, deliver
        self._is_greeted = False
        self._is_logged_in = False
        self._sender: Path | None = None
        self._to: Path | None = None

    async def run(self) -> None:
        """Speak until the client leaves. IncompleteReadError or OSError: it left in the middle."""
        self._say("220 sandbox.example ESMTP notifyq")
        while True:
            try:
                line = await self._reader.readuntil(b"\r\n")
                text = line.removesuffix(b"\r\n").decode()
            except (asyncio.LimitOverrunError, UnicodeDecodeError):
                self._say(str(SYNTAX))
                return
            if len(line) > COMMAND_BYTES_MAX:
                self._say(str(Reply(500, "5.2", "Line too long")))
                return
            if not await self._answer(text):
                return

    async def _answer(self, text: str) -> bool:
        """Answer one command; False: the dialogue is over."""
        verb, _, rest = text.partition(" ")
        match verb.upper():
            case "QUIT" if not rest:
                self._say("221 2.0.0 Bye")
                return False
            case "DATA" if not rest:
                return await self._data()
            case "AUTH":
                await self._log_in(rest)
            case "EHLO" | "HELO":
                self._hello(verb.upper(), rest)
            case "MAIL" | "RCPT":
                self._say(str(self._envelope(verb.upper(), rest)))
            case "RSET" if not rest:
                self._reset()
                self._say(str(OK))
            case "NOOP":
                self._say(str(OK))
            case "VRFY":
                self._say("252 2.5.2 Cannot verify")
            case _:
                self._say(str(UNKNOWN))
        return True

    def _hello(self, verb: str, rest: str) -> None:
        if not rest or " " in rest:
            self._say(str(SYNTAX))
            return
        self._is_greeted = True
        self._reset()
        offers = ("sandbox.example", *(_OFFERS if verb == "EHLO" else ()))
        for offer in offers[:-1]:
            self._say(f"250-{offer}")
        self._say(f"250 {offers[-1]}")

    async def _log_in(self, rest: str) -> None:
        mechanism, _, first = rest.partition(" ")
        if not self._is_greeted or self._is_logged_in or self._sender:
            self._say(str(SEQUENCE))
            return
        if mechanism.upper() == "PLAIN":
            given = _unbase64(first or await self._ask(""))
            right = given == f"\0{USERNAME}\0{PASSWORD}"
        elif mechanism.upper() == "LOGIN":
            name = _unbase64(first or await self._ask("VXNlcm5hbWU6"))
            word = _unbase64(await self._ask("UGFzc3dvcmQ6"))
            right = name == USERNAME and hmac.compare_digest(word.encode(), PASSWORD.encode())
        else:
            self._say("504 5.5.4 Unrecognized authentication type")
            return
        self._is_logged_in = right
        self._say("235 2.7.0 Authentication successful" if right else str(_BAD_LOGIN))

    def _envelope(self, verb: str, rest: str) -> Reply:
        word, _, text = rest.partition(":")
        if word.upper() != {"MAIL": "FROM", "RCPT": "TO"}[verb]:
            return SYNTAX
        is_in_order = self._is_greeted and (self._sender is None) is (verb == "MAIL")
        if not is_in_order:
            return SEQUENCE
        path = read_path(text)
        if isinstance(path, Reply):
            return path
        if self._sender is None:
            wrong = judge_sender(path)
            self._sender = None if wrong else path
            return wrong or Reply(250, "1.0", "Ok")
        if self._to is not None:
            return Reply(452, "5.3", "Too many recipients")
        is_utf8 = "SMTPUTF8" in self._sender.parameters
        wrong = judge_recipient(path, is_utf8=is_utf8, kind=magic.of_mail(path.address))
        self._to = None if wrong else path
        return wrong or Reply(250, "1.5", "Ok")

    async def _data(self) -> bool:
        if self._sender is None or self._to is None:
            self._say(str(SEQUENCE))
            return True
        given = self._sender.parameters
        envelope = Envelope(
            self._sender.address,
            self._to.address,
            given.get("ENVID"),
            given.get("BODY", "").upper() == "8BITMIME",
            "SMTPUTF8" in given,
        )
        self._reset()
        self._say("354 End data with <CR><LF>.<CR><LF>")
        raw = await self._read_mail()
        said = str(TOO_LARGE) if raw is None else await self._deliver(envelope, raw)
        if said is not None:
            self._say(said)
        return said is not None and not said.startswith("421")

    async def _read_mail(self) -> bytes | None:
        """Return a mail up to its end, unstuffed; None if it is too large, read to its end."""
        raw, size_bytes = bytearray(), 0
        while True:
            try:
                line = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:  # judged as a line that is too long
                line = await self._reader.readexactly(error.consumed)
            if line == b".\r\n":
                return bytes(raw) if size_bytes <= SIZE_BYTES_MAX else None
            size_bytes += len(line)
            if size_bytes <= SIZE_BYTES_MAX:
                raw += line.removeprefix(b".")

    async def _ask(self, challenge: str) -> str:
        self._say(f"334 {challenge}")
        return (await self._reader.readuntil(b"\r\n")).decode(errors="replace").strip()

    def _reset(self) -> None:
        self._sender = self._to = None

    def _say(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")


# Of one line, as the stream reads it; longer ones come in pieces.
LIMIT_BYTES = max(COMMAND_BYTES_MAX, LINE_BYTES_MAX) * 8


def _unbase64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""
