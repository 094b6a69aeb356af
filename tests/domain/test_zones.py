"""The zone data are the package's own, and local times become instants by the rules."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from notifyq.domain import zones
from notifyq.domain.zones import (
    TZDATA_MIN,
    BadZone,
    is_too_old,
    local_instant,
    tzdata_version,
    zone,
)

NEW_YORK = "America/New_York"


def z(text: str) -> datetime:
    """Return a UTC instant: `2027-03-14 07:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_zone_comes_from_the_package_whatever_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "America"
    wrong.mkdir()
    tokyo = zones._read("zoneinfo/Asia/Tokyo")
    (wrong / "Vancouver").write_bytes(tokyo)
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        zone.cache_clear()
        summer = z("2026-07-01 12:00")
        assert zoneinfo.ZoneInfo.no_cache("America/Vancouver").utcoffset(summer) == timedelta(
            hours=9
        ), "the machine's copy is wrong on purpose"
        assert summer.astimezone(zone("America/Vancouver")).hour == 5
    finally:
        zoneinfo.reset_tzpath()


@pytest.mark.parametrize(
    ("place", "offset_h"),
    [("America/Vancouver", -7), ("America/Edmonton", -6), ("America/Winnipeg", -5)],
)
def test_rule_13_10_where_clocks_are_no_longer_changed_winter_is_as_the_new_data_say(
    place: str, offset_h: int
) -> None:
    winter = z("2027-01-12 12:00").astimezone(zone(place))
    assert winter.utcoffset() == timedelta(hours=offset_h)


@pytest.mark.parametrize(
    "name",
    [
        *("Etc/Unknown", "Factory", "", "America", "america/new_york", "America/New_York "),
        *("tzdata.zi", "../zones", "/etc/localtime", "America/../UTC", "posixrules", "Nowhere"),
    ],
)
def test_what_is_no_zone_of_a_place_is_refused_with_the_mend(name: str) -> None:
    with pytest.raises(BadZone, match="must be an IANA time zone, like America/New_York"):
        zone(name)


def test_every_name_of_the_data_is_a_zone_that_knows_its_name() -> None:
    names = zones._names()
    assert len(names) > 590
    assert all(zone(name).key == name for name in names)
    assert z("2026-01-01 00:00").astimezone(zone("UTC")).hour == 0


def test_without_data_every_zone_is_refused_and_the_version_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zones, "get_data", lambda package, path: None)
    caches = (zone, tzdata_version, zones._names)
    try:
        for cached in caches:
            cached.cache_clear()
        with pytest.raises(BadZone):
            zone(NEW_YORK)
        assert is_too_old(tzdata_version())
    finally:
        for cached in caches:
            cached.cache_clear()


def test_rule_13_10_the_installed_data_are_new_enough() -> None:
    assert not is_too_old(tzdata_version()), f"pip install 'tzdata' of {TZDATA_MIN} or newer"


@pytest.mark.parametrize(
    ("version", "too_old"),
    [
        *(("2026f", False), ("2026g", False), ("2026za", False), ("2027a", False)),
        *(("2026e", True), ("2025b", True), ("2025z", True)),
        *(("", True), ("unknown", True), ("2026", True), ("2026.6", True), ("2026f\n", True)),
    ],
)
def test_rule_13_10_older_data_and_what_is_no_version_are_too_old(
    version: str, too_old: bool
) -> None:
    assert is_too_old(version) is too_old


@pytest.mark.parametrize(
    ("place", "shown", "first", "last"),
    [
        # Row 3: 02:30 does not exist; the first instant after it is 03:00 EDT.
        (NEW_YORK, "2027-03-14 02:30", "07:00", "07:00"),
        (NEW_YORK, "2027-03-14 02:00", "07:00", "07:00"),
        (NEW_YORK, "2027-03-14 02:59:59.999999", "07:00", "07:00"),
        (NEW_YORK, "2027-03-14 03:00", "07:00", "07:00"),
        (NEW_YORK, "2027-03-14 01:59", "06:59", "06:59"),
        # Row 4: 01:30 exists twice; a schedule takes the first.
        (NEW_YORK, "2027-11-07 01:30", "05:30", "06:30"),
        (NEW_YORK, "2027-11-07 01:00", "05:00", "06:00"),
        (NEW_YORK, "2027-11-07 02:00", "07:00", "07:00"),
        # Rule 8: midnight is skipped, or exists twice; changes of half an hour; a date that is not.
        ("America/Havana", "2027-11-07 00:30", "04:30", "05:30"),
        ("Africa/Cairo", "2027-04-30 00:00", "2027-04-29 22:00", "2027-04-29 22:00"),
        ("Asia/Beirut", "2027-03-28 00:15", "2027-03-27 22:00", "2027-03-27 22:00"),
        ("America/Santiago", "2027-04-03 23:30", "2027-04-04 02:30", "2027-04-04 03:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:10", "2026-10-03 15:30", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2027-04-04 01:45", "2027-04-03 14:45", "2027-04-03 15:15"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00", "2011-12-30 10:00"),
    ],
)
def test_rules_13_1_13_2_and_13_8_a_local_time_becomes_an_instant(
    place: str, shown: str, first: str, last: str
) -> None:
    at = datetime.fromisoformat(shown)
    expected = [z(each if len(each) > 5 else f"{at.date()} {each}") for each in (first, last)]
    found = [local_instant(at.date(), at.time(), place, last=each) for each in (False, True)]
    assert found == expected
    assert all(each.tzinfo is UTC for each in found)


def test_a_mark_of_the_second_time_on_the_time_itself_counts_for_nothing() -> None:
    day = date(2027, 11, 7)
    assert local_instant(day, time(1, 30, fold=1), NEW_YORK) == z("2027-11-07 05:30")


def test_rule_13_9_a_stored_local_time_is_another_instant_when_the_zone_is_another() -> None:
    day, at = date(2027, 1, 12), time(8)
    there = [local_instant(day, at, place) for place in (NEW_YORK, "America/Los_Angeles")]
    assert there[1] - there[0] == timedelta(hours=3)


def test_a_change_is_found_to_the_second_wherever_in_the_skip_one_asks() -> None:
    day = date(2027, 3, 14)
    asked = [time(2, minute, second) for minute in range(60) for second in (0, 1, 29, 59)]
    assert {local_instant(day, at, NEW_YORK) for at in asked} == {z("2027-03-14 07:00")}
