"""One cell: a delivery's first attempt fails, its fate is decided, and only then perhaps a second.

Owns what is right about a cell, whatever its vendor: see `faults`. Attempts are sent as a worker
sends them (`entrypoints/worker/sending`); that they were committed before is not tried here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from notifyq.bootstrap.clients import now
from notifyq.boottime import boottime_s
from notifyq.domain.model import Due, Ready
from notifyq.domain.outcome import Accepted, InDoubt, Outcome
from notifyq.domain.provider import Provider
from notifyq.entrypoints.worker.sending import SendRules, send
from tests.providers.matrix.accounts import Client, Office
from tests.providers.matrix.decision import Decision, Next, decide
from tests.providers.matrix.delivery import CELL, delivery_of, due, text_of
from tests.providers.matrix.door import Door, Kind
from tests.providers.matrix.failures import Failure, Way
from tests.providers.matrix.ground import Ground

CALLBACK_URL = "http://127.0.0.1:9/callbacks"  # nobody is called within a run

Twist = Callable[[Provider], Provider]  # makes a client a wrong one


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of a failure at a vendor."""

    failure: Failure
    vendor: str
    number: int  # of the cell in its run
    due: Due
    outcome: Outcome  # of the first attempt
    decision: Decision
    first: int  # what the vendor had accepted after the first call
    again: Outcome | None  # of the second attempt; None: the decision was not to make one
    total: int  # what the vendor had accepted in the end

    def faults(self) -> list[str]:
        """Return what is wrong, in words; none if all is right."""
        accepted, doubtful = (isinstance(self.outcome, kind) for kind in (Accepted, InDoubt))
        by_first = self.total if self.again is None else self.first
        came = isinstance(self.again, Accepted) and self.total == 1
        waits = self.decision.next is Next.EVIDENCE
        wrong = {
            f"{self.total} acceptances": self.total > 1,
            "called not carried out, and was accepted": by_first > 0 and not (accepted or doubtful),
            "called accepted, and was not": accepted and by_first < 1,
            "the failure is another one than it says": by_first != self.failure.taken,
            "in doubt, and does not wait for evidence": doubtful and not waits,
            "sent again, and not accepted once": self.again is not None and not came,
        }
        return [words for words, is_so in wrong.items() if is_so]


class Bench:
    """Runs cells, each with clients, a recipient and a text of its own."""

    def __init__(self, ground: Ground, office: Office, twist: Twist) -> None:
        self._ground, self._office, self._twist = ground, office, twist
        self._numbers = count(1)

    async def run(self, failure: Failure, vendor: str, way: Way) -> Cell:
        """Return one cell. ValueError: the vendor accepted what nobody sent."""
        number = next(self._numbers)
        if way.fault is not None:
            await self._ground.script(vendor, text_of(number), way.fault)
        if way.mishap is None:
            return await self._run(failure, vendor, way, number, None)
        door = Door(self._ground.port_of(vendor), way.mishap, text_of(number))
        try:
            if way.mishap.kind is not Kind.SHUT:
                await door.open()
            return await self._run(failure, vendor, way, number, door)
        finally:
            await door.close()

    def counted_again(self, cell: Cell) -> Cell:
        """Return the cell with what the vendor has accepted by now: something may have come late.

        ValueError: the vendor accepted what nobody sent.
        """
        return replace(cell, total=self._count(cell.vendor, cell.number, cell.due))

    async def _run(
        self, failure: Failure, vendor: str, way: Way, number: int, door: Door | None
    ) -> Cell:
        port = self._ground.port_of(vendor) if door is None else door.port
        client = self._client(vendor, port, way)
        asked = due(vendor, client.account.channel, number, way)
        again: Outcome | None = None
        try:
            outcome = await _send(client, asked, 1)
            first = self._count(vendor, number, asked)
            decision = decide(outcome)
            if decision.next is Next.AGAIN:
                if door is not None:
                    await door.open()
                if way.wrong is not None:  # the settings are mended, and the worker starts again
                    await client.provider.close()
                    client = self._client(vendor, port, Way())
                again = await _send(client, asked, 2)
        finally:
            await client.provider.close()
        total = self._count(vendor, number, asked)
        return Cell(failure, vendor, number, asked, outcome, decision, first, again, total)

    def _client(self, vendor: str, port: int, way: Way) -> Client:
        made = self._office.client(vendor, port, timeout_s=way.timeout_s, wrong=way.wrong)
        return Client(made.account, self._twist(made.provider), made.sender)

    def _count(self, vendor: str, number: int, asked: Due) -> int:
        """Return how often the vendor has accepted the text, by whatever attempt."""
        found = self._ground.accepted(vendor, text_of(number))
        if any(delivery_of(reference) != asked.delivery_id for reference in found):
            raise ValueError(f"{vendor} accepted {text_of(number)} as another delivery: {found}")
        return len(found)


async def _send(client: Client, asked: Due, number: int) -> Outcome:
    """Send one attempt, as a worker does once it has committed it."""
    account = client.account
    return await send(
        Ready(asked, number, epoch=0),
        client.provider,
        SendRules(account.channel, account.timeout_s, CALLBACK_URL, lambda *_: client.sender),
        cell=CELL,
        deadline_s=boottime_s() + account.lease_s,
        now=now,
    )
