"""Reading the settings: environment, then the file, then defaults; refused when wrong.

Every fault is named at once: nobody mends a file one error at a time.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from notifyq.config.categories import (
    CategorySettings,
    ProgramSettings,
    program_faults,
    resend_faults,
)
from notifyq.config.checks import (
    fault_of,
    name_faults,
    route_faults,
    secret_faults,
    sender_faults,
    vendor_of,
)
from notifyq.config.fields import Secret, Table, Word
from notifyq.config.settings import SenderSettings, Settings
from notifyq.config.vendors import VENDORS, VendorSettings
from notifyq.domain import retention as retention_rules
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
    email: list[str] = Field(default_factory=list)
    push: list[str] = Field(default_factory=list)


_TABLES = ("region", "routes", "providers", "senders", "programs", "categories", "retention")


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
        providers = self._providers(top["providers"])
        senders = self._tables("senders", SenderSettings, top["senders"])
        programs = self._tables("programs", ProgramSettings, top["programs"])
        found = self._tables("categories", CategorySettings, top["categories"])
        retention = self._retention(top["retention"])
        self.faults += route_faults(top["routes"], top["categories"], top["providers"])
        self.faults += sender_faults(top["senders"], top["providers"])
        categories = {name: entry.category(name, programs) for name, entry in found.items()}
        self.faults += program_faults(categories)
        self.faults += resend_faults(categories, providers)
        values: dict[str, Any] = {
            "routes": {Channel(name): names for name, names in routes if names},
            "providers": providers,
            "senders": senders,
            "programs": programs,
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
            self.faults += dict.fromkeys(fault_of(where, detail) for detail in error.errors())
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

    def _providers(self, found: dict[str, Any]) -> dict[str, VendorSettings]:
        """Return the accounts, each read by the rules of its vendor."""
        read: dict[str, VendorSettings] = {}
        for name, entry in found.items():
            where = f"providers.{name}"
            self.faults += name_faults(where, name)
            if not isinstance(entry, dict):
                self.faults.append(f"{where}: input should be a valid dictionary")
                continue
            kind = vendor_of(entry)
            if kind is None:
                self.faults.append(f"{where}.vendor: must be one of {', '.join(VENDORS)}")
                continue
            if account := self._table(where, kind, entry):
                read[name] = account
            self.faults += secret_faults(where, kind, entry, self.environ)
        return read

    def _settings(self, values: dict[str, Any]) -> Settings:
        for variable, field in _ENVIRONMENT.items():
            if self.environ.get(variable):
                values[field] = self.environ[variable]
        try:
            settings = Settings.model_validate(values)
        except ValidationError as error:
            by_field = {field: variable for variable, field in _ENVIRONMENT.items()}
            self.faults += [
                fault_of(by_field.get(str(detail["loc"][0]), ""), {**detail, "loc": ()})
                for detail in error.errors()
            ]
        if self.faults:
            raise BadSettings("\n".join(self.faults))
        return settings


def reveal(secret: Secret, environ: Mapping[str, str] = os.environ) -> str:
    """Return a secret; that it is there was checked when the settings were read."""
    return secret.reveal(environ)
