"""What SNS posts: whose it is, what SES reports by it, and what is done about a subscription.

Signed here with a key of the test's own, whose certificate is served where SNS would serve it. The
string that is signed is put together as SNS' documents say, apart from the client.
"""

import asyncio
import base64
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from notifyq.domain.model import Bounce, Receipt
from notifyq.domain.provider import (
    BadCallback,
    BadSignature,
    Callback,
    Reading,
    Reported,
    Unverified,
)
from notifyq.providers.ses import certificates
from notifyq.providers.ses.certificates import KEPT_MAX, checked_origin, sns_origin
from notifyq.providers.ses.client import Ses
from notifyq.providers.ses.events import RANKS, read_event
from notifyq.providers.ses.sns import AGE_MAX, AHEAD_MAX
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire

NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
ORIGIN = "https://sns.eu-west-1.amazonaws.com"
PEM_URL = f"{ORIGIN}/SimpleNotificationService-0123456789abcdef.pem"
REFERENCE = "0123456789abcdefghijklmnopqrstuv"
MESSAGE_ID = "0102018f0a1b2c3d-7c191be4-e9ae-db9a-02f9-4d12a87ddd00-000000"

Changes = Mapping[str, object]


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def certificate(
    *, kind: str = "rsa", before: datetime = NOW - timedelta(days=1), days: int = 30
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa_key()
    if kind == "short":
        key = rsa_key(1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(before)
        .not_valid_after(before + timedelta(days=days))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


@dataclass
class SnsWire(Wire):
    """Serves certificates and confirmations; counts who asked for what."""

    pages: dict[str, Answer | NeverLeft | Lost] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    held: asyncio.Event | None = None

    def __post_init__(self) -> None:
        super().__init__(max_in_flight=1)
        self.pages.setdefault(PEM_URL, Answer(200, {}, certificate()))

    async def exchange(
        self, request: httpx.Request, *, timeout_s: float
    ) -> Answer | NeverLeft | Lost:
        assert request.method == "GET"
        self.asked.append(str(request.url))
        if self.held is not None:
            await self.held.wait()
        return self.pages.get(str(request.url), Answer(404, {}, b""))


def ses(wire: Wire | None = None, **changes: Any) -> Ses:
    settings: dict[str, Any] = {
        "name": "mail",
        "base_url": "https://email.eu-west-1.amazonaws.com",
        "region": "eu-west-1",
        "access_key_id": "a",
        "secret_access_key": "s",
        "topics": frozenset({TOPIC}),
        "now": lambda: NOW,
    }
    return Ses(wire=wire or SnsWire(), **{**settings, **changes})


def sign(envelope: dict[str, Any], key: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """Sign as the documents say: names and values in byte order, each on a line of its own."""
    names = ["Message", "MessageId", "Subject", "SubscribeURL"]
    names += ["Timestamp", "Token", "TopicArn", "Type"]
    if envelope["Type"] == "Notification":
        names = [name for name in names if name not in ("SubscribeURL", "Token")]
    else:
        names.remove("Subject")
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    algorithm = hashes.SHA1() if envelope["SignatureVersion"] == "1" else hashes.SHA256()
    signature = (key or rsa_key()).sign(text.encode(), padding.PKCS1v15(), algorithm)
    return {**envelope, "Signature": base64.b64encode(signature).decode()}


def notification(message: object, **changes: object) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": "2026-11-23T01:59:58.719Z",
        "SignatureVersion": "2",
        "SigningCertURL": PEM_URL,
        "UnsubscribeURL": f"{ORIGIN}/?Action=Unsubscribe",
        **changes,
    }


CONFIRM_URL = f"{ORIGIN}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"


def confirmation(**changes: object) -> dict[str, Any]:
    return {
        **notification("You have chosen to subscribe to the topic …"),
        "Type": "SubscriptionConfirmation",
        "Token": "2336412f37",
        "SubscribeURL": CONFIRM_URL,
        **changes,
    }


def posted(envelope: object) -> Callback:
    body = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "x"}
    return Callback("https://notify.example.com/callbacks/mail", headers, body)


async def read(envelope: object, client: Ses | None = None) -> Reading:
    return await (client or ses()).read_callback(posted(envelope))


def event(kind: str = "Delivery", /, **sections: object) -> dict[str, Any]:
    return {
        "eventType": kind,
        "mail": {
            "timestamp": "2026-11-23T01:59:00.000Z",
            "source": "shop@example.com",
            "messageId": MESSAGE_ID,
            "destination": ["ann@example.org"],
            "tags": {"ses:configuration-set": ["main"], "reference": [REFERENCE]},
        },
        **sections,
    }


async def receipt_of(event: object) -> Receipt:
    found = await read(sign(notification(event)))
    assert isinstance(found, Reported), found
    (receipt,) = found.receipts
    return receipt


# --------------------------------------------------------------------------------- events

SENT_AT = datetime(2026, 11, 23, 1, 59, tzinfo=UTC)
AT = datetime(2026, 11, 23, 1, 59, 30, 662000, tzinfo=UTC)
TIMED = {"timestamp": "2026-11-23T01:59:30.662Z"}

EVENTS: dict[str, tuple[dict[str, Any], tuple[str, int, str | None, Bounce | None], datetime]] = {
    "Send": ({"send": {}}, ("Send", 1, None, None), SENT_AT),
    "DeliveryDelay": (
        {"deliveryDelay": {**TIMED, "delayType": "TransientCommunicationFailure"}},
        ("DeliveryDelay", 2, "TransientCommunicationFailure", None),
        AT,
    ),
    "Bounce": (
        {"bounce": {**TIMED, "bounceType": "Permanent", "bounceSubType": "General"}},
        ("Bounce.Permanent", 4, "Permanent/General", Bounce.DEAD),
        AT,
    ),
    "Reject": (
        {"reject": {"reason": "Bad content"}},
        ("Reject", 4, "Bad content", Bounce.CONTENT),
        SENT_AT,
    ),
    "Rendering Failure": (
        {"failure": {"errorMessage": "Attribute 'x' is not present", "templateName": "T"}},
        ("Rendering Failure", 4, None, Bounce.CONTENT),
        SENT_AT,
    ),
    "Delivery": (
        {"delivery": {**TIMED, "recipients": ["ann@example.org"]}},
        ("Delivery", 5, None, None),
        AT,
    ),
    "Open": ({"open": {**TIMED, "ipAddress": "192.0.2.1"}}, ("Open", 6, None, None), AT),
    "Click": ({"click": {**TIMED, "link": "https://x"}}, ("Click", 6, None, None), AT),
    "Complaint": (
        {"complaint": {**TIMED, "complaintFeedbackType": "abuse", "complaintSubType": None}},
        ("Complaint", 6, "abuse", Bounce.OPTED_OUT),
        AT,
    ),
    "Subscription": (
        {"subscription": {**TIMED, "newTopicPreferences": {"unsubscribeAll": True}}},
        ("Subscription", 6, None, Bounce.OPTED_OUT),
        AT,
    ),
}


@pytest.mark.parametrize("kind", EVENTS)
async def test_each_event_is_a_receipt(kind: str) -> None:
    sections, (status, rank, code, bounce), at = EVENTS[kind]
    expected = Receipt(REFERENCE, MESSAGE_ID, status, rank, code, bounce, at)
    assert await receipt_of(event(kind, **sections)) == expected


def test_the_table_here_and_the_clients_have_the_same_events() -> None:
    assert EVENTS.keys() == RANKS.keys()


@pytest.mark.parametrize(
    ("kind", "subtype", "bounce"),
    [
        ("Permanent", "General", Bounce.DEAD),
        ("Permanent", "NoEmail", Bounce.DEAD),
        ("Permanent", "Suppressed", Bounce.DEAD),
        ("Permanent", "OnAccountSuppressionList", Bounce.DEAD),
        ("Permanent", "SomethingNew", Bounce.DEAD),
        ("Permanent", "UnsubscribedRecipient", Bounce.OPTED_OUT),
        ("Transient", "General", Bounce.SOFT),
        ("Transient", "MailboxFull", Bounce.SOFT),
        ("Transient", "CustomTimeoutExceeded", Bounce.SOFT),
        ("Transient", "MessageTooLarge", Bounce.CONTENT),
        ("Transient", "ContentRejected", Bounce.CONTENT),
        ("Transient", "AttachmentRejected", Bounce.CONTENT),
        ("Undetermined", "Undetermined", Bounce.SOFT),
        ("SomethingNew", "X", Bounce.SOFT),
    ],
)
async def test_a_bounce_has_the_class_of_its_type(kind: str, subtype: str, bounce: Bounce) -> None:
    found = await receipt_of(event("Bounce", bounce={"bounceType": kind, "bounceSubType": subtype}))
    assert (found.status, found.code, found.bounce) == (
        f"Bounce.{kind}",
        f"{kind}/{subtype}",
        bounce,
    )
    assert found.rank == 4


async def test_a_temporary_and_a_final_bounce_are_two_receipts() -> None:
    kinds = ("Transient", "Permanent")
    found = [await receipt_of(event("Bounce", bounce={"bounceType": kind})) for kind in kinds]
    assert len({receipt.status for receipt in found}) == 2


async def test_a_complaint_that_is_taken_back_is_no_opt_out_and_of_another_status() -> None:
    found = await receipt_of(event("Complaint", complaint={"complaintFeedbackType": "not-spam"}))
    assert (found.bounce, found.rank) == (None, 5)
    assert found.status != "Complaint"


async def test_a_complaint_of_the_suppression_list_says_that_nothing_was_sent() -> None:
    listed = {"complaintSubType": "OnAccountSuppressionList"}
    found = await receipt_of(event("Complaint", complaint=listed))
    assert (found.bounce, found.rank) == (Bounce.OPTED_OUT, 4)
    assert found.status != "Complaint"


async def test_a_subscription_that_is_only_changed_is_no_opt_out() -> None:
    found = await receipt_of(event("Subscription", subscription={"newTopicPreferences": {}}))
    assert found.bounce is None


@pytest.mark.parametrize(
    "text", ["ann@example.org said no", "x" * 65, 7, None, {"a": 1}, "a\0b", "\ud800"]
)
async def test_what_could_hold_an_address_is_no_code(text: object) -> None:
    found = await receipt_of(event("Reject", reject={"reason": text}))
    assert found.code is None
    found = await receipt_of(event("Bounce", bounce={"bounceType": text, "bounceSubType": text}))
    assert (found.code, found.bounce) == ("Undetermined/Undetermined", Bounce.SOFT)


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2026-11-23T01:59:30", 7, None),
        *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
    ],
)
async def test_a_time_that_is_none_falls_to_that_of_the_mail(text: object) -> None:
    assert (await receipt_of(event("Delivery", delivery={"timestamp": text}))).at == SENT_AT


def with_mail(**changes: object) -> dict[str, Any]:
    made = event()
    return {**made, "mail": {**made["mail"], **changes}}


@pytest.mark.parametrize(
    "message",
    [
        with_mail(tags={}),
        with_mail(tags=None),
        with_mail(tags={"reference": REFERENCE}),
        with_mail(tags={"reference": [REFERENCE, "b"]}),
        with_mail(tags={"reference": []}),
        with_mail(tags={"reference": [7]}),
        with_mail(tags={"reference": ["a b"]}),
        {"eventType": "Delivery"},
        {"eventType": "Delivery", "mail": 7},
        {"notificationType": "Bounce", "mail": event()["mail"]},
        {"notificationType": "AmazonSnsSubscriptionSucceeded"},
        "Successfully validated SNS topic for Amazon SES event publishing.",
    ],
)
async def test_what_is_about_no_mail_of_ours_says_nothing(message: object) -> None:
    assert await read(sign(notification(message))) == Reported()


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        "[]",
        {},
        {"eventType": "SomethingNew", "mail": event()["mail"]},
        {"eventType": ["Send"]},
        with_mail(messageId=None),
        with_mail(messageId="a b"),
        with_mail(messageId="x\0"),
    ],
)
async def test_a_signed_message_that_cannot_be_placed_is_a_bad_one(message: object) -> None:
    assert isinstance(await read(sign(notification(message))), BadCallback)


def test_text_that_is_no_unicode_is_a_bad_callback() -> None:
    assert isinstance(read_event("\ud800"), BadCallback)


# ------------------------------------------------------------------------------ signature


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification"])
async def test_both_versions_hold_with_and_without_a_subject(
    version: str, subject: str | None
) -> None:
    more = {} if subject is None else {"Subject": subject}
    envelope = sign(notification(event(), SignatureVersion=version, **more))
    found = await read(envelope)
    assert isinstance(found, Reported)
    assert found.receipts
    changed = {**envelope, "Subject": "another"}
    assert await read(changed) == BadSignature("signature differs")


@pytest.mark.parametrize(
    "change",
    [
        {"Message": json.dumps(event("Bounce"))},
        {"MessageId": "x"},
        {"Timestamp": "2026-11-23T01:59:59.719Z"},
        {"SignatureVersion": "1"},
        {"Signature": ""},
        {"Signature": base64.b64encode(b"x" * 256).decode()},
        {"Message": "\ud800"},
    ],
)
async def test_a_changed_envelope_is_not_believed(change: Changes) -> None:
    assert await read({**sign(notification(event())), **change}) == BadSignature(
        "signature differs"
    )


async def test_another_key_is_not_believed() -> None:
    envelope = sign(notification(event()), rsa.generate_private_key(65537, 2048))
    assert await read(envelope) == BadSignature("signature differs")


@pytest.mark.parametrize("make", [lambda: notification(event()), confirmation])
async def test_a_topic_that_is_not_allowed_is_refused_before_anything_is_fetched(
    make: Callable[[], dict[str, Any]],
) -> None:
    wire = SnsWire()
    envelope = sign({**make(), "TopicArn": TOPIC + "2"})
    assert await read(envelope, ses(wire)) == BadSignature("topic is not allowed")
    assert await read(sign(make()), ses(wire, topics=frozenset())) == BadSignature(
        "topic is not allowed"
    )
    assert wire.asked == []


@pytest.mark.parametrize(
    ("ago", "reason"),
    [
        (AGE_MAX + timedelta(seconds=1), "too old"),
        (-AHEAD_MAX - timedelta(seconds=1), "from the future"),
    ],
)
async def test_what_is_too_old_or_from_the_future_is_not_believed(
    ago: timedelta, reason: str
) -> None:
    at = (NOW - ago).isoformat()
    for envelope in (notification(event(), Timestamp=at), confirmation(Timestamp=at)):
        assert await read(sign(envelope)) == BadSignature(reason)


@pytest.mark.parametrize("ago", [AGE_MAX, timedelta(hours=1), -AHEAD_MAX])
async def test_what_sns_tries_again_within_its_hour_is_believed(ago: timedelta) -> None:
    found = await read(sign(notification(event(), Timestamp=(NOW - ago).isoformat())))
    assert isinstance(found, Reported)
    assert found.receipts


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T02:00:00"])
async def test_a_time_that_is_none_is_not_believed(text: str) -> None:
    found = await read(sign(notification(event(), Timestamp=text)))
    assert found == BadSignature("signature or time is unreadable")


async def test_a_version_that_we_do_not_know_is_not_believed() -> None:
    envelope = {**sign(notification(event())), "SignatureVersion": "3"}
    assert await read(envelope) == BadSignature("signed by a version that we do not know")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps(event()).encode(),  # raw message delivery: without an envelope, unsigned
        *(
            json.dumps({k: v for k, v in sign(notification(event())).items() if k != name}).encode()
            for name in ("Type", "Message", "MessageId", "Timestamp", "TopicArn", "Signature")
        ),
        json.dumps({**sign(notification(event())), "Type": "Other"}).encode(),
        json.dumps({**sign(notification(event())), "Message": {}}).encode(),
        json.dumps({**sign(confirmation()), "Token": None}).encode(),
    ],
)
async def test_what_sns_does_not_post_is_a_bad_callback(body: bytes) -> None:
    assert await read(body) == BadCallback("not what SNS posts")


# ---------------------------------------------------------------------------- certificate


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem",
        "https://evil.example/https://sns.eu-west-1.amazonaws.com/a.pem",
        "https://SNS.eu-west-1.amazonaws.com/a.pem",
        f"{ORIGIN}/a.txt",
        f"{ORIGIN}/a.pem?x=1",
        f"{ORIGIN}/?a.pem",
        f"{ORIGIN}/a.pem#x",
        f"{ORIGIN}/a\n.pem",
        f" {ORIGIN}/a.pem",
        f"{ORIGIN}.pem",
        "/a.pem",
        "",
        "https://[::1/a.pem",
    ],
)
async def test_a_certificate_from_elsewhere_is_not_even_fetched(url: str) -> None:
    wire = SnsWire()
    envelope = sign(notification(event(), SigningCertURL=url))
    assert await read(envelope, ses(wire)) == BadSignature("the certificate is from elsewhere")
    assert wire.asked == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (NeverLeft("econnrefused"), "no certificate: econnrefused"),
        (Lost("timeout"), "no certificate: timeout"),
        (Answer(302, {"Location": PEM_URL}, certificate()), "no certificate: http_302"),
        (Answer(404, {}, b""), "no certificate: http_404"),
        (Answer(500, {}, certificate()), "no certificate: http_500"),
        (Answer(200, {}, b"<html>"), "no certificate: unreadable"),
        (Answer(200, {}, b"-----BEGIN CERTIFICATE-----\nAAAA\n"), "no certificate: unreadable"),
        (Answer(200, {}, certificate() + b"\n" * 65_536), "no certificate: unreadable"),
        (
            Answer(200, {}, certificate(kind="ec")),
            "the certificate's key is none that SNS signs with",
        ),
        (
            Answer(200, {}, certificate(kind="short")),
            "the certificate's key is none that SNS signs with",
        ),
        (
            Answer(200, {}, certificate(before=NOW - timedelta(days=31))),
            "the certificate is not valid today",
        ),
        (
            Answer(200, {}, certificate(before=NOW + timedelta(days=1))),
            "the certificate is not valid today",
        ),
    ],
)
async def test_without_its_certificate_nothing_can_be_told(
    page: Answer | NeverLeft | Lost, reason: str
) -> None:
    found = await read(sign(notification(event())), ses(SnsWire(pages={PEM_URL: page})))
    assert found == Unverified(reason)


async def test_a_certificate_is_fetched_once_however_many_come_at_the_same_time() -> None:
    wire = SnsWire(held=asyncio.Event())
    client = ses(wire)
    envelope = sign(notification(event()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(envelope, client)) for _ in range(5)]
        await asyncio.sleep(0)
        assert wire.held is not None
        wire.held.set()
    assert all(isinstance(task.result(), Reported) for task in tasks)
    assert await read(envelope, client) == tasks[0].result()
    assert wire.asked == [PEM_URL]


async def test_a_fetch_that_failed_is_made_again_the_next_time() -> None:
    wire = SnsWire(pages={PEM_URL: Lost("closed")})
    client = ses(wire)
    envelope = sign(notification(event()))
    assert isinstance(await read(envelope, client), Unverified)
    wire.pages[PEM_URL] = Answer(200, {}, certificate())
    assert isinstance(await read(envelope, client), Reported)


async def test_a_fetch_that_hangs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "FETCH_S", 0.05)
    client = ses(SnsWire(held=asyncio.Event()))
    envelope = sign(notification(event()))
    async with asyncio.timeout(5):
        both = await asyncio.gather(read(envelope, client), read(envelope, client))
    assert list(both) == [Unverified("no certificate: timeout")] * 2


async def test_only_a_few_certificates_are_kept_and_bad_ones_are_not() -> None:
    urls = [f"{ORIGIN}/{number}.pem" for number in range(KEPT_MAX + 1)]
    wire = SnsWire(pages={url: Answer(200, {}, certificate()) for url in urls})
    client = ses(wire)
    for url in urls:
        await read(sign(notification(event(), SigningCertURL=url)), client)
    for number in range(50):
        bad = f"{ORIGIN}/bad{number}.pem"
        await read(sign(notification(event(), SigningCertURL=bad)), client)
    wire.asked.clear()
    for url in urls[1:]:
        await read(sign(notification(event(), SigningCertURL=url)), client)
    assert wire.asked == []
    await read(sign(notification(event(), SigningCertURL=urls[0])), client)
    assert wire.asked == [urls[0]]


@pytest.mark.parametrize(
    "text",
    [
        "https://sns.eu-west-1.amazonaws.com/x",
        "http://sns.eu-west-1.amazonaws.com",
        "http://10.0.0.1:8190",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "https://a@b",
        "https://",
        "",
    ],
)
def test_an_origin_that_could_be_listened_in_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        checked_origin(text)
    with pytest.raises(ValueError, match="must be"):
        ses(certificate_urls=frozenset({text}))


def test_an_origin_is_sns_own_or_a_sandboxs_on_this_machine() -> None:
    for text in (ORIGIN, "http://127.0.0.1:8190", "http://[::1]:8190", "http://localhost:1"):
        assert checked_origin(f"{text}/") == text
    assert sns_origin("eu-west-1") == ORIGIN
    assert sns_origin("cn-north-1") == "https://sns.cn-north-1.amazonaws.com.cn"


async def test_a_sandboxs_certificate_is_taken_from_its_own_origin_only() -> None:
    url = "http://127.0.0.1:8190/ses/SimpleNotificationService-sandbox.pem"
    wire = SnsWire(pages={url: Answer(200, {}, certificate())})
    client = ses(wire, certificate_urls=frozenset({"http://127.0.0.1:8190"}))
    found = await read(sign(notification(event(), SigningCertURL=url)), client)
    assert isinstance(found, Reported)
    assert isinstance(await read(sign(notification(event())), client), BadSignature)


# --------------------------------------------------------------------------- subscription


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_subscription_to_an_allowed_topic_is_confirmed(version: str) -> None:
    wire = SnsWire(pages={CONFIRM_URL: Answer(200, {}, b"<ConfirmSubscriptionResponse/>")})
    envelope = sign(confirmation(SignatureVersion=version))
    assert await read(envelope, ses(wire)) == Reported()
    assert wire.asked == [PEM_URL, CONFIRM_URL]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Answer(404, {}, b""), "not confirmed: http_404"),
        (Answer(302, {"Location": "https://evil.example"}, b""), "not confirmed: http_302"),
        (Lost("closed"), "not confirmed: closed"),
        (NeverLeft("econnrefused"), "not confirmed: econnrefused"),
    ],
)
async def test_a_confirmation_that_failed_is_to_come_again(
    page: Answer | NeverLeft | Lost, reason: str
) -> None:
    wire = SnsWire(pages={CONFIRM_URL: page})
    assert await read(sign(confirmation()), ses(wire)) == Unverified(reason)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://evil.example/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com@evil.example/",
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        f"{ORIGIN}/ x",
        "/?Action=ConfirmSubscription",
        f"{ORIGIN}\n/",
        ORIGIN,
        "",
    ],
)
async def test_nothing_elsewhere_is_called_even_if_it_is_signed(url: str) -> None:
    wire = SnsWire()
    found = await read(sign(confirmation(SubscribeURL=url)), ses(wire))
    assert found == Unverified("not confirmed: from elsewhere")
    assert wire.asked == [PEM_URL]


async def test_a_subscription_is_not_confirmed_before_the_signature_holds() -> None:
    wire = SnsWire(pages={CONFIRM_URL: Answer(200, {}, b"")})
    envelope = {**sign(confirmation()), "Token": "another"}
    assert await read(envelope, ses(wire)) == BadSignature("signature differs")
    envelope = sign(confirmation(), rsa.generate_private_key(65537, 2048))
    assert await read(envelope, ses(wire)) == BadSignature("signature differs")
    assert set(wire.asked) == {PEM_URL}


async def test_the_end_of_a_subscription_says_nothing_and_calls_nobody() -> None:
    wire = SnsWire()
    envelope = sign(confirmation(Type="UnsubscribeConfirmation"))
    assert await read(envelope, ses(wire)) == Reported()
    assert wire.asked == [PEM_URL]


# --------------------------------------------------------------------------------- garbage


async def test_two_thousand_mutated_callbacks_are_believed_only_where_nothing_signed_changed() -> (
    None
):
    dice = random.Random(20261123)
    client = ses(SnsWire(pages={CONFIRM_URL: Answer(200, {}, b"")}))
    seeds = [sign(notification(event(kind, **EVENTS[kind][0]))) for kind in EVENTS]
    seeds.append(sign(confirmation()))
    believed = 0
    for _ in range(2_000):
        seed = dice.choice(seeds)
        genuine = await read(seed, client)
        found = await read(mutated(dice, seed), client)
        assert isinstance(found, Reported | BadSignature | BadCallback | Unverified)
        if isinstance(found, Reported) and found.receipts:
            believed += 1
            assert found == genuine
    assert 20 < believed < 1_000


ODD: list[object] = [
    None,
    7,
    -1.5,
    True,
    [],
    {},
    "",
    "\ud800",
    "\0",
    "x" * 5_000,
    [[[]]],
    10**400,
    "1",
    "2",
]


def mutated(dice: random.Random, envelope: dict[str, Any]) -> bytes:
    """Change a field, or the bytes, in any of many ways."""
    changed = dict(envelope)
    for _ in range(dice.randrange(1, 3)):
        name = dice.choice([*changed, "Extra"])
        match dice.randrange(4):
            case 0:
                changed[name] = dice.choice(ODD)
            case 1:
                changed.pop(name, None)
            case 2:
                changed[name] = f"{changed.get(name)}{dice.choice(ODD)}"
            case 3:
                changed["UnsubscribeURL"] = dice.choice(ODD)
    body = bytearray(json.dumps(changed).encode())
    if dice.random() < 0.4:
        at = dice.randrange(len(body))
        body[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
    if dice.random() < 0.1:
        del body[dice.randrange(len(body)) :]
    return bytes(body)
