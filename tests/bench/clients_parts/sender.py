"""Child: a vendor's client, called as a worker's slot calls it. Arguments: vendor, port.

Each request goes the whole way of `sending.send`: the last checks, content and message from the
claimed row, the request, the exchange, the answer read. Whatever is not accepted ends the bench.
"""

import asyncio
import sys
import time
from itertools import cycle

import uvloop

from notifyq.bootstrap import clients
from notifyq.boottime import boottime_s
from notifyq.domain.outcome import Accepted
from notifyq.entrypoints.worker.sending import SendRules, send
from tests.bench.clients_parts.accounts import account
from tests.bench.clients_parts.loading import IN_FLIGHT, Request, obey
from tests.bench.clients_parts.messages import attempts

_TIMEOUT_S, _LEASE_S = 30.0, 35.0  # the defaults


class Sending:
    """One lane's sends."""

    def __init__(self, vendor: str, port: int) -> None:
        """Open nothing yet."""
        found = account(vendor, port, IN_FLIGHT)
        self._provider = found.provider
        self._ready = cycle(attempts(found.content, found.address))
        callbacks = f"https://notify.example.com/callbacks/{vendor}-bench"
        self._rules = SendRules(found.channel, _TIMEOUT_S, callbacks, lambda *_: found.sender)

    def take(self, request: Request) -> None:
        """Refuse it: a client makes its own."""
        raise NotImplementedError

    async def run(self, until_s: float) -> int:
        """Send until then."""
        return sum(await asyncio.gather(*(self._send_until(until_s) for _ in range(IN_FLIGHT))))

    async def _send_until(self, until_s: float) -> int:
        count = 0
        while time.perf_counter() < until_s:
            outcome = await send(
                next(self._ready),
                self._provider,
                self._rules,
                cell=0,
                deadline_s=boottime_s() + _LEASE_S,
                now=clients.now,
            )
            if not isinstance(outcome, Accepted):
                raise RuntimeError(f"not accepted: {outcome}")
            count += 1
        return count


if __name__ == "__main__":
    uvloop.run(obey(Sending(sys.argv[1], int(sys.argv[2]))))
