"""The stage: an account of every vendor, SNS' certificate, and attempts to be about."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from notifyq.bootstrap.accounts import CELL
from notifyq.config.fields import EnvSecret
from notifyq.config.settings import SenderSettings, Settings
from notifyq.config.vendors import (
    ApnsSettings,
    FcmSettings,
    SendGridSettings,
    SesSettings,
    SinchSettings,
    SmtpSettings,
    TwilioSettings,
)
from notifyq.domain import ids
from notifyq.domain.model import Category, Channel
from notifyq.sandbox.apns import key as apns_key
from notifyq.sandbox.fcm import key as fcm_key
from tests.entrypoints.callback_fuzz.sendgrid import SendGrid
from tests.entrypoints.callback_fuzz.ses import CONFIRM_PATH, PEM_PATH, TOPIC, Ses, certificate
from tests.entrypoints.callback_fuzz.shots import PUBLIC_URL, Account
from tests.entrypoints.callback_fuzz.sinch import Sinch
from tests.entrypoints.callback_fuzz.twilio import Twilio
from tests.providers.test_sendgrid_events import shown

SECRETS = {
    "FUZZ_TOKEN": "the token of twilio-main",
    "FUZZ_SHARED_TOKEN": "the token of twilio-shared",
    "FUZZ_SHARED_KEY": "the shared key of twilio-shared",
    "FUZZ_SINCH": "the secret of sinch-main",
    "FUZZ_ANY": "nobody-signs-with-this",
    "FUZZ_APNS": apns_key.PRIVATE_KEY,
    "FUZZ_FCM": json.dumps({"client_email": "a@example.org", "private_key": fcm_key.PRIVATE_KEY}),
}
KEY = "webhooks_sharedkey_01k5"
OUR_ADDRESS = "orders@example.com"
SILENT = ("apns-main", "fcm-main", "smtp-main")  # vendors that have no callbacks
_NOWHERE = "http://127.0.0.1:9"
_PER_REQUEST = 10_000


@dataclass
class Certificates:
    """A server as SNS has one; counts what it was asked for."""

    origin: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Serve the certificate, and take a confirmation."""
        self.asked.append(request.path_qs)
        if request.path_qs == PEM_PATH:
            return web.Response(body=certificate())
        return web.Response(status=200 if request.path_qs == CONFIRM_PATH else 404)


@asynccontextmanager
async def serving() -> AsyncIterator[Certificates]:
    """Serve the certificate on a port of this machine."""
    found = Certificates()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


def signers(origin: str) -> dict[str, Account]:
    """Return who signs callbacks, by account."""
    token, shared, key, sinch, *_ = SECRETS.values()
    webhook, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    made: tuple[Account, ...] = (
        Twilio("twilio-main", token, (shared, key, sinch)),
        Twilio("twilio-shared", key, (token, shared, sinch), key=KEY),
        Sinch("sinch-main", sinch, (token, key)),
        SendGrid("sendgrid-main", webhook, other),
        Ses("ses-main", origin),
    )
    return {one.name: one for one in made}


def settings_for(database_url: str, accounts: dict[str, Account], origin: str) -> Settings:
    """Return settings with these accounts, those that have no callbacks, a category for each."""
    token, shared, key, sinch, anything, apple, google = (EnvSecret(env=name) for name in SECRETS)
    webhook = accounts["sendgrid-main"]
    assert isinstance(webhook, SendGrid)
    mail = [name for name, one in accounts.items() if one.channel == "email"]
    return Settings(
        database_url=database_url,
        public_url=PUBLIC_URL,
        routes={Channel.SMS: ["twilio-main"], Channel.EMAIL: mail},
        providers={
            "twilio-main": _twilio(token),
            "twilio-shared": _twilio(shared, shared_keys={KEY: key}),
            "sinch-main": SinchSettings(
                vendor="sinch",
                base_url=_NOWHERE,
                service_plan_id="plan",
                api_token=anything,
                callback_secret=sinch,
            ),
            "sendgrid-main": SendGridSettings(
                vendor="sendgrid",
                base_url=_NOWHERE,
                api_key=anything,
                webhook_public_key=shown(webhook.key),
            ),
            "ses-main": SesSettings(
                vendor="ses",
                base_url=_NOWHERE,
                region="eu-west-1",
                access_key_id=anything,
                secret_access_key=anything,
                topics=[TOPIC],
                certificate_url=origin,
            ),
            "smtp-main": SmtpSettings(vendor="smtp", base_url="smtp+plain://127.0.0.1:9"),
            "apns-main": ApnsSettings(
                vendor="apns",
                base_url=_NOWHERE,
                team_id="ABCDE12345",
                key_id="ABCDE12345",
                private_key=apple,
            ),
            "fcm-main": FcmSettings(
                vendor="fcm", base_url=_NOWHERE, project_id="project", service_account=google
            ),
        },
        senders={
            OUR_ADDRESS: SenderSettings(provider=mail, brand="acme"),
            **{
                f"+1415555011{n}": SenderSettings(provider=name, brand="acme")
                for n, name in enumerate(("twilio-main", "twilio-shared", "sinch-main"))
            },
        },
        categories={name: _category(name, one.channel) for name, one in accounts.items()},
    )


def _category(name: str, channel: str) -> Category:
    return Category(name, routes={Channel(channel): (name,)})


def _twilio(token: EnvSecret, **more: Any) -> TwilioSettings:
    return TwilioSettings(
        vendor="twilio",
        base_url=_NOWHERE,
        account_sid="AC" + "1" * 32,
        auth_token=token,
        timeout_s=2.0,
        **more,
    )


async def planted(
    client: Any, hand: Any, account: Account, count: int, *, first: int = 0
) -> dict[str, str]:
    """Have so many messages accepted and begun; return the references of their attempts.

    Each goes to another address, from the one numbered `first` on, so that what becomes of an
    address is seen as well.
    """
    for start in range(first, first + count, _PER_REQUEST):
        numbers = range(start, min(first + count, start + _PER_REQUEST))
        asked: dict[str, Any] = {"category": account.name}
        if account.channel == "sms":
            asked["recipients"] = [{"phone": f"+1415{2_000_000 + n}"} for n in numbers]
            asked["content"] = {"sms": {"body": "Your order has shipped."}}
        else:
            asked["recipients"] = [{"email": f"ann{n}@example.com"} for n in numbers]
            asked["content"] = {"email": {"subject": "Shipped", "text": "It has shipped."}}
        headers = {"Idempotency-Key": f"{account.name} {start}"}
        answer = await client.post("/v1/notifications", json=asked, headers=headers)
        assert answer.status_code == 202, answer.text
    found: dict[str, str] = {}
    while ready := await hand.begin(account.name):
        for one in ready:
            found[ids.reference(CELL, one.due.delivery_id, one.number)] = account.name
    assert len(found) == count, (len(found), count)
    return found
