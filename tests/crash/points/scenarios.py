"""Every scenario: reading this module fills the registry."""

from tests.crash.points import (
    accepting,
    addresses,
    asking_again,
    by_hand,
    consenting,
    delivering,
    hearing,
    keeping,
    listing,
    tending,
)
from tests.crash.points.registry import SCENARIOS

MODULES = (
    accepting,
    addresses,
    asking_again,
    by_hand,
    consenting,
    delivering,
    hearing,
    keeping,
    listing,
    tending,
)

__all__ = ["MODULES", "SCENARIOS"]
