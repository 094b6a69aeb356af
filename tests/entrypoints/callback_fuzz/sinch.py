"""Sinch, as it signs: HMAC of body, nonce and time, by the secret of the callbacks."""

import base64
import hmac
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.entrypoints.callback_fuzz import odd
from tests.entrypoints.callback_fuzz.changes import respelt_base64
from tests.entrypoints.callback_fuzz.shots import (
    NOTHING,
    Claim,
    Judgement,
    Shot,
    Stage,
    Written,
)

H = "x-sinch-webhook-signature"
AGO_S_MAX, AHEAD_S_MAX = 86_400, 300  # within which a signature counts
STAGES = {
    **dict.fromkeys(("queued", "dispatched", "unknown"), Stage.SENT),
    **dict.fromkeys(("aborted", "cancelled", "canceled", "rejected"), Stage.UNDELIVERED),
    **dict.fromkeys(("deleted", "failed", "expired"), Stage.UNDELIVERED),
    "delivered": Stage.DELIVERED,
}
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER = re.compile(r"\+?[0-9]{3,15}")
_SAFE_S = 60  # so far from a bound that a slow test does not cross it


@dataclass(frozen=True, slots=True)
class Sinch:
    """One plan."""

    name: str
    secret: str
    others: tuple[str, ...]
    channel: str = "sms"

    def genuine(self, dice: random.Random, reference: str) -> Shot:
        """Return a report of one recipient or of a batch, or a message to us."""
        return self._signed(dice, json.dumps(_report(dice, reference)).encode())

    def weird(self, dice: random.Random, reference: str) -> Shot:
        """Return JSON with odd values, or what is hardly JSON, signed; also at an odd time."""
        report = odd.altered(dice, _report(dice, reference))
        now_s = int(datetime.now(UTC).timestamp())
        ages_s = (0, AGO_S_MAX - _SAFE_S, AGO_S_MAX + _SAFE_S, -AHEAD_S_MAX + _SAFE_S, 10**9)
        at_s = now_s - dice.choice([*[0] * 20, *ages_s, -AHEAD_S_MAX - _SAFE_S, -(10**9)])
        text = dice.choice([f"{at_s}"] * 3 + [f"{at_s}000", _iso(at_s)])
        return self._signed(dice, odd.written(dice, report), text)

    def own_change(self, dice: random.Random, shot: Shot) -> Shot:
        """Return it with another signature, secret, nonce or time, or cut at another place."""
        given, at = shot.header(H).decode("latin-1"), shot.header(f"{H}-timestamp")
        match dice.randrange(6):
            case 0 | 1:
                new = respelt_base64(dice, given).encode("latin-1", "replace")
                return shot.but("signature", headers=shot.with_header(H, new))
            case 2:
                mac = _mac(dice.choice([*self.others, ""]), shot)
                return shot.but("other key", headers=shot.with_header(H, mac))
            case 3:
                name = dice.choice(["nonce", "timestamp", "algorithm"])
                seconds = int(at) if at.isdigit() else 0
                values = (b"", b"x", b"%d" % (seconds + 1), b"%d000" % seconds, b"HmacSHA1", b"0")
                far = (b"%d" % (seconds - 10**6), b"%d" % (seconds + 10**6), b"9" * 400, None)
                headers = shot.with_header(f"{H}-{name}", dice.choice([*values, *far]))
                return shot.but(name, headers=headers)
            case 4:  # the same signed bytes, with the points between them elsewhere
                nonce = shot.header(f"{H}-nonce")
                head, _, tail = shot.body.rpartition(b".")
                headers = shot.with_header(f"{H}-nonce", tail + b"." + nonce)
                return shot.but("boundary", headers=headers, body=head)
        body = odd.written(dice, odd.altered(dice, _loaded(shot.body)))
        return shot.but("json", body=body)

    def judge(self, shot: Shot, headers: Mapping[str, str], now: datetime) -> Judgement:
        """Say whether this plan signed it, lately, and what it holds."""
        nonce, at = headers.get(f"{H}-nonce"), headers.get(f"{H}-timestamp")
        if nonce is None or at is None or headers.get(f"{H}-algorithm") not in (None, "HmacSHA256"):
            return NOTHING
        signed = shot.body + f".{nonce}.{at}".encode()
        mac = base64.b64encode(hmac.digest(self.secret.encode(), signed, "sha256")).decode()
        if headers.get(H) != mac or not _is_recent(at, now):
            return NOTHING
        return _held(_loaded(shot.body))

    def _signed(self, dice: random.Random, body: bytes, at: str | None = None) -> Shot:
        headers = [
            (b"Content-Type", b"application/json"),
            (f"{H}-nonce".encode(), f"{dice.getrandbits(100):025X}".encode()),
            (f"{H}-timestamp".encode(), (at or f"{int(datetime.now(UTC).timestamp())}").encode()),
            (f"{H}-algorithm".encode(), b"HmacSHA256"),
        ]
        shot = Shot(self.name, f"/callbacks/{self.name}", b"", tuple(headers), body)
        headers.append((H.encode(), _mac(self.secret, shot)))
        return Shot(self.name, shot.path, b"", tuple(headers), body)


def _report(dice: random.Random, reference: str) -> dict[str, Any]:
    batch_id = f"01FC66621XXXXX{dice.getrandbits(50):012X}"
    status = dice.choice([*STAGES])
    code = dice.choice([0, 150, 401, 407]) if STAGES[status] is Stage.UNDELIVERED else 0
    at = _iso(int(datetime.now(UTC).timestamp()))
    spelt = dice.choice([status.title(), status.upper(), status])
    entry = {"code": code, "status": spelt, "recipients": ["14155550123"], "count": 1}
    about = {"batch_id": batch_id, "client_reference": reference}
    match dice.randrange(6):
        case 0:
            return {"type": "delivery_report_sms", **about, "statuses": [entry]}
        case 1:
            people = {"from": "14155550199", "to": "15005550006"}
            text = dice.choice(["STOP", "Stop \u00fc"])
            return {"type": "mo_text", "id": batch_id, **people, "body": text, "received_at": at}
    more = {"recipient": "14155550123", "at": at, "code": code, "status": spelt}
    return {"type": "recipient_delivery_report_sms", **about, **more}


def _held(body: Any) -> Judgement:
    found = body if isinstance(body, dict) else {}
    match found.get("type"):
        case "recipient_delivery_report_sms":
            entries: Any = [found]
        case "delivery_report_sms":
            entries = found.get("statuses")
        case "mo_text" | "mo_media":
            return Judgement(signed=True, written=_message(found))
        case _:
            return Judgement(signed=True)
    batch_id, reference = found.get("batch_id"), found.get("client_reference")
    if not isinstance(batch_id, str) or not _ID.fullmatch(batch_id):
        return Judgement(signed=True)
    claims = []
    for entry in entries if isinstance(entries, list) else []:
        status = entry.get("status") if isinstance(entry, dict) else None
        if isinstance(status, str) and status.lower() in STAGES and isinstance(reference, str):
            claims.append(Claim(reference, batch_id, status, STAGES[status.lower()]))
    return Judgement(True, tuple(claims))


def _message(found: Mapping[str, Any]) -> tuple[Written, ...]:
    named, people = found.get("id"), [found.get("from"), found.get("to")]
    numbers = [one for one in people if isinstance(one, str) and _NUMBER.fullmatch(one)]
    text = found.get("body")
    if isinstance(text, dict):
        text = text.get("message") or text.get("subject") or ""
    if not isinstance(named, str) or not _ID.fullmatch(named) or len(numbers) != 2:
        return ()
    if not isinstance(text, str):
        return ()
    digits = [one.lstrip("+") for one in numbers]
    sender, to = (f"+{one}" if len(one) >= 7 else one for one in digits)
    return (Written(named, sender, to, re.sub("[\0\ud800-\udfff]", "\ufffd", text)),)


def _is_recent(text: str, now: datetime) -> bool:
    try:
        if re.fullmatch("[0-9]{10}|[0-9]{13}", text):
            at = datetime.fromtimestamp(int(text[:10]), UTC)
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
    except ValueError:
        return False
    return -AHEAD_S_MAX <= (now - at).total_seconds() <= AGO_S_MAX


def _mac(secret: str, shot: Shot) -> bytes:
    signed = b".".join((shot.body, shot.header(f"{H}-nonce"), shot.header(f"{H}-timestamp")))
    return base64.b64encode(hmac.digest(secret.encode(), signed, "sha256"))


def _loaded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return {}


def _iso(at_s: int) -> str:
    at = datetime.fromtimestamp(max(0, at_s), UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
