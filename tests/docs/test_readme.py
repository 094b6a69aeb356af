"""The README says what the code does."""

import re

import click

from notifyq.cli import main
from notifyq.config.categories import CategorySettings
from notifyq.config.settings import SenderSettings, Settings
from notifyq.config.vendors import VENDORS
from notifyq.domain.glossary import REASONS, STATES
from notifyq.domain.retention import Retention
from notifyq.domain.states import Reason, State
from tests.docs.readme_tables import README, filled

TEXT = README.read_text(encoding="utf-8")


def test_the_tables_are_what_the_code_has() -> None:
    """Run `python -m tests.docs.readme_tables` when this fails."""
    assert filled(TEXT) == TEXT


def test_every_state_and_reason_is_explained() -> None:
    assert set(STATES) == set(State)
    assert set(REASONS) == set(Reason)


def test_every_setting_is_in_the_readme() -> None:
    names = [
        *(field.alias or name for name, field in CategorySettings.model_fields.items()),
        *(name for vendor in VENDORS.values() for name in vendor.model_fields),
        *SenderSettings.model_fields,
        *Retention.__dataclass_fields__,
    ]
    names += [f"NOTIFYQ_{name.upper()}" for name in ("database_url", "region", "bind")]
    names += [f"NOTIFYQ_{name.upper()}" for name in ("public_url", "sandbox_url", "log_level")]
    assert set(Settings.model_fields) >= {"database_url", "region", "bind", "public_url"}
    assert [name for name in names if name not in TEXT] == []


def test_every_command_is_in_the_readme_and_no_other() -> None:
    assert isinstance(main, click.Group)
    for name, command in main.commands.items():
        assert f"`{name}" in TEXT or f"notifyq {name}" in TEXT, name
        for part in command.commands if isinstance(command, click.Group) else ():
            assert re.search(rf"{name}.*\b{part}\b", TEXT), f"{name} {part}"


def test_the_curl_of_the_readme_is_a_request_that_validates() -> None:
    import json

    from notifyq.entrypoints.api.body import NotificationBody

    found = re.findall(r"-d '(\{.*?\})'", TEXT, re.DOTALL)
    assert found
    for body in found:
        NotificationBody.model_validate(json.loads(body))
