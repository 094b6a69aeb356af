"""Clients from settings: which class serves a vendor, and with what."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import assert_never
from urllib.parse import urlsplit

from notifyq.config.fields import Secret
from notifyq.config.read import reveal
from notifyq.config.settings import Settings
from notifyq.config.vendors import (
    ApnsSettings,
    FcmSettings,
    SendGridSettings,
    SesSettings,
    SinchSettings,
    SmtpSettings,
    TwilioSettings,
    VendorSettings,
)
from notifyq.domain.provider import Provider
from notifyq.errors import BadSettings
from notifyq.providers.apns.client import Apns
from notifyq.providers.apns.token import Tokens as ApnsTokens
from notifyq.providers.fcm.client import Fcm
from notifyq.providers.fcm.token import ServiceAccount
from notifyq.providers.http2 import Http2
from notifyq.providers.sendgrid.client import SendGrid
from notifyq.providers.ses.client import Ses
from notifyq.providers.sinch.client import Sinch
from notifyq.providers.sinch.token import Project, ServicePlan
from notifyq.providers.smtp.client import Smtp
from notifyq.providers.smtp.session import Security
from notifyq.providers.twilio.client import Twilio
from notifyq.providers.wire import Wire

Build = Callable[[str, int], Provider]  # from an account's name, and how many may be in flight

_SMTP: dict[str, tuple[Security, int]] = {
    "smtps": ("tls", 465),
    "smtp": ("starttls", 587),
    "smtp+plain": ("none", 25),
}


def builder(settings: Settings, vendor: VendorSettings) -> Build:
    """Return what builds the client of an account; BadSettings then, if a secret is no such key."""

    def build(name: str, room: int) -> Provider:
        try:
            return _built(settings, vendor, name, room)
        except ValueError as error:
            raise BadSettings(f"providers.{name}: {error}") from error

    return build


def wire(room: int) -> Wire:
    """Return connections for so many sends at once, and for a look-up beside them."""
    return Wire(max_in_flight=room + 1)


def now() -> datetime:
    """Return this process's time, which tokens and signatures are dated by."""
    return datetime.now(UTC)


def apns(
    name: str, room: int, *, base_url: str, team: tuple[str, str, str], topic: str | None = None
) -> Provider:
    """Return a client of APNs. team: its id, its key's id, its key (PEM)."""
    return Apns(
        name=name,
        base_url=base_url,
        tokens=_apns_tokens(*team),
        http2=Http2(base_url=base_url, max_in_flight=room),
        now=now,
        topic=topic,
    )


def _built(settings: Settings, vendor: VendorSettings, name: str, room: int) -> Provider:
    match vendor:
        case TwilioSettings():
            return _twilio(vendor, name, room)
        case SinchSettings():
            return _sinch(vendor, name, room)
        case SesSettings():
            return _ses(vendor, name, room)
        case SendGridSettings():
            return _sendgrid(vendor, name, room)
        case SmtpSettings():
            return _smtp(settings, vendor, name, room)
        case ApnsSettings():
            team = (vendor.team_id, vendor.key_id, reveal(vendor.private_key))
            topic = next(iter(vendor.apps), None)
            return apns(name, room, base_url=vendor.base_url, team=team, topic=topic)
        case FcmSettings():
            return _fcm(vendor, name, room)
        case never:
            assert_never(never)


def _twilio(vendor: TwilioSettings, name: str, room: int) -> Provider:
    return Twilio(
        name=name,
        base_url=vendor.base_url,
        account_sid=vendor.account_sid,
        auth_token=reveal(vendor.auth_token),
        wire=wire(room),
        now=now,
        shared_keys={key: reveal(secret) for key, secret in vendor.shared_keys.items()},
        token_too=vendor.token_too,
    )


def _sinch(vendor: SinchSettings, name: str, room: int) -> Provider:
    credentials: ServicePlan | Project
    if vendor.service_plan_id is not None:
        credentials = ServicePlan(vendor.service_plan_id, _there(vendor.api_token))
    else:
        credentials = Project(
            vendor.project_id or "",
            vendor.key_id or "",
            _there(vendor.key_secret),
            vendor.auth_url,
        )
    return Sinch(
        name=name,
        base_url=vendor.base_url,
        credentials=credentials,
        callback_secret=_perhaps(vendor.callback_secret),
        wire=wire(room),
        now=now,
    )


def _ses(vendor: SesSettings, name: str, room: int) -> Provider:
    base_url = vendor.base_url or f"https://email.{vendor.region}.amazonaws.com"
    return Ses(
        name=name,
        base_url=base_url,
        region=vendor.region,
        access_key_id=reveal(vendor.access_key_id),
        secret_access_key=reveal(vendor.secret_access_key),
        session_token=_perhaps(vendor.session_token),
        configuration_set=vendor.configuration_set,
        topics=frozenset(vendor.topics),
        certificate_urls=frozenset({vendor.certificate_url}) if vendor.certificate_url else None,
        wire=wire(room),
        now=now,
    )


def _sendgrid(vendor: SendGridSettings, name: str, room: int) -> Provider:
    return SendGrid(
        name=name,
        base_url=vendor.base_url,
        api_key=reveal(vendor.api_key),
        webhook_public_key=vendor.webhook_public_key,
        email_activity=vendor.email_activity,
        wire=wire(room),
        now=now,
    )


def _smtp(settings: Settings, vendor: SmtpSettings, name: str, room: int) -> Provider:
    parts = urlsplit(vendor.base_url)
    security, port = _SMTP[parts.scheme]
    ours = (address for address, one in settings.senders.items() if name in one.providers)
    return Smtp(
        name=name,
        host=parts.hostname or "",
        port=parts.port or port,
        security=security,
        username=vendor.username,
        password=_perhaps(vendor.password),
        hello=vendor.hello,
        max_in_flight=room,
        now=now,
        check_sender=next(ours, None),
    )


def _fcm(vendor: FcmSettings, name: str, room: int) -> Provider:
    try:
        file = json.loads(reveal(vendor.service_account))
        account = ServiceAccount(
            file["client_email"], file["private_key"], vendor.token_url, file.get("private_key_id")
        )
    except (ValueError, TypeError, KeyError, AttributeError):  # its text may hold the key
        raise BadSettings(
            f"providers.{name}.service_account: must be the JSON key file of a service account"
        ) from None
    return Fcm(
        name=name,
        base_url=vendor.base_url,
        project_id=vendor.project_id,
        service_account=account,
        wire=wire(room),
        now=now,
    )


@lru_cache(maxsize=64)  # Apple wants one token for all of a team's connections
def _apns_tokens(team_id: str, key_id: str, private_key: str) -> ApnsTokens:
    return ApnsTokens(team_id=team_id, key_id=key_id, private_key=private_key, now=now)


def _perhaps(secret: Secret | None) -> str | None:
    return None if secret is None else reveal(secret)


def _there(secret: Secret | None) -> str:
    if secret is None:
        raise ValueError("a secret is missing")
    return reveal(secret)
