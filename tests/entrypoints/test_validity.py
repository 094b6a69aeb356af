"""How long a vendor may keep a text: until it expires or the hours close, within its own bounds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest

from notifyq.boottime import boottime_s
from notifyq.domain.message import Sender
from notifyq.domain.model import Channel, Due, Ready
from notifyq.domain.outcome import InDoubt, NotSent, Outcome
from notifyq.entrypoints.worker.sending import SendRules, send
from notifyq.providers.wire import Lost
from tests.providers.test_twilio import FakeWire, twilio

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
RULES = SendRules(Channel.SMS, 30.0, "https://n.example/callbacks/sms", lambda *_: Sender("+1415"))
DUE = Due(
    UUID(int=1), 0, 0, 1, "", 1, "acme", "default", b"", "+14155550100", "hello", "pending",
    NOW, None, False,
)  # fmt: skip


async def sent(expires_s: float, closes_s: float | None) -> tuple[Outcome, list[str]]:
    """What became of a send, and the ValidityPeriod of each request that was made."""
    until = None if closes_s is None else NOW + timedelta(seconds=closes_s)
    due = replace(DUE, expires_at=NOW + timedelta(seconds=expires_s))
    wire: Any = FakeWire(Lost("x"))
    outcome = await send(
        Ready(due, 1, 1, until),
        twilio(wire),
        RULES,
        cell=0,
        deadline_s=boottime_s() + 30,
        now=lambda: NOW,
    )
    forms = [parse_qs(request.read().decode()) for request in wire.requests]
    return outcome, [form["ValidityPeriod"][0] for form in forms]


@pytest.mark.parametrize(
    ("expires_s", "closes_s", "validity"),
    [
        (600, None, "600"),
        (600, 300, "300"),  # whichever comes first
        (300, 600, "300"),
        (86_400, 61, "61"),
        (0.5, None, "1"),  # Twilio's least
        (86_400, 0.5, "1"),
        (1.9, None, "1"),  # never longer than it may
        (899, None, "899"),
        (900, None, "900"),
        (901, None, "900"),  # our most: what is older will not come any more
        (86_400, 36_001, "900"),  # Twilio's most is 36,000
    ],
)
async def test_twilio_is_told_until_when_it_may_send(
    expires_s: float, closes_s: float | None, validity: str
) -> None:
    assert await sent(expires_s, closes_s) == (InDoubt("x"), [validity])


@pytest.mark.parametrize(
    ("expires_s", "closes_s", "code"),
    [
        (0, None, "expired"),
        (-1, 600, "expired"),
        (600, 0, "hours_over"),
        (600, -60, "hours_over"),
    ],
)
async def test_a_process_that_slept_until_then_sends_nothing(
    expires_s: float, closes_s: float | None, code: str
) -> None:
    assert await sent(expires_s, closes_s) == (NotSent(code), [])
