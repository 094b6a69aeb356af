"""A session: a connection that was greeted, encrypted and logged in, and the mails it carries.

Owns the order of commands. Refuses to go on without TLS where it is wanted, however the server
puts it, and to log in where others could read along.

One recipient and one mail a transaction, so that every reply is about that one. No pipelining: a
reply that is not the last command's is how mails get lost or doubled. No NOTIFY (RFC 3461):
reports about delivery come as mail to the sender's address, which nobody here reads; failures are
reported there without asking.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from notifyq.domain.outcome import Misconfigured, Outcome, Refusal, Refused
from notifyq.providers.smtp.answer import read_answer
from notifyq.providers.smtp.compose import Mail
from notifyq.providers.smtp.line import Line
from notifyq.providers.smtp.progress import Broken, Progress, Stage
from notifyq.providers.smtp.reply import Reply

Security = Literal["starttls", "tls", "none"]
_CLOSING = 421  # the server hangs up after it


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over, and as whom."""

    host: str
    port: int
    security: Security
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    hello: str | None  # what we call ourselves; None: the address that we connect from
    tls: ssl.SSLContext


class Rejected(Exception):
    """No session: the server's reply, or what it does not offer, says so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


class Session:
    """One, open until it is left."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.extensions: Mapping[str, str] = {}
        self.mails = 0  # that were begun
        self.is_over = False  # the server said something that ends it

    @property
    def is_fit(self) -> bool:
        """Whether another mail may be begun on it."""
        return self.line.is_fit and not self.is_over

    async def send(self, mail: Mail, progress: Progress) -> Outcome:
        """Hand one mail over and say what became of it. Broken, at the stage of `progress`."""
        if mail.needs_utf8 and "SMTPUTF8" not in self.extensions:
            return _no_utf8(mail)
        size = self.extensions.get("SIZE", "")
        if size.isdecimal() and 0 < int(size) < len(mail.raw):
            return Refused(Refusal.CONTENT, "too_large")
        self.line.bound_silence(progress)
        reply = await self._transaction(mail, progress)
        return read_answer(progress.stage, reply, mail.message_id)

    async def try_sender(self, sender: str, progress: Progress) -> Reply:
        """Begin a mail from `sender` and take it back."""
        progress.stage = Stage.MAIL
        reply = await self.line.ask(f"MAIL FROM:<{sender}>")
        if reply.is_positive:
            await self.line.ask("RSET")
        return reply

    async def _transaction(self, mail: Mail, progress: Progress) -> Reply:
        """Return the last reply: the first that is not what it should be, or that to the end."""
        if self.mails:
            reply = await self._ask("RSET", Stage.RESET, progress)
            if not reply.is_positive:
                return reply
        self.mails += 1
        for command, stage in (
            (f"MAIL FROM:<{mail.sender}>{self._parameters(mail)}", Stage.MAIL),
            (f"RCPT TO:<{mail.to}>", Stage.RCPT),
        ):
            reply = await self._ask(command, stage, progress)
            if not reply.is_positive:
                return reply
        reply = await self._ask("DATA", Stage.DATA, progress)
        if reply.code != 354:
            self.is_over |= reply.code < 400
            return reply
        return await self._data(mail, progress)

    async def _data(self, mail: Mail, progress: Progress) -> Reply:
        progress.stage = Stage.BODY
        early = await self.line.body(mail.raw)
        if early is not None:
            return early
        reply = await self.line.end(progress)
        if reply.code >= 400 and self.line.has_unasked:  # which of them is about the mail?
            raise Broken("unasked_reply")
        self.is_over = reply.code == _CLOSING or (reply.code < 400 and reply.code != 250)
        return reply

    async def _ask(self, command: str, stage: Stage, progress: Progress) -> Reply:
        progress.stage = stage
        reply = await self.line.ask(command)
        # A 3xx waits for more. After a 354 all is read as the mail until the reply to its end.
        self.is_over = reply.code == _CLOSING or 300 <= reply.code < 400
        return reply

    def _parameters(self, mail: Mail) -> str:
        found = ""
        if "SIZE" in self.extensions:
            found += f" SIZE={len(mail.raw)}"
        if mail.needs_utf8:
            found += " BODY=8BITMIME SMTPUTF8"  # RFC 6531: headers are 8 bit then
        if "DSN" in self.extensions and mail.reference.isalnum() and mail.reference.isascii():
            found += f" RET=HDRS ENVID={mail.reference}"
        return found


async def open_session(relay: Relay, progress: Progress) -> Session:
    """Connect and get as far as mail could be sent.

    Rejected: the server says no. Broken or OSError: the connection failed, at the stage of
    `progress`.
    """
    progress.stage = Stage.CONNECT
    tls_first = relay.tls if relay.security == "tls" else None
    loop = asyncio.get_running_loop()
    _, line = await loop.create_connection(Line, relay.host, relay.port, ssl=tls_first)
    session = Session(line)
    try:
        await _prepare(session, relay, progress)
    except BaseException:
        line.abort()
        raise
    return session


async def _prepare(session: Session, relay: Relay, progress: Progress) -> None:
    line = session.line
    progress.stage = Stage.GREETING
    _demand(progress, await line.reply(), 220)
    await _hello(session, relay, progress)
    if relay.security == "starttls":
        progress.stage = Stage.TLS
        if "STARTTLS" not in session.extensions:
            raise Rejected(Misconfigured("no_starttls"))
        _demand(progress, await line.ask("STARTTLS"), 220)
        await line.encrypt(relay.tls, relay.host)
        await _hello(session, relay, progress)  # what was said in plain text does not count
    if relay.username is not None:
        await _log_in(session, relay.username, relay.password or "", progress)


async def _hello(session: Session, relay: Relay, progress: Progress) -> None:
    progress.stage = Stage.HELLO
    host = session.line.local_host
    literal = f"[IPv6:{host}]" if ":" in host else f"[{host}]"  # RFC 5321 4.1.3
    reply = _demand(progress, await session.line.ask(f"EHLO {relay.hello or literal}"), 250)
    said = [each.replace("=", " ", 1).partition(" ") for each in reply.lines[1:]]
    session.extensions = {word.upper(): rest.strip() for word, _, rest in said}


async def _log_in(session: Session, username: str, password: str, progress: Progress) -> None:
    progress.stage = Stage.AUTH
    offered = session.extensions.get("AUTH", "").upper().split()
    if "PLAIN" in offered:
        both = _base64(f"\0{username}\0{password}")
        reply = await session.line.ask(f"AUTH PLAIN {both}")
    elif "LOGIN" in offered:
        _demand(progress, await session.line.ask("AUTH LOGIN"), 334)
        _demand(progress, await session.line.ask(_base64(username)), 334)
        reply = await session.line.ask(_base64(password))
    else:
        raise Rejected(Misconfigured("no_auth_plain_or_login"))
    _demand(progress, reply, 235)


def _demand(progress: Progress, reply: Reply, code: int) -> Reply:
    if reply.code != code:
        raise Rejected(read_answer(progress.stage, reply, ""))
    return reply


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _no_utf8(mail: Mail) -> Outcome:
    if not mail.sender.isascii():
        return Misconfigured("sender_needs_smtputf8")
    return Refused(Refusal.ADDRESS, "address_needs_smtputf8")
