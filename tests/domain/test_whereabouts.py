"""Where a recipient may be, by what was told and by what their number means."""

from datetime import UTC, datetime, time

import pytest

from notifyq.domain.hours import Closed, Hours, Open, Quiet, Why, look
from notifyq.domain.model import Channel
from notifyq.domain.profile import Profile
from notifyq.domain.terms import Terms
from notifyq.domain.whereabouts import whereabouts

BOSTON, MAIL = "+16175550123", "ann@example.org"
SELLS = Terms(hours=Hours.LEGAL)
NIGHT = datetime(2027, 1, 12, 7, tzinfo=UTC)  # 2:00 in Boston, a Tuesday
NOT_TEXTS = pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.PUSH])


@NOT_TEXTS
@pytest.mark.parametrize("profile", [None, Profile(), Profile(phones=(BOSTON,))], ids=repr)
def test_mail_that_sells_goes_at_any_hour_where_no_zone_was_told(
    channel: Channel, profile: Profile | None
) -> None:
    assert whereabouts(channel, MAIL, SELLS, profile) is None


@NOT_TEXTS
def test_their_own_quiet_hours_hold_all_the_same_where_their_number_is(channel: Channel) -> None:
    profile = Profile(phones=(BOSTON,), quiet=Quiet(time(22), time(7)))
    where = whereabouts(channel, MAIL, SELLS, profile)
    assert where is not None
    opens = datetime(2027, 1, 12, 12, tzinfo=UTC)
    assert look(NIGHT, Hours.LEGAL, where) == Closed(opens, Why.QUIET_HOURS, "America/New_York")
    assert isinstance(look(opens, Hours.LEGAL, where), Open)  # 7:00: no state lets a text go


@NOT_TEXTS
@pytest.mark.parametrize("told", ["request", "profile"])
def test_mail_that_sells_keeps_the_hours_of_a_zone_that_was_told(
    channel: Channel, told: str
) -> None:
    zone = "America/New_York"
    terms = Terms(hours=Hours.LEGAL, time_zone=zone if told == "request" else None)
    profile = Profile(time_zone=zone if told == "profile" else None)
    where = whereabouts(channel, MAIL, terms, profile)
    assert where is not None
    found = look(NIGHT, Hours.LEGAL, where)
    assert isinstance(found, Closed)
    assert (found.reason, found.zone) == (Why.LEGAL_HOURS, zone)


def test_a_text_that_sells_needs_a_zone_and_has_its_number_s() -> None:
    where = whereabouts(Channel.SMS, BOSTON, SELLS, None)
    assert where is not None
    assert where.zones == {"America/New_York"}
    nowhere = whereabouts(Channel.SMS, "+18005550123", SELLS, None)
    assert nowhere is not None
    assert look(NIGHT, Hours.LEGAL, nowhere) == Closed(None, Why.NO_ZONE, None)


@NOT_TEXTS
def test_courtesy_by_mail_still_goes_by_their_number(channel: Channel) -> None:
    terms = Terms(hours=Hours.COURTESY)
    where = whereabouts(channel, MAIL, terms, Profile(phones=(BOSTON,)))
    assert where is not None
    assert isinstance(look(NIGHT, Hours.COURTESY, where), Closed)
