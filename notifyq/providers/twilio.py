"""Twilio Programmable Messaging: one account, text messages by its 2010 API.

Owns the request and the answer table; callbacks are in `twilio_callback`, the list of messages in
`twilio_look_up`.
Refuses to repeat a create: Twilio calls it not idempotent and has no key for it, so every answer
that is not surely a refusal is in doubt.
"""

import base64
from collections.abc import Mapping
from typing import assert_never
from urllib.parse import urlencode

import httpx

from notifyq.domain.model import Message, Receipt
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
)
from notifyq.domain.provider import (
    BadCallback,
    BadSignature,
    Callback,
    LookUpFailed,
    Seen,
    Sought,
)
from notifyq.providers.twilio_answer import name_of, read_object
from notifyq.providers.twilio_callback import FORM, SID, read_status
from notifyq.providers.twilio_look_up import look_up
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire, post_request

# Twilio takes 1 to 36,000 s. A quarter of an hour lets an attempt in doubt be settled soon: what
# is older than its ValidityPeriod will not be sent any more.
VALIDITY_S_MAX = 900

# What a 4xx answer's code means; twilio.com/docs/api/errors. No row means the whole status class.
ANSWERS: Mapping[int, Refusal | type[Throttled] | type[Misconfigured] | type[InDoubt]] = {
    **dict.fromkeys((20429, 21611), Throttled),  # too many requests; the sender's queue is full
    **dict.fromkeys((20500,), InDoubt),  # may have been carried out, in Twilio's own words
    **dict.fromkeys((21211, 21217, 21614, 21635), Refusal.ADDRESS),
    **dict.fromkeys((21610,), Refusal.OPTED_OUT),
    **dict.fromkeys((21602, 21609, 21617, 21619, 21658, 90007), Refusal.CONTENT),
    **dict.fromkeys((20003, 20005, 20008, 20404), Misconfigured),  # credentials, account
    **dict.fromkeys((21408, 21603, 21606, 21608, 21612, 21659, 21660, 21703, 21704), Misconfigured),
}


class Twilio:
    """One account; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self, *, name: str, base_url: str, account_sid: str, auth_token: str, wire: Wire
    ) -> None:
        """base_url: without the API's version, https://api.twilio.com or a sandbox's."""
        self.name = name
        self._wire = wire
        self._token = auth_token.encode()
        basic = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        path = f"/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._url = httpx.URL(base_url.rstrip("/") + path)
        self._headers = httpx.Headers(
            {"Authorization": f"Basic {basic}", "Content-Type": FORM, "Accept": "application/json"}
        )

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Create the message: one request, within `timeout_s` seconds."""
        form = {
            "To": message.to,
            "From": message.sender,
            "Body": message.body,
            "StatusCallback": message.callback_url,
            "ValidityPeriod": min(max(message.validity_s, 1), VALIDITY_S_MAX),
        }
        request = post_request(self._url, self._headers, urlencode(form).encode())
        match await self._wire.exchange(request, timeout_s=timeout_s):
            case Answer() as answer:
                return _read_answer(answer)
            case NeverLeft(code):
                return NotSent(code)
            case Lost(code):
                return InDoubt(code)
            case never:
                assert_never(never)

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """List what could be the message sought: one request, or a few where there are pages."""
        return await look_up(self._wire, self._headers, self._url, sought, timeout_s=timeout_s)

    def read_callback(self, callback: Callback) -> Receipt | BadSignature | BadCallback:
        """Verify a status callback; its reference comes from the query that we planted."""
        return read_status(self._token, callback)

    async def close(self) -> None:
        """Close the lane's connections."""
        await self._wire.aclose()


def _read_answer(answer: Answer) -> Outcome:
    body = read_object(answer.body)
    sid, code = body.get("sid"), body.get("code")
    status = answer.status
    named = name_of(body, status)
    if status == 201 and isinstance(sid, str) and SID.fullmatch(sid):
        return Accepted(sid)
    # 1xx to 3xx: Twilio documents only 201, so whatever this is may have created the message (a
    # 303 says as much). 5xx: in doubt by Twilio's word. 408: a proxy's, and it may have sent on.
    if status < 400 or status >= 500 or status == 408:
        return InDoubt(named)
    if status == 429:  # "never processed", whichever code it carries
        return Throttled(named, answer.retry_after_s())
    meaning = ANSWERS.get(code) if type(code) is int else Misconfigured  # not Twilio's own answer
    if isinstance(meaning, Refusal):
        return Refused(meaning, named)
    if meaning is Throttled:
        return Throttled(named, answer.retry_after_s())
    if meaning is InDoubt:
        return InDoubt(named)
    if meaning is Misconfigured or status != 400:  # 401, 403, 404 …: about us, not the message
        return Misconfigured(named)
    return Refused(Refusal.CONTENT, named)
