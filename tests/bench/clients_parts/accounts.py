"""An account at each vendor, made from settings as a worker makes it, and what it is to send."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from notifyq.bootstrap import clients
from notifyq.config.settings import Settings
from notifyq.config.vendors import VENDORS
from notifyq.domain.content import Content
from notifyq.domain.message import Sender
from notifyq.domain.model import Channel
from notifyq.domain.provider import Provider
from notifyq.sandbox.apns import key as apns_key
from notifyq.sandbox.fcm import key as fcm_key
from notifyq.sandbox.fcm import rules as fcm
from tests.bench.clients_parts import messages

_SECRET = "NOTIFYQ_BENCH_SECRET"  # the environment's name for whichever secret there is


@dataclass(frozen=True, slots=True)
class Account:
    """One."""

    provider: Provider
    channel: Channel
    sender: Sender
    content: Content
    address: str  # with a place for what differs


_WHAT: Mapping[Channel, tuple[Sender, Content, str]] = {
    Channel.SMS: (Sender("+15005550006"), messages.SMS, "+1415{}"),
    Channel.EMAIL: (
        Sender("orders@example.com", "Acme Orders"),
        messages.MAIL,
        "jo-{}@example.net",
    ),
    Channel.PUSH: (Sender(""), messages.PUSH, ""),
}
_DEVICES = {
    "apns": "ios:org.example.app:{}" + "0a1b2c3d" * 7,
    "fcm": "android:org.example.app:{}" + "c3VwZXI6QVBBOTFi" * 9,
}


def account(vendor: str, port: int, room: int) -> Account:
    """Return a vendor's, whose other side listens on a port of this machine."""
    origin = f"http://127.0.0.1:{port}"
    channel = VENDORS[vendor].CHANNEL
    settings = VENDORS[vendor].model_validate({"vendor": vendor, **_given(vendor, origin)})
    provider = clients.builder(Settings(), settings)(f"{vendor}-bench", room)
    sender, content, address = _WHAT[channel]
    return Account(provider, channel, sender, content, _DEVICES.get(vendor, address))


def _given(vendor: str, origin: str) -> dict[str, object]:
    """Return what its settings need, its secret in the environment."""
    os.environ[_SECRET] = "x" * 32
    secret, there = {"env": _SECRET}, {"base_url": origin}
    match vendor:
        case "twilio":
            return {**there, "account_sid": "AC" + "5a9d0b0c" * 4, "auth_token": secret}
        case "sinch":
            project = {"project_id": "bench", "key_id": "bench", "key_secret": secret}
            return {**there, **project, "auth_url": f"{origin}/token"}
        case "ses":
            keys = {"access_key_id": secret, "secret_access_key": secret}
            return {**there, **keys, "region": "us-east-1", "configuration_set": "bench"}
        case "sendgrid":
            return {**there, "api_key": secret}
        case "smtp":
            return {"base_url": origin.replace("http", "smtp+plain")}
        case "apns":
            os.environ[_SECRET] = apns_key.PRIVATE_KEY
            team = {"team_id": apns_key.TEAM_ID, "key_id": apns_key.KEY_ID}
            return {**there, **team, "private_key": secret}
        case "fcm":
            file = {"client_email": fcm.CLIENT_EMAIL, "private_key": fcm_key.PRIVATE_KEY}
            os.environ[_SECRET] = json.dumps(file)
            project = {"project_id": "bench-project", "token_url": f"{origin}/token"}
            return {**there, **project, "service_account": secret}
    raise ValueError(f"no account at {vendor}")
