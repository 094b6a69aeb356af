"""Ids of a request's parts, its phases, and whose turn it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifyq.domain.asking import (
    PHASE_RECIPIENTS,
    Ask,
    Part,
    in_turn,
    operation_of,
    phase,
    plan,
    recipients_before,
)
from notifyq.domain.content import SmsContent
from notifyq.domain.idempotency import after_recipients, recipients_done
from notifyq.domain.ids import delivery_id
from notifyq.domain.model import Category, Channel
from notifyq.domain.states import Reason

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PART = Part(Channel.SMS, 1, "+14155550123", SmsContent("hello"))


def ask(recipients: int | None = None, width: int = 1, not_before: datetime | None = None) -> Ask:
    return Ask(
        cell=0,
        tenant_id=1,
        brand="acme",
        test=False,
        key_hash=b"k",
        fingerprint=b"f",
        category=Category("a"),
        recipient=None,
        metadata=None,
        not_before=not_before,
        expires_at=NOW + timedelta(1),
        parts=(PART,) * (width * (recipients or 1)),
        warnings=(),
        recipients=recipients,
        widths=(width,) * recipients if recipients else (),
    )


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("recipients", [None, 1, 2, 999, 1_000, 1_001, 2_000, 9_999, 10_000])
def test_the_phases_are_every_part_once_in_order_and_no_recipient_is_cut(
    recipients: int | None, width: int
) -> None:
    planned = plan(ask(recipients, width), NOW, 1)
    done, written = 0, []
    while places := phase(planned, done):
        assert len(places) <= PHASE_RECIPIENTS * width
        assert places.start == done * width
        assert len(places) % width == 0
        written += places
        done = places.stop // width
    assert written == list(range((recipients or 1) * width))
    assert done == planned.ask.count == (recipients or 1)


def test_a_delivery_of_a_list_has_the_number_of_its_place() -> None:
    planned = plan(ask(10_000, 2), NOW, 1)
    for place in (0, 1, 2, 19_999):
        assert planned.delivery_ids[place] == delivery_id(planned.notification_id, place + 1)


def test_recipients_may_have_more_or_less_parts_than_others() -> None:
    wanted = replace(ask(3, 2), widths=(1, 4, 1))
    planned = plan(wanted, NOW, 1)
    assert phase(planned, 0) == range(6)
    assert phase(planned, 1) == range(1, 6)
    assert [recipients_before(wanted, place) for place in range(7)] == [0, 1, 1, 1, 1, 2, 3]


@pytest.mark.parametrize(("after_s", "reason"), [(-1, None), (0, None), (1, Reason.NOT_BEFORE)])
def test_what_is_held_is_held_for_a_reason(after_s: int, reason: Reason | None) -> None:
    held = plan(ask(not_before=NOW + timedelta(seconds=after_s)), NOW, 1)
    assert held.reason(PART) is reason
    assert held.due(PART) == (held.ask.not_before if reason else None)
    assert plan(ask(), NOW, 1).reason(PART) is None


def test_test_sends_have_keys_of_their_own() -> None:
    assert operation_of(test=True) != operation_of(test=False)
    assert ask().key == (1, "notify", b"k")
    assert replace(ask(), test=True).key == (1, "notify.test", b"k")


@pytest.mark.parametrize("strategy", ["all", "first"])
def test_of_strategy_first_only_the_first_is_due(strategy: str) -> None:
    waits = strategy == "first"
    found = in_turn([PART, PART, PART], strategy)
    assert [part.standby for part in found] == [False, waits, waits]
    assert in_turn([PART], strategy) == (PART,)


def test_recovery_points_are_named_in_one_place() -> None:
    assert after_recipients(1_000, 10_000) == "recipients_1000"
    assert after_recipients(10_000, 10_000) == "finished"
    assert recipients_done("recipients_9000") == 9_000
    for none in ("finished", "started", "recipients_", "recipients_x", ""):
        with pytest.raises(ValueError, match="invalid literal"):
            recipients_done(none)
