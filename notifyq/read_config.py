"""Reading the settings: environment, then the file, then defaults; refused when wrong.

Every fault is named at once: nobody mends a file one error at a time.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from notifyq.config import (
    SANDBOX,
    CategorySettings,
    EnvSecret,
    FileSecret,
    ProviderSettings,
    SenderSettings,
    Settings,
    Table,
    Word,
    resend_faults,
)
from notifyq.domain import retention as retention_rules
from notifyq.domain.address import BadAddress, normal_phone
from notifyq.domain.model import Channel
from notifyq.domain.retention import Retention
from notifyq.errors import BadSettings

DEFAULT_FILE = "notifyq.toml"

M = TypeVar("M", bound=BaseModel)

_ENVIRONMENT = {
    "NOTIFYQ_DATABASE_URL": "database_url",
    "NOTIFYQ_REGION": "region",
    "NOTIFYQ_BIND": "bind",
    "NOTIFYQ_PUBLIC_URL": "public_url",
    "NOTIFYQ_SANDBOX_URL": "sandbox_url",
    "NOTIFYQ_LOG_LEVEL": "log_level",
}


class _Region(Table):
    name: Word


class _Routes(Table):
    sms: list[str] = Field(default_factory=list)


_TABLES = ("region", "routes", "providers", "senders", "categories", "retention")
_NAME: TypeAdapter[str] = TypeAdapter(Word)
_SECRET: TypeAdapter[EnvSecret | FileSecret] = TypeAdapter(EnvSecret | FileSecret)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; BadSettings names every fault, one a line, with its mend."""
    return _Reader(environ).read()


class _Reader:
    """Reads all there is, and only then says what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[str] = []

    def read(self) -> Settings:
        top = self._top()
        region = self._table("region", _Region, top["region"]) if top["region"] else None
        routes = self._table("routes", _Routes, top["routes"]) or _Routes()
        providers = self._tables("providers", ProviderSettings, top["providers"])
        senders = self._tables("senders", SenderSettings, top["senders"])
        found = self._tables("categories", CategorySettings, top["categories"])
        retention = self._retention(top["retention"])
        self._check_routes(top["routes"], set(top["providers"]))
        self._check_providers(top["providers"])
        self._check_senders(top["senders"], set(top["providers"]))
        categories = {name: entry.category(name) for name, entry in found.items()}
        self.faults += resend_faults(categories, providers)
        values: dict[str, Any] = {
            "routes": {Channel.SMS: routes.sms},
            "providers": providers,
            "senders": senders,
            "categories": categories,
            "retention": retention,
        }
        if region is not None:
            values["region"] = region.name
        return self._settings(values)

    def _top(self) -> dict[str, dict[str, Any]]:
        """Return every table of the file, empty where it is missing or no table."""
        content = self._file()
        known = ", ".join(f"[{name}]" for name in _TABLES)
        for key, value in content.items():
            if key not in _TABLES:
                self.faults.append(f"{key}: unknown; the tables are {known}")
            elif not isinstance(value, dict):
                self.faults.append(f"{key}: must be a table, [{key}]")
        tables = {name: content.get(name) for name in _TABLES}
        return {name: entry if isinstance(entry, dict) else {} for name, entry in tables.items()}

    def _file(self) -> dict[str, Any]:
        named = self.environ.get("NOTIFYQ_CONFIG")
        path = Path(named or DEFAULT_FILE)
        try:
            if not named and not path.exists():
                return {}
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self.faults.append(f"{path}: cannot be read: {error}")
            return {}

    def _table(self, where: str, model: type[M], content: object) -> M | None:
        try:
            return model.model_validate(content)
        except ValidationError as error:
            # A union names its fault once for each of its members.
            self.faults += dict.fromkeys(_fault(where, detail) for detail in error.errors())
            return None

    def _tables(self, where: str, model: type[M], found: dict[str, Any]) -> dict[str, M]:
        read = {name: self._table(f"{where}.{name}", model, entry) for name, entry in found.items()}
        return {name: entry for name, entry in read.items() if entry is not None}

    def _retention(self, content: dict[str, Any]) -> Retention:
        known = Retention.__dataclass_fields__
        wrong = {key for key, value in content.items() if type(value) is not int}
        self.faults += [f"retention.{key}: unknown setting" for key in content if key not in known]
        self.faults += [f"retention.{key}: must be a whole number" for key in known if key in wrong]
        if wrong & known.keys():
            return Retention()
        retention = Retention(**{key: value for key, value in content.items() if key in known})
        self.faults += [f"retention.{fault}" for fault in retention_rules.faults(retention)]
        return retention

    # The checks look at the file's own words: a fault in one setting hides no fault in another.

    def _check_routes(self, routes: dict[str, Any], providers: set[str]) -> None:
        named = routes.get("sms")
        self.faults += [
            f"routes.sms: {name!r} is no provider; add [providers.{name}] or remove it"
            for name in (named if isinstance(named, list) else [])
            if isinstance(name, str) and name not in providers
        ]

    def _check_providers(self, providers: dict[str, Any]) -> None:
        for name, entry in providers.items():
            where = f"providers.{name}"
            self._check_name(where, name)
            try:
                secret = _SECRET.validate_python(entry.get("auth_token"))
                if not secret.reveal(self.environ):
                    self.faults.append(f"{where}.auth_token: the secret is empty")
            except (AttributeError, ValidationError):
                pass  # no table, or no secret in it: named before
            except KeyError as error:
                self.faults.append(f"{where}.auth_token: the variable {error} is not set")
            except UnicodeDecodeError:  # its text would show some of the secret
                self.faults.append(f"{where}.auth_token: the file is not UTF-8 text")
            except (OSError, ValueError) as error:
                self.faults.append(f"{where}.auth_token: {error}")

    def _check_name(self, where: str, name: str) -> None:
        if name in SANDBOX.values():  # test keys would reach the real account
            self.faults.append(f"{where}: the name is taken by the sandbox's own; choose another")
        try:
            _NAME.validate_python(name)
        except ValidationError as error:
            self.faults += [_fault(where, detail) for detail in error.errors()]

    def _check_senders(self, senders: dict[str, Any], providers: set[str]) -> None:
        for number, sender in senders.items():
            where = f'senders."{number}"'
            provider = sender.get("provider") if isinstance(sender, dict) else None
            if isinstance(provider, str) and provider not in providers:
                self.faults.append(f"{where}.provider: {provider!r} is no provider")
            try:
                if normal_phone(number) != number:
                    self.faults.append(f"{where}: write it as {normal_phone(number)}")
            except BadAddress as error:
                self.faults.append(f"{where}: {error}")

    def _settings(self, values: dict[str, Any]) -> Settings:
        for variable, field in _ENVIRONMENT.items():
            if self.environ.get(variable):
                values[field] = self.environ[variable]
        try:
            settings = Settings.model_validate(values)
        except ValidationError as error:
            by_field = {field: variable for variable, field in _ENVIRONMENT.items()}
            self.faults += [
                _fault(by_field.get(str(detail["loc"][0]), ""), {**detail, "loc": ()})
                for detail in error.errors()
            ]
        if self.faults:
            raise BadSettings("\n".join(self.faults))
        return settings


def reveal(provider: ProviderSettings, environ: Mapping[str, str] = os.environ) -> str:
    """Return a provider's token; that it is there was checked when the settings were read."""
    return provider.auth_token.reveal(environ)


def _fault(where: str, detail: ErrorDetails) -> str:
    path = ".".join(
        [where, *(str(part) for part in detail["loc"])] if where else map(str, detail["loc"])
    )
    if where.startswith("providers.") and detail["loc"][:1] == ("auth_token",):
        # What stands there instead may be the secret itself: it is not shown.
        return f'{where}.auth_token: must be {{ env = "NAME" }} or {{ file = "PATH" }}'
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown setting"
    if detail["type"] == "missing":
        return f"{path}: is required"
    shown = "" if isinstance(detail["input"], dict | list) else f", is {detail['input']!r}"
    return f"{path}: {detail['msg'][0].lower()}{detail['msg'][1:]}{shown}"
