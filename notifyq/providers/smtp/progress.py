"""How far one hand-over got, until when it may go on, and what its failures are called."""

from enum import IntEnum

from notifyq.boottime import Deadline
from notifyq.providers import sockets


class Stage(IntEnum):
    """What was last begun."""

    CONNECT = 0  # waiting for a place, name look-up, TCP, and TLS where it comes first
    GREETING = 1
    HELLO = 2
    TLS = 3
    AUTH = 4
    RESET = 5
    MAIL = 6
    RCPT = 7
    DATA = 8
    BODY = 9  # bytes of the message may have left, its end has not
    END = 10  # its end may have left: from here on only a reply is definite


class Progress(Deadline):
    """How far one exchange got, and until when it may go on."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.stage = Stage.CONNECT


class Broken(Exception):
    """The connection is of no use any more; the text is a short code."""


def code_of(error: BaseException) -> str:
    """Return a short name for logs and attempt rows; nothing is decided by it."""
    if isinstance(error, Broken):
        return str(error)
    return sockets.code_of(error, otherwise="connection")
