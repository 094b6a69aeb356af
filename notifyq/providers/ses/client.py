"""Amazon SES, API version 2: one account in one region, mails by SendEmail.

Owns the exchange; the mail is in `body`, the signature in `signing`, answers in `answer`, what SNS
posts to us in `sns`, SES' events in `events`, the check of an account in `account`.
Refuses to repeat a send: SES has no key for it and no list of messages. What became of a lost
answer comes by event, which carries the reference back as a tag, or never.
"""

from collections.abc import Callable
from datetime import datetime

import httpx

from notifyq.domain.content import Content, EmailContent
from notifyq.domain.message import Message, unsubscribe_headers
from notifyq.domain.outcome import Misconfigured, Outcome, Refusal, Refused
from notifyq.domain.provider import (
    Callback,
    Check,
    LookUpFailed,
    Reading,
    Reported,
    Seen,
    Sought,
)
from notifyq.providers.ses.account import check
from notifyq.providers.ses.answer import read_answer
from notifyq.providers.ses.body import body, refusal
from notifyq.providers.ses.certificates import sns_origin
from notifyq.providers.ses.events import read_event
from notifyq.providers.ses.signing import Signer
from notifyq.providers.ses.sns import Envelope, Sns
from notifyq.providers.wire import Answer, Unanswered, Wire, outcome_of, post_request


class Ses:
    """One account in one region; implements `notifyq.domain.provider.Provider`."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        region: str,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        configuration_set: str | None = None,
        topics: frozenset[str] = frozenset(),
        certificate_urls: frozenset[str] | None = None,
        wire: Wire,
        now: Callable[[], datetime],
    ) -> None:
        """base_url: https://email.<region>.amazonaws.com, or a sandbox's.

        configuration_set: whose events come to us; without one nothing is ever reported.
        topics: ARNs of the SNS topics that are believed. certificate_urls: origins that a signing
        certificate is fetched from and a subscription confirmed at; None: SNS' own in the region.
        ValueError: one of them is no origin, or is plain http beyond this machine.
        """
        self.name = name
        self._wire, self._now = wire, now
        self._base = base_url.rstrip("/")
        self._url = httpx.URL(f"{self._base}/v2/email/outbound-emails")
        self._configuration_set, self._topics = configuration_set, topics
        self._signer = Signer(
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            session_token=session_token,
            region=region,
            now=now,
        )
        if certificate_urls is None:
            certificate_urls = frozenset({sns_origin(region)})
        self._sns = Sns(topics=topics, origins=certificate_urls, wire=wire, now=now)

    def refusal(self, content: Content) -> str | None:
        """Refuse a subject that could begin another header. 40 MB are more than the API takes."""
        return refusal(content) if isinstance(content, EmailContent) else None

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Hand the mail over: one request, within `timeout_s` seconds."""
        content = message.content
        if not isinstance(content, EmailContent):
            return Misconfigured("not_a_mail")
        if refusal(content) is not None:
            return Refused(Refusal.CONTENT, "control_character")
        more = unsubscribe_headers(message.unsubscribe_url)
        if isinstance(more, Misconfigured):
            return more
        written = body(message, content, self._configuration_set, more)
        headers = self._signer.headers("POST", self._url, written)
        request = post_request(self._url, headers, written)
        answer = await self._wire.exchange(request, timeout_s=timeout_s)
        return read_answer(answer) if isinstance(answer, Answer) else outcome_of(answer)

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """Say that there is no list: SES shows a message only to who knows its id."""
        return LookUpFailed("no_list")

    async def read_callback(self, callback: Callback) -> Reading:
        """Verify what SNS posted and say what SES reports by it; confirm a subscription.

        A subscription is confirmed only for a topic that is believed.
        """
        opened = await self._sns.open(callback.body)
        if not isinstance(opened, Envelope):
            return opened
        if opened.kind == "Notification":
            return read_event(opened.message)
        if opened.kind == "SubscriptionConfirmation":
            return await self._sns.confirm(opened)
        return Reported()  # UnsubscribeConfirmation: somebody ended it, which is their right

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Ask for the account and where its events go: reach, clock, credentials and so on."""

        async def ask(path: str) -> Answer | Unanswered:
            url = httpx.URL(f"{self._base}{path}")
            request = httpx.Request("GET", url, headers=self._signer.headers("GET", url))
            return await self._wire.exchange(request, timeout_s=timeout_s)

        return await check(ask, self._base, self._now, self._configuration_set, self._topics)

    async def close(self) -> None:
        """Close the lane's connections."""
        await self._wire.aclose()
