"""The sandbox's own accounts, which test keys send by: known to everybody, and to nobody's harm."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from notifyq.bootstrap import clients
from notifyq.bootstrap.clients import Build, now, wire
from notifyq.config.settings import SANDBOX
from notifyq.config.vendors import ApnsSettings, FcmSettings
from notifyq.domain.message import Sender
from notifyq.domain.model import Channel
from notifyq.domain.provider import Provider
from notifyq.providers.fcm.client import Fcm
from notifyq.providers.fcm.token import ServiceAccount
from notifyq.providers.sendgrid.client import SendGrid
from notifyq.providers.twilio.client import Twilio
from notifyq.sandbox.apns import key as apns
from notifyq.sandbox.fcm import key as fcm_key
from notifyq.sandbox.fcm import rules as fcm
from notifyq.sandbox.sendgrid import rules as sendgrid
from notifyq.sandbox.sendgrid.events import PUBLIC_KEY
from notifyq.sandbox.twilio import rules as twilio


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """An account that test keys send by."""

    name: str
    channel: Channel
    build: Build
    has_list: bool = False
    platforms: frozenset[str] = frozenset()


SENDERS: Mapping[str, Sender] = {
    "sandbox-sms": Sender(twilio.SENDER),
    "sandbox-email": Sender(sendgrid.SENDER, "Sandbox"),
    **dict.fromkeys(SANDBOX[Channel.PUSH], Sender("")),
}


def sandbox_accounts(url: str) -> list[SandboxAccount]:
    """Return the accounts of a sandbox at `url`."""

    def sms(name: str, room: int) -> Provider:
        return Twilio(
            name=name,
            base_url=f"{url}/twilio",
            account_sid=twilio.ACCOUNT_SID,
            auth_token=twilio.AUTH_TOKEN,
            wire=wire(room),
            now=now,
        )

    def email(name: str, room: int) -> Provider:
        return SendGrid(
            name=name,
            base_url=f"{url}/sendgrid",
            api_key=sendgrid.API_KEY,
            webhook_public_key=PUBLIC_KEY,
            wire=wire(room),
            now=now,
        )

    def ios(name: str, room: int) -> Provider:
        team = (apns.TEAM_ID, apns.KEY_ID, apns.PRIVATE_KEY)
        return clients.apns(name, room, base_url=_beside(url, 1), team=team)

    def android(name: str, room: int) -> Provider:
        account = ServiceAccount(fcm.CLIENT_EMAIL, fcm_key.PRIVATE_KEY, f"{url}/fcm/token")
        return Fcm(
            name=name,
            base_url=f"{url}/fcm",
            project_id=fcm.PROJECT_ID,
            service_account=account,
            wire=wire(room),
            now=now,
        )

    apple, google = SANDBOX[Channel.PUSH]
    return [
        SandboxAccount(SANDBOX[Channel.SMS][0], Channel.SMS, sms, has_list=True),
        SandboxAccount(SANDBOX[Channel.EMAIL][0], Channel.EMAIL, email),
        SandboxAccount(apple, Channel.PUSH, ios, platforms=ApnsSettings.PLATFORMS),
        SandboxAccount(google, Channel.PUSH, android, platforms=FcmSettings.PLATFORMS),
    ]


def _beside(url: str, ports: int) -> str:
    """Return the URL of a sandbox's other port, so many after the one of HTTP."""
    parts = urlsplit(url)
    return f"http://{parts.hostname}:{(parts.port or 80) + ports}"
