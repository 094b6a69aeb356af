"""Hours, rule by rule and case by case, each by its number.

The numbers are those of the project's sheet on consent and quiet hours, its section 13.
Rule 7 (rolling caps) and rule 10 (zone data) are not here: the one belongs to the caps, the other
is in test_zones. Rows 3 and 4 of a schedule are there too, rows 12 and 13 in test_places.
"""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from notifyq.domain.holidays import is_federal_holiday
from notifyq.domain.hours import (
    BadQuiet,
    Closed,
    Hours,
    Open,
    Quiet,
    Whereabouts,
    Why,
    look,
)
from notifyq.domain.places import Places, places_of
from notifyq.domain.zones import BadZone, local_instant, zone

NEW_YORK, CHICAGO, DENVER = "America/New_York", "America/Chicago", "America/Denver"
LOS_ANGELES, HONOLULU, GUAM = "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Guam"
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
NOWHERE = Whereabouts()


def at(place: str, text: str) -> datetime:
    """Return the instant at which a place's clocks first show `2027-01-12 08:30`."""
    shown = datetime.fromisoformat(text)
    return local_instant(shown.date(), shown.time(), place)


def z(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def there(*zones: str, states: str = "", quiet: Quiet | None = None) -> Whereabouts:
    """Return whereabouts; states as in "FL WA"."""
    return Whereabouts(frozenset(zones), frozenset(states.split()), quiet=quiet)


def of(*phones: str, zones: tuple[str, ...] = (), states: str = "") -> Whereabouts:
    """Return the whereabouts of numbers, and of what else is known."""
    found = [*map(places_of, phones), Places(frozenset(zones), frozenset(states.split()))]
    return Whereabouts(
        frozenset().union(*(each.zones for each in found)),
        frozenset().union(*(each.states for each in found)),
    )


def is_open(now: datetime, hours: Hours, where: Whereabouts, guard_s: float = 0) -> bool:
    return isinstance(look(now, hours, where, guard_s=guard_s), Open)


def opens(now: datetime, hours: Hours, where: Whereabouts) -> datetime | None:
    """Return when it opens next; it must be closed now."""
    answer = look(now, hours, where)
    assert isinstance(answer, Closed)
    return answer.until


def open_hours(day: str, hours: Hours, where: Whereabouts, place: str) -> str:
    """Return when it is open on a date of a place, to the quarter hour: `08:00-21:00`."""
    start = at(place, f"{day} 00:00")
    quarters = [start + n * timedelta(minutes=15) for n in range(4 * 24)]
    found = [quarter for quarter in quarters if is_open(quarter, hours, where)]
    if not found:
        return "closed"
    assert found[-1] - found[0] == (len(found) - 1) * timedelta(minutes=15), "one stretch"
    last = found[-1] + timedelta(minutes=15)
    return "-".join(f"{each.astimezone(zone(place)):%H:%M}" for each in (found[0], last))


# The rules.


def test_rule_13_1_a_window_is_from_its_start_to_before_its_end() -> None:
    for text, answer in (("07:59:59.999999", False), ("08:00", True), ("20:59:59.999999", True)):
        assert (
            is_open(at(NEW_YORK, f"2027-01-12 {text}"), Hours.COURTESY, there(NEW_YORK)) is answer
        )
    assert not is_open(at(NEW_YORK, "2027-01-12 21:00"), Hours.COURTESY, there(NEW_YORK))


def test_rule_13_1_an_opening_that_the_clocks_skip_is_the_first_instant_after_it() -> None:
    where = there(NEW_YORK, quiet=Quiet(time(22), time(2, 30)))
    assert opens(z("2027-03-14 06:00"), Hours.RECIPIENT, where) == z("2027-03-14 07:00")


@pytest.mark.parametrize(
    ("quiet", "closed_from", "opens_at"),
    [
        # 01:00-02:00 comes twice on 7 November: 05:00Z and 06:00Z.
        (Quiet(time(22), time(1, 30)), "2027-11-07 02:00", "2027-11-07 06:30"),
        (Quiet(time(1, 30), time(7)), "2027-11-07 05:30", "2027-11-07 12:00"),
        (Quiet(time(1, 15), time(1, 45)), "2027-11-07 05:15", "2027-11-07 06:45"),
        # Open from the second 01:15 to the first 01:45: not at all that night.
        (Quiet(time(1, 45), time(1, 15)), "2027-11-06 05:45", "2027-11-08 06:15"),
    ],
)
def test_rule_13_2_between_the_two_passes_of_an_edge_it_is_closed(
    quiet: Quiet, closed_from: str, opens_at: str
) -> None:
    where = there(NEW_YORK, quiet=quiet)
    start, end = z(closed_from), z(opens_at)
    assert look(start - TICK, Hours.RECIPIENT, where) == Open(start)
    now = start
    while now < end:
        assert opens(now, Hours.RECIPIENT, where) == end
        now += timedelta(minutes=5)
    assert is_open(end, Hours.RECIPIENT, where)


def test_rule_13_3_the_next_opening_comes_from_the_date_not_from_the_last_close() -> None:
    for day, hours in (("2027-03-13", 10), ("2027-11-06", 12), ("2027-07-06", 11)):
        closes = at(NEW_YORK, f"{day} 21:00")
        assert opens(closes, Hours.COURTESY, there(NEW_YORK)) == closes + timedelta(hours=hours)


def test_rule_13_4_it_is_closed_when_the_message_may_leave_after_the_end() -> None:
    where, end = there(NEW_YORK), at(NEW_YORK, "2027-01-12 21:00")
    guard = timedelta(seconds=90)
    assert look(end - guard - TICK, Hours.COURTESY, where, guard_s=90) == Open(end)
    assert look(end - guard, Hours.COURTESY, where, guard_s=90) == Closed(
        at(NEW_YORK, "2027-01-13 08:01:30"), Why.COURTESY_HOURS, NEW_YORK
    )


def test_rule_13_5_every_candidate_must_be_open_and_the_season_counts() -> None:
    where = of("+19285550123")  # Phoenix, or the Navajo Nation, which has summer time
    assert open_hours("2027-01-12", Hours.COURTESY, where, "America/Phoenix") == "08:00-21:00"
    assert open_hours("2027-07-12", Hours.COURTESY, where, "America/Phoenix") == "08:00-20:00"


def test_rule_13_6_weekdays_and_dates_are_local() -> None:
    saturday = at(LOS_ANGELES, "2027-01-16 16:30")  # Sunday in UTC
    assert saturday.weekday() == 6
    assert is_open(saturday, Hours.LEGAL, there(LOS_ANGELES))


@pytest.mark.parametrize(
    ("place", "night", "opens_at"),
    [
        ("Africa/Cairo", "2027-04-29 23:00", "2027-04-29 22:00"),  # 00:00 is skipped
        ("Asia/Beirut", "2027-03-27 23:00", "2027-03-27 22:00"),
        ("America/Havana", "2027-11-06 23:00", "2027-11-07 05:00"),  # 00:00 comes twice
        ("America/Santiago", "2027-04-03 22:00", "2027-04-04 04:00"),  # 23:00 does
    ],
)
def test_rule_13_8_midnight_may_be_skipped_or_come_twice(
    place: str, night: str, opens_at: str
) -> None:
    where = there(place, quiet=Quiet(time(20), time(0)))
    assert opens(at(place, night), Hours.RECIPIENT, where) == z(opens_at)


def test_rule_13_8_half_an_hour_is_a_change_too() -> None:
    where = there("Australia/Lord_Howe", quiet=Quiet(time(22), time(2, 15)))
    now = at("Australia/Lord_Howe", "2026-10-04 01:00")
    assert opens(now, Hours.RECIPIENT, where) == z("2026-10-03 15:30")


def test_rule_13_8_a_pause_that_is_skipped_whole_is_none_with_a_guard_neither() -> None:
    where = there(NEW_YORK, quiet=Quiet(time(2, 15), time(2, 45)))
    for now in (z("2027-03-14 06:59"), z("2027-03-14 07:00"), z("2027-03-14 07:04")):
        answer = look(now, Hours.RECIPIENT, where, guard_s=300)
        assert answer == Open(at(NEW_YORK, "2027-03-15 02:15"))
    late = there("Asia/Dhaka", quiet=Quiet(time(23, 15), time(23, 45)))
    now = z("2009-06-19 17:02")  # 00:02: the hour before was skipped, and the pause with it
    assert is_open(now, Hours.RECIPIENT, late, guard_s=300)


def test_rule_13_11_the_guard_holds_at_the_start_too() -> None:
    where, start = there(NEW_YORK), at(NEW_YORK, "2027-01-12 08:00")
    answer = look(start, Hours.COURTESY, where, guard_s=2)
    assert answer == Closed(start + timedelta(seconds=2), Why.COURTESY_HOURS, NEW_YORK)
    assert is_open(start + timedelta(seconds=2), Hours.COURTESY, where, 2)


def test_a_guard_longer_than_half_a_window_leaves_nothing_of_it() -> None:
    answer = look(
        at(NEW_YORK, "2027-01-12 12:00"), Hours.COURTESY, there(NEW_YORK), guard_s=6.5 * 3600
    )
    assert answer == Closed(None, Why.NO_COMMON_HOURS, None)


# The rows.


def test_row_13_1_a_moment_before_eight_is_closed_and_eight_is_open() -> None:
    assert not is_open(at(NEW_YORK, "2027-01-12 07:59:59.999"), Hours.COURTESY, there(NEW_YORK))
    assert is_open(at(NEW_YORK, "2027-01-12 08:00:00.000"), Hours.COURTESY, there(NEW_YORK))


def test_row_13_2_nine_in_the_evening_is_closed() -> None:
    assert not is_open(at(NEW_YORK, "2027-01-12 21:00:00.000"), Hours.COURTESY, there(NEW_YORK))


def test_row_13_3_a_reminder_for_a_skipped_time_waits_for_the_morning() -> None:
    due = local_instant(date(2027, 3, 14), time(2, 30), NEW_YORK)
    assert due == z("2027-03-14 07:00")
    assert is_open(due, Hours.ANY, there(NEW_YORK))
    assert opens(due, Hours.COURTESY, there(NEW_YORK)) == z("2027-03-14 12:00")


def test_row_13_4_a_job_at_a_repeated_time_is_due_once() -> None:
    assert local_instant(date(2027, 11, 7), time(1, 30), NEW_YORK) == z("2027-11-07 05:30")


def test_row_13_5_own_quiet_hours_end_where_the_clocks_skip_their_end() -> None:
    where = there(NEW_YORK, quiet=Quiet(time(22), time(2, 30)))
    assert not is_open(z("2027-03-14 06:59"), Hours.RECIPIENT, where)
    assert is_open(z("2027-03-14 07:00"), Hours.RECIPIENT, where)


@pytest.mark.parametrize(("text", "answer"), [("23:30", False), ("06:59", False), ("07:00", True)])
def test_row_13_6_quiet_hours_past_midnight(text: str, answer: bool) -> None:
    where = there(NEW_YORK, quiet=Quiet(time(22), time(7)))
    assert is_open(at(NEW_YORK, f"2027-01-12 {text}"), Hours.RECIPIENT, where) is answer


def test_row_13_7_quiet_hours_that_end_when_they_start_are_a_mistake() -> None:
    with pytest.raises(BadQuiet, match="must not start and end at the same time"):
        Quiet(time(22), time(22))
    with pytest.raises(BadQuiet, match="without a zone"):
        Quiet(time(22, tzinfo=UTC), time(7))
    with pytest.raises(BadQuiet, match="without a zone"):
        Quiet(time(22), time(7, tzinfo=UTC))


def test_row_13_8_late_in_one_candidate_is_late() -> None:
    where = of("+14235550123")
    assert not is_open(at(CHICAGO, "2027-01-12 20:30"), Hours.COURTESY, where)


def test_row_13_9_early_in_one_candidate_is_early() -> None:
    where = of("+14235550123")
    assert not is_open(at(NEW_YORK, "2027-01-12 08:05"), Hours.COURTESY, where)


def test_row_13_10_a_number_of_new_york_and_an_address_in_honolulu() -> None:
    where = of("+12125550123", zones=(HONOLULU,))
    assert not is_open(at(NEW_YORK, "2027-07-12 09:00"), Hours.COURTESY, where)
    assert open_hours("2027-07-12", Hours.COURTESY, where, NEW_YORK) == "14:00-21:00"


@pytest.mark.parametrize("day", ["2027-01-12", "2027-07-12"])
def test_row_13_11_guam_and_new_york_have_no_hours_for_selling(day: str) -> None:
    where = of("+16715550123", zones=(NEW_YORK,), states="NY")
    for hour in range(24):
        answer = look(at(NEW_YORK, f"{day} {hour:02}:00"), Hours.LEGAL, where)
        assert answer == Closed(None, Why.NO_COMMON_HOURS, None)


@pytest.mark.parametrize("phone", ["+18005550123", "+15005550123", "+19005550123"])
def test_row_13_12_a_number_without_a_place_has_no_hours_for_selling(phone: str) -> None:
    now = at(NEW_YORK, "2027-01-12 12:00")
    assert look(now, Hours.LEGAL, of(phone)) == Closed(None, Why.NO_ZONE, None)


@pytest.mark.parametrize("phone", ["+15555550123", "+17105550123", "+1"])
def test_row_13_13_what_is_not_known_is_not_utc(phone: str) -> None:
    for hour in range(24):
        now = z(f"2027-01-12 {hour:02}:00")
        assert look(now, Hours.LEGAL, of(phone)) == Closed(None, Why.NO_ZONE, None)
    with pytest.raises(BadZone):
        look(now, Hours.LEGAL, there("Etc/Unknown"))


@pytest.mark.parametrize("day", ["2027-01-12", "2027-07-12"])
def test_row_13_14_a_ported_number_keeps_the_limits_of_both_states(day: str) -> None:
    where = of("+13055550123", zones=(LOS_ANGELES,), states="WA")
    assert open_hours(day, Hours.LEGAL, where, NEW_YORK) == "11:00-20:00"


def test_row_13_15_a_retry_after_closing_waits_for_the_next_opening() -> None:
    where = there(NEW_YORK)
    assert is_open(at(NEW_YORK, "2027-01-12 20:59:30"), Hours.COURTESY, where)
    retry = at(NEW_YORK, "2027-01-12 21:02")
    assert opens(retry, Hours.COURTESY, where) == at(NEW_YORK, "2027-01-13 08:00")


def test_row_13_16_sunday_in_texas_is_local_and_begins_at_noon() -> None:
    where = of("+12145550123")
    assert not is_open(at(CHICAGO, "2027-01-10 10:30"), Hours.LEGAL, where)
    evening = z("2027-01-11 02:30")  # Monday in UTC, Sunday 20:30 there
    assert look(evening, Hours.LEGAL, where) == Open(at(CHICAGO, "2027-01-10 21:00"))


def test_row_13_17_el_paso_is_under_its_own_time_and_central_time() -> None:
    where = of("+19155550123")
    assert not is_open(at(DENVER, "2027-01-11 08:30"), Hours.LEGAL, where)
    assert is_open(at(DENVER, "2027-01-11 19:59"), Hours.LEGAL, where)
    late = look(at(DENVER, "2027-01-11 20:30"), Hours.LEGAL, where)  # 21:30 Central
    assert late == Closed(at(DENVER, "2027-01-12 09:00"), Why.LEGAL_HOURS, CHICAGO)


def test_row_13_18_alaska_is_adak_too() -> None:
    where = of("+19075550123")
    assert not is_open(at("America/Anchorage", "2027-01-12 08:30"), Hours.COURTESY, where)


@pytest.mark.parametrize("phone", ["+13235550123", "+12065550123"])
def test_row_13_19_new_years_eve_is_no_holiday_until_it_is_midnight_there(phone: str) -> None:
    evening = at(LOS_ANGELES, "2026-12-31 19:30")
    assert evening == z("2027-01-01 03:30")
    assert is_open(evening, Hours.LEGAL, of(phone))
    assert not is_open(evening + DAY, Hours.LEGAL, of(phone))


def test_row_13_20_what_a_cap_releases_at_midnight_pacific_waits_for_the_morning() -> None:
    released = at(LOS_ANGELES, "2027-01-12 00:00")
    assert opens(released, Hours.LEGAL, of("+12125550123")) == at(NEW_YORK, "2027-01-12 09:00")


def test_row_13_21_a_code_goes_out_at_any_hour() -> None:
    night = at(NEW_YORK, "2027-01-12 03:00")
    quiet = there(NEW_YORK, quiet=Quiet(time(22), time(7)))
    for where in (NOWHERE, quiet, of("+18005550123")):
        assert look(night, Hours.ANY, where, guard_s=60) == Open(None)


def test_row_13_22_a_traveller_is_at_home_and_away() -> None:
    where = of("+16175550123", zones=(LOS_ANGELES,))
    assert open_hours("2027-01-12", Hours.COURTESY, where, NEW_YORK) == "11:00-21:00"


def test_row_13_23_the_last_day_for_an_opt_out_skips_the_holidays() -> None:
    day, left = date(2026, 12, 23), 10
    while left:
        day += DAY
        left -= day.weekday() < 5 and not is_federal_holiday(day)
    assert day == date(2027, 1, 8)


# Whose hours they are.


def test_without_quiet_hours_of_their_own_a_person_is_open() -> None:
    night = at(NEW_YORK, "2027-01-12 03:00")
    for where in (NOWHERE, there(NEW_YORK, GUAM), Whereabouts(own_zone=NEW_YORK)):
        assert look(night, Hours.RECIPIENT, where) == Open(None)


def test_own_quiet_hours_hold_in_every_candidate_zone_unless_the_person_set_one() -> None:
    quiet, zones = Quiet(time(22), time(7)), frozenset({NEW_YORK, LOS_ANGELES})
    morning = at(NEW_YORK, "2027-01-12 07:30")
    assert look(morning, Hours.RECIPIENT, Whereabouts(zones, quiet=quiet)) == Closed(
        at(LOS_ANGELES, "2027-01-12 07:00"), Why.QUIET_HOURS, LOS_ANGELES
    )
    own = Whereabouts(zones, own_zone=NEW_YORK, quiet=quiet)
    assert look(morning, Hours.RECIPIENT, own) == Open(at(NEW_YORK, "2027-01-12 22:00"))


def test_own_quiet_hours_of_whom_nobody_knows_the_zone_hold_in_all_of_the_lower_48() -> None:
    where = Whereabouts(quiet=Quiet(time(22), time(7)))
    assert open_hours("2027-01-12", Hours.RECIPIENT, where, NEW_YORK) == "10:00-22:00"


@pytest.mark.parametrize(
    ("hours", "expected"), [(Hours.COURTESY, "09:30-18:00"), (Hours.LEGAL, "10:00-18:00")]
)
def test_own_quiet_hours_count_beside_all_others(hours: Hours, expected: str) -> None:
    where = there(NEW_YORK, quiet=Quiet(time(18), time(9, 30)))
    assert open_hours("2027-01-12", hours, where, NEW_YORK) == expected


@pytest.mark.parametrize("hours", [Hours.COURTESY, Hours.LEGAL])
def test_the_zone_that_the_person_set_is_the_only_one(hours: Hours) -> None:
    where = Whereabouts(frozenset({NEW_YORK, GUAM}), own_zone=HONOLULU)
    assert is_open(at(HONOLULU, "2027-01-12 12:00"), hours, where)
    assert not is_open(at(NEW_YORK, "2027-01-12 10:00"), hours, where)


def test_the_states_count_also_when_the_person_set_the_zone() -> None:
    where = Whereabouts(states=frozenset({"RI"}), own_zone=LOS_ANGELES)
    assert open_hours("2027-01-12", Hours.LEGAL, where, LOS_ANGELES) == "09:00-18:00"


def test_a_person_who_leaves_no_hours_is_never_sent_to_and_it_says_so() -> None:
    where = there(NEW_YORK, quiet=Quiet(time(7), time(22)))
    answer = look(at(NEW_YORK, "2027-01-12 12:00"), Hours.COURTESY, where)
    assert answer == Closed(None, Why.NO_COMMON_HOURS, None)


@pytest.mark.parametrize("day", ["2027-01-12", "2027-07-12"])
def test_courtesy_to_whom_nobody_knows_the_zone_is_eight_to_eight_in_the_lower_48(day: str) -> None:
    assert open_hours(day, Hours.COURTESY, NOWHERE, NEW_YORK) == "11:00-20:00"
    assert open_hours(day, Hours.COURTESY, NOWHERE, LOS_ANGELES) == "08:00-17:00"
    night = look(at(NEW_YORK, f"{day} 03:00"), Hours.COURTESY, NOWHERE)
    assert night == Closed(at(NEW_YORK, f"{day} 11:00"), Why.COURTESY_HOURS, NEW_YORK)


def test_courtesy_to_candidates_with_no_hours_in_common_goes_by_the_lower_48() -> None:
    where = there(NEW_YORK, GUAM, "Europe/London")
    assert open_hours("2027-01-12", Hours.COURTESY, where, NEW_YORK) == "11:00-20:00"


def test_hours_in_common_that_are_shorter_than_the_guard_stay_closed() -> None:
    where = there(NEW_YORK, GUAM)  # together from 17:00 to 21:00 in New York
    now = at(NEW_YORK, "2027-01-12 19:00")
    assert is_open(now, Hours.COURTESY, where)
    answer = look(now, Hours.COURTESY, where, guard_s=2 * 3600)
    assert answer == Closed(None, Why.NO_COMMON_HOURS, None)


def test_own_quiet_hours_hold_in_the_candidates_all_the_same() -> None:
    where = there(NEW_YORK, GUAM, "Europe/London", quiet=Quiet(time(19), time(7)))
    now = at(NEW_YORK, "2027-01-12 12:00")  # 17:00 in London, 03:00 in Guam
    assert look(now, Hours.COURTESY, where) == Closed(None, Why.NO_COMMON_HOURS, None)


def test_the_slowest_of_those_that_are_closed_is_named() -> None:
    where = there(NEW_YORK, LOS_ANGELES, quiet=Quiet(time(23), time(8, 30)))
    answer = look(at(NEW_YORK, "2027-01-12 04:00"), Hours.COURTESY, where)
    assert answer == Closed(at(LOS_ANGELES, "2027-01-12 08:30"), Why.QUIET_HOURS, LOS_ANGELES)


def test_it_is_open_until_the_first_of_all_ends() -> None:
    where = there(NEW_YORK, LOS_ANGELES, quiet=Quiet(time(20), time(7)))
    now = at(NEW_YORK, "2027-01-12 12:00")
    assert look(now, Hours.COURTESY, where) == Open(at(NEW_YORK, "2027-01-12 20:00"))


def test_a_guard_is_real_time_whatever_zone_the_question_is_in() -> None:
    now = z("2027-11-07 05:59").astimezone(zone(NEW_YORK))  # 01:59; five minutes on it is 01:04
    where = there(NEW_YORK, quiet=Quiet(time(2, 3), time(7)))
    assert is_open(now, Hours.RECIPIENT, where, guard_s=300)


def test_an_answer_is_in_utc_whatever_zone_the_question_is_in() -> None:
    now = at(NEW_YORK, "2027-01-12 12:00").astimezone(zone(LOS_ANGELES))
    answer = look(now, Hours.COURTESY, there(NEW_YORK))
    assert isinstance(answer, Open)
    assert answer.until is not None
    assert answer.until.tzinfo is UTC
    closed = look(now - DAY / 2, Hours.COURTESY, there(NEW_YORK))
    assert isinstance(closed, Closed)
    assert closed.until is not None
    assert closed.until.tzinfo is UTC


def test_a_time_without_a_zone_and_a_guard_below_zero_are_bugs() -> None:
    for now, guard_s in ((datetime(2027, 1, 12, 12), 0), (z("2027-01-12 12:00"), -1)):  # noqa: DTZ001
        with pytest.raises(ValueError, match="an aware time, and a guard"):
            look(now, Hours.ANY, NOWHERE, guard_s=guard_s)


def test_what_opens_beyond_the_horizon_is_never() -> None:
    # Half an hour together, from the day on which London changes its clocks and Tokyo does not.
    where = there("Europe/London", "Asia/Tokyo", quiet=Quiet(time(16, 30), time(8)))
    first = z("2027-03-28 07:00")
    assert opens(first - 8 * DAY, Hours.RECIPIENT, where) == first
    assert opens(first - 8 * DAY - TICK, Hours.RECIPIENT, where) is None
