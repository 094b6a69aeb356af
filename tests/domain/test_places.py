"""Where a number's owner may be: all zones of its area code, and none where it tells nothing."""

import phonenumbers
import pytest
from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.timezone import time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from notifyq.domain import places
from notifyq.domain.area_codes import FAMILY_OF, STATE_OF, STATES
from notifyq.domain.places import NOWHERE, Places, places_of
from notifyq.domain.zones import zone

NEW_YORK, CHICAGO, DENVER = "America/New_York", "America/Chicago", "America/Denver"
PHOENIX, LOS_ANGELES = "America/Phoenix", "America/Los_Angeles"
# What libphonenumber calls the states.
_STATES = (
    "Alabama:AL Alaska:AK Arizona:AZ Arkansas:AR California:CA Colorado:CO Connecticut:CT "
    "Delaware:DE Florida:FL Georgia:GA Hawaii:HI Idaho:ID Illinois:IL Indiana:IN Iowa:IA "
    "Kansas:KS Kentucky:KY Louisiana:LA Maine:ME Maryland:MD Massachusetts:MA Michigan:MI "
    "Minnesota:MN Mississippi:MS Missouri:MO Montana:MT Nebraska:NE Nevada:NV New-Hampshire:NH "
    "New-Jersey:NJ New-Mexico:NM New-York:NY North-Carolina:NC North-Dakota:ND Ohio:OH "
    "Oklahoma:OK Oregon:OR Pennsylvania:PA Rhode-Island:RI South-Carolina:SC South-Dakota:SD "
    "Tennessee:TN Texas:TX Utah:UT Vermont:VT Virginia:VA Washington-D.C.:DC "
    "Washington-State:WA West-Virginia:WV Wisconsin:WI Wyoming:WY"
)
NAMES = dict(pair.replace("-", " ").split(":") for pair in _STATES.split())
# Area codes of libphonenumber's that its geography does not describe.
UNDESCRIBED = {"203": "CT", "310": "CA", "713": "TX", "718": "NY"}
# In one zone, in states that have several.
LOOKED_AT = """
    480 520 602 623
    239 305 324 352 386 561 645 656 727 728 754 772 786 813 863 904 941 954
    260 317 463 765
    316 913
    502 859
    231 248 269 313 517 586 616 734 810 947 989
    402 531
    702 725
    503 971
    615 629 731 865 901 931
    210 214 254 281 325 346 361 409 430 432 469 512 682 713 726 737 806 817 830 832
    903 915 936 940 945 956 972 979
"""


def american_codes() -> dict[str, str]:
    """Return libphonenumber's area codes with their region: US, CA, PR …"""
    codes = {prefix[1:4] for prefix in TIMEZONE_DATA if prefix[0] == "1" and len(prefix) >= 4}
    found = {}
    for code in codes:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(f"+1{code}2345678"))
        found[code] = region or "islands"
    return found


@pytest.mark.parametrize(
    ("phone", "zones", "state"),
    [
        ("+12125550123", {NEW_YORK}, "NY"),
        ("+13055550123", {NEW_YORK}, "FL"),
        ("+19155550123", {DENVER}, "TX"),
        # Rows 8 and 9: libphonenumber says Chicago alone.
        ("+14235550123", {NEW_YORK, CHICAGO}, "TN"),
        ("+12705550123", {NEW_YORK, CHICAGO}, "KY"),
        ("+18505550123", {NEW_YORK, CHICAGO}, "FL"),
        # Overlays share the area; some have the wrong zone alone.
        ("+13645550123", {NEW_YORK, CHICAGO}, "KY"),
        ("+14485550123", {NEW_YORK, CHICAGO}, "FL"),
        ("+19305550123", {NEW_YORK, CHICAGO}, "IN"),
        ("+16895550123", {NEW_YORK, CHICAGO}, "FL"),
        ("+14585550123", {LOS_ANGELES, DENVER}, "OR"),
        ("+19865550123", {LOS_ANGELES, DENVER, "America/Boise"}, "ID"),
        # The Navajo Nation changes its clocks, the rest of Arizona does not.
        ("+19285550123", {PHOENIX, DENVER}, "AZ"),
        ("+16025550123", {PHOENIX}, "AZ"),
        (
            "+19075550123",
            {"America/Adak", "America/Anchorage", "America/Juneau", "Pacific/Honolulu"},
            "AK",
        ),
        ("+16715550123", {"Pacific/Guam"}, "GU"),
        ("+17875550123", {"America/Puerto_Rico"}, "PR"),
    ],
)
def test_a_number_stands_for_all_zones_of_its_area(phone: str, zones: set[str], state: str) -> None:
    assert places_of(phone) == Places(frozenset(zones), frozenset({state}))


@pytest.mark.parametrize(
    ("phone", "zones"),
    [
        ("+14165550123", {"America/Toronto"}),
        ("+14745550123", {"America/Regina", "America/Winnipeg"}),
        ("+16045550123", {"America/Vancouver", "America/Edmonton"}),
        ("+18765550123", {"America/Jamaica"}),
        ("+442071838750", {"Europe/London"}),
        ("+4915112345678", {"Europe/Berlin"}),
    ],
)
def test_elsewhere_there_are_zones_and_no_state(phone: str, zones: set[str]) -> None:
    assert places_of(phone) == Places(frozenset(zones))


def test_a_number_that_may_be_anywhere_in_its_country_has_all_of_its_zones() -> None:
    found = places_of("+61412345678").zones
    assert {"Australia/Perth", "Australia/Sydney", "Australia/Lord_Howe"} <= found


@pytest.mark.parametrize(
    "phone",
    [
        *("+18005550123", "+18335550123", "+18885550123"),  # row 12: toll-free
        *("+15005550123", "+15335550123", "+19005550123", "+16005550123"),
        *("+15555550123", "+17105550123", "+12125", "+1212555012", "+121255501234"),  # row 13
        *("+12121550123", "+10012125550123", "+1212555012\u0663", "+12125550123\n", "12125550123"),
        *("", "+", "Etc/Unknown", "+999123456789", "+4411", "+448001111111", "+80012345678"),
        *("+447012345678", "+49900123456"),
    ],
)
def test_rows_13_12_and_13_13_what_tells_no_place_has_none(phone: str) -> None:
    assert places_of(phone) == NOWHERE == Places(frozenset(), frozenset())


def test_libphonenumber_alone_is_wrong_for_the_same_number() -> None:
    number = phonenumbers.parse("+14235550123")
    assert time_zones_for_number(number) == (CHICAGO,), "the reason for places.py is gone"


def test_every_candidate_is_in_the_zone_data_and_none_is_unknown() -> None:
    unknown = {"Etc/Unknown"}
    listed = {name for names in TIMEZONE_DATA.values() for name in names} - unknown
    assert all(zone(name).key == name for name in listed)
    assert not any(places_of(f"+1{code}2345678").zones & unknown for code in american_codes())


def test_no_exchange_of_an_area_has_a_zone_that_the_area_has_not() -> None:
    for prefix, names in TIMEZONE_DATA.items():
        if prefix[0] == "1" and len(prefix) >= 4:
            assert set(names) <= places_of(f"+1{prefix[1:4]}2345678").zones


def test_every_american_area_code_has_its_state() -> None:
    codes = american_codes()
    ours = {code for code, region in codes.items() if region == "US"}
    assert ours | {"684"} | {c for c, r in codes.items() if r in {"GU", "MP", "PR", "VI"}} == set(
        STATE_OF
    )
    for code, region in codes.items():
        if region in {"GU", "MP", "PR", "VI"}:
            assert STATE_OF[code] == region
    assert len(STATES) == 51


def test_the_states_are_those_that_libphonenumber_describes() -> None:
    for code, region in american_codes().items():
        if region == "US":
            described = GEOCODE_DATA.get(f"1{code}", {}).get("en", f", {UNDESCRIBED.get(code)}")
            city, _, state = described.rpartition(", ")
            assert STATE_OF[code] == (state if city or not NAMES.get(state) else NAMES[state])


def test_codes_that_share_an_area_are_in_one_state_and_needed() -> None:
    by_code = places._zones_by_code()
    for code, family in FAMILY_OF.items():
        assert code in family
        assert code in by_code
        assert len({STATE_OF.get(each) for each in family}) == 1
        assert len({frozenset(by_code[each]) for each in family}) > 1, "they agree anyway"
        assert places_of(f"+1{code}2345678") == places_of(f"+1{family[0]}2345678")


def test_a_new_code_in_a_state_of_several_zones_is_looked_at() -> None:
    """A code that is new is an overlay or not: libphonenumber has one zone for it, often wrong.

    When this fails, see what the code overlays, and add it here or to the overlays.
    """
    zones_of_state: dict[str, set[str]] = {}
    for code, zones in places._zones_by_code().items():
        if code in STATE_OF:
            zones_of_state.setdefault(STATE_OF[code], set()).update(zones)
    several = {state for state, zones in zones_of_state.items() if len(zones) > 1}
    alone = {
        code
        for code, state in STATE_OF.items()
        if state in several and len(places_of(f"+1{code}2345678").zones) == 1
    }
    assert alone == set(LOOKED_AT.split())


def test_places_are_remembered_by_area_code_and_within_a_bound() -> None:
    assert places_of("+12125550123") is places_of("+12129990199")
    assert places._area.cache_info().maxsize == 1_024
