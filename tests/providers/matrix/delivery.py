"""Deliveries as values: who gets which text, and how an acceptance names the delivery it is of."""

from datetime import timedelta
from uuid import UUID

from notifyq.bootstrap.clients import now
from notifyq.domain import ids
from notifyq.domain.content import Content, EmailContent, PushContent, SmsContent, kept
from notifyq.domain.model import Channel, Due
from notifyq.domain.states import State
from tests.providers.matrix.accounts import BRAND, PROGRAM
from tests.providers.matrix.decision import REMAINING_S
from tests.providers.matrix.failures import Way

CELL = 0
APP = "org.example.app"
_LINE = "This is one more line of a long mail.\n"


def text_of(number: int) -> str:
    """Return the words that tell a delivery's message from all others; numbers to 9,999."""
    return f"cell{number:04}"


def due(vendor: str, channel: Channel, number: int, way: Way) -> Due:
    """Return a delivery that is due and was never tried."""
    at = now()
    body, more = kept(_content(channel, text_of(number), way.padding_bytes))
    return Due(
        delivery_id=ids.delivery_id(ids.new_notification_id(at, number << 12), 1),
        attempts=0,
        tries=0,
        criticality=1,
        place="",
        tenant_id=1,
        brand=BRAND,
        program=PROGRAM,
        address_key=b"",
        address=_address(vendor, channel, number, way.recipient),
        body=body,
        state=State.PENDING,
        expires_at=at + timedelta(seconds=REMAINING_S),
        not_before=None,
        cancel_requested=False,
        more=more,
    )


def delivery_of(reference: str | None) -> UUID | None:
    """Return the delivery that an accepted message was planted with; None: of no delivery.

    Where an app reads it, it is the delivery's public id, else the attempt's reference.
    """
    try:
        if reference is not None and reference.startswith("dlv_"):
            return ids.read_public_id("dlv", reference)[1]
        return None if reference is None else ids.read_reference(reference)[1]
    except ids.BadId:
        return None


def _content(channel: Channel, text: str, padding_bytes: int) -> Content:
    match channel:
        case Channel.SMS:
            return SmsContent(text)
        case Channel.EMAIL:
            lines = _LINE * (padding_bytes // len(_LINE))
            return EmailContent("A cell of the matrix", f"{text}\n{lines}")
        case _:
            return PushContent("A cell of the matrix", text)


def _address(vendor: str, channel: Channel, number: int, recipient: str | None) -> str:
    """Return an ordinary address, or a magic one of a kind; each of its own."""
    match channel:
        case Channel.SMS:
            return f"+1415777{number:04}"
        case Channel.EMAIL:
            person = f"person{number:04}"
            return f"{recipient}+{person}@example.org" if recipient else f"{person}@example.org"
        case _:
            token = f"{number:064x}" if vendor == "apns" else f"a-device-of-the-matrix-{number:04}"
            return f"{'ios' if vendor == 'apns' else 'android'}:{APP}:{token}"
