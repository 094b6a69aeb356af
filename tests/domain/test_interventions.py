"""What stands against a redrive, one at a time and together; what a reason may be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifyq.domain.interventions import (
    OUTCOME_UNKNOWN,
    REASON_LENGTH_MAX,
    REDRIVEN_CAUSES,
    WHY,
    Dead,
    Letter,
    Refusal,
    Tried,
    refusal,
    text_fault,
)
from notifyq.domain.states import LIVE, AttemptOutcome, Event, State, sources

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
R, S, O = Refusal, State, AttemptOutcome  # noqa: E741
LETTER = Letter("retries_exhausted", "20500", NOW - SECOND, NOW + timedelta(days=1))
TRIED = Tried(1, O.UNAVAILABLE, 7, late=False)
DEAD = Dead(LETTER, S.DEAD, NOW + timedelta(hours=1), False, True, False, (TRIED,))


def why(dead: Dead = DEAD, due: datetime = NOW, *, past_dedupe: bool = False) -> Refusal | None:
    return refusal(dead, now=NOW, due=due, past_dedupe=past_dedupe)


@pytest.mark.parametrize("cause", REDRIVEN_CAUSES)
@pytest.mark.parametrize("state", sources(Event.REDRIVE))
def test_what_is_dead_for_a_known_cause_is_made_due_again(cause: str, state: State) -> None:
    assert why(replace(DEAD, letter=replace(LETTER, cause=cause), state=state)) is None


AGAINST: list[tuple[Refusal, dict[str, Any]]] = [
    (R.NOTHING, {"letter": None}),
    (R.OUTCOME_UNKNOWN, {"letter": replace(LETTER, cause=OUTCOME_UNKNOWN)}),
    (R.OUTCOME_UNKNOWN, {"state": S.UNKNOWN}),
    *((R.NOTHING, {"state": s}) for s in S if s not in (S.DEAD, S.UNDELIVERED, S.UNKNOWN)),
    (R.NEVER_TRIED, {"attempts": ()}),
    *((R.LIVE_ATTEMPT, {"attempts": (TRIED, replace(TRIED, outcome=o))}) for o in sorted(LIVE)),
    (R.CARRIED_OUT_LATE, {"attempts": (replace(TRIED, late=True), TRIED)}),
    (R.CANCELED, {"cancel_requested": True}),
    (R.EXPIRED, {"expires_at": NOW}),
    (R.EXPIRED, {"expires_at": NOW - SECOND}),
    (R.CONTENT_GONE, {"has_content": False}),
    (R.OPTED_OUT, {"blocked": True}),
    (R.PAST_DEDUPE, {"letter": replace(LETTER, dedupe_until=NOW)}),
    (R.PAST_DEDUPE, {"letter": replace(LETTER, dedupe_until=NOW - SECOND)}),
]


@pytest.mark.parametrize(("found", "changes"), AGAINST, ids=str)
def test_each_thing_that_speaks_against_it_is_named(
    found: Refusal, changes: dict[str, Any]
) -> None:
    assert why(replace(DEAD, **changes)) is found


def test_it_is_judged_by_when_it_would_be_due() -> None:
    dead = replace(DEAD, expires_at=NOW + 5 * SECOND)
    assert why(dead, NOW + 4 * SECOND) is None
    assert why(dead, NOW + 5 * SECOND) is R.EXPIRES_FIRST
    dead = replace(DEAD, letter=replace(LETTER, dedupe_until=NOW + 5 * SECOND))
    assert why(dead, NOW + 4 * SECOND) is None
    assert why(dead, NOW + 5 * SECOND) is R.PAST_DEDUPE


def test_the_override_lifts_one_refusal_and_no_other() -> None:
    for found, changes in AGAINST:
        over = why(replace(DEAD, **changes), past_dedupe=True)
        assert over is (None if found is R.PAST_DEDUPE else found)


def test_what_cannot_be_mended_is_said_first() -> None:
    dead = replace(DEAD, letter=replace(LETTER, dedupe_until=NOW), blocked=True)
    assert why(dead) is R.OPTED_OUT
    assert why(replace(dead, expires_at=NOW)) is R.EXPIRED
    assert why(replace(dead, expires_at=NOW, attempts=())) is R.NEVER_TRIED


def test_every_refusal_says_what_and_what_to_do() -> None:
    assert set(WHY) == set(Refusal)
    assert all(";" in text or ":" in text or "," in text for text in WHY.values())


@pytest.mark.parametrize("text", ["x", "x" * REASON_LENGTH_MAX, "ligne éà, 漢字"])
def test_a_line_that_says_something_is_a_reason(text: str) -> None:
    assert text_fault(text, length_max=REASON_LENGTH_MAX) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "say something"),
        (" \t", "say something"),
        ("x" * (REASON_LENGTH_MAX + 1), "at most 500 characters, has 501"),
        ("red\x1b[31m", "printable"),
        ("two\nlines", "one line"),
        ("a\0b", "printable"),
        ("left\u202eright", "printable"),
    ],
)
def test_what_is_no_reason_is_said(text: str, says: str) -> None:
    assert says in (text_fault(text, length_max=REASON_LENGTH_MAX) or "")
