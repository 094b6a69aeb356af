"""The line to the peer of one HTTP/2 connection: what has left us, and whether it is alive.

Owns the transports (TLS above TCP, or TCP alone) and the wait for a sign of life.
Invariant: `has_left(mark)` is true only when every byte written up to the mark is the kernel's.
"""

import asyncio
from collections.abc import Callable

from notifyq.boottime import boottime_s
from notifyq.providers.sockets import Silence

# A peer not heard of for longer is asked by PING before it gets a request: routers forget idle
# connections after minutes, and the request would be in doubt. (Apple asks for no more than a PING
# after an hour; apns2 sends one every minute, whether there are requests or not.)
QUIET_S = 60.0
PING_S = 5.0  # a peer that says nothing for so long after a PING is gone


class Pipe:
    """Bytes on their way to the peer."""

    def __init__(self) -> None:
        """Be closed until `attach`."""
        self.writable = True  # the kernel has taken everything so far
        self._transports: tuple[asyncio.Transport, ...] = ()  # the topmost first
        self._written = self._left = 0  # bytes handed to the transport; those surely out of it
        self._silence = Silence()

    def attach(self, *transports: asyncio.Transport) -> None:
        """Take the transports, the topmost first."""
        self._transports = transports
        for transport in transports:
            # Told as soon as the kernel does not take everything. (TLS reads high=0 as: always.)
            transport.set_write_buffer_limits(high=1, low=0)

    @property
    def mark(self) -> int:
        """How many bytes were written so far: the place of the last one."""
        return self._written

    def is_closing(self) -> bool:
        """Say whether nothing can be written: not attached, or closing."""
        return not self._transports or self._transports[0].is_closing()

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport. Only while it is not closing."""
        self.pending_bytes()  # all that was before is known to be out, if it is
        self._written += len(data)
        self._transports[0].write(data)

    def pending_bytes(self) -> int:
        """Return how many bytes the kernel has not taken, as TLS counts them."""
        pending = sum(transport.get_write_buffer_size() for transport in self._transports)
        if not pending:
            self._left = self._written
        return pending

    def has_left(self, mark: int) -> bool:
        """Say whether everything up to a mark has left this process."""
        return not self.pending_bytes() or mark <= self._left

    def bound_silence(self, left_s: float) -> None:
        """Let the kernel stop repeating unacknowledged bytes within `left_s` seconds."""
        self._silence.bound(self._transports[0].get_extra_info("socket"), left_s)

    def abort(self) -> None:
        """Reset the connection: bytes still here never leave."""
        if self._transports:
            self._transports[0].abort()


class Pulse:
    """When the peer was last heard, and whether it is being asked for a sign of life."""

    def __init__(self) -> None:
        """Count from now."""
        self.heard_s = boottime_s()
        self._waiting: asyncio.TimerHandle | None = None

    @property
    def is_asked(self) -> bool:
        """Say whether it was asked and has said nothing since."""
        return self._waiting is not None

    def is_quiet(self) -> bool:
        """Say whether it was not heard of for so long that it must be asked."""
        return boottime_s() - self.heard_s > QUIET_S

    def ask(self, on_silence: Callable[[], None]) -> None:
        """Call `on_silence` unless it is heard within PING_S."""
        self._waiting = asyncio.get_running_loop().call_later(PING_S, on_silence)

    def heard(self) -> None:
        """Anything at all came from it."""
        self.heard_s = boottime_s()
        self.stop()

    def stop(self) -> None:
        """Wait no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
