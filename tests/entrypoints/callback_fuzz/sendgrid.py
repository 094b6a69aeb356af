"""SendGrid, as it signs: ECDSA over time and body, by the key of the event webhook."""

import base64
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from tests.entrypoints.callback_fuzz import odd
from tests.entrypoints.callback_fuzz.changes import raw_signature, respelt_base64
from tests.entrypoints.callback_fuzz.shots import NOTHING, Claim, Judgement, Shot, Stage

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
AGO_S_MAX, AHEAD_S_MAX = 90_000, 300  # within which a signature counts
STAGES = {
    **dict.fromkeys(("processed", "deferred"), Stage.SENT),
    **dict.fromkeys(("bounce", "dropped"), Stage.UNDELIVERED),
    **dict.fromkeys(("delivered", "open", "click", "spamreport", "unsubscribe"), Stage.DELIVERED),
    **dict.fromkeys(("group_unsubscribe", "group_resubscribe"), Stage.DELIVERED),
}
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_SAFE_S = 60


@dataclass(frozen=True, slots=True)
class SendGrid:
    """One webhook."""

    name: str
    key: ec.EllipticCurvePrivateKey
    other: ec.EllipticCurvePrivateKey
    channel: str = "email"

    def genuine(self, dice: random.Random, reference: str) -> Shot:
        """Return an array of one to three events of a mail, among others'."""
        return self._signed(json.dumps(_events(dice, reference)).encode() + b"\r\n")

    def weird(self, dice: random.Random, reference: str) -> Shot:
        """Return JSON with odd values, or what is hardly JSON, signed; also at an odd time."""
        body = odd.written(dice, odd.altered(dice, _events(dice, reference)))
        ages_s = (AGO_S_MAX - _SAFE_S, AGO_S_MAX + _SAFE_S, -AHEAD_S_MAX + _SAFE_S, 10**9)
        age_s = dice.choice([*[0] * 20, *ages_s, -AHEAD_S_MAX - _SAFE_S, -(10**11)])
        return self._signed(body, age_s)

    def own_change(self, dice: random.Random, shot: Shot) -> Shot:
        """Return it with another signature, key or time, or cut at another place."""
        given, at = shot.header(SIGNATURE), shot.header(TIMESTAMP)
        match dice.randrange(6):
            case 0:
                new = respelt_base64(dice, given.decode("latin-1")).encode("latin-1", "replace")
                return shot.but("signature", headers=shot.with_header(SIGNATURE, new))
            case 1:
                new = base64.b64encode(_der_changed(dice, raw_signature(given)))
                return shot.but("der", headers=shot.with_header(SIGNATURE, new))
            case 2:
                made = self.other.sign(at + shot.body, ec.ECDSA(SHA256()))
                headers = shot.with_header(SIGNATURE, base64.b64encode(made))
                return shot.but("other key", headers=headers)
            case 3:
                seconds = int(at) if at.isdigit() else 0
                near = (b"%d" % (seconds + 1), b"+" + at, b" " + at, at + b".0", b"0" + at, b"")
                far = (b"%d" % (seconds - 10**6), b"%d" % (seconds + 10**6), b"9" * 400, None)
                headers = shot.with_header(TIMESTAMP, dice.choice([*near, *far, b"\xb2" * 10]))
                return shot.but("timestamp", headers=headers)
            case 4:  # the same signed bytes, cut elsewhere
                size = dice.randrange(1, 12)
                whole = at + shot.body
                headers = shot.with_header(TIMESTAMP, whole[:size])
                return shot.but("boundary", headers=headers, body=whole[size:])
        return shot.but("json", body=odd.written(dice, odd.altered(dice, _loaded(shot.body))))

    def judge(self, shot: Shot, headers: Mapping[str, str], now: datetime) -> Judgement:
        """Say whether this webhook signed it, lately, and what it holds."""
        at = headers.get(TIMESTAMP.lower(), "")
        signature = headers.get(SIGNATURE.lower(), "")
        if not re.fullmatch("[0-9]{1,12}", at):
            return NOTHING
        if not -AHEAD_S_MAX <= now.timestamp() - int(at) <= AGO_S_MAX:
            return NOTHING
        try:
            raw = raw_signature(signature.encode("ascii"))
            signed = at.encode() + shot.body
            self.key.public_key().verify(raw, signed, ec.ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            return NOTHING
        events = _loaded(shot.body)
        found = [_claim(event) for event in events] if isinstance(events, list) else []
        return Judgement(True, tuple(claim for claim in found if claim is not None))

    def _signed(self, body: bytes, age_s: int = 0) -> Shot:
        at = f"{max(0, int(datetime.now(UTC).timestamp()) - age_s)}".encode()
        signature = base64.b64encode(self.key.sign(at + body, ec.ECDSA(SHA256())))
        headers = (
            (b"Content-Type", b"application/json"),
            (b"User-Agent", b"SendGrid Event API"),
            (SIGNATURE.encode(), signature),
            (TIMESTAMP.encode(), at),
        )
        return Shot(self.name, f"/callbacks/{self.name}", b"", headers, body)


def _events(dice: random.Random, reference: str) -> list[dict[str, Any]]:
    now_s = int(datetime.now(UTC).timestamp())
    mail = f"LB8TzB4nQtOX{dice.getrandbits(50):013x}"
    common = {"email": "ann@example.org", "timestamp": now_s, "smtp-id": f"<{mail}@x>"}
    events: list[dict[str, Any]] = []
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        kind = dice.choice([*STAGES])
        event = {**common, "event": kind, "sg_message_id": f"{mail}.recvd-5f54b5d587-6.0"}
        if kind == "bounce":
            event |= {"type": dice.choice(["bounce", "blocked"]), "status": "5.1.1"}
            event |= {"bounce_classification": "Technical", "reason": "550 unknown"}
        if kind == "dropped":
            event |= {"reason": dice.choice(["Bounced Address", "Unsubscribed Address"])}
        events.append(event | {"reference": reference})
    if dice.random() < 0.3:
        events.append({**common, "event": "open", "sg_message_id": "of-somebody-else.x"})
    return events


def _claim(event: object) -> Claim | None:
    if not isinstance(event, dict):
        return None
    kind, reference, mail = (event.get(n) for n in ("event", "reference", "sg_message_id"))
    if not isinstance(kind, str) or kind not in STAGES or not isinstance(reference, str):
        return None
    named = mail.split(".")[0] if isinstance(mail, str) else ""
    status = "blocked" if kind == "bounce" and event.get("type") != "bounce" else kind
    provider_id = named if _ID.fullmatch(named) else "unnamed"
    return Claim(reference, provider_id, status, STAGES[kind])


def _der_changed(dice: random.Random, raw: bytes) -> bytes:
    """Return a signature in DER with other numbers; one of the ways is as good as the first."""
    try:
        r, s = decode_dss_signature(raw)
        pairs = ((r, _ORDER - s), (r, s + _ORDER), (0, 0), (1, 1), (r, 0), (s, r), (r + _ORDER, s))
        made = encode_dss_signature(*dice.choice(pairs))
    except ValueError:  # it was changed before, and is no pair of numbers above zero
        return raw + b"\0"
    return dice.choice([made, made, raw + b"\0", raw[:-1], b"\x30\x81" + raw[1:]])


def _loaded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
