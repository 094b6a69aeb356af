"""Sinch's callbacks: whether one is Sinch's, and what it reports.

Owns the signature and the time within which it counts. Believes nothing before the signature
holds, and no reference but the one in the signed body: the callback's URL is not signed.

Nonces are not remembered. A copy within the time says the same bytes again, which the store keeps
once, by (reference, status) or by the inbound message's id. A memory would refuse more than
copies: whether Sinch signs a repeat anew is not documented, and a callback that we could not store
would be turned away when it comes again.
"""

import base64
import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from notifyq.domain.ids import BadId, read_reference
from notifyq.domain.model import Inbound, Receipt
from notifyq.domain.provider import BadCallback, BadSignature, Callback, Reading, Reported
from notifyq.providers.answers import read_object
from notifyq.providers.sinch.answer import ID
from notifyq.providers.sinch.report import RANKS, bounce_of, read_code, read_time

# Sinch repeats for 81,920 s after the first try; the repeats may be signed as the first was.
SIGNED_S_AGO_MAX = 86_400
SIGNED_S_AHEAD_MAX = 300

_SIGNATURE = "x-sinch-webhook-signature"
_SECONDS, _MILLISECONDS = re.compile(r"[0-9]{10}"), re.compile(r"[0-9]{13}")
_NUMBER = re.compile(r"\+?[0-9]{3,15}")  # without a plus as a rule; a short code has none
_MSISDN_DIGITS_MIN = 7  # no short code is as long, no number with its country code shorter
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read_callback(secret: bytes | None, callback: Callback, now: datetime) -> Reading:
    """Verify a callback at `now` (aware) and return what it reports.

    secret: what the account manager set up for the plan's callbacks. Without one nothing counts.
    """
    distrust = _distrust(secret, callback, now)
    if distrust is not None:
        return BadSignature(distrust)
    body = read_object(callback.body)
    match body.get("type"):
        case "recipient_delivery_report_sms":
            return _read_receipts(body, [body])
        case "delivery_report_sms":
            return _read_receipts(body, body.get("statuses"))
        case "mo_text" | "mo_media":
            return _read_inbound(body)
        case "mo_binary" | "recipient_delivery_report_mms" | "delivery_report_mms":
            return Reported()  # no text for anybody, and nothing that we sent
    return BadCallback("no type that we know" if body else "not a JSON object")


def _distrust(secret: bytes | None, callback: Callback, now: datetime) -> str | None:
    """Return why the callback is not known to be Sinch's; None: it is."""
    if not secret:
        return "no secret is configured for callbacks"
    headers = callback.headers
    given, nonce = headers.get(_SIGNATURE), headers.get(f"{_SIGNATURE}-nonce")
    timestamp = headers.get(f"{_SIGNATURE}-timestamp")
    if given is None or nonce is None or timestamp is None:
        return "no signature"
    if headers.get(f"{_SIGNATURE}-algorithm", "HmacSHA256") != "HmacSHA256":
        return "signed by another algorithm than HmacSHA256"
    signed = callback.body + f".{nonce}.{timestamp}".encode(errors="surrogatepass")
    expected = base64.b64encode(hmac.digest(secret, signed, "sha256"))
    if not hmac.compare_digest(given.encode(errors="surrogatepass"), expected):
        return "signature differs"
    signed_at = _signed_at(timestamp)
    if signed_at is None:
        return "signed at a time that is unreadable"
    ago = now - signed_at
    if not timedelta(seconds=-SIGNED_S_AHEAD_MAX) <= ago <= timedelta(seconds=SIGNED_S_AGO_MAX):
        return "signed too long ago, or in the future"
    return None


def _signed_at(text: str) -> datetime | None:
    """Return the time of a signature: seconds since 1970 in Sinch's examples, else ISO 8601."""
    if _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    if _MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text) / 1_000, UTC)
    return read_time(text)


def _read_receipts(body: Mapping[str, object], statuses: object) -> Reported | BadCallback:
    reference, batch_id = body.get("client_reference"), body.get("batch_id")
    if not isinstance(batch_id, str) or not ID.fullmatch(batch_id):
        return BadCallback("no batch id")
    if not isinstance(statuses, list):
        return BadCallback("no statuses")
    receipts = tuple(_receipts(str(reference), batch_id, statuses))
    if not receipts:
        return BadCallback("no status that we know")
    # The plan may be another system's as well, which names its batches by its own rules.
    return Reported(receipts=receipts if _is_ours(reference) else ())


def _is_ours(reference: object) -> bool:
    try:
        return isinstance(reference, str) and bool(read_reference(reference))
    except BadId:
        return False


def _receipts(reference: str, batch_id: str, statuses: list[object]) -> Iterator[Receipt]:
    for entry in statuses:
        status = entry.get("status") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(status, str):
            continue
        rank, code = RANKS.get(status.lower()), read_code(entry.get("code"))
        if rank is None:
            continue
        named = None if code is None else str(code)
        bounce, at = bounce_of(status, code), read_time(entry.get("at"))
        yield Receipt(reference, batch_id, status, rank, named, bounce, at)


def _read_inbound(body: Mapping[str, object]) -> Reported | BadCallback:
    named, sender, to = body.get("id"), _number(body.get("from")), _number(body.get("to"))
    if not isinstance(named, str) or not ID.fullmatch(named):
        return BadCallback("no message id")
    if sender is None or to is None:
        return BadCallback("not from a number to a number")
    text = body.get("body")
    if isinstance(text, dict):  # of a message with pictures
        text = text.get("message") or text.get("subject") or ""
    if not isinstance(text, str):
        return BadCallback("no text")
    at = read_time(body.get("received_at"))
    return Reported(inbound=(Inbound(named, sender, to, _storable(text), at),))


def _number(value: object) -> str | None:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    digits = value.lstrip("+")
    return f"+{digits}" if len(digits) >= _MSISDN_DIGITS_MIN else digits


def _storable(text: str) -> str:
    """Return the text without what no text column takes: NULs, and halves of characters."""
    return _UNSTORABLE.sub("\ufffd", text)
