"""How far one hand-over got, until when it may go on, and what its failures are called."""

import errno
import socket
import ssl
import time
from enum import IntEnum

_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


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


class Progress:
    """How far one exchange got, and until when it may go on."""

    def __init__(self, timeout_s: float) -> None:
        """The deadline is `timeout_s` seconds from now, by a clock that sleep does not stop."""
        self._deadline_s = _boottime_s() + timeout_s
        self.stage = Stage.CONNECT

    def left_s(self) -> float:
        """Return the seconds until the deadline; 0 or less after it."""
        return self._deadline_s - _boottime_s()


class Broken(Exception):
    """The connection is of no use any more; the text is a short code."""


def code_of(error: BaseException) -> str:
    """Return a short name for logs and attempt rows; nothing is decided by it."""
    match error:
        case Broken():
            return str(error)
        case TimeoutError():
            return "timeout"
        case socket.gaierror() | UnicodeError():
            return "no_such_host"
        case ssl.SSLError():
            return "tls"
        case OSError(errno=int(number)):
            return errno.errorcode.get(number, "os_error").lower()
    return "connection"


def _boottime_s() -> float:
    # Runs on while the machine sleeps, as the lease that timeout_s was cut from does.
    return time.clock_gettime(_BOOTTIME)
