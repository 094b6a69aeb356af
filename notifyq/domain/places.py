"""Where the owner of a phone number may be: every zone and state that the number allows.

libphonenumber gives one zone where an area has two, and for some of them the wrong one: for new
and mobile numbers of +1 423 Chicago, which is in New York's zone but for one exchange. So a number
of North America stands for all zones of its area code, and of the codes that share its area.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers.phonenumberutil import PhoneNumberType
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from notifyq.domain.area_codes import FAMILY_OF, STATE_OF

_NORTH_AMERICA = "+1"
_NUMBER = re.compile(r"\+1([2-9][0-9]{2})[2-9][0-9]{6}")
# Nobody's phone, or one that is anywhere: its country says nothing.
_PLACELESS = {
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.PERSONAL_NUMBER,
}


@dataclass(frozen=True, slots=True)
class Places:
    """Candidates: IANA zones, and postal codes of US states ("FL"). Empty: not known."""

    zones: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()


NOWHERE = Places()


def places_of(phone: str) -> Places:
    """Return where the owner of a number may be.

    phone: E.164. Toll-free numbers, 500, 900 and what is no number have no place. Numbers from
    outside North America have libphonenumber's zones, and no state.
    """
    if not phone.startswith(_NORTH_AMERICA):
        return _abroad(phone)
    found = _NUMBER.fullmatch(phone)
    return _area(found[1]) if found else NOWHERE


@lru_cache(maxsize=1_024)  # an area code has three digits, the first from 2
def _area(code: str) -> Places:
    by_code = _zones_by_code()
    family = FAMILY_OF.get(code, (code,))
    zones = frozenset[str]().union(*(by_code.get(each, ()) for each in family))
    return Places(zones, frozenset({STATE_OF[code]} if code in STATE_OF else ()))


@lru_cache(maxsize=1)
def _zones_by_code() -> dict[str, set[str]]:
    """Return the zones of each area code that has an area, from all its listed exchanges."""
    found: dict[str, set[str]] = {}
    for prefix, zones in TIMEZONE_DATA.items():
        if prefix.startswith("1") and len(prefix) >= 4:
            found.setdefault(prefix[1:4], set()).update(zones)
    return found


def _abroad(phone: str) -> Places:
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return NOWHERE
    if phonenumbers.number_type(number) in _PLACELESS:
        return NOWHERE
    return Places(frozenset(time_zones_for_number(number)) - {UNKNOWN_TIMEZONE})
