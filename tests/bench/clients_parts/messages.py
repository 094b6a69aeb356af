"""What is sent: attempts as a claim hands them to the sender, an address and an id each."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from notifyq.domain import ids
from notifyq.domain.content import Content, EmailContent, PushContent, SmsContent, kept
from notifyq.domain.model import Due, Ready

COUNT = 1_000  # then the same again: a cache that lasts for one address gains nothing

_TEXT = "Your order 8123 has shipped and arrives tomorrow between 9 and 12. Track: nq.example/8123"
_MAIL = f"""Hello Jo,

{_TEXT}

2 x Coffee, whole beans, 1 kg
1 x Paper filters, size 4

If nobody is at home the parcel is left with a neighbour. Reply to this mail to change that.

Acme Orders
"""
_PARAGRAPHS = "".join(f"<p style='margin:0 0 12px'>{line}</p>\n" for line in _MAIL.split("\n\n"))
_HTML = f"<!doctype html><html><body style='font-family:sans-serif'>\n{_PARAGRAPHS}</body></html>\n"
SMS = SmsContent(_TEXT)
MAIL = EmailContent("Your order 8123 has shipped", _MAIL, _HTML)
PUSH = PushContent("Your order has shipped", _TEXT, {"order": "8123", "link": "acme://orders/8123"})


def attempts(content: Content, address: str) -> list[Ready]:
    """Return COUNT of them. address: with `{}` for what differs, 8 hexadecimal digits."""
    dice = random.Random(1)
    body, more = kept(content)
    now = datetime.now(UTC)
    return [
        Ready(_due(_id(now, dice), address.format(f"{number:08x}"), body, more, now), 1, 0)
        for number in range(COUNT)
    ]


def _id(now: datetime, dice: random.Random) -> UUID:
    return ids.delivery_id(ids.new_notification_id(now, dice.getrandbits(64)), 1)


def _due(delivery: UUID, address: str, body: str, more: str | None, now: datetime) -> Due:
    return Due(
        delivery_id=delivery,
        attempts=0,
        tries=0,
        criticality=2,
        place="(0,1)",
        tenant_id=1,
        brand="acme",
        program="orders",
        address_key=b"",
        address=address,
        body=body,
        state="pending",
        expires_at=now + timedelta(hours=1),
        not_before=None,
        cancel_requested=False,
        more=more,
    )
