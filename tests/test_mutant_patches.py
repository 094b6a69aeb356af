"""Patches of mutants apply and name tests that are there; `bin/chaos --only mutants` runs them."""

import pytest

from tests.chaos.mutants import ROOT, Mutant, applies, mutants

ALL = mutants()


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= 15


@pytest.mark.parametrize("mutant", ALL, ids=lambda m: m.name)
def test_a_patch_applies_and_its_test_is_there(mutant: Mutant) -> None:
    assert applies(mutant), "write the wrong version anew, for the code has changed"
    file, _, test = mutant.caught_by.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8") or not test
    assert mutant.wrong
    assert mutant.because
