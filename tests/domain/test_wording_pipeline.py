"""Every opt-out word survives every way in which a phone, or its owner, may dress it."""
# ruff: noqa: RUF001

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.wording.lookalikes import skeletons
from notifyq.domain.wording.normal import clauses, clean, fold
from notifyq.domain.wording.phrases import searches
from notifyq.domain.wording.reading import Intent, read_text
from notifyq.domain.wording.slips import LENGTH_MIN, REAL_WORDS, is_slip_of
from notifyq.domain.wording.vocabulary import ANSWERS, HELP, LANGUAGES, LIFT, MISSPELT, OPT_OUT
from notifyq.domain.wording.words import known_words

searches()  # made at first use, which would be over the deadline of an example
WRITTEN = sorted(
    {word for each in LANGUAGES for word in f"{each.stop} {each.alone} {each.cancel}".split()}
)
LATIN = [word for word in WRITTEN if fold(word).isascii()]
ENGLISH_LONG = [word for word in LATIN if len(word) >= 4]
CYRILLIC = str.maketrans("ABCEHIJKMOPSTXYaceijopsxy", "АВСЕНІЈКМОРЅТХУасеіјорѕху")
GREEK = str.maketrans("ABEHIKMNOPTXYZo", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖο")
SMALL_CAPITALS = str.maketrans("abcdeghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ")


def shifted(first: int) -> Callable[[str], str]:
    """Return how a word is written in another alphabet of capitals, from its A on."""
    return lambda word: "".join(
        chr(first + ord(char) - ord("A")) if "A" <= char <= "Z" else char
        for char in fold(word).upper()
    )


DRESSES: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "title case": str.title,
    "swapped case": str.swapcase,
    "full stop": lambda word: f"{word}.",
    "marks": lambda word: f"!!{word}?!…",
    "quotes": lambda word: f"“{word}”",
    "straight quotes": lambda word: f"\"'{word}'\"",
    "guillemets": lambda word: f"« {word} »",
    "stars": lambda word: f"*{word}*",
    "no-break spaces": lambda word: f"\u00a0{word}\u202f",
    "line breaks": lambda word: f"\r\n\n{word}\r\n",
    "zero-width spaces": lambda word: "\u200b".join(word),
    "byte order mark": lambda word: f"\ufeff{word}",
    "right-to-left override": lambda word: f"\u202e{word}\u202c",
    "soft hyphens": lambda word: "\u00ad".join(word),
    "NUL": lambda word: f"{word}\x00",
    "struck through": lambda word: "\u0336".join(word) + "\u0336",
    "decomposed": lambda word: unicodedata.normalize("NFD", word),
    "without accents": fold,
    "fullwidth": shifted(0xFF21),
    "mathematical bold": shifted(0x1D400),
    "mathematical script": shifted(0x1D4D0),
    "circled": shifted(0x24B6),
    "squared": shifted(0x1F130),
    "black circles": shifted(0x1F150),
    "black squares": shifted(0x1F170),
    "regional indicators": shifted(0x1F1E6),
    "Cyrillic": lambda word: fold(word).upper().translate(CYRILLIC),
    "Cyrillic, small": lambda word: fold(word).translate(CYRILLIC),
    "Greek": lambda word: fold(word).upper().translate(GREEK),
    "small capitals": lambda word: fold(word).translate(SMALL_CAPITALS),
    "politely": lambda word: f"{word} please, thanks",
    "signed": lambda word: f"{word}\n\n--\nAnn Lee\n12 Main St",
    "sent from a phone": lambda word: f"{word}\nSent from my iPhone",
}
ALPHABETS = ("Cyrillic", "Cyrillic, small", "Greek", "small capitals", "fullwidth", "circled")
BLOCKS = ("squared", "black circles", "black squares", "regional indicators")
AROUND = ("politely", "signed", "sent from a phone")
OVER = sorted(DRESSES.keys() - {*ALPHABETS, *BLOCKS, *AROUND} - {"decomposed"})
# A name of two letters, spelt out, is an abbreviation.
SPELT: dict[str, Callable[[str], str]] = {
    "spaced": " ".join,
    "dotted": ".".join,
    "dots and spaces": ". ".join,
    "hyphens": "-".join,
    "hyphens and spaces": " - ".join,
    "underscores": "_".join,
    "stars between": "*".join,
    "no-break spaces between": "\u00a0".join,
    "two spaces": "  ".join,
    "drawn out": lambda word: word + word[-1] * 4,
    "twice": lambda word: f"{word} {word}",
}


@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
def test_every_opt_out_word_survives(dress: Callable[[str], str]) -> None:
    missed = [word for word in WRITTEN if read_text(dress(word)).intent is not Intent.OPT_OUT]
    assert missed == []


@pytest.mark.parametrize("dress", SPELT.values(), ids=SPELT)
def test_every_opt_out_word_survives_spelt_out(dress: Callable[[str], str]) -> None:
    words = [word for word in WRITTEN if len(word) > 2]
    missed = [word for word in words if read_text(dress(word)).intent is not Intent.OPT_OUT]
    assert missed == []


@given(
    st.sampled_from(WRITTEN),
    st.sampled_from((*ALPHABETS, *BLOCKS)),
    st.lists(st.sampled_from(OVER), max_size=3),
)
def test_dresses_over_one_another_hide_nothing(word: str, first: str, worn: list[str]) -> None:
    text = word
    for name in (first, *worn):
        text = DRESSES[name](text)
    assert read_text(text).intent is Intent.OPT_OUT


@given(st.sampled_from(sorted(LIFT)), st.sampled_from(sorted(DRESSES)))
def test_a_word_that_lifts_survives_too(word: str, name: str) -> None:
    expected = Intent.OPT_IN if name != "politely" else Intent.OTHER
    assert read_text(DRESSES[name](word)).intent is expected


@pytest.mark.parametrize(
    ("text", "word"),
    [("ST0P", "stop"), ("5TOP", "stop"), ("$top", "stop"), ("QU1T", "quit"), ("C4NCEL", "cancel")],
)
def test_digits_stand_for_letters_in_a_word(text: str, word: str) -> None:
    assert read_text(text).word == word


@pytest.mark.parametrize("text", ["7D", "3ND", "570P", "0", "B4J4 2"])
def test_a_number_with_letters_is_a_number(text: str) -> None:
    assert read_text(text).intent is not Intent.OPT_OUT


@pytest.mark.parametrize("text", ["QUlT", "CANCEI", "cance1", "UNSUBSCRlBE"])
def test_a_small_l_and_a_capital_i_look_alike(text: str) -> None:
    assert read_text(text).intent is Intent.OPT_OUT


@given(st.sampled_from(WRITTEN), st.sampled_from(["gate", "ville", "xyz"]), st.booleans())
def test_an_opt_out_word_inside_another_word_is_none(word: str, other: str, before: bool) -> None:
    stuck = other + word if before else word + other
    assert read_text(stuck).intent is not Intent.OPT_OUT


@given(st.sampled_from([word for word in WRITTEN if word != "unsubscribe"]))
def test_a_word_about_something_else_is_never_taken(word: str) -> None:
    for text in (f"{word} my appointment", f"we {word} by the house at 5", f"the {word} street"):
        assert read_text(text).intent is not Intent.OPT_OUT


@given(st.sampled_from(MISSPELT), st.data())
def test_one_swap_is_a_slip_and_two_letters_wrong_are_not(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 2))
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    assert swapped == word or swapped in REAL_WORDS or is_slip_of(word, swapped)
    wrong = word[:-2] + "##"
    assert not is_slip_of(word, wrong)
    assert not is_slip_of(word, word)


def test_short_words_have_no_slips() -> None:
    assert not is_slip_of("end", "ent")
    assert min(map(len, MISSPELT)) >= LENGTH_MIN


def test_no_real_word_is_an_opt_out_word() -> None:
    assert REAL_WORDS.isdisjoint(OPT_OUT)


def test_the_kinds_of_bare_words_do_not_overlap() -> None:
    assert OPT_OUT.isdisjoint(LIFT | HELP | ANSWERS)


def test_a_plain_word_has_no_other_reading() -> None:
    assert list(skeletons("open")) == []


def test_words_together_are_one() -> None:
    assert [word.text for word in known_words(("Opt", "OUT", "of", "it"))] == ["optout", "of", "it"]


def test_clauses_know_their_line() -> None:
    found = clauses(clean("Stop, please. Now\n\n!!\nthanks"))
    assert [(clause.words, clause.line) for clause in found] == [
        (("Stop",), 0),
        (("please",), 0),
        (("Now",), 0),
        (("thanks",), 2),
    ]
