"""The vendors, put together: one counter each, one record for all."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from notifyq.sandbox.apns import vendor as apns
from notifyq.sandbox.counter import Counter
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.fcm import vendor as fcm
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.sendgrid import vendor as sendgrid
from notifyq.sandbox.ses import vendor as ses
from notifyq.sandbox.sinch import vendor as sinch
from notifyq.sandbox.smtp import vendor as smtp
from notifyq.sandbox.telling import Call, Teller
from notifyq.sandbox.twilio import inbound
from notifyq.sandbox.twilio import vendor as twilio
from notifyq.sandbox.twilio.rules import Account
from notifyq.sandbox.webhooks import Webhooks


class Vendor(Protocol):
    """One vendor's API."""

    def routes(self) -> list[web.RouteDef]:
        """Return its routes, without the vendor's prefix."""
        ...


@dataclass(frozen=True, slots=True)
class Floor:
    """What all counters stand on."""

    record: Record
    faults: Faults
    holds: Holds
    teller: Teller
    webhooks: Webhooks

    def counter(self, vendor: str, magic: Callable[[str], Fault | None]) -> Counter:
        """Return a vendor's own."""
        return Counter(vendor, self.record, self.faults, self.holds, magic)


class Listener(Protocol):
    """A vendor that speaks another protocol, on a port of its own."""

    async def start(self, host: str, port: int) -> int:
        """Open the port (0: any free one) and return it. OSError: it is taken."""
        ...

    async def close(self) -> None:
        """Close the port and break every connection."""
        ...


def listeners(floor: Floor) -> Mapping[str, Listener]:
    """Return the vendors with a port of their own, in the order of their ports."""
    return {
        apns.VENDOR: apns.Apns(floor.counter(apns.VENDOR, apns.magic_of)),
        smtp.VENDOR: smtp.Relay(floor.counter(smtp.VENDOR, smtp.magic_of)),
    }


def vendors(floor: Floor, accounts: Iterable[Account]) -> Mapping[str, Vendor]:
    """Return every vendor under its prefix. accounts: Twilio's."""
    return {
        twilio.VENDOR: twilio.Twilio(
            floor.counter(twilio.VENDOR, twilio.magic_of), floor.teller, accounts
        ),
        sinch.VENDOR: sinch.Sinch(floor.counter(sinch.VENDOR, sinch.magic_of), floor.teller),
        fcm.VENDOR: fcm.Fcm(floor.counter(fcm.VENDOR, fcm.magic_of)),
        ses.VENDOR: ses.Ses(floor.counter(ses.VENDOR, ses.magic_of), floor.teller, floor.webhooks),
        sendgrid.VENDOR: sendgrid.SendGrid(
            floor.counter(sendgrid.VENDOR, sendgrid.magic_of), floor.teller, floor.webhooks
        ),
    }


# By vendor of text messages: what makes the callback about one that somebody sent to us.
HEARD: Mapping[str, Callable[..., Call]] = {twilio.VENDOR: inbound.heard, sinch.VENDOR: sinch.heard}
