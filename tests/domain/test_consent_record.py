"""Records of consent: what they keep, and what one lacks to take an opt-out back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from notifyq.domain.consent_record import NEEDED, Medium, Record

AT = datetime(2026, 11, 22, 18, tzinfo=UTC)
WHOLE = Record(
    AT, "Yes, text me offers.", Medium.WEB, "v3", "https://a.example/join", "192.0.2.1", "Firefox",
    "C123", "customer 42",
)  # fmt: skip


def test_everything_that_is_known_is_kept() -> None:
    assert WHOLE.evidence() == {
        "at": "2026-11-22T18:00:00+00:00",
        "wording": "Yes, text me offers.",
        "medium": "web",
        "wording_version": "v3",
        "page": "https://a.example/join",
        "ip": "192.0.2.1",
        "user_agent": "Firefox",
        "campaign": "C123",
        "identity": "customer 42",
    }
    bare = Record(AT, "stop calling", Medium.VOICE)
    assert bare.evidence().keys() == {"at", "wording", "medium"}


@pytest.mark.parametrize("medium", Medium)
def test_each_medium_needs_what_proves_it(medium: Medium) -> None:
    whole = replace(WHOLE, medium=medium)
    assert whole.missing() == []
    for name in NEEDED[medium]:
        assert replace(whole, **{name: None}).missing() == [name]
    assert "identity" in NEEDED[medium]
    assert ("ip" in NEEDED[medium]) is (medium in (Medium.WEB, Medium.APP))


def test_the_same_record_is_known_by_time_version_and_medium() -> None:
    kept = WHOLE.evidence()
    elsewhere = WHOLE.at.astimezone(timezone(timedelta(hours=-5)))
    assert replace(WHOLE, at=elsewhere, identity="another spelling").is_in(kept)
    for other in (
        replace(WHOLE, at=AT + timedelta(seconds=1)),
        replace(WHOLE, wording_version="v4"),
        replace(WHOLE, medium=Medium.APP),
        replace(WHOLE, wording_version=None),
    ):
        assert not other.is_in(kept)
    assert not WHOLE.is_in({})
