"""Sockets to providers: closed hard, never silent for long; and what their failures are called.

Whatever the protocol: what is queued when a socket is closed never leaves, and the kernel stops
repeating bytes that nobody acknowledges, for a process that is stopped, too.
"""

import errno
import socket
import ssl
import struct

# Linux has it; elsewhere the deadline is kept by this process alone, while it runs.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_LINGER_0 = struct.pack("ii", 1, 0)  # close() resets; what the kernel has not sent is dropped


def harden(sock: socket.socket) -> None:
    """Let it reset when it is closed, also by the process's death, and send at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Silence:
    """How long one connection's kernel repeats unacknowledged bytes: TCP_USER_TIMEOUT."""

    __slots__ = ("_ms",)

    def __init__(self) -> None:
        """Not bound yet."""
        self._ms = 0

    def bound(self, sock: socket.socket, left_s: float) -> None:
        """Let the kernel give up before `left_s` seconds are over.

        Kept while it fits: a call costs 15 us.
        """
        left_ms = max(left_s, 0) * 1_000
        if left_ms / 2 <= self._ms <= left_ms:
            return
        self._ms = max(1, int(left_ms * 0.9))
        if _USER_TIMEOUT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, self._ms)


def code_of(error: BaseException | None, *, otherwise: str) -> str:
    """Return a short name for logs and attempt rows; nothing is decided by it."""
    match error:
        case TimeoutError():
            return "timeout"
        case socket.gaierror() | UnicodeError():
            return "no_such_host"
        case ssl.SSLError():
            return "tls"
        case OSError(errno=int(number)):
            return errno.errorcode.get(number, "os_error").lower()
    return otherwise
