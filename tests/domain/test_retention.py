"""The order that keeps a replay from becoming a second send: refused when it is broken by a day."""

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.retention import REPLAY_TERMS, SKEW_DAYS, Retention, faults

few = settings(max_examples=40, deadline=None)
DEFAULT = Retention()
NAMES = [field.name for field in fields(Retention)]
# design.md section 4, "Retention order".
TERMS = {
    "client_retry_days",
    "kafka_days",
    "longest_hold_days",
    "retry_horizon_days",
    "dead_letter_days",
    "redrive_run_days",
    "failover_days",
}
CONTENT_TERMS = {
    "longest_hold_days",
    "retry_horizon_days",
    "dead_letter_days",
    "redrive_run_days",
}
LONG = replace(DEFAULT, dedupe_memory_days=10_000, content_days=10_000)  # room for any term


def named(retention: Retention) -> list[str]:
    """Return the settings that the faults begin with."""
    return [fault.partition(":")[0] for fault in faults(retention)]


def with_days(retention: Retention, **days: int) -> Retention:
    """Return it with some settings changed."""
    return replace(retention, **days)


def test_the_defaults_keep_the_order() -> None:
    assert faults(DEFAULT) == []
    assert DEFAULT.replay_horizon_days() == 37
    assert DEFAULT.dedupe_memory_days > 37


def test_the_horizon_is_the_sum_of_every_way_a_request_can_come_again() -> None:
    assert set(REPLAY_TERMS) == TERMS
    assert len(REPLAY_TERMS) == len(TERMS)
    powers = {name: 2**n for n, name in enumerate(REPLAY_TERMS)}
    assert Retention(**powers).replay_horizon_days() == 2 ** len(TERMS) - 1 + SKEW_DAYS


@pytest.mark.parametrize("name", NAMES)
def test_only_the_terms_lengthen_the_horizon(name: str) -> None:
    longer = with_days(DEFAULT, **{name: getattr(DEFAULT, name) + 5})
    assert longer.replay_horizon_days() - DEFAULT.replay_horizon_days() == (
        5 if name in TERMS else 0
    )


@pytest.mark.parametrize(("days", "refused"), [(36, True), (37, True), (38, False)])
def test_the_memory_must_outlive_the_horizon_not_equal_it(days: int, refused: bool) -> None:
    found = named(replace(DEFAULT, dedupe_memory_days=days))
    assert found == (["dedupe_memory_days"] if refused else [])


@pytest.mark.parametrize("term", sorted(TERMS))
def test_a_term_that_outgrows_the_memory_is_named_with_its_value(term: str) -> None:
    longest = getattr(DEFAULT, term) + DEFAULT.dedupe_memory_days - 37 - 1
    room = replace(DEFAULT, content_days=1_000)
    assert faults(with_days(room, **{term: longest})) == []
    (fault,) = faults(with_days(room, **{term: longest + 1}))
    assert fault.startswith("dedupe_memory_days: must be more than 40 (")
    assert f"{term} {longest + 1}" in fault
    assert fault.endswith(f"+ skew {SKEW_DAYS}), is 40: raise it or shorten a term")


@pytest.mark.parametrize(("days", "refused"), [(24, True), (25, False), (26, False)])
def test_content_lasts_as_long_as_something_may_still_be_sent(days: int, refused: bool) -> None:
    found = named(replace(DEFAULT, content_days=days))
    assert found == (["content_days"] if refused else [])


@pytest.mark.parametrize("term", sorted(CONTENT_TERMS))
def test_a_term_that_outgrows_the_content_is_named(term: str) -> None:
    room = replace(DEFAULT, dedupe_memory_days=1_000)
    longest = getattr(DEFAULT, term) + DEFAULT.content_days - 25
    assert faults(with_days(room, **{term: longest})) == []
    (fault,) = faults(with_days(room, **{term: longest + 1}))
    assert fault.startswith("content_days: must be 31 or more (")
    assert term in fault


@pytest.mark.parametrize(("days", "refused"), [(39, False), (40, False), (41, True)])
def test_answers_are_not_kept_longer_than_their_keys(days: int, refused: bool) -> None:
    found = named(replace(DEFAULT, replay_window_days=days))
    assert found == (["replay_window_days"] if refused else [])


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_below_one_is_named(name: str) -> None:
    assert f"{name}: must be 1 or more, is 0" in faults(with_days(DEFAULT, **{name: 0}))
    assert f"{name}: must be 1 or more, is -3" in faults(with_days(DEFAULT, **{name: -3}))
    assert name not in named(with_days(LONG, **{name: 1})) or name in {
        "dedupe_memory_days",
        "content_days",
    }


def test_every_fault_is_named_at_once() -> None:
    wrong = replace(
        DEFAULT, kafka_days=0, dedupe_memory_days=2, content_days=2, replay_window_days=3
    )
    assert named(wrong) == [
        "kafka_days",
        "dedupe_memory_days",
        "content_days",
        "replay_window_days",
    ]


@few
@given(st.builds(Retention, *[st.integers(1, 60)] * len(NAMES)))
def test_no_fault_means_that_the_order_holds(retention: Retention) -> None:
    kept = (
        retention.dedupe_memory_days > SKEW_DAYS + sum(getattr(retention, t) for t in TERMS)
        and retention.content_days >= sum(getattr(retention, t) for t in CONTENT_TERMS)
        and retention.replay_window_days <= retention.dedupe_memory_days
    )
    assert (faults(retention) == []) == kept
