"""APNs: one team's key, pushes to the apps of Apple's devices, over HTTP/2.

Owns the request, and what an answer says about the token and the connection; what it means for the
push is in `answer`. Refuses to repeat a send: APNs has no key to recognise a repeat by (apns-id is
an echo), and no list of what it took. A repeat by the job table has the same collapse id, so it
replaces the first at the device.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import httpx

from notifyq.domain.address import BadAddress, Device, read_device
from notifyq.domain.content import Content, PushContent
from notifyq.domain.message import Message
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    Outcome,
    Refusal,
    Refused,
)
from notifyq.domain.provider import (
    BadCallback,
    Callback,
    Check,
    LookUpFailed,
    Reading,
    Seen,
    Sought,
)
from notifyq.providers.apns import account
from notifyq.providers.apns.answer import read_answer, reason_of
from notifyq.providers.apns.payload import (
    PAYLOAD_BYTES_MAX,
    RESERVED,
    collapse_id,
    is_shown,
    payload,
    refusal,
)
from notifyq.providers.apns.token import Tokens
from notifyq.providers.http2 import Http2
from notifyq.providers.wire import Answer, outcome_of, post_request

# apns-id is made from the reference, so whoever knows an attempt knows its id without a row for
# it: when the answer was lost, and in Apple's delivery log.
_NAMESPACE = UUID("5b0e6a0c-0f0d-4d43-9a52-6d7c6b0f3b1e")
# A key that does not fit new connections either, for so long, is the wrong one: what was in flight
# on the old one has been answered by then.
UNRELATED_FOR = timedelta(minutes=2)


class Apns:
    """One key at one environment; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        tokens: Tokens,
        http2: Http2,
        now: Callable[[], datetime],
        topic: str | None = None,
    ) -> None:
        """base_url: https://api.push.apple.com, its sandbox's, or ours; http2's is the same.

        tokens: one object for all lanes with the key. topic: an app to `check` with.
        """
        self.name = name
        self._tokens, self._http2, self._now, self._topic = tokens, http2, now, topic
        self._devices = f"{base_url.rstrip('/')}/3/device/"
        self._unrelated_since: datetime | None = None

    def refusal(self, content: Content) -> str | None:
        """Refuse what is too large, or uses a name that APNs or we need ourselves."""
        return refusal(content) if isinstance(content, PushContent) else None

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Send the push: one request, within `timeout_s` seconds."""
        content, device = message.content, _device(message.to)
        if not isinstance(content, PushContent):
            return Misconfigured("not_a_push")
        if not isinstance(device, Device):
            return device
        try:
            body = payload(content, message.collapse_id)
        except UnicodeEncodeError:
            return Refused(Refusal.CONTENT, "not_text")
        if len(body) > PAYLOAD_BYTES_MAX or not RESERVED.isdisjoint(content.data):
            return Refused(Refusal.CONTENT, "payload")
        token, apns_id = self._tokens.current(), str(uuid5(_NAMESPACE, message.reference))
        headers = {
            "authorization": f"bearer {token}",
            "apns-id": apns_id,
            "apns-topic": device.app,
            "apns-push-type": "alert" if is_shown(content) else "background",
            "apns-priority": "10" if is_shown(content) else "5",  # 10 is an error in the background
            "apns-expiration": f"{int(message.expires_at.timestamp())}",
            "apns-collapse-id": collapse_id(content, message.collapse_id),
        }
        url = httpx.URL(self._devices + device.token)
        request = post_request(url, httpx.Headers(headers), body)
        answer = await self._http2.exchange(request, timeout_s=timeout_s)
        if not isinstance(answer, Answer):
            return outcome_of(answer)
        return self._learn(answer, read_answer(answer, apns_id), token)

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """Learn nothing: APNs lists no messages."""
        return LookUpFailed("no_list")

    async def read_callback(self, callback: Callback) -> Reading:
        """Refuse it: APNs makes none."""
        return BadCallback("APNs has no callbacks")

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Push to nobody, and see what is refused."""
        url = httpx.URL(self._devices + account.NOBODY)
        return await account.check(
            self._http2, self._tokens, url, self._now, self._topic, timeout_s=timeout_s
        )

    async def close(self) -> None:
        """Close the lane's connections."""
        await self._http2.aclose()

    def _learn(self, answer: Answer, outcome: Outcome, token: str) -> Outcome:
        """Take from an answer what it says about the token and the connection."""
        if isinstance(outcome, InDoubt):  # whatever it says, nothing is definite then
            return outcome
        if isinstance(outcome, Accepted):
            self._unrelated_since = None
            return outcome
        match reason_of(answer):
            case "ExpiredProviderToken" as reason:
                return outcome if self._tokens.has_expired(token) else Misconfigured(reason)
            case "TooManyProviderTokenUpdates":
                self._tokens.was_one_too_many(token)
            case "IdleTimeout":
                self._http2.retire()
            case "UnrelatedKeyIdInToken" as reason:
                return self._unrelated(outcome, reason)
        return outcome

    def _unrelated(self, outcome: Outcome, reason: str) -> Outcome:
        """Turn to a new connection, which is not bound to a key yet."""
        self._http2.retire()
        self._unrelated_since = self._unrelated_since or self._now()
        lasts = self._now() - self._unrelated_since >= UNRELATED_FOR
        return Misconfigured(reason) if lasts else outcome


def _device(address: str) -> Device | Refused | Misconfigured:
    try:
        device = read_device(address)
    except BadAddress:
        return Refused(Refusal.ADDRESS, "address_syntax")
    return device if device.platform == "ios" else Misconfigured("not_a_device_of_apns")
