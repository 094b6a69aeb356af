"""FCM HTTP v1: one project, pushes to Android and the web.

Owns the request; what answers mean is in `answer`, the access token in `token`.
Refuses to repeat a send, and what Google's own SDK does (up to four times on 5xx): FCM has no key
to recognise a repeat by, and no way to ask what became of a message. Nothing is learnt later.
"""

from collections.abc import Callable
from datetime import datetime

import httpx

from notifyq.boottime import Deadline
from notifyq.domain.address import BadAddress, Device, read_device
from notifyq.domain.content import Content, PushContent
from notifyq.domain.message import Message
from notifyq.domain.outcome import Misconfigured, NotSent, Outcome, Refusal, Refused, Unavailable
from notifyq.domain.provider import (
    BadCallback,
    Callback,
    Check,
    LookUpFailed,
    Reading,
    Seen,
    Sought,
)
from notifyq.providers.fcm import account
from notifyq.providers.fcm.answer import OTHERS_KEY, read_answer
from notifyq.providers.fcm.body import PLATFORMS, body, refusal
from notifyq.providers.fcm.token import ServiceAccount, Token, Tokens
from notifyq.providers.wire import Answer, Wire, outcome_of, post_request


class Fcm:
    """One project; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        project_id: str,
        service_account: ServiceAccount,
        wire: Wire,
        now: Callable[[], datetime],
    ) -> None:
        """base_url: https://fcm.googleapis.com or a sandbox's. ValueError: no RSA key."""
        self.name = name
        self._wire, self._now = wire, now
        self._tokens = Tokens(service_account, wire, now)
        self._url = httpx.URL(f"{base_url.rstrip('/')}/v1/projects/{project_id}/messages:send")

    def refusal(self, content: Content) -> str | None:
        """Refuse what is too large, or uses a name in `data` that FCM keeps for itself."""
        return refusal(content) if isinstance(content, PushContent) else None

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Send the push: one request, and one before it for a token where there is none."""
        content, device = message.content, _device(message.to)
        if not isinstance(content, PushContent):
            return Misconfigured("not_a_push")
        if not isinstance(device, Device):
            return device
        if refusal(content) is not None:
            return Refused(Refusal.CONTENT, "payload")
        try:
            written = body(message, content, device)
        except UnicodeEncodeError:
            return Refused(Refusal.CONTENT, "not_text")
        return await self._send(written, Deadline(timeout_s))

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """Learn nothing: FCM lists no messages."""
        return LookUpFailed("no_list")

    async def read_callback(self, callback: Callback) -> Reading:
        """Refuse it: FCM makes none."""
        return BadCallback("FCM has no callbacks")

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Ask for a token, then whether a message to nobody would be valid."""
        return await account.check(self._tokens, self._wire, self._url, self._now, timeout_s)

    async def close(self) -> None:
        """Close the lane's connections."""
        await self._wire.aclose()

    async def _send(self, written: bytes, deadline: Deadline) -> Outcome:
        token = await self._tokens.get(deadline)
        if not isinstance(token, Token):
            return token
        left_s = deadline.left_s()
        if left_s <= 0:
            return NotSent("token_timeout")
        request = post_request(self._url, account.headers(token), written)
        answer = await self._wire.exchange(request, timeout_s=left_s)
        if not isinstance(answer, Answer):
            return outcome_of(answer)
        outcome = read_answer(answer)
        is_rejected = answer.status == 401 and outcome != OTHERS_KEY
        if not is_rejected or not isinstance(outcome, Misconfigured):
            token.is_proven = True
            return outcome
        # Rejected. A token that was taken before has ended or was revoked: the next one may do.
        return Unavailable(outcome.code) if self._tokens.refused(token) else outcome


def _device(address: str) -> Device | Refused | Misconfigured:
    try:
        device = read_device(address)
    except BadAddress:
        return Refused(Refusal.ADDRESS, "address_syntax")
    return device if device.platform in PLATFORMS else Misconfigured("not_a_device_of_fcm")
