"""Sinch SMS: one service plan or project, text messages by its batches API.

Owns the request; its answer is read in `answer`, tokens are in `token`, callbacks in `callback`,
the list of batches in `look_up`, the check of an account in `account`.
Refuses to send a batch again: Sinch has no key that would make it one, and `client_reference` is
for finding a batch, not for dropping its copy. A token that is refused for its age costs the
attempt, and the next one has a new token.
Invariant: one recipient a batch, so that one reference is one message.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from notifyq.boottime import Deadline
from notifyq.domain.content import Content, SmsContent
from notifyq.domain.message import Message
from notifyq.domain.outcome import Misconfigured, NotSent, Outcome, Unavailable
from notifyq.domain.provider import Callback, Check, LookUpFailed, Reading, Seen, Sought
from notifyq.domain.segments import segments
from notifyq.providers.answers import read_object
from notifyq.providers.sinch.account import check
from notifyq.providers.sinch.answer import name_of, read_answer
from notifyq.providers.sinch.callback import read_callback
from notifyq.providers.sinch.look_up import look_up
from notifyq.providers.sinch.report import write_time
from notifyq.providers.sinch.token import Credentials, tokens_of
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire, outcome_of, post_request

# Sinch drops a message three days after it was sent at the latest, and wants no later time; the
# minute is for its clock.
EXPIRY_S_MAX = 3 * 86_400 - 60

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9._-]{1,16})\}")


class Sinch:
    """One account; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        credentials: Credentials,
        callback_secret: str | None,
        wire: Wire,
        now: Callable[[], datetime],
    ) -> None:
        """base_url: a region's, without the API's version: https://us.sms.api.sinch.com for a
        service plan, https://zt.us.sms.api.sinch.com for a project, or a sandbox's.

        callback_secret: of the HMAC that Sinch signs callbacks with; None: no callback is believed.
        now: aware; tokens, expiries and signatures go by it.
        """
        self.name = name
        self._wire, self._now = wire, now
        self._tokens = tokens_of(credentials, wire, now)
        self._secret = callback_secret.encode() if callback_secret else None
        self._url = httpx.URL(f"{base_url.rstrip('/')}/xms/v1/{credentials.path_id}/batches")

    def refusal(self, content: Content) -> str | None:
        """Nothing that the API lets through is too long for Sinch, which takes 1,600 characters."""
        return None

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Make a batch of one: one request, within `timeout_s` seconds, token included."""
        if not isinstance(message.content, SmsContent):
            return Misconfigured("not_a_text_message")
        deadline = Deadline(timeout_s)
        token = await self._tokens.get(timeout_s=timeout_s)
        if not isinstance(token, str):
            return token
        left_s = deadline.left_s()
        if left_s <= 0:
            return NotSent("timeout")
        body = self._batch(message, message.content.body)
        request = post_request(self._url, _headers(token), body)
        answer = await self._wire.exchange(request, timeout_s=left_s)
        if not isinstance(answer, Answer):
            return outcome_of(answer)
        if answer.status == 401:
            if self._tokens.refused(token, answer):
                return Unavailable("token_expired")
            return Misconfigured(name_of(read_object(answer.body), 401))
        return read_answer(answer, message)

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """List the batches with the reference sought, and ask how far they got."""
        return await look_up(self._get, self._url, sought, timeout_s=timeout_s)

    async def read_callback(self, callback: Callback) -> Reading:
        """Verify a callback, of a status or of a message to us."""
        return read_callback(self._secret, callback, self._now())

    async def check(self, *, timeout_s: float) -> list[Check]:
        """List one batch: token (of a project), reach, clock, credentials, permission."""
        return await check(self._tokens, self._get, self._url, self._now, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the lane's connections."""
        await self._wire.aclose()

    async def _get(self, url: httpx.URL, timeout_s: float) -> Answer | NeverLeft | Lost:
        """Read something; without a token nothing left."""
        deadline = Deadline(timeout_s)
        token = await self._tokens.get(timeout_s=timeout_s)
        if not isinstance(token, str):
            return NeverLeft(token.code)
        left_s = deadline.left_s()
        if left_s <= 0:
            return NeverLeft("timeout")
        request = httpx.Request("GET", url, headers=_headers(token))
        answer = await self._wire.exchange(request, timeout_s=left_s)
        if isinstance(answer, Answer) and answer.status == 401:
            self._tokens.refused(token, answer)
        return answer

    def _batch(self, message: Message, text: str) -> bytes:
        latest = self._now() + timedelta(seconds=EXPIRY_S_MAX)
        batch: dict[str, object] = {
            "type": "mt_text",
            "to": [message.to],
            "from": message.sender.address,
            "body": text,
            "delivery_report": "per_recipient",  # a callback for every change of its status
            "callback_url": message.callback_url,
            "client_reference": message.reference,
            "expire_at": write_time(min(message.expires_at, latest)),
            # It should cost what was counted: a text that Sinch counts longer is not sent.
            "max_number_of_message_parts": segments(text),
        }
        # Sinch takes ${word} for a parameter and drops a message that has no value for it. Each
        # stands for itself here, so that a text says what it says.
        words = dict.fromkeys(_PLACEHOLDER.findall(text))
        if words:
            batch["parameters"] = {word: {"default": f"${{{word}}}"} for word in words}
        return json.dumps(batch).encode()


def _headers(token: str) -> httpx.Headers:
    return httpx.Headers(
        {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
    )
