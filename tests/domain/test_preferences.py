"""Which wish decides: the most exact one of the first who says anything."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.preferences import (
    ANY,
    CHANNELS,
    Level,
    Step,
    Verdict,
    Wishes,
    change,
    flatten,
    nest,
    steps,
    unite,
    wanted,
)

SHIPPED, SMS = "order.shipped", "sms"
EXACT, CATEGORY, CHANNEL, ALL = (SHIPPED, SMS), (SHIPPED, ANY), (ANY, SMS), (ANY, ANY)
ENTRIES = (EXACT, CATEGORY, CHANNEL, ALL)
NAMES = ("order.shipped/sms", "order.shipped/*", "*/sms", "*/*")


def ask(
    own: Wishes | None = None,
    of_tenant: Wishes | None = None,
    *,
    mandatory: bool = False,
    default_on: bool = True,
) -> Verdict:
    return wanted(
        SHIPPED,
        SMS,
        mandatory=mandatory,
        own=own or {},
        of_tenant=of_tenant or {},
        default_on=default_on,
    )


@pytest.mark.parametrize("default_on", [True, False])
def test_who_says_nothing_gets_the_default_of_the_category(default_on: bool) -> None:
    assert ask(default_on=default_on) == Verdict(default_on, "default")
    others = {("other", SMS): not default_on, (SHIPPED, "push"): not default_on}
    assert ask(others, others, default_on=default_on) == Verdict(default_on, "default")


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize(("entry", "name"), [*zip(ENTRIES, NAMES, strict=True)])
def test_each_entry_decides_alone_and_is_named(entry: tuple[str, str], name: str, on: bool) -> None:
    assert ask({entry: on}, default_on=not on) == Verdict(on, f"own: {name}")
    assert ask(None, {entry: on}, default_on=not on) == Verdict(on, f"tenant: {name}")


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("place", range(3))
def test_the_more_exact_entry_beats_all_wider_ones_whichever_way(place: int, on: bool) -> None:
    wishes = {ENTRIES[place]: on} | dict.fromkeys(ENTRIES[place + 1 :], not on)
    assert ask(wishes) == Verdict(on, f"own: {NAMES[place]}")
    assert ask(None, wishes) == Verdict(on, f"tenant: {NAMES[place]}")


@pytest.mark.parametrize("on", [True, False])
def test_the_widest_own_wish_beats_the_most_exact_default_of_the_tenant(on: bool) -> None:
    assert ask({ALL: on}, {EXACT: not on}) == Verdict(on, "own: */*")


def test_what_is_mandatory_is_on_whatever_anybody_wishes() -> None:
    off = dict.fromkeys(ENTRIES, False)
    assert ask(off, off, mandatory=True, default_on=False) == Verdict(True, "mandatory")


def test_every_place_that_is_looked_at_is_told_in_order() -> None:
    found = steps(
        SHIPPED,
        SMS,
        mandatory=False,
        own={CATEGORY: False},
        of_tenant={EXACT: True, ALL: True},
        default_on=True,
    )
    assert found == [
        Step(Level.MANDATORY, None, None),
        Step(Level.OWN, EXACT, None),
        Step(Level.OWN, CATEGORY, False),
        Step(Level.OWN, CHANNEL, None),
        Step(Level.OWN, ALL, None),
        Step(Level.TENANT, EXACT, True),
        Step(Level.TENANT, CATEGORY, None),
        Step(Level.TENANT, CHANNEL, None),
        Step(Level.TENANT, ALL, True),
        Step(Level.DEFAULT, None, True),
    ]
    assert [step.name for step in found[:3]] == ["mandatory", *(f"own: {n}" for n in NAMES[:2])]


_said = st.sampled_from([True, False])
_wishes = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", ANY]), st.sampled_from([*CHANNELS, ANY])), _said
)


@given(_wishes, _wishes, _said, _said)
def test_the_verdict_is_the_first_step_that_says_something(
    own: Wishes, of_tenant: Wishes, mandatory: bool, default_on: bool
) -> None:
    for category, channel in product("ac", CHANNELS):
        asked = {"mandatory": mandatory, "own": own, "of_tenant": of_tenant}
        found = steps(category, channel, default_on=default_on, **asked)  # type: ignore[arg-type]
        first = next(step for step in found if step.said is not None)
        verdict = wanted(category, channel, default_on=default_on, **asked)  # type: ignore[arg-type]
        assert verdict == Verdict(first.said is True, first.name)


def says(wishes: Wishes, category: str, channel: str) -> bool | None:
    """What these wishes alone say; None: nothing."""
    found = steps(category, channel, mandatory=False, own=wishes, of_tenant={}, default_on=True)
    return next((step.said for step in found[:-1] if step.said is not None), None)


@given(_wishes, _wishes)
def test_of_two_who_are_one_off_wins_by_every_category_and_channel(
    one: Wishes, other: Wishes
) -> None:
    united = unite(one, other)
    for category, channel in product("abc", CHANNELS):
        both = (says(one, category, channel), says(other, category, channel))
        wished = False if False in both else (True if True in both else None)
        assert says(united, category, channel) is wished, (category, channel)


@given(_wishes)
def test_uniting_with_nobody_or_oneself_changes_nothing(wishes: Wishes) -> None:
    assert unite(wishes, {}) == unite({}, wishes) == unite(wishes, wishes) == wishes


def test_an_off_for_a_channel_is_not_hidden_by_the_others_on_for_a_category() -> None:
    assert unite({CHANNEL: False}, {CATEGORY: True}) == {
        CHANNEL: False,
        CATEGORY: True,
        EXACT: False,
    }


def test_an_on_for_a_channel_stays_where_the_other_says_on_for_the_category() -> None:
    united = unite({ALL: False, CHANNEL: True}, {CATEGORY: True})
    assert says(united, SHIPPED, SMS) is True
    assert says(united, SHIPPED, "email") is False


def test_a_change_sets_and_takes_away_entries_and_leaves_the_rest() -> None:
    wishes = {EXACT: True, CATEGORY: False, CHANNEL: False}
    assert change(wishes, {}) == wishes
    changed = change(wishes, {SHIPPED: {SMS: None, ANY: True, "push": False}, "other": {ANY: None}})
    assert changed == {CATEGORY: True, (SHIPPED, "push"): False, CHANNEL: False}
    assert change(wishes, {SHIPPED: None, "other": None}) == {CHANNEL: False}
    assert change(wishes, {SHIPPED: {}}) == wishes
    assert wishes == {EXACT: True, CATEGORY: False, CHANNEL: False}


@given(_wishes)
def test_nested_and_flat_are_the_same(wishes: Wishes) -> None:
    nested = nest(wishes)
    assert flatten(nested) == wishes
    assert list(nested) == sorted(nested)
