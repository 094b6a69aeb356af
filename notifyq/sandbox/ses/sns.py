"""SNS between SES and whoever listens: its envelope, its signature, and who has subscribed.

Owns the key, made anew with every sandbox, so that nobody can sign what one of them says. Written
from SNS' documents alone. Nothing is told to a URL that has not confirmed its subscription.
"""

import asyncio
import base64
import json
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from urllib.parse import urlencode

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from notifyq.sandbox.record import now
from notifyq.sandbox.ses.events import time
from notifyq.sandbox.ses.rules import TOPIC
from notifyq.sandbox.telling import Call, Teller

_DAY = timedelta(days=1)


class Sns:
    """One topic."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._tokens: dict[str, str] = {}  # by URL: what its confirmation must name
        self._confirmed: set[str] = set()
        self._asking = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix: a certificate, and SNS' own API."""
        return [
            web.get("/{name}.pem", self.certificate, allow_head=False),
            web.get("/", self.confirm, allow_head=False),
        ]

    async def subscribe(self, url: str, base: str) -> None:
        """Ask `url` to confirm, unless it has. base: the sandbox's URL, with its prefix."""
        async with self._asking:
            if url in self._confirmed:
                return
            # The first time this makes a key, a tenth of a second of work: nobody else is to wait.
            await asyncio.to_thread(getattr, self, "_name")
            token = self._tokens.setdefault(url, secrets.token_hex(32))
            query = {"Action": "ConfirmSubscription", "TopicArn": TOPIC, "Token": token}
            await self._teller.post(
                self._call(
                    url,
                    base,
                    {
                        "Type": "SubscriptionConfirmation",
                        "Message": f"You have chosen to subscribe to the topic {TOPIC}.",
                        "SubscribeURL": f"{base}/?{urlencode(query)}",
                        "Token": token,
                    },
                )
            )

    def notify(self, url: str, base: str, message: str) -> Call | None:
        """Return the call that brings a message; None to a URL that has not confirmed."""
        if url not in self._confirmed:
            return None
        notification = {"Type": "Notification", "Message": message}
        return self._call(url, base, {**notification, "Subject": "Amazon SES Email Event"})

    async def certificate(self, request: web.Request) -> web.Response:
        """Serve the certificate under its own name."""
        if request.match_info["name"] != self._name:
            return web.Response(status=404)
        return web.Response(body=self._pem, content_type="application/x-pem-file")

    async def confirm(self, request: web.Request) -> web.Response:
        """Confirm a subscription by its token."""
        query = request.query
        known = (query.get("Action"), query.get("TopicArn")) == ("ConfirmSubscription", TOPIC)
        urls = [url for url, token in self._tokens.items() if token == query.get("Token")]
        if not known or not urls:
            return web.Response(status=400, text="<ErrorResponse/>", content_type="text/xml")
        self._confirmed.update(urls)
        text = "<ConfirmSubscriptionResponse/>"
        return web.Response(text=text, content_type="text/xml")

    def _call(self, url: str, base: str, fields: Mapping[str, str]) -> Call:
        envelope = {
            **fields,
            "MessageId": str(uuid.uuid4()),
            "TopicArn": TOPIC,
            "Timestamp": time(now()),
        }
        # Every field so far is signed, in the order of the names.
        text = "".join(f"{name}\n{envelope[name]}\n" for name in sorted(envelope))
        signature = self._key.sign(text.encode(), PKCS1v15(), SHA256())
        body = {
            **envelope,
            "SignatureVersion": "2",
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": f"{base}/{self._name}.pem",
        }
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "User-Agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-message-type": fields["Type"],
            "x-amz-sns-topic-arn": TOPIC,
        }
        return Call(url, headers, json.dumps(body).encode())

    @cached_property
    def _key(self) -> RSAPrivateKey:
        return generate_private_key(65537, 2048)

    @cached_property
    def _pem(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.sandbox")])
        today = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - _DAY)
            .not_valid_after(today + 365 * _DAY)
            .sign(self._key, SHA256())
            .public_bytes(Encoding.PEM)
        )

    @cached_property
    def _name(self) -> str:
        """The certificate's: another one for every key, so that no cache keeps an old one."""
        digest = x509.load_pem_x509_certificate(self._pem).fingerprint(SHA256()).hex()
        return f"SimpleNotificationService-{digest[:32]}"
