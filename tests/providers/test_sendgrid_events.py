"""SendGrid's event webhook: whose it is, and what each event reports.

Signed here with a key of the test's own; SendGrid's own validator says what it thinks of each.
"""

import base64
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sendgrid.helpers.eventwebhook import EventWebhook  # type: ignore[import-untyped]

from notifyq.domain.model import Bounce, Receipt
from notifyq.domain.provider import (
    BadCallback,
    BadSignature,
    Callback,
    Reading,
    Reported,
    Unverified,
)
from notifyq.providers.sendgrid.client import SendGrid
from notifyq.providers.sendgrid.events import AGE_S_MAX, AHEAD_S_MAX, DROPPED, RANKS
from notifyq.providers.wire import Wire
from tests.providers.fuzz import mutated_callback

NOW = datetime(2026, 11, 23, 2, 0, 0, 500_000, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
SECRET = ec.generate_private_key(ec.SECP256R1())
REFERENCE = "0123456789abcdefghijklmnopqrstuv"
ID = "LB8TzB4nQtOXm6dxnzOqug"
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
AT = datetime(2026, 11, 23, 1, 59, tzinfo=UTC)


def shown(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """A public key as SendGrid shows it."""
    raw = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


PUBLIC = shown(SECRET)


def sendgrid(**changes: Any) -> SendGrid:
    settings: dict[str, Any] = {"webhook_public_key": PUBLIC, **changes}
    return SendGrid(
        name="mail",
        base_url="https://api.sendgrid.com",
        api_key="k",
        wire=Wire(max_in_flight=1),
        now=lambda: NOW,
        **settings,
    )


def posted(
    events: object, *, at_s: int | str = NOW_S - 1, key: ec.EllipticCurvePrivateKey = SECRET
) -> Callback:
    body = events if isinstance(events, bytes) else json.dumps(events).encode() + b"\r\n"
    signature = key.sign(f"{at_s}".encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "content-type": "application/json",
        SIGNATURE: base64.b64encode(signature).decode(),
        TIMESTAMP: f"{at_s}",
    }
    return Callback("https://notify.example.com/callbacks/mail", headers, body)


async def read(callback: Callback, **changes: Any) -> Reading:
    return await sendgrid(**changes).read_callback(callback)


def event(kind: object = "delivered", /, **changes: object) -> dict[str, object]:
    return {
        "email": "ann@example.org",
        "timestamp": int(AT.timestamp()),
        "smtp-id": f"<{ID}@geopod-ismtpd-1>",
        "event": kind,
        "sg_event_id": "ZGVsaXZlcmVkLTA",
        "sg_message_id": f"{ID}.recvd-5f54b5d587-pczjm-1-67BADEEA-6.0",
        "reference": REFERENCE,
        **changes,
    }


async def receipt_of(event: object) -> Receipt:
    found = await read(posted([event]))
    assert isinstance(found, Reported), found
    (receipt,) = found.receipts
    return receipt


# --------------------------------------------------------------------------------- events

EVENTS: dict[str, tuple[dict[str, object], tuple[str, int, str | None, Bounce | None]]] = {
    "processed": ({}, ("processed", 1, None, None)),
    "deferred": (
        {"response": "451 4.7.0 try later", "attempt": "2"},
        ("deferred", 2, None, None),
    ),
    "bounce": (
        {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 ann@example.org unknown"},
        ("bounce", 4, "5.1.1", Bounce.DEAD),
    ),
    "dropped": ({"reason": "Bounced Address"}, ("dropped", 4, "bounced address", Bounce.DEAD)),
    "delivered": ({"response": "250 OK"}, ("delivered", 5, None, None)),
    "open": ({"useragent": "x", "ip": "192.0.2.1"}, ("open", 6, None, None)),
    "click": ({"url": "https://x"}, ("click", 6, None, None)),
    "spamreport": ({}, ("spamreport", 6, None, Bounce.OPTED_OUT)),
    "unsubscribe": ({}, ("unsubscribe", 6, None, Bounce.OPTED_OUT)),
    "group_unsubscribe": ({"asm_group_id": 1}, ("group_unsubscribe", 6, None, Bounce.OPTED_OUT)),
    "group_resubscribe": ({"asm_group_id": 1}, ("group_resubscribe", 6, None, None)),
}


@pytest.mark.parametrize("kind", EVENTS)
async def test_each_event_is_a_receipt(kind: str) -> None:
    changes, (status, rank, code, bounce) = EVENTS[kind]
    expected = Receipt(REFERENCE, ID, status, rank, code, bounce, AT)
    assert await receipt_of(event(kind, **changes)) == expected


def test_the_table_here_and_the_clients_have_the_same_events() -> None:
    assert EVENTS.keys() == RANKS.keys()


@pytest.mark.parametrize(
    ("classification", "bounce"),
    [
        (None, Bounce.SOFT),
        ("Unclassified", Bounce.SOFT),
        ("Technical", Bounce.SOFT),
        ("Technical Failure", Bounce.SOFT),
        ("Mailbox Unavailable", Bounce.SOFT),
        ("Invalid Address", Bounce.SOFT),
        ("Content", Bounce.CONTENT),
        ("Reputation", Bounce.OURS),
        ("Frequency or Volume Too High", Bounce.OURS),
        ("Frequency/Volume", Bounce.OURS),
        (7, Bounce.SOFT),
    ],
)
async def test_a_blocked_one_is_soft_unless_it_says_why(
    classification: object, bounce: Bounce
) -> None:
    blocked = event("bounce", type="blocked", bounce_classification=classification)
    found = await receipt_of(blocked)
    assert (found.status, found.rank, found.bounce) == ("blocked", 4, bounce)
    assert found.code == (classification if isinstance(classification, str) else None)


async def test_a_blocked_one_and_a_bounce_are_two_receipts() -> None:
    found = await read(posted([event("bounce", type="blocked"), event("bounce", type="bounce")]))
    assert isinstance(found, Reported)
    assert [receipt.status for receipt in found.receipts] == ["blocked", "bounce"]
    assert [receipt.bounce for receipt in found.receipts] == [Bounce.SOFT, Bounce.DEAD]


REASONS: dict[str, Bounce] = {
    "Bounced Address": Bounce.DEAD,
    "Unsubscribed Address": Bounce.OPTED_OUT,
    "Spam Reporting Address": Bounce.OPTED_OUT,
    "Invalid SMTPAPI header": Bounce.OURS,
    "Invalid": Bounce.DEAD,
    "Spam Content": Bounce.CONTENT,
    "Recipient List over Package Quota": Bounce.OURS,
}


@pytest.mark.parametrize("reason", REASONS)
async def test_what_is_dropped_has_the_class_of_its_reason(reason: str) -> None:
    found = await receipt_of(event("dropped", reason=reason))
    assert (found.bounce, found.code, found.rank) == (REASONS[reason], reason.lower(), 4)
    longer = await receipt_of(event("dropped", reason=f"{reason} (ann@example.org)"))
    assert (longer.bounce, longer.code) == (REASONS[reason], None)


def test_the_table_here_and_the_clients_have_the_same_reasons() -> None:
    assert [reason.lower() for reason in REASONS] == list(DROPPED)


@pytest.mark.parametrize(
    ("changes", "bounce"),
    [
        ({"type": "bounce", "status": "5.1.1"}, Bounce.DEAD),
        ({"type": "bounce", "status": None}, Bounce.DEAD),
        ({"type": "bounce", "status": "4.2.2"}, Bounce.SOFT),
        ({"type": "bounce", "status": "5.7.1", "bounce_classification": "Reputation"}, Bounce.OURS),
        ({"type": "expired", "status": "4.2.2"}, Bounce.SOFT),
        ({"type": None, "status": "5.1.1"}, Bounce.SOFT),
        ({"type": "blocked", "status": "5.7.1"}, Bounce.OURS),
        ({"type": "blocked", "status": "5.4.4"}, Bounce.SOFT),
    ],
)
async def test_only_a_hard_bounce_that_is_the_address_own_gives_it_up(
    changes: dict[str, Any], bounce: Bounce
) -> None:
    assert (await receipt_of(event("bounce", **changes))).bounce is bounce


@pytest.mark.parametrize(
    "reason", ["Something new", "", None, 7, ["Invalid"], "Invalid From address", "Invalidated"]
)
async def test_what_is_dropped_for_another_reason_says_nothing_of_the_address(
    reason: object,
) -> None:
    assert (await receipt_of(event("dropped", reason=reason))).bounce is None


@pytest.mark.parametrize("text", [f"{ID}.filter0307p1las1.0", ID, f"{ID}.."])
async def test_the_id_is_that_of_the_answer(text: str) -> None:
    assert (await receipt_of(event(sg_message_id=text))).provider_id == ID


@pytest.mark.parametrize("text", [None, "", ".x", "a b", "x\0", 7, "a" * 101])
async def test_an_event_without_the_id_still_counts_by_its_reference(text: object) -> None:
    found = await receipt_of(event("bounce", type="bounce", sg_message_id=text))
    assert (found.provider_id, found.bounce) == ("unnamed", Bounce.DEAD)


@pytest.mark.parametrize("at", [None, "1732327140", 1.5, True, 10**30, -(10**30), [1]])
async def test_a_time_that_is_none_is_left_out(at: object) -> None:
    assert (await receipt_of(event(timestamp=at))).at is None


@pytest.mark.parametrize("text", ["ann@example.org", "5.1.1 ann", "x" * 65, "x\0", 7, None])
async def test_what_could_hold_an_address_is_no_code(text: object) -> None:
    found = await receipt_of(event("bounce", status=text, bounce_classification=text))
    assert found.code is None


ODD: list[object] = [
    7,
    None,
    "x",
    [],
    {},
    [event()],
    event(None),
    event(["delivered"]),
    event("account_status_change"),
    event("something_new"),
    event(reference=None),
    event(reference=7),
    event(reference=""),
    event(reference="a b"),
    event(reference="\ud800"),
    event(reference="x" * 300),
    {name: value for name, value in event().items() if name != "reference"},
]


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_event_loses_none_of_the_others(odd: object) -> None:
    found = await read(posted([event("processed"), odd, event("delivered")]))
    assert isinstance(found, Reported)
    assert [receipt.status for receipt in found.receipts] == ["processed", "delivered"]


async def test_nothing_at_all_may_be_reported() -> None:
    assert await read(posted([])) == Reported()
    assert await read(posted(ODD)) == Reported()


@pytest.mark.parametrize("body", [b"", b"{}", b"7", b"\xff", b"[" * 100_000, b"[1,]", b'"x"'])
async def test_a_signed_body_that_is_no_array_is_a_bad_callback(body: bytes) -> None:
    assert isinstance(await read(posted(body)), BadCallback)


# ------------------------------------------------------------------------------ signature


def vouched(callback: Callback) -> bool:
    """What SendGrid's own validator says; it takes the body as text."""
    oracle = EventWebhook(PUBLIC)
    text = callback.body.decode()
    return bool(
        oracle.verify_signature(text, callback.headers[SIGNATURE], callback.headers[TIMESTAMP])
    )


CHANGES: dict[str, Callable[[Callback], Callback]] = {
    "nothing": lambda c: c,
    "body": lambda c: Callback(c.url, c.headers, c.body.replace(b"delivered", b"processed")),
    "line end": lambda c: Callback(c.url, c.headers, c.body.rstrip()),
    "space": lambda c: Callback(c.url, c.headers, c.body.replace(b", ", b",")),
    "time": lambda c: Callback(c.url, {**c.headers, TIMESTAMP: f"{NOW_S}"}, c.body),
    "url": lambda c: Callback(c.url + "?a=b", c.headers, c.body),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_sendgrids_own_validator_agrees(change: str) -> None:
    callback = CHANGES[change](posted([event()]))
    found = await read(callback)
    assert isinstance(found, Reported) is vouched(callback)
    assert found == BadSignature("signature differs") or isinstance(found, Reported)


@pytest.mark.parametrize(
    "signature", ["", "é", "AAAA", base64.b64encode(b"0" * 70).decode(), "\udc80", "a" * 10_000]
)
async def test_a_signature_that_is_none_is_not_believed(signature: str) -> None:
    callback = posted([event()])
    changed = Callback(callback.url, {**callback.headers, SIGNATURE: signature}, callback.body)
    assert await read(changed) == BadSignature("signature differs")


async def test_another_key_is_not_believed() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert await read(posted([event()], key=other)) == BadSignature("signature differs")


@pytest.mark.parametrize("name", [SIGNATURE, TIMESTAMP])
async def test_without_both_headers_nothing_is_believed(name: str) -> None:
    callback = posted([event()])
    headers = {key: value for key, value in callback.headers.items() if key != name}
    assert await read(Callback(callback.url, headers, callback.body)) == BadSignature(
        "no signature"
    )


@pytest.mark.parametrize("ago_s", [AGE_S_MAX - 1, 86_400, 0, -AHEAD_S_MAX + 1])
async def test_what_sendgrid_tries_again_within_its_day_is_believed(ago_s: int) -> None:
    assert isinstance(await read(posted([event()], at_s=NOW_S - ago_s)), Reported)


@pytest.mark.parametrize(
    ("ago_s", "reason"),
    [(AGE_S_MAX + 1, "too old"), (-AHEAD_S_MAX - 1, "from the future")],
)
async def test_what_is_too_old_or_from_the_future_is_not_believed(ago_s: int, reason: str) -> None:
    assert await read(posted([event()], at_s=NOW_S - ago_s)) == BadSignature(reason)


@pytest.mark.parametrize("at", ["", "soon", "-1", "1.5", "9" * 400, " 1732327140", "٣"])
async def test_a_time_that_is_unreadable_is_not_believed(at: str) -> None:
    assert await read(posted([event()], at_s=at)) == BadSignature("the time is unreadable")


async def test_without_a_key_nothing_can_be_told() -> None:
    found = await read(posted([event()]), webhook_public_key=None)
    assert found == Unverified("webhook_public_key is not set")


@pytest.mark.parametrize(
    "text",
    ["", "x", "é", PUBLIC[:-8], shown(rsa.generate_private_key(65537, 2048)), f"{PUBLIC}\n"],
)
def test_a_key_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        sendgrid(webhook_public_key=text)


# --------------------------------------------------------------------------------- garbage


PIECES = [b"\xef\xbb\xbf", b" ", b"["]
VALUES = ["", "9", "a=", "é", "\0", " ", f"{NOW_S}"]


async def test_two_thousand_mutated_callbacks_are_believed_only_where_nothing_changed() -> None:
    dice = random.Random(20261123)
    client = sendgrid()
    batch = [event(kind, **EVENTS[kind][0]) for kind in EVENTS]
    signed = posted([*batch, *ODD])
    genuine = await client.read_callback(signed)
    believed = 0
    for _ in range(2_000):
        callback = mutated_callback(dice, signed, pieces=PIECES, values=VALUES, names=["x-other"])
        found = await client.read_callback(callback)
        assert isinstance(found, Reported | BadSignature | BadCallback)
        if isinstance(found, Reported):
            believed += 1
            assert found == genuine
            assert callback.body == signed.body
    assert 20 < believed < 1_000


async def test_two_thousand_signed_arrays_of_garbage_are_read_without_raising() -> None:
    dice = random.Random(20261123)
    client = sendgrid()
    values: list[object] = [None, 7, -1.5, True, [], {}, "", "\ud800", "x\0", "x" * 999, [[[]]]]
    for _ in range(2_000):
        made = event(dice.choice([*EVENTS]))
        for _ in range(dice.randrange(1, 5)):
            made[dice.choice([*made, "type", "status", "reason"])] = dice.choice(values)
        found = await client.read_callback(posted([made]))
        assert isinstance(found, Reported)
        for receipt in found.receipts:
            assert receipt.reference == REFERENCE
            assert "\0" not in f"{receipt.provider_id}{receipt.status}{receipt.code}"
