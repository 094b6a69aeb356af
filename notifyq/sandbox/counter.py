"""The counter of a vendor: where a message that it would take is taken, or goes wrong.

Owns the order of things, the same for every vendor and every protocol: what a script or a magic
recipient says, then acceptance, then the answer.
Invariant: a message is accepted in one step without waiting, and only while its client is there;
nothing is accepted after a drop, a hold or an error that comes before acceptance.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from notifyq.sandbox.faults import Fault, Phase
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.record import Acceptance, Record, now
from notifyq.sandbox.scripts import Faults


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message that a vendor would take: all of its rules are kept."""

    account: str
    to: str  # as it is shown and matched: E.164, a mail address, a device token
    sender: str
    reference: str | None  # what the client planted, however this vendor lets it
    body: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of it at the counter; the vendor says so in its own protocol.

    An entry without a fault is answered as a success. Without an entry nothing was accepted.
    """

    entry: Acceptance | None
    fault: Fault | None = None
    dropped: bool = False  # the connection breaks now; the answer goes nowhere


class Counter:
    """One vendor's."""

    def __init__(
        self,
        vendor: str,
        record: Record,
        faults: Faults,
        holds: Holds,
        magic: Callable[[str], Fault | None],
    ) -> None:
        """magic: what a recipient makes happen, if it is a magic one."""
        self.vendor, self.record = vendor, record
        self._faults, self._holds, self._magic = faults, holds, magic
        self._throttled: set[tuple[str, str]] = set()
        self._visible_from_s: dict[str, float] = {}

    async def take(
        self,
        wanted: Wanted,
        provider_id: str,
        *,
        status: str,
        is_gone: Callable[[], bool],
        tell: Callable[[Acceptance, Fault | None], None],
    ) -> Taken:
        """Take a message under the name `provider_id`, in the vendor's first `status`.

        is_gone: whether its client has hung up. tell: starts the callbacks of an accepted one, with
        what is to go wrong with them; called once, also when the client goes away in the middle.
        """
        fault = self._fault(Phase.ANSWER, wanted)
        name = fault.name if fault else ""
        if fault and name == "hold_before_accept":
            await self._hold(wanted, fault)
        if name == "drop_before_accept" or is_gone():
            return Taken(None, fault, dropped=True)
        if fault and not fault.accepts:
            return Taken(None, fault)
        entry = self._accept(wanted, provider_id, status)
        told = self._fault(Phase.CALLBACKS, wanted)
        try:
            if fault and name == "hold_after_accept":
                await self._hold(wanted, fault)
        finally:  # also when the client went away: its evidence comes by callback
            tell(entry, told)
        if fault and name == "slow":
            await asyncio.sleep(fault.number("delay_s"))
        if name in ("slow", "hold_before_accept", "hold_after_accept"):
            return Taken(entry)
        return Taken(entry, fault, dropped=name == "drop_after_accept")

    def look_up_fault(self, to: str = "", reference: str | None = None) -> Fault | None:
        """Return what is to go wrong with a list of messages."""
        return self._faults.take(
            Phase.LIST, vendor=self.vendor, to=to, reference=reference, body=""
        )

    def is_visible(self, entry: Acceptance) -> bool:
        """Whether lists show it already."""
        visible_from_s = self._visible_from_s.get(entry.provider_id, 0.0)
        return visible_from_s <= asyncio.get_running_loop().time()

    def _fault(self, phase: Phase, wanted: Wanted) -> Fault | None:
        scripted = self._faults.take(
            phase, vendor=self.vendor, to=wanted.to, reference=wanted.reference, body=wanted.body
        )
        magic = self._magic(wanted.to)
        if scripted or magic is None or magic.phase is not phase:
            return scripted
        if magic.name == "throttle":
            text = (wanted.to, wanted.body)
            self._throttled ^= {text}  # in at the first try, out at the second
            return magic if text in self._throttled else None
        return magic

    async def _hold(self, wanted: Wanted, fault: Fault) -> None:
        about = {
            "vendor": self.vendor,
            "fault": fault.name,
            "to": wanted.to,
            "from": wanted.sender,
            "reference": wanted.reference,
            "body": wanted.body,
            "held_since": now(),
        }
        await self._holds.hold(about, fault.number("hold_s") if fault.has("hold_s") else None)

    def _accept(self, wanted: Wanted, provider_id: str, status: str) -> Acceptance:
        entry = Acceptance(
            vendor=self.vendor,
            account=wanted.account,
            to=wanted.to,
            sender=wanted.sender,
            reference=wanted.reference,
            body=wanted.body,
            accepted_at=now(),
            provider_id=provider_id,
        )
        self.record.add(entry, status)
        lag = self._fault(Phase.LOOKUP, wanted)
        if lag:
            visible_from_s = asyncio.get_running_loop().time() + lag.number("lag_s")
            self._visible_from_s[provider_id] = visible_from_s
        return entry
