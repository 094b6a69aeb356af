"""Twilio Programmable Messaging: one account, text messages by its 2010 API.

Owns the request and the answer table; callbacks are in `callback`, the list of messages in
`look_up`, the check of an account in `account`.
Refuses to repeat a create: Twilio calls it not idempotent and has no key for it, so every answer
that is not surely a refusal is in doubt.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlencode

import httpx

from notifyq.domain.content import Content, SmsContent
from notifyq.domain.message import Message
from notifyq.domain.outcome import (
    Accepted,
    Capped,
    InDoubt,
    Misconfigured,
    Outcome,
    Refusal,
    Refused,
    Throttled,
)
from notifyq.domain.provider import Callback, Check, LookUpFailed, Reading, Seen, Sought
from notifyq.providers.answers import read_object
from notifyq.providers.twilio.account import check
from notifyq.providers.twilio.answer import CAP_ZONE, CAPPED, name_of
from notifyq.providers.twilio.callback import FORM, SID, read_callback
from notifyq.providers.twilio.look_up import look_up
from notifyq.providers.twilio.signing import Keys
from notifyq.providers.wire import Answer, Wire, outcome_of, post_request

# Twilio takes 1 to 36,000 s. A quarter of an hour lets an attempt in doubt be settled soon: what
# is older than its ValidityPeriod will not be sent any more.
VALIDITY_S_MAX = 900

# What a 4xx answer's code means; twilio.com/docs/api/errors. No row means the whole status class.
ANSWERS: Mapping[
    int, Refusal | type[Throttled] | type[Capped] | type[Misconfigured] | type[InDoubt]
] = {
    **dict.fromkeys((20429, 21611), Throttled),  # too many requests; the sender's queue is full
    **dict.fromkeys((CAPPED,), Capped),
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
        self,
        *,
        name: str,
        base_url: str,
        account_sid: str,
        auth_token: str,
        wire: Wire,
        now: Callable[[], datetime],
        shared_keys: Mapping[str, str] | None = None,
        token_too: bool = False,
    ) -> None:
        """base_url: without the API's version, https://api.twilio.com or a sandbox's.

        shared_keys: secrets of callbacks by the key's name (`webhooks_sharedkey_…`). Where there
        are any, `token_too` says whether callbacks signed with the token are believed as well.
        """
        self.name = name
        self._wire, self._now = wire, now
        shared = {key: secret.encode() for key, secret in (shared_keys or {}).items()}
        self._keys = Keys(auth_token.encode(), shared, token_too)
        basic = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        account = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}"
        self._account_url = httpx.URL(f"{account}.json")
        self._url = httpx.URL(f"{account}/Messages.json")
        self._headers = httpx.Headers(
            {"Authorization": f"Basic {basic}", "Content-Type": FORM, "Accept": "application/json"}
        )

    def refusal(self, content: Content) -> str | None:
        """Nothing that the API lets through is too long for Twilio."""
        return None

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Create the message: one request, within `timeout_s` seconds."""
        if not isinstance(message.content, SmsContent):
            return Misconfigured("not_a_text_message")
        form = {
            "To": message.to,
            "From": message.sender.address,
            "Body": message.content.body,
            "StatusCallback": message.callback_url,
            "ValidityPeriod": min(max(message.validity_s, 1), VALIDITY_S_MAX),
        }
        request = post_request(self._url, self._headers, urlencode(form).encode())
        answer = await self._wire.exchange(request, timeout_s=timeout_s)
        return _read_answer(answer) if isinstance(answer, Answer) else outcome_of(answer)

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """List what could be the message sought: one request, or a few where there are pages."""
        return await look_up(self._wire, self._headers, self._url, sought, timeout_s=timeout_s)

    async def read_callback(self, callback: Callback) -> Reading:
        """Verify a callback, of a status or of a message to us, which come by the same URL.

        A status' reference comes from the query that we planted, which the signature covers.
        """
        return read_callback(self._keys, callback, self._now())

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Ask for the account itself: reach, clock, credentials, account."""
        return await check(
            self._wire, self._headers, self._account_url, self._now, timeout_s=timeout_s
        )

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
    meaning = ANSWERS.get(code) if type(code) is int else Misconfigured  # not Twilio's own answer
    if meaning is Capped:
        return Capped(named, CAP_ZONE)
    if status == 429:  # "never processed", whichever code it carries
        return Throttled(named, answer.retry_after_s())
    if isinstance(meaning, Refusal):
        return Refused(meaning, named)
    if meaning is Throttled:
        return Throttled(named, answer.retry_after_s())
    if meaning is InDoubt:
        return InDoubt(named)
    if meaning is Misconfigured or status != 400:  # 401, 403, 404 …: about us, not the message
        return Misconfigured(named)
    return Refused(Refusal.CONTENT, named)
