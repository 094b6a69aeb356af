"""Twilio's status callbacks: what is told about an accepted message, signed.

Owns the order of statuses and the signature, written from Twilio's documents alone. There is no
callback for the first status, `queued`: the answer to the create has told it.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from notifyq.sandbox.record import Acceptance
from notifyq.sandbox.telling import Call, Step

GOOD = (Step("sent"), Step("delivered"))
BAD = 30_003  # the handset cannot be reached


def status_call(entry: Acceptance, token: str, url: str | None) -> Callable[[Step], Call | None]:
    """Return what makes the callback about a status; nobody is told without a URL."""

    def call(step: Step) -> Call | None:
        return None if url is None else form_call(url, token, _form(entry, step))

    return call


def form_call(url: str, token: str, form: Mapping[str, str]) -> Call:
    """Return a signed callback of any kind."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "User-Agent": "TwilioProxy/1.1",
        "X-Twilio-Signature": sign(token, url, form),
        "I-Twilio-Idempotency-Token": str(uuid.uuid4()),  # the same on a repeat
    }
    return Call(url, headers, urlencode(form).encode())


def sign(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return X-Twilio-Signature: base64 of HMAC-SHA1 over the URL and the sorted fields."""
    signed = url
    for name in sorted(form):
        signed += name + form[name]
    mac = hmac.digest(token.encode(), signed.encode(), hashlib.sha1)
    return base64.b64encode(mac).decode()


def _form(entry: Acceptance, step: Step) -> dict[str, str]:
    form = {
        "ApiVersion": "2010-04-01",
        "AccountSid": entry.account,
        "From": entry.sender,
        "To": entry.to,
        "MessageSid": entry.provider_id,
        "MessageStatus": step.word,
        "SmsSid": entry.provider_id,
        "SmsStatus": step.word,
    }
    return form if step.code is None else {**form, "ErrorCode": str(step.code)}
