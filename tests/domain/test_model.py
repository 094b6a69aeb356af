"""The nouns and the outcomes: what their tables must cover, and that nobody changes one."""

from dataclasses import FrozenInstanceError, is_dataclass
from inspect import getmembers, isclass
from types import ModuleType
from typing import Any, get_args

import pytest

from notifyq.domain import idempotency, model, outcome, policy, provider, retention, verdict
from notifyq.domain.model import (
    CRITICALITY,
    LIFETIME_S_MAX,
    Category,
    Channel,
    MessageClass,
)

MODULES = (idempotency, model, outcome, policy, provider, retention, verdict)
VALUES = sorted(
    {
        value
        for module in MODULES
        for _, value in getmembers(module, isclass)
        if is_dataclass(value) and value.__module__ == module.__name__
    },
    key=lambda value: value.__qualname__,
)


@pytest.mark.parametrize("message_class", MessageClass)
def test_every_class_has_a_criticality_and_a_lifetime(message_class: MessageClass) -> None:
    assert CRITICALITY[message_class] in range(4)
    assert LIFETIME_S_MAX[message_class] > 0
    assert Category("x", message_class).criticality == CRITICALITY[message_class]


def test_what_somebody_waits_for_goes_first() -> None:
    urgent = CRITICALITY[MessageClass.EMERGENCY], CRITICALITY[MessageClass.OTP]
    assert urgent == (0, 0)
    assert CRITICALITY[MessageClass.TRANSACTIONAL] < CRITICALITY[MessageClass.MARKETING]


def test_lifetimes_are_those_of_the_settings_page() -> None:
    hours = {str(name): longest_s / 3_600 for name, longest_s in LIFETIME_S_MAX.items()}
    assert hours == {"emergency": 1, "otp": 1 / 6, "transactional": 24, "marketing": 72}


def test_a_category_that_says_nothing_is_transactional() -> None:
    plain = Category("order.shipped")
    assert plain.message_class is MessageClass.TRANSACTIONAL
    assert plain.expires_in_s == LIFETIME_S_MAX[MessageClass.TRANSACTIONAL]
    assert plain.program == "default"


def test_the_channels_are_those_that_the_job_table_has_leaves_for() -> None:
    assert {str(channel) for channel in Channel} == {"sms", "email", "push", "webhook"}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__qualname__)
def test_a_value_cannot_be_changed(value: type[Any]) -> None:
    name = next(iter(value.__dataclass_fields__), "anything")
    made = object.__new__(value)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        setattr(made, name, None)
    assert not hasattr(made, "__dict__")  # slots: nor can anything be hung on it


def test_every_outcome_can_be_told_from_every_other() -> None:
    kinds = get_args(outcome.Outcome)
    assert len(kinds) == len(set(kinds)) == 8
    assert all(is_dataclass(kind) for kind in kinds)
    assert len({kind("x") for kind in (outcome.NotSent, outcome.InDoubt, outcome.Throttled)}) == 3


def test_domain_values_come_from_domain_modules() -> None:
    assert all(isinstance(module, ModuleType) for module in MODULES)
    assert {value.__module__.partition(".domain.")[0] for value in VALUES} == {"notifyq"}
