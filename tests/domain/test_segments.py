"""How many parts a text is: published tables, the alphabet, and another implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.segments import segments
from notifyq.sandbox import segments as other

# Sinch's table of lengths for 7-bit texts (developers.sinch.com, "Long messages"), first rows.
SEVEN_BIT = {160: 1, 161: 2, 306: 2, 307: 3, 459: 3, 460: 4, 612: 4, 613: 5, 765: 5, 766: 6, 918: 6}
# And for Unicode, where it agrees with its own "67 characters each".
UNICODE = {70: 1, 71: 2, 134: 2, 201: 3, 202: 4, 268: 4, 269: 5, 335: 5, 336: 6, 402: 6, 403: 7}
ESCAPED = "\f^{}\\[~]|€"


@pytest.mark.parametrize("length", SEVEN_BIT)
def test_a_seven_bit_text_has_as_many_parts_as_the_published_table_says(length: int) -> None:
    assert segments("a" * length) == SEVEN_BIT[length]


@pytest.mark.parametrize("length", UNICODE)
def test_a_unicode_text_has_as_many_parts_as_the_published_table_says(length: int) -> None:
    assert segments("я" * length) == UNICODE[length]


def test_an_empty_text_is_one_part() -> None:
    assert segments("") == 1


@pytest.mark.parametrize("char", ESCAPED)
def test_an_escaped_character_takes_the_place_of_two(char: str) -> None:
    assert segments(char + "a" * 158) == 1
    assert segments(char + "a" * 159) == 2
    assert segments(char * 80) == 1
    assert segments(char * 81) == 2


def test_an_escaped_character_is_not_cut_in_two() -> None:
    fits = "a" * 151 + "€" + "a" * 153
    assert segments(fits) == 2
    moves = "a" * 152 + "€" + "a" * 152  # 306 septets would be two parts, were it cut
    assert segments(moves) == 3


def test_a_surrogate_pair_is_not_cut_in_two() -> None:
    assert segments("😀" * 35) == 1
    assert segments("😀" * 36) == 2
    assert segments("я" * 66 + "😀" + "я" * 65) == 2
    assert segments("я" * 66 + "😀" + "я" * 66) == 3  # 134 units would be two parts, were it cut


@pytest.mark.parametrize("char", "ç`\u2019\u2013\têЯ中\x00\x1bάβ")
def test_one_character_outside_the_alphabet_makes_it_unicode(char: str) -> None:
    assert segments(char + "a" * 69) == 1
    assert segments(char + "a" * 70) == 2


def test_the_alphabet_is_127_characters_and_the_second_table_has_ten() -> None:
    planes = [chr(point) for point in range(0x10000) if not 0xD800 <= point < 0xE000]
    one = [char for char in planes if segments(char * 160) == 1]
    two = [char for char in planes if segments(char * 80) == 1 and segments(char * 81) == 2]
    assert len(one) == 127  # and the escape
    assert set(two) == set(ESCAPED)


ANY_TEXT = st.text(st.one_of(st.sampled_from("aé€[я😀\n "), st.characters()), max_size=700)


@given(ANY_TEXT)
def test_the_sandbox_which_was_written_apart_counts_the_same(text: str) -> None:
    assert segments(text) == other.segments(text)
