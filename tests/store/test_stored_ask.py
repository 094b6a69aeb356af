"""A request as bytes: what was stored is read back as it was, by later versions too."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifyq.domain.asking import Ask, Part, Planned, plan
from notifyq.domain.content import EmailContent, PushContent, SmsContent
from notifyq.domain.hours import Hours
from notifyq.domain.model import Category, Channel, MessageClass
from notifyq.domain.states import Reason
from notifyq.domain.terms import Stamp, Terms
from notifyq.store.stored_ask import BadAsk, pack, unpack

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TERMS = Terms(
    category="sale",
    hours=Hours.LEGAL,
    time_zone="America/New_York",
    cap=3,
    sender="+14155550110",
    is_marketing=True,
    is_separate=True,
    stamp=Stamp("sale", 7, "es-MX"),
)
HELLO = SmsContent("hello")


def of(*parts: Part, category: Category | None = None) -> Planned:
    ask = Ask(
        cell=0,
        tenant_id=1,
        brand="acme",
        test=False,
        key_hash=b"k" * 32,
        fingerprint=b"f" * 32,
        category=category or Category("sale", MessageClass.MARKETING, "offers", approved=("a",)),
        recipient=None,
        metadata='{"a":"b"}',
        not_before=NOW + timedelta(hours=1),
        expires_at=NOW + timedelta(days=1),
        parts=parts,
        warnings=(),
        recipients=len(parts),
        widths=(1,) * len(parts),
    )
    return plan(ask, NOW, 5)


PARTS = (
    Part(Channel.SMS, 1, "+14155550123", HELLO, terms=TERMS),
    Part(Channel.SMS, 1, "+14155550124", HELLO, terms=replace(TERMS, recipient="ann")),
    Part(Channel.SMS, 1, "+14155550125", HELLO, terms=replace(TERMS, recipient="bob", cap=1)),
    Part(Channel.EMAIL, 2, "ann@example.org", EmailContent("s", "t", "<p>"), standby=True),
    Part(
        Channel.PUSH,
        3,
        "ios:org.example.app:00",
        PushContent("t", "b", {"k": "v"}, "c"),
        registered_at=NOW,
        due=NOW + timedelta(hours=2),
        reason=Reason.LEGAL_HOURS,
    ),
    Part(Channel.SMS, 1, "+14155550126", HELLO, reason=Reason.PREFERENCE_OFF, suppressed=True),
)


def test_what_is_stored_is_read_back_as_it_was() -> None:
    planned = of(*PARTS)
    assert unpack(pack(planned, b'{"id":"x"}')) == (planned, b'{"id":"x"}')


def test_what_many_have_in_common_is_stored_once() -> None:
    people = [
        Part(Channel.SMS, 1, f"+1415555{n:04}", HELLO, terms=replace(TERMS, recipient=f"user_{n}"))
        for n in range(1_000)
    ]
    stored = json.loads(pack(of(*people), b"{}"))
    assert (len(stored["terms"]), len(stored["contents"])) == (1, 1)
    assert len(json.dumps(stored["parts"])) < 100_000


def older(version: int) -> tuple[bytes, Planned]:
    """A request of an older version, and what it is to this one."""
    category = Category("order.shipped", expires_in_s=600, routes={Channel.SMS: ("twilio",)})
    planned = of(*(Part(Channel.SMS, 1, p.address, HELLO) for p in PARTS[:2]), category=category)
    stored: dict[str, Any] = json.loads(pack(planned, b"{}"))
    del stored["terms"]
    known = ("name", "message_class", "program", "expires_in_s", "resend_after_s", "routes")
    stored["category"] = {name: stored["category"][name] for name in known}
    stored["parts"] = [part[:6] for part in stored["parts"]]
    if version == 1:
        del stored["category"]["routes"], stored["contents"], stored["widths"]
        stored |= {"bodies": ["hello"], "parts": [part[:5] for part in stored["parts"]]}
    plain = Terms(category="order.shipped")
    ask = replace(
        planned.ask,
        parts=tuple(replace(part, terms=plain) for part in planned.ask.parts),
        category=category if version == 2 else replace(category, routes={}),
        widths=planned.ask.widths if version == 2 else (),
    )
    return json.dumps(stored | {"version": version}).encode(), replace(planned, ask=ask)


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_older_version_stored_is_read(version: int) -> None:
    stored, planned = older(version)
    assert unpack(stored) == (planned, b"{}")


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (b"", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (b"{}", "KeyError"),
        (b'{"version": 4}', "version 4 is not known here"),
        (b'{"version": 3}', "KeyError"),
    ],
)
def test_what_cannot_be_read_is_told(stored: bytes, says: str) -> None:
    with pytest.raises(BadAsk, match=says):
        unpack(stored)
