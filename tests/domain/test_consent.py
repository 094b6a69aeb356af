"""The fold of consent: what events add up to, whatever the order in which we learn of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.consent import (
    SKEW,
    Kind,
    Said,
    Source,
    Standing,
    brand_of,
    in_force,
    is_test,
    left_by,
    scope_of,
    standing,
    unread,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def said(
    kind: str, after_s: float = 0, source: Source = Source.SMS, program: str | None = None
) -> Said:
    return Said(Kind(kind), NOON + timedelta(seconds=after_s), source, program)


# Few times and programs, so that ties and answers are common.
EVENTS = st.builds(
    Said,
    st.sampled_from(Kind),
    st.sampled_from([0, 1, 4, 5, 6, 20, 3_600]).map(lambda s: NOON + timedelta(seconds=s)),
    st.sampled_from(Source),
    st.sampled_from([None, "codes", "news"]),
)


@given(st.lists(EVENTS, max_size=8), st.data())
def test_the_order_of_arrival_does_not_matter(events: list[Said], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(events))
    assert standing(shuffled) == standing(events)


@given(st.lists(EVENTS, max_size=8), EVENTS)
def test_what_is_heard_twice_counts_once(events: list[Said], again: Said) -> None:
    assert standing([*events, again, again]) == standing([*events, again])


@given(st.lists(EVENTS, max_size=8), st.sampled_from(Source))
def test_an_opt_out_newer_than_everything_stands(events: list[Said], source: Source) -> None:
    stop = said("opt_out", 3_600, source)
    found = standing([*events, stop])
    assert found.blocked
    assert not found.consented


@given(st.lists(EVENTS, max_size=8))
def test_nothing_but_a_lift_takes_an_opt_out_back(events: list[Said]) -> None:
    stop = said("opt_out", 20)
    others = [event for event in events if event.kind is not Kind.LIFT]
    assert standing([stop, *others]).blocked


@given(st.lists(EVENTS, max_size=8))
def test_what_is_said_of_one_program_blocks_no_other(events: list[Said]) -> None:
    found = standing(events)
    for program in found.programs:
        assert any(event.program == program for event in events)
    assert found.blocked == bool(in_force(events, None))
    of_brand = [event for event in events if event.program is None]
    assert found.blocked == standing(of_brand).blocked


STARTS_AND_STOPS: list[tuple[str, Sequence[Said], bool]] = [
    ("nothing was said", [], False),
    ("a stop", [said("opt_out")], True),
    ("a start alone", [said("lift")], False),
    ("a start after it", [said("opt_out"), said("lift", 60)], False),
    ("a start before it", [said("opt_out", 60), said("lift")], True),
    ("at one time", [said("opt_out"), said("lift")], True),
    ("within the skew of clocks", [said("opt_out"), said("lift", SKEW.total_seconds())], True),
    (
        "just beyond it",
        [said("opt_out"), Said(Kind.LIFT, NOON + SKEW + TICK, Source.SMS)],
        False,
    ),
    ("stop, start, stop", [said("opt_out"), said("lift", 60), said("opt_out", 120)], True),
    ("two stops, one start after both",
     [said("opt_out"), said("opt_out", 9, Source.EMAIL), said("lift", 60)], False),
    ("two stops, a start between them",
     [said("opt_out"), said("lift", 60), said("opt_out", 90, Source.WEB)], True),
    ("a provider's block and a start", [said("opt_out", 0, Source.PROVIDER), said("lift", 60)],
     False),
    ("a provider's block and consent elsewhere",
     [said("opt_out", 0, Source.PROVIDER), said("lift", 60, Source.WEB)], True),
    ("a provider's block and an operator",
     [said("opt_out", 0, Source.PROVIDER), said("lift", 60, Source.OPERATOR)], True),
    ("consent elsewhere takes back what is no provider's",
     [said("opt_out", 0, Source.EMAIL), said("lift", 60, Source.WEB)], False),
    ("a number that changed hands", [said("reassigned", 0, Source.OPERATOR)], True),
    ("a start of who has it now", [said("reassigned", 0, Source.OPERATOR), said("lift", 60)],
     True),
    ("consent of who has it now",
     [said("reassigned", 0, Source.OPERATOR), said("lift", 60, Source.WEB)], False),
    ("written consent is no start", [said("opt_out"), said("consent", 60, Source.WEB)], True),
    ("a stop of one program", [said("opt_out", program="codes")], False),
    ("a start of one program", [said("opt_out"), said("lift", 60, program="codes")], True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events", "blocked"), STARTS_AND_STOPS, ids=lambda x: str(x)[:40])
def test_a_start_takes_back_only_what_it_saw(
    name: str, events: Sequence[Said], blocked: bool
) -> None:
    for order in permutations(events):
        assert standing(order).blocked is blocked, name


def test_programs_are_blocked_by_themselves() -> None:
    events = [said("opt_out", program="news"), said("opt_out", program="codes")]
    assert standing(events) == Standing(programs=("codes", "news"))
    later = [*events, said("lift", 60, program="codes")]
    assert standing(later) == Standing(programs=("news",))
    assert standing([*later, said("opt_out", 90)]) == Standing(True, ("news",))


CONSENT: list[tuple[str, Sequence[Said], bool]] = [
    ("in writing", [said("consent")], True),
    ("a start is none", [said("lift")], False),
    ("before a stop", [said("consent"), said("opt_out", 60)], False),
    ("at one time with a stop", [said("consent"), said("opt_out")], False),
    ("within the skew of clocks", [said("opt_out"), said("consent", 5)], False),
    ("after a stop", [said("opt_out"), said("consent", 6)], True),
    ("before it, and a start after it",
     [said("consent"), said("opt_out", 60), said("lift", 90)], False),
    ("of who had the number", [said("consent"), said("reassigned", 60)], False),
    ("before a stop of another program",
     [said("consent"), said("opt_out", 60, program="codes")], True),
    ("twice, the second after the stop",
     [said("consent"), said("opt_out", 60), said("consent", 90)], True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events", "consented"), CONSENT, ids=lambda x: str(x)[:40])
def test_consent_counts_until_the_next_opt_out(
    name: str, events: Sequence[Said], consented: bool
) -> None:
    for order in permutations(events):
        assert standing(order).consented is consented, name


HOLDS: list[tuple[str, Sequence[Said], bool]] = [
    ("unread", [said("hold")], True),
    ("released", [said("hold"), said("release", 0, Source.OPERATOR)], False),
    ("read as an opt-out", [said("hold"), said("opt_out")], False),
    ("a clear word after it", [said("hold"), said("lift", 60)], False),
    ("a release before it", [said("release"), said("hold", 60)], True),
    ("another one after the release", [said("hold"), said("release"), said("hold", 1)], True),
    ("consent is no answer", [said("hold"), said("consent", 60)], True),
    ("an answer of another program", [said("hold"), said("opt_out", 60, program="codes")], True),
    ("an answer of its program",
     [said("hold", program="codes"), said("release", 0, program="codes")], False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events", "held"), HOLDS, ids=lambda x: str(x)[:40])
def test_a_text_is_held_until_somebody_has_read_it(
    name: str, events: Sequence[Said], held: bool
) -> None:
    for order in permutations(events):
        assert standing(order).held is held, name


def test_a_release_answers_what_was_written_until_then_and_no_more() -> None:
    first, second, third = (said("hold", at) for at in (0, 10, 20))
    released = said("release", 10, Source.OPERATOR)
    assert unread([third, released, first, second]) == [third]


def test_what_a_lift_would_leave_is_told() -> None:
    by_provider = said("opt_out", 0, Source.PROVIDER)
    early, late, other = said("opt_out"), said("opt_out", 90), said("opt_out", program="codes")
    lift = said("lift", 60, Source.WEB)
    assert left_by([by_provider, early, late, other], lift) == [by_provider, late]
    assert left_by([early, other], lift) == []
    assert left_by([early, said("lift", 10, Source.WEB), by_provider], lift) == [by_provider]


def test_a_scope_tells_test_sends_from_live_ones() -> None:
    assert scope_of("acme", test=False) == "acme"
    test = scope_of("acme", test=True)
    assert (is_test(test), brand_of(test), is_test("acme"), brand_of("acme")) == (
        True, "acme", False, "acme",
    )  # fmt: skip
