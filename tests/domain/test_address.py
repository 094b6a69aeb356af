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


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        # Nobody guesses a region: without a country code a number is refused, not completed.
        pytest.param("2125550123", None, id="11.1.1"),
        pytest.param("12125550123", None, id="11.1.1 with a 1"),
        pytest.param("+1 (212) 555-0123", "+12125550123", id="11.1.2"),
        pytest.param("01112125550123", None, id="11.1.2 dialled from the US"),
        pytest.param("0012125550123", None, id="11.1.3"),
        pytest.param("+10012125550123", None, id="11.1.3 as libphonenumber reads it"),
        pytest.param("+12125550123;ext=5", None, id="11.1.4"),
        pytest.param("+12125550123 x99", None, id="11.1.4 x"),
        pytest.param("+12125550123#44", None, id="11.1.4 #"),
        # Letters would be another number than the one that was seen: refused, never converted.
        pytest.param("+1-800-FLOWERS", None, id="11.1.5"),
        # Only what one sees is sent to: no other digits, nothing unseen around them.
        pytest.param("+1\uff12\uff11\uff125550123", None, id="11.1.6"),
        pytest.param("+1\u0662\u0661\u06625550123", None, id="11.1.6 Arabic digits"),
        pytest.param("\u202a+12125550123\u202c", None, id="11.1.6 wrapped"),
        pytest.param("24273", None, id="11.1.7"),
        pytest.param("+124273", None, id="11.1.7 with a country code"),
        pytest.param("+1911", None, id="11.1.7 an emergency number"),
        pytest.param("+52 1 55 1234 5678", None, id="11.1.8"),
        pytest.param("+52 55 1234 5678", "+525512345678", id="11.1.8 as it is dialled today"),
        pytest.param("+44 (0)20 7946 0018", "+442079460018", id="11.1.9"),
    ],
)
def test_the_table_of_numbers(text: str, normal: str | None) -> None:
    """Row by row of the project's sheet on consent, its section 11.1; None: refused."""
    if normal is not None:
        assert normal_phone(text) == normal
        return
    with pytest.raises(BadAddress):
        normal_phone(text)


def test_a_refusal_never_shows_the_number() -> None:
    with pytest.raises(BadAddress) as caught:
        normal_phone("+1415555267")
    assert "415" not in str(caught.value)
