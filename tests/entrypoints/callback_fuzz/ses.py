"""SES through SNS, as SNS signs: RSA over names and values, by a certificate that it publishes.

Version 1 is SHA-1, version 2 SHA-256. The certificate lies on a server of the test's own.
"""

import base64
import json
import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from posixpath import normpath
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.entrypoints.callback_fuzz import odd
from tests.entrypoints.callback_fuzz.changes import raw_signature, respelt_base64
from tests.entrypoints.callback_fuzz.shots import NOTHING, Claim, Judgement, Shot, Stage

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
PEM_PATH, CONFIRM_PATH = "/SimpleNotificationService-1.pem", "/?Action=ConfirmSubscription&Token=t"
AGO_S_MAX, AHEAD_S_MAX = 7_200, 300  # within which a notification counts
STAGES = {
    **dict.fromkeys(("Send", "DeliveryDelay"), Stage.SENT),
    **dict.fromkeys(("Bounce", "Reject", "Rendering Failure"), Stage.UNDELIVERED),
    **dict.fromkeys(("Delivery", "Open", "Click", "Complaint"), Stage.DELIVERED),
    "Subscription": Stage.DELIVERED,
}
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES = {"1": SHA1(), "2": SHA256()}
_MESSAGE_ID = re.compile(r"[A-Za-z0-9@._-]{1,200}")
_WORD = re.compile(r"[A-Za-z0-9 ._-]{1,64}")
_SAFE_S = 60


@cache
def rsa_key(number: int) -> RSAPrivateKey:
    """Return a key: 0 is SNS', others are anybody's."""
    return generate_private_key(65537, 2048)


@cache
def certificate() -> bytes:
    """Return the certificate of SNS' key as PEM, valid today."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    today = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(rsa_key(0).public_key()).serial_number(1)
    made = made.not_valid_before(today - timedelta(days=1))
    made = made.not_valid_after(today + timedelta(days=30))
    return made.sign(rsa_key(0), SHA256()).public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Ses:
    """One account. origin: where certificates lie, and where subscriptions are confirmed."""

    name: str
    origin: str
    channel: str = "email"

    def genuine(self, dice: random.Random, reference: str) -> Shot:
        """Return an event by either version, or now and then a subscription to confirm."""
        kind = "SubscriptionConfirmation" if dice.random() < 0.03 else "Notification"
        return self._signed(self._envelope(dice, kind, json.dumps(_event(dice, reference))))

    def weird(self, dice: random.Random, reference: str) -> Shot:
        """Return an event, or an envelope, with odd values, signed; also at an odd time."""
        kind = dice.choice(["Notification"] * 8 + [*_SIGNED])
        event = _event(dice, reference)
        if dice.random() < 0.8:
            message = odd.written(dice, odd.altered(dice, event)).decode(errors="surrogateescape")
        else:
            message = odd.text(dice, ["Successfully validated SNS topic for x"])
        envelope = self._envelope(dice, kind, message)
        for _ in range(dice.choice([0, 0, 1, 2])):
            name = dice.choice(["MessageId", "Subject", "SubscribeURL", "Token", "X", "Timestamp"])
            envelope[name] = odd.text(dice)
        if dice.random() < 0.2:
            ages_s = (AGO_S_MAX - _SAFE_S, AGO_S_MAX + _SAFE_S, -AHEAD_S_MAX + _SAFE_S, 10**9)
            envelope["Timestamp"] = _iso(dice.choice([*ages_s, -AHEAD_S_MAX - _SAFE_S, -(10**9)]))
        return self._signed(envelope)

    def own_change(self, dice: random.Random, shot: Shot) -> Shot:
        """Return it with another signature, key, certificate, topic or time, or shifted lines."""
        found = _object(shot.body)
        name, value = dice.choice(self._own_changes(dice, found))
        changed = {**found, name: value}
        how = f"envelope.{name}"
        match dice.randrange(8):
            case 0:
                changed, how = dict(dice.sample([*found.items()], len(found))), "order"
            case 1:  # the same signed lines, of other fields
                merged = f"{found.get('MessageId')}\nSubject\n{found.get('Subject')}"
                changed = {n: v for n, v in found.items() if n != "Subject"}
                changed, how = {**changed, "MessageId": merged}, "lines"
            case 2:
                how = "other key"
                changed = json.loads(self._signed(dict(found), rsa_key(1)).body)
            case 3:
                changed, how = odd.altered(dice, found), "json"
        return shot.but(how, body=json.dumps(changed).encode())

    def judge(self, shot: Shot, headers: Mapping[str, str], now: datetime) -> Judgement:
        """Say whether SNS signed it for our topic, lately, and what it holds."""
        found = {n: v for n, v in _object(shot.body).items() if isinstance(v, str)}
        names = _SIGNED.get(found.get("Type", ""), ())
        needed = {*names, "Signature", "SigningCertURL", "SignatureVersion"} - {"Subject"}
        if not names or not needed <= found.keys() or found["TopicArn"] != TOPIC:
            return NOTHING
        if found["SignatureVersion"] not in _HASHES or not _is_recent(found["Timestamp"], now):
            return NOTHING
        url = found["SigningCertURL"]
        if not self._is_there(url):
            # Nobody can tell what lies elsewhere on that host, where there is nothing today.
            return Judgement(later=url.startswith(f"{self.origin}/") and url.endswith(".pem"))
        if not _is_signed(found, names):
            return NOTHING
        return self._held(found)

    def _is_there(self, url: str) -> bool:
        """Whether the certificate is what lies at a URL, however its path is spelt."""
        path = url.removeprefix(self.origin)
        return path.startswith("/") and path != url and normpath(path) == PEM_PATH

    def _held(self, found: Mapping[str, str]) -> Judgement:
        if found["Type"] == "SubscriptionConfirmation":
            confirms = found["SubscribeURL"] == f"{self.origin}{CONFIRM_PATH}"
            return Judgement(True, confirms=confirms, later=not confirms)
        claim = _claim(found["Message"]) if found["Type"] == "Notification" else None
        return Judgement(True, () if claim is None else (claim,))

    def _envelope(self, dice: random.Random, kind: str, message: str) -> dict[str, Any]:
        made = {
            "Type": kind,
            "MessageId": str(uuid.UUID(int=dice.getrandbits(128))),
            "TopicArn": TOPIC,
            "Message": message,
            "Timestamp": _iso(0),
            "SignatureVersion": dice.choice("12"),
            "SigningCertURL": f"{self.origin}{PEM_PATH}",
        }
        if kind != "Notification":
            return {**made, "Token": "t", "SubscribeURL": f"{self.origin}{CONFIRM_PATH}"}
        return {**made, "Subject": "Amazon SES Email Event"} if dice.random() < 0.7 else made

    def _signed(self, envelope: dict[str, Any], key: RSAPrivateKey | None = None) -> Shot:
        names = _SIGNED.get(str(envelope.get("Type")), _NOTIFICATION)
        algorithm = _HASHES.get(str(envelope.get("SignatureVersion")), SHA256())
        raw = (key or rsa_key(0)).sign(_lines(envelope, names), PKCS1v15(), algorithm)
        body = json.dumps({**envelope, "Signature": base64.b64encode(raw).decode()}).encode()
        kind = str(envelope.get("Type")).encode("ascii", "replace")
        headers = (
            (b"Content-Type", b"text/plain; charset=UTF-8"),
            (b"x-amz-sns-message-type", kind),
        )
        return Shot(self.name, f"/callbacks/{self.name}", b"", headers, body)

    def _own_changes(self, dice: random.Random, found: Any) -> list[tuple[str, object]]:
        signature = str(found.get("Signature", ""))
        there, pem = self.origin, PEM_PATH
        places = (
            f"{there}/other.pem", f"{there}@evil.example{pem}", f"https://evil.example{pem}",
            f"{there}.evil.example{pem}", f"{there}{pem}?x", f"{there}/..{pem}", "", "//x.pem",
            f"{there}\n{pem}", f"https://sns.eu-west-1.amazonaws.com{pem}", there, "file:///x.pem",
        )  # fmt: skip
        ages_s = (AGO_S_MAX + 60, 10**8, -AHEAD_S_MAX - 60, -(10**8), 1)
        return [
            *[("Signature", respelt_base64(dice, signature)) for _ in range(4)],
            ("SignatureVersion", dice.choice(["1", "2", "3", "", 1, None])),
            *[("SigningCertURL", dice.choice(places)) for _ in range(2)],
            ("TopicArn", dice.choice([TOPIC + "2", TOPIC.upper(), "", None, TOPIC[:-1]])),
            ("Timestamp", _iso(dice.choice(ages_s))),
            ("Type", dice.choice([*_SIGNED, "notification", "", None])),
            ("Message", odd.value(dice)),
            ("SubscribeURL", dice.choice(places)),
            ("UnsubscribeURL", odd.value(dice)),
        ]


def _event(dice: random.Random, reference: str) -> dict[str, Any]:
    kind = dice.choice([*STAGES])
    sections: dict[str, dict[str, Any]] = {
        "Bounce": {
            "bounceType": dice.choice(["Permanent", "Transient"]),
            "bounceSubType": "General",
        },
        "Complaint": {"complaintFeedbackType": dice.choice(["abuse", "not-spam"])},
        "Subscription": {"newTopicPreferences": {"unsubscribeAll": True}},
        "Reject": {"reason": "Bad content"},
    }
    named = {"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"}
    return {
        "eventType": kind,
        "mail": {
            "timestamp": _iso(60),
            "messageId": f"0102018f0a1b2c3d-{dice.getrandbits(48):012x}-000000",
            "tags": {"ses:configuration-set": ["main"], "reference": [reference]},
        },
        named.get(kind, kind.lower()): {**sections.get(kind, {}), "timestamp": _iso(1)},
    }


def _claim(message: str) -> Claim | None:
    event = _object(message.encode(errors="surrogatepass"))
    mail, kind = _dict(event.get("mail")), event.get("eventType")
    references, provider_id = _dict(mail.get("tags")).get("reference"), mail.get("messageId")
    if not isinstance(kind, str) or kind not in STAGES:
        return None
    if not isinstance(references, list) or len(references) != 1:
        return None
    if not isinstance(provider_id, str) or not _MESSAGE_ID.fullmatch(provider_id):
        return None
    status, stage = kind, STAGES[kind]
    if kind == "Bounce":
        word = _dict(event.get("bounce")).get("bounceType")
        readable = isinstance(word, str) and _WORD.fullmatch(word)
        status = f"Bounce.{word if readable else 'Undetermined'}"
    if kind == "Complaint":
        section = _dict(event.get("complaint"))
        if section.get("complaintFeedbackType") == "not-spam":
            status = "Complaint.not-spam"
        elif section.get("complaintSubType") == "OnAccountSuppressionList":
            status, stage = "Complaint.OnAccountSuppressionList", Stage.UNDELIVERED
    return Claim(str(references[0]), provider_id, status, stage)


def _is_signed(found: Mapping[str, str], names: tuple[str, ...]) -> bool:
    try:
        raw, algorithm = raw_signature(found["Signature"].encode("ascii")), _HASHES
        public = rsa_key(0).public_key()
        public.verify(raw, _lines(found, names), PKCS1v15(), algorithm[found["SignatureVersion"]])
    except (ValueError, InvalidSignature):
        return False
    return True


def _lines(envelope: Mapping[str, Any], names: tuple[str, ...]) -> bytes:
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    return text.encode(errors="surrogatepass")


def _is_recent(text: str, now: datetime) -> bool:
    try:
        at = datetime.fromisoformat(text)
        return -AHEAD_S_MAX <= (now - at).total_seconds() <= AGO_S_MAX
    except (ValueError, TypeError):
        return False


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(raw))
    except (ValueError, RecursionError):
        return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _iso(ago_s: float) -> str:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
