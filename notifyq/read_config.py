"""Reading the settings: environment, then the file, then defaults; refused when wrong.

Every fault is named at once: nobody mends a file one error at a time.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from notifyq.config import (
    LEASE_MARGIN_S,
    CategorySettings,
    ProviderSettings,
    SenderSettings,
    Settings,
    Table,
    Word,
)
from notifyq.domain import retention as retention_rules
from notifyq.domain.address import BadAddress, normal_phone
from notifyq.domain.model import LIFETIME_S_MAX, Channel, MessageClass
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
    sms: list[Word] = Field(default_factory=list)


class _Top(Table):
    """The tables a file may have; what is in each is read apart, to name every fault."""

    region: dict[str, Any] = Field(default_factory=dict)
    routes: dict[str, Any] = Field(default_factory=dict)
    providers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    senders: dict[str, dict[str, Any]] = Field(default_factory=dict)
    categories: dict[str, dict[str, Any]] = Field(default_factory=dict)
    retention: dict[str, Any] = Field(default_factory=dict)


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
        region = self._table("region", _Region, top.region) if top.region else None
        routes = self._table("routes", _Routes, top.routes) or _Routes()
        providers = self._tables("providers", ProviderSettings, top.providers)
        senders = self._tables("senders", SenderSettings, top.senders)
        found = self._tables("categories", CategorySettings, top.categories)
        retention = self._retention(top.retention)
        self._check_routes(routes, set(top.providers))
        self._check_providers(providers)
        self._check_senders(senders, set(top.providers))
        self._check_categories(found)
        values: dict[str, Any] = {
            "routes": {Channel.SMS: routes.sms},
            "providers": providers,
            "senders": senders,
            "categories": {name: entry.category(name) for name, entry in found.items()},
            "retention": retention,
        }
        if region is not None:
            values["region"] = region.name
        return self._settings(values)

    def _top(self) -> _Top:
        named = self.environ.get("NOTIFYQ_CONFIG")
        path = Path(named or DEFAULT_FILE)
        if not named and not path.exists():
            return _Top()
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self.faults.append(f"{path}: cannot be read: {error}")
            return _Top()
        known = {key: value for key, value in content.items() if key in _Top.model_fields}
        tables = ", ".join(f"[{name}]" for name in _Top.model_fields)
        self.faults += [
            f"{key}: unknown; the tables are {tables}" for key in content if key not in known
        ]
        return self._table("", _Top, known) or _Top()

    def _table(self, where: str, model: type[M], content: object) -> M | None:
        try:
            return model.model_validate(content)
        except ValidationError as error:
            self.faults += [_fault(where, detail) for detail in error.errors()]
            return None

    def _tables(self, where: str, model: type[M], found: dict[str, dict[str, Any]]) -> dict[str, M]:
        read = {name: self._table(f"{where}.{name}", model, entry) for name, entry in found.items()}
        return {name: entry for name, entry in read.items() if entry is not None}

    def _retention(self, content: dict[str, Any]) -> Retention:
        known = Retention.__dataclass_fields__
        wrong = [
            f"retention.{key}: " + ("must be a whole number" if key in known else "unknown setting")
            for key, value in content.items()
            if key not in known or type(value) is not int
        ]
        self.faults += wrong
        if wrong:
            return Retention()
        retention = Retention(**content)
        self.faults += [f"retention.{fault}" for fault in retention_rules.faults(retention)]
        return retention

    def _check_routes(self, routes: "_Routes", providers: set[str]) -> None:
        self.faults += [
            f"routes.sms: {name!r} is no provider; add [providers.{name}] or remove it"
            for name in routes.sms
            if name not in providers
        ]

    def _check_providers(self, providers: dict[str, ProviderSettings]) -> None:
        for name, provider in providers.items():
            where = f"providers.{name}"
            least_s = provider.timeout_s + LEASE_MARGIN_S
            if provider.lease < least_s:
                self.faults.append(
                    f"{where}.lease_s: must be {least_s:g} or more (timeout_s + "
                    f"{LEASE_MARGIN_S:g}), is {provider.lease:g}: a send must end before its lease"
                )
            try:
                provider.auth_token.reveal(self.environ)
            except KeyError as error:
                self.faults.append(f"{where}.auth_token: the variable {error} is not set")
            except OSError as error:
                self.faults.append(f"{where}.auth_token: {error}")

    def _check_senders(self, senders: dict[str, SenderSettings], providers: set[str]) -> None:
        for number, sender in senders.items():
            where = f'senders."{number}"'
            if sender.provider not in providers:
                self.faults.append(f"{where}.provider: {sender.provider!r} is no provider")
            try:
                if normal_phone(number) != number:
                    self.faults.append(f"{where}: write it as {normal_phone(number)}")
            except BadAddress as error:
                self.faults.append(f"{where}: {error}")

    def _check_categories(self, categories: dict[str, CategorySettings]) -> None:
        for name, category in categories.items():
            longest_s = LIFETIME_S_MAX[MessageClass(category.message_class)]
            if (category.expires_in_s or 0) > longest_s:
                self.faults.append(
                    f'categories."{name}".expires_in_s: must be {longest_s} or less for class '
                    f"{category.message_class}, is {category.expires_in_s}"
                )

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
    path = ".".join([where, *(str(part) for part in detail["loc"])] if where else map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown setting"
    if detail["type"] == "missing":
        return f"{path}: is required"
    shown = "" if isinstance(detail["input"], dict | list) else f", is {detail['input']!r}"
    return f"{path}: {detail['msg'][0].lower()}{detail['msg'][1:]}{shown}"
