"""Phone numbers in the one form in which they are compared, hashed and sent to."""

import phonenumbers
import pytest

from notifyq.domain.address import BadAddress, normal_phone

REGIONS = ("US", "GB", "DE", "FR", "IT", "BR", "MX", "AR", "IN", "JP", "CN", "AU", "ZA", "SG")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("+14155550123", "+14155550123"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("+1.415.555.2671", "+14155552671"),
        ("+44 7400 123456", "+447400123456"),
        ("+44 (0)7400 123456", "+447400123456"),
        ("+39 06 1234 5678", "+390612345678"),  # Italy keeps its leading zero
    ],
)
def test_the_ways_to_write_a_number_come_to_one(text: str, normal: str) -> None:
    assert normal_phone(text) == normal


@pytest.mark.parametrize("region", REGIONS)
def test_a_normal_number_is_its_own_normal_form(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert example is not None
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    normal = normal_phone(written)
    assert normal == f"+{example.country_code}{phonenumbers.national_significant_number(example)}"
    assert normal_phone(normal) == normal


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("", "must be in international form"),
        ("4155552671", "must be in international form"),
        ("14155552671", "must be in international form"),
        ("0014155552671", "must be in international form"),
        (" +14155552671", "must be in international form"),
        ("tel:+14155552671", "must be in international form"),
        ("+", "must have digits only"),
        ("+1", "is not a phone number"),
        ("+hello", "must have digits only"),
        ("+999123456789", "is not a phone number"),  # no such country
        ("+1" + "4" * 300, "is not a phone number"),
        ("+1415555267", "is not a number that its country gives out"),
        ("+141555526711", "is not a number that its country gives out"),
        ("+10005552671", "is not a number that its country gives out"),
        ("+14155552671 or 2672", "must have digits only"),
        ("+14155552671x99", "must have digits only"),
        ("+14155552671;ext=5", "must have digits only"),
        ("+14155552671,,5", "must have digits only"),
        ("+1800FLOWERS", "must have digits only"),
        ("+14155552671\n", "must have digits only"),
        ("+\uff114155552671", "must have digits only"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_with_its_mend(text: str, mend: str) -> None:
    with pytest.raises(BadAddress, match=mend):
        normal_phone(text)


def test_a_refusal_never_shows_the_number() -> None:
    with pytest.raises(BadAddress) as caught:
        normal_phone("+1415555267")
    assert "415" not in str(caught.value)
