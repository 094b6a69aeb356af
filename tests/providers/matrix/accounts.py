"""The clients, made as a worker makes them: a settings file is read, its account is built.

Owns what such a file says for the sandbox, and what is wrong in one with a fault.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from notifyq.bootstrap.accounts import Account, accounts, provider_of, sender_of
from notifyq.config.read import load
from notifyq.domain.message import Sender
from notifyq.domain.provider import Provider
from notifyq.sandbox.apns import key as apns
from notifyq.sandbox.fcm import key as fcm_key
from notifyq.sandbox.fcm import rules as fcm
from notifyq.sandbox.sendgrid import rules as sendgrid
from notifyq.sandbox.ses import rules as ses
from notifyq.sandbox.sinch import rules as sinch
from notifyq.sandbox.smtp import rules as smtp
from notifyq.sandbox.twilio import rules as twilio
from tests.providers.matrix.ground import HOST

BRAND, PROGRAM = "acme", "default"
STRANGERS: Mapping[str, str] = {  # senders that the sandbox's accounts do not own
    **dict.fromkeys(("twilio", "sinch"), "+14155550100"),
    **dict.fromkeys(("ses", "sendgrid", "smtp"), "notifyq@another.example"),
}


class Wrong(Enum):
    """What is wrong in a settings file."""

    CREDENTIALS = "another key, or another account's"
    SENDER = "a sender, or a project, that is not the account's"


@dataclass(frozen=True, slots=True)
class Client:
    """An account, and what calls it."""

    account: Account
    provider: Provider
    sender: Sender | None


@dataclass(frozen=True, slots=True)
class _Written:
    """What a settings file says of one account; secrets lie in files beside it."""

    settings: Mapping[str, str | float]
    secrets: Mapping[str, str]
    sender: str | None = None  # None: a push has none


class Office:
    """Writes settings files, and makes clients from them."""

    def __init__(self, folder: Path, http_port: int) -> None:
        """folder: for the files. http_port: the sandbox's, for what lies beside sending."""
        self._folder, self._http = folder, f"http://{HOST}:{http_port}"
        self._numbers = count()

    def client(
        self, vendor: str, port: int, *, timeout_s: float, wrong: Wrong | None = None
    ) -> Client:
        """Return a client of a vendor that listens on `port`, with connections of its own."""
        written = self._written(vendor, port)
        if wrong is not None:
            written = _spoilt(vendor, written, wrong)
        path = self._write(vendor, written, timeout_s)
        settings = load({"NOTIFYQ_CONFIG": str(path)})
        (account,) = accounts(settings)
        sender = sender_of(settings, account.name, BRAND, PROGRAM)
        return Client(account, provider_of(account), sender)

    def _write(self, vendor: str, written: _Written, timeout_s: float) -> Path:
        stem = self._folder / f"{next(self._numbers)}"
        lines = [f"[providers.{vendor}]", f"vendor = {json.dumps(vendor)}"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in written.settings.items()]
        for name, secret in written.secrets.items():
            held = stem.with_suffix(f".{name}")
            held.write_text(secret, encoding="utf-8")
            lines.append(f"{name} = {{ file = {json.dumps(str(held))} }}")
        lines.append(f"timeout_s = {timeout_s}")
        if written.sender is not None:
            lines.append(f'[senders."{written.sender}"]')
            lines += [f'provider = "{vendor}"', f'brand = "{BRAND}"', 'campaign = "C1"']
        path = stem.with_suffix(".toml")
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    def _written(self, vendor: str, port: int) -> _Written:
        here = f"http://{HOST}:{port}"
        match vendor:
            case "twilio":
                its = {"base_url": f"{here}/twilio", "account_sid": twilio.ACCOUNT_SID}
                return _Written(its, {"auth_token": twilio.AUTH_TOKEN}, twilio.SENDER)
            case "sinch":
                its = {"base_url": f"{here}/sinch", "service_plan_id": sinch.SERVICE_PLAN_ID}
                return _Written(its, {"api_token": sinch.API_TOKEN}, sinch.SENDER)
            case "ses":
                its = {"base_url": f"{here}/ses", "region": ses.REGION}
                its["configuration_set"] = ses.CONFIGURATION_SET
                key_id, secret = ses.ACCESS_KEY_ID, ses.SECRET_ACCESS_KEY
                keys = {"access_key_id": key_id, "secret_access_key": secret}
                return _Written(its, keys, ses.SENDER)
            case "sendgrid":
                keys = {"api_key": sendgrid.API_KEY}
                return _Written({"base_url": f"{here}/sendgrid"}, keys, sendgrid.SENDER)
            case "smtp":
                its = {"base_url": f"smtp+plain://{HOST}:{port}", "username": smtp.USERNAME}
                return _Written(its, {"password": smtp.PASSWORD}, smtp.SENDER)
            case "apns":
                its = {"base_url": here, "team_id": apns.TEAM_ID, "key_id": apns.KEY_ID}
                return _Written(its, {"private_key": apns.PRIVATE_KEY})
            case "fcm":
                its = {"base_url": f"{here}/fcm", "project_id": fcm.PROJECT_ID}
                its["token_url"] = f"{self._http}/fcm/token"
                return _Written(its, {"service_account": _key_file(fcm.CLIENT_EMAIL)})
            case _:
                raise ValueError(f"{vendor} is no vendor")


def _spoilt(vendor: str, written: _Written, wrong: Wrong) -> _Written:
    if wrong is Wrong.CREDENTIALS:
        secrets: dict[str, str] = {**written.secrets, **_others_secret(vendor)}
        return replace(written, secrets=secrets)
    if vendor == "fcm":
        return replace(written, settings={**written.settings, "project_id": "another-project"})
    return replace(written, sender=STRANGERS[vendor])


def _others_secret(vendor: str) -> Mapping[str, str]:
    names = {
        "twilio": "auth_token",
        "sinch": "api_token",
        "ses": "secret_access_key",
        "sendgrid": "api_key",
        "smtp": "password",
    }
    match vendor:
        case "apns":
            key = generate_private_key(SECP256R1())
            raw = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            return {"private_key": raw.decode()}
        case "fcm":
            return {"service_account": _key_file("somebody@another-project.example")}
        case _:
            return {names[vendor]: "not-the-right-one"}


def _key_file(client_email: str) -> str:
    return json.dumps({"client_email": client_email, "private_key": fcm_key.PRIVATE_KEY})
