"""SendGrid: one account, mails by its version 3 API.

Owns the request; answers are in `answer`, the event webhook in `events`, the list of messages in
`look_up`, the check of an account in `account`.
Refuses to repeat a send: SendGrid has no key for it. The reference is planted as a custom argument
of the one personalization; events bring it back.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

import httpx

from notifyq.domain.content import Content, EmailContent
from notifyq.domain.message import Message, unsubscribe_headers
from notifyq.domain.outcome import Misconfigured, Outcome, Refusal, Refused
from notifyq.domain.provider import Callback, Check, LookUpFailed, Reading, Seen, Sought
from notifyq.providers.sendgrid.account import check
from notifyq.providers.sendgrid.answer import read_answer
from notifyq.providers.sendgrid.events import ARGUMENT, public_key, read_callback
from notifyq.providers.sendgrid.look_up import look_up
from notifyq.providers.wire import Answer, Unanswered, Wire, outcome_of, post_request

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class SendGrid:
    """One account; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str,
        webhook_public_key: str | None = None,
        email_activity: bool = False,
        wire: Wire,
        now: Callable[[], datetime],
    ) -> None:
        """base_url: https://api.sendgrid.com, https://api.eu.sendgrid.com or a sandbox's.

        webhook_public_key: as SendGrid shows it beside the event webhook; without one no event is
        believed. email_activity: whether the account has bought the Email Activity API, which
        alone lists messages. ValueError: the key is no such key.
        """
        self.name = name
        self._wire, self._now = wire, now
        self._base = base_url.rstrip("/")
        self._url = httpx.URL(f"{self._base}/v3/mail/send")
        self._headers = httpx.Headers(
            {
                "Authorization": f"Bearer {api_key}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            }
        )
        self._webhook_public_key = webhook_public_key
        self._key = None if webhook_public_key is None else public_key(webhook_public_key)
        self._email_activity = email_activity

    def refusal(self, content: Content) -> str | None:
        """Refuse a subject that is empty or could begin another header.

        30 MB, SendGrid's most, are more than the API takes.
        """
        if not isinstance(content, EmailContent):
            return None
        if _CONTROL.search(content.subject):
            return "must have no line break or control character in the subject"
        return None if content.subject else "must have a subject: SendGrid takes no mail without"

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Hand the mail over: one request, within `timeout_s` seconds."""
        if not isinstance(message.content, EmailContent):
            return Misconfigured("not_a_mail")
        if self.refusal(message.content) is not None:
            return Refused(Refusal.CONTENT, "subject")
        more = unsubscribe_headers(message.unsubscribe_url)
        if isinstance(more, Misconfigured):
            return more
        body = json.dumps(_mail(message, message.content, more), separators=(",", ":")).encode()
        request = post_request(self._url, self._headers, body)
        answer = await self._wire.exchange(request, timeout_s=timeout_s)
        return (
            read_answer(answer, self._now()) if isinstance(answer, Answer) else outcome_of(answer)
        )

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """List the messages that carry the reference, where the account has such a list."""
        if not self._email_activity:
            return LookUpFailed("no_list")
        return await look_up(self._wire, self._headers, self._base, sought, timeout_s=timeout_s)

    async def read_callback(self, callback: Callback) -> Reading:
        """Verify a batch of events and say what they report of mails of ours."""
        return read_callback(self._key, callback, self._now())

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Ask what the key may do, and for the event webhook where the key may read it."""

        async def ask(path: str) -> Answer | Unanswered:
            request = httpx.Request("GET", f"{self._base}{path}", headers=self._headers)
            return await self._wire.exchange(request, timeout_s=timeout_s)

        return await check(
            ask, self._base, self._now, self._webhook_public_key, activity=self._email_activity
        )

    async def close(self) -> None:
        """Close the lane's connections."""
        await self._wire.aclose()


def _mail(message: Message, content: EmailContent, headers: Mapping[str, str]) -> dict[str, object]:
    sender = {"email": message.sender.address}
    if message.sender.name:
        sender["name"] = message.sender.name
    parts = [{"type": "text/plain", "value": content.body}]  # the plain one first: a rule of theirs
    if content.html is not None:
        parts.append({"type": "text/html", "value": content.html})
    mail: dict[str, object] = {
        "personalizations": [
            {"to": [{"email": message.to}], "custom_args": {ARGUMENT: message.reference}}
        ],
        "from": sender,
        "subject": content.subject,
        "content": parts,
    }
    if headers:
        mail["headers"] = headers
    return mail
