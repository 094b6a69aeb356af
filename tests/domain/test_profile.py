"""Profiles: what is kept comes back, times only move on, and two people become one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.area_codes import STATES
from notifyq.domain.hours import Quiet
from notifyq.domain.model import Channel
from notifyq.domain.profile import (
    REGIONS,
    BadProfile,
    KnownDevice,
    Profile,
    is_newer_only,
    pack,
    read_profile,
    renew,
    unite,
)

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
DAY = timedelta(days=1)
IOS, WEB = KnownDevice("ios", "org.a", "ab" * 32), KnownDevice("web", "org.a", "x:y")
ANN = Profile(
    phones=("+14155550123", "+14155550124"),
    emails=("ann@example.org", "ann@example.com"),
    devices=(replace(IOS, registered_at=NOW - DAY, last_seen=NOW), WEB),
    time_zone="America/New_York",
    locale="en-US",
    quiet=Quiet(time(22), time(7, 30)),
    states=frozenset({"FL"}),
    preferences={("order.shipped", "sms"): False, ("*", "*"): True},
)


def test_who_is_told_by_a_channel() -> None:
    assert ANN.addresses(Channel.SMS) == ("+14155550123",)
    assert ANN.addresses(Channel.EMAIL) == ("ann@example.org",)
    assert ANN.addresses(Channel.PUSH) == (f"ios:org.a:{'ab' * 32}", "web:org.a:x:y")
    assert ANN.addresses(Channel.WEBHOOK) == ()
    assert [Profile().addresses(channel) for channel in Channel] == [()] * 4


def test_every_address_is_known_and_since_when_where_that_is_said() -> None:
    assert ANN.known(Channel.SMS) == ANN.phones
    assert ANN.everywhere == {
        *((Channel.SMS, phone) for phone in ANN.phones),
        *((Channel.EMAIL, mailbox) for mailbox in ANN.emails),
        *((Channel.PUSH, device) for device in ANN.addresses(Channel.PUSH)),
    }
    assert ANN.registered(Channel.PUSH) == {IOS.address: NOW - DAY}
    assert ANN.registered(Channel.SMS) == {}


@pytest.mark.parametrize("profile", [ANN, Profile(), Profile(devices=(IOS,))], ids=range(3))
def test_what_is_packed_comes_back(profile: Profile) -> None:
    assert read_profile(pack(profile)) == profile


def test_the_same_profile_is_the_same_text() -> None:
    east = timezone(timedelta(hours=5))
    device = replace(IOS, registered_at=(NOW - DAY).astimezone(east), last_seen=NOW)
    again = replace(
        ANN,
        devices=(device, WEB),
        preferences={("*", "*"): True, ("order.shipped", "sms"): False},
    )
    assert pack(again) == pack(ANN)
    assert pack(replace(ANN, phones=ANN.phones[::-1])) != pack(ANN)
    assert pack(Profile()) == '{"form":1}'


_text = st.text(min_size=1, max_size=5)
_profiles = st.builds(
    Profile,
    phones=st.lists(_text, unique=True).map(tuple),
    locale=st.none() | _text,
    quiet=st.none() | st.just(Quiet(time(0), time(23, 59))),
    states=st.sets(st.sampled_from(sorted(STATES)), max_size=1).map(frozenset),
    preferences=st.dictionaries(st.tuples(_text, _text), st.booleans()),
)


@given(_profiles)
def test_whatever_is_packed_comes_back(profile: Profile) -> None:
    assert read_profile(pack(profile)) == profile


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "null",
        "{}",
        '{"form":2}',
        '{"form":"1"}',
        '{"form":1,"devices":[{}]}',
        '{"form":1,"devices":[1]}',
        '{"form":1,"quiet":["22:00"]}',
        '{"form":1,"quiet":["22:00","22:00"]}',
        '{"form":1,"quiet":["late","22:00"]}',
        '{"form":1,"preferences":[]}',
    ],
)
def test_what_is_no_profile_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadProfile):
        read_profile(text)


def test_a_newer_form_is_named() -> None:
    with pytest.raises(BadProfile, match="in form 2; this version reads 1"):
        read_profile(json.dumps(json.loads(pack(ANN)) | {"form": 2}))


def times(profile: Profile) -> list[tuple[datetime | None, datetime | None]]:
    return [(one.registered_at, one.last_seen) for one in profile.devices]


def test_the_times_of_devices_move_on_and_never_back() -> None:
    later = replace(IOS, registered_at=NOW, last_seen=NOW + DAY)
    assert times(renew(ANN, Profile(devices=(later,)), NOW + DAY)) == [(NOW, NOW + DAY)]
    earlier = replace(IOS, registered_at=NOW - 2 * DAY, last_seen=NOW - 2 * DAY)
    assert times(renew(ANN, Profile(devices=(earlier,)), NOW)) == [(NOW - DAY, NOW)]
    assert times(renew(ANN, Profile(devices=(IOS, WEB)), NOW)) == [(NOW - DAY, NOW), (None, None)]


def test_no_time_of_a_device_lies_ahead_of_now() -> None:
    ahead = replace(WEB, registered_at=NOW + timedelta(microseconds=1), last_seen=NOW)
    assert times(renew(Profile(), Profile(devices=(ahead,)), NOW)) == [(NOW, NOW)]


def test_a_renewed_profile_is_the_given_one_otherwise() -> None:
    given_one = Profile(phones=("+14155550199",), devices=(IOS,))
    renewed = renew(ANN, given_one, NOW)
    assert is_newer_only(renewed, given_one)
    assert renewed != given_one


def test_only_the_times_of_devices_are_no_change() -> None:
    assert is_newer_only(ANN, ANN)
    assert is_newer_only(ANN, replace(ANN, devices=(replace(IOS, last_seen=NOW + DAY), WEB)))
    for other in (
        replace(ANN, devices=(WEB, IOS)),
        replace(ANN, devices=(IOS,)),
        replace(ANN, phones=ANN.phones[:1]),
        replace(ANN, time_zone=None),
        replace(ANN, quiet=None),
        replace(ANN, preferences={}),
    ):
        assert not is_newer_only(ANN, other)


def test_two_who_are_one_have_the_addresses_of_both_in_order() -> None:
    older = replace(IOS, registered_at=NOW, last_seen=NOW - DAY)
    other = Profile(
        phones=("+14155550199", "+14155550124"),
        emails=("bob@example.org", "ann@example.org"),
        devices=(replace(WEB, token="new"), older),
    )
    one = unite(ANN, other)
    assert one.phones == ("+14155550123", "+14155550124", "+14155550199")
    assert one.emails == ("ann@example.org", "ann@example.com", "bob@example.org")
    assert [device.token for device in one.devices] == ["ab" * 32, "x:y", "new"]
    assert times(one) == [(NOW, NOW), (None, None), (None, None)]


def test_the_first_ones_hours_place_and_language_count_else_the_others() -> None:
    other = Profile(
        time_zone="Europe/Berlin",
        locale="de",
        quiet=Quiet(time(20), time(8)),
        states=frozenset({"TX"}),
    )
    names = ("time_zone", "locale", "quiet", "states")
    for name in names:
        assert getattr(unite(ANN, other), name) == getattr(ANN, name)
        lacking = replace(ANN, **{name: getattr(Profile(), name)})
        assert getattr(unite(lacking, other), name) == getattr(other, name)
        assert getattr(unite(ANN, Profile()), name) == getattr(ANN, name)


def test_off_wins_when_two_are_one() -> None:
    other = Profile(preferences={("order.shipped", "sms"): True, ("login.code", "*"): True})
    assert unite(ANN, other).preferences == {**other.preferences, **ANN.preferences}


def devices(count: int) -> tuple[KnownDevice, ...]:
    return tuple(replace(WEB, token=str(n)) for n in range(count))


@pytest.mark.parametrize(
    ("at_most", "over", "rule"),
    [
        (Profile(phones=("x",) * 5), Profile(phones=("x",) * 6), "6 phones, at most 5"),
        (Profile(emails=("x",) * 5), Profile(emails=("x",) * 6), "6 emails, at most 5"),
        (Profile(devices=devices(20)), Profile(devices=devices(21)), "21 devices, at most 20"),
        (
            Profile(preferences={(f"c{n // 3}", str(n % 3)): True for n in range(300)}),
            Profile(preferences={(f"c{n}", "*"): True for n in range(101)}),
            "101 preferences, at most 100",
        ),
    ],
    ids=["phones", "emails", "devices", "preferences"],
)
def test_what_is_more_than_a_recipient_may_have_is_named(
    at_most: Profile, over: Profile, rule: str
) -> None:
    assert at_most.excess() == []
    assert over.excess() == [rule]


def test_the_regions_are_the_states_and_the_territories() -> None:
    assert {f"US-{state}" for state in STATES} < set(REGIONS)
    assert "US-PR" in REGIONS
    assert "US-XX" not in REGIONS
    assert len(REGIONS) == 56
