"""SMTP: one account at one relay, mail by RFC 5321.

Owns what the failure of a hand-over means. The line runs at the message's end, the dot: before it
was written the relay cannot have taken the mail, after it only a reply is definite (RFC 1047 is
about nothing else). The kind of an exception never decides.

Refuses to repeat anything. Acceptance is all that is ever learnt: SMTP has no list of messages and
no callbacks.
"""

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Callable
from datetime import datetime

from notifyq.domain.content import Content, EmailContent
from notifyq.domain.message import Message
from notifyq.domain.outcome import InDoubt, NotSent, Outcome, Unavailable
from notifyq.domain.provider import (
    BadCallback,
    Callback,
    Check,
    LookUpFailed,
    Reading,
    Seen,
    Sought,
)
from notifyq.providers.smtp import checks
from notifyq.providers.smtp.compose import Mail, compose, has_control
from notifyq.providers.smtp.pool import Pool
from notifyq.providers.smtp.progress import Broken, Progress, Stage, code_of
from notifyq.providers.smtp.session import Rejected, Relay, Security

_HELLO = re.compile(r"[A-Za-z0-9.-]{1,255}|\[[0-9A-Za-z.:]{1,64}\]")


class Smtp:
    """One account; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        security: Security,
        username: str | None,
        password: str | None,
        hello: str | None,
        max_in_flight: int,
        now: Callable[[], datetime],
        check_sender: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """hello: our name in EHLO, by default the address that we connect from. check_sender: whom
        `check` asks to send as. tls: by default certificates are verified by the system's list.

        ValueError: a password would travel in plain text, or `hello` is no name.
        """
        if username is not None and security == "none" and not _is_loopback(host):
            raise ValueError("username with security none: a password goes over TLS only")
        if hello is not None and not _HELLO.fullmatch(hello):
            raise ValueError("hello is not a host name")
        self.name = name
        self._now = now
        self._check_sender = check_sender
        verified = tls or ssl.create_default_context()
        self._relay = Relay(host, port, security, username, password, hello, verified)
        self._pool = Pool(self._relay, max_in_flight=max_in_flight)

    def refusal(self, content: Content) -> str | None:
        """Refuse a subject that could begin another header. How long a mail may be, relays say."""
        if isinstance(content, EmailContent) and has_control(content.subject):
            return "must have no line break or control character in the subject"
        return None

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Hand the mail over: one transaction, within `timeout_s` seconds."""
        mail = compose(message, self._now())
        if not isinstance(mail, Mail):
            return mail
        progress = Progress(timeout_s)
        try:
            async with asyncio.timeout(timeout_s), self._pool.session(progress) as session:
                return await session.send(mail, progress)
        except Rejected as error:
            return error.outcome
        # TimeoutError and ssl.SSLError are OSErrors; UnicodeError is from an impossible host name.
        except (Broken, OSError, UnicodeError) as error:
            return _unanswered(progress.stage, code_of(error))

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """Learn nothing: SMTP lists no messages. A relay of one's own has a log to search."""
        return LookUpFailed("no_list")

    async def read_callback(self, callback: Callback) -> Reading:
        """Refuse it: SMTP makes none."""
        return BadCallback("SMTP has no callbacks")

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Connect, encrypt, log in, and begin a mail that is taken back."""
        return await checks.check(self._relay, self._check_sender, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the lane's connections."""
        self._pool.close()


def _unanswered(stage: Stage, code: str) -> NotSent | Unavailable | InDoubt:
    """Return what the want of a reply means."""
    if stage < Stage.BODY:
        return NotSent(code)
    if stage < Stage.END:  # RFC 5321 4.1.1.4: without its end there is no mail
        return Unavailable(f"cut_before_end {code}")
    return InDoubt(code)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
