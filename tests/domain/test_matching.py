"""Matching: a listed message is an attempt's own only when nobody else can have made it."""

from datetime import UTC, datetime, timedelta

import pytest

from notifyq.domain import matching
from notifyq.domain.matching import LAG, SKEW, Maker, Unclear
from notifyq.domain.provider import Sighting
from tests.store.helpers import instead

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEND_BY = BEGAN + timedelta(seconds=35)
SECOND = timedelta(seconds=1)
OWN = Maker(None, BEGAN, SEND_BY)


def match(found: list[Sighting], own: Maker, others: list[Maker]) -> Sighting | Unclear:
    return matching.match(found, own, others, reference="ours")


def seen(name: str, at: datetime = BEGAN) -> Sighting:
    return Sighting(name, at, "sent", 3, None)


def other(name: str | None, later_s: float = 0) -> Maker:
    by = timedelta(seconds=later_s)
    return Maker(name, BEGAN + by, SEND_BY + by)


def test_the_only_message_of_the_only_attempt_is_its_own() -> None:
    assert match([seen("SM1")], OWN, []) == seen("SM1")


def test_nothing_seen_is_nothing_found() -> None:
    assert match([], OWN, [other(None)]) is Unclear.NOT_FOUND


def test_a_message_that_has_an_owner_is_not_taken() -> None:
    assert match([seen("SM1")], OWN, [other("SM1")]) is Unclear.NOT_FOUND
    # Whenever its owner was begun: a name is a name.
    assert match([seen("SM1")], OWN, [other("SM1", -3_600)]) is Unclear.NOT_FOUND


def test_what_others_own_is_taken_out_before_counting() -> None:
    both = [seen("SM1"), seen("SM2")]
    assert match(both, OWN, [other("SM1")]) == seen("SM2")
    assert match(both, OWN, [other("SM9")]) is Unclear.AMBIGUOUS


def test_two_messages_are_ambiguous() -> None:
    assert match([seen("SM1"), seen("SM2")], OWN, []) is Unclear.AMBIGUOUS


def test_another_attempt_that_may_have_made_it_is_ambiguous() -> None:
    assert match([seen("SM1")], OWN, [other(None)]) is Unclear.AMBIGUOUS
    assert match([seen("SM1")], OWN, [other("SM2"), other(None, 5)]) is Unclear.AMBIGUOUS


@pytest.mark.parametrize(
    ("created", "may"),
    [
        (BEGAN - SKEW, True),
        (BEGAN - SKEW - SECOND, False),
        (SEND_BY + LAG, True),
        (SEND_BY + LAG + SECOND, False),
    ],
)
def test_an_attempts_message_is_created_while_it_may_be(created: datetime, may: bool) -> None:
    assert (match([seen("SM1", created)], OWN, []) == seen("SM1", created)) is may
    # And the same goes for the others: one that cannot have made it makes nothing unclear.
    own = Maker(None, BEGAN - timedelta(days=1), SEND_BY + timedelta(days=1))
    assert (match([seen("SM1", created)], own, [OWN]) is Unclear.AMBIGUOUS) is may


def test_an_attempt_whose_message_is_known_is_matched_by_its_name_alone() -> None:
    """A callback came while the list was read."""
    named = Maker("SM1", BEGAN, SEND_BY)
    late = seen("SM1", SEND_BY + timedelta(hours=1))
    assert match([late, seen("SM2")], named, []) == late
    assert match([seen("SM2")], named, []) is Unclear.NOT_FOUND


@pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])
def test_a_match_that_forgets_who_else_was_sending_takes_anothers_message(wrong: bool) -> None:
    def alone(self: Maker, message: Sighting) -> bool:
        return self is OWN

    found = match([seen("SM1")], OWN, [other(None)])
    if wrong:
        with instead(matching.Maker, "may_have_made", alone):
            found = match([seen("SM1")], OWN, [other(None)])
    assert (found is Unclear.AMBIGUOUS) is not wrong
