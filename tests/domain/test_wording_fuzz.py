"""Random spellings of every opt-out word: none is read as business, and few need a person.

The dice are seeded, so a failure names a text that fails again. NOTIFYQ_TEST_FULL=1 asks for more.
"""

import os
from collections import Counter
from collections.abc import Callable
from random import Random

from notifyq.domain.wording.normal import fold
from notifyq.domain.wording.reading import Intent, read_text
from tests.domain.test_wording_pipeline import (
    CYRILLIC,
    GREEK,
    LATIN,
    SMALL_CAPITALS,
    WRITTEN,
    shifted,
)

SEED = 64_1200
TEXTS_PER_WORD = 300 if os.environ.get("NOTIFYQ_TEST_FULL") else 15
UNCLEAR_SHARE_MAX = 0.10  # a number behind the word, for the most part
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202c\u202e\u2066\u2069\u200e\x00\x07"
SPACES = ("", "", " ", "  ", "\t", "\u00a0", "\u202f", "\n", "\r\n", "\u3000")
BEFORE = ("", "", "", "“", '"', "(", "*", "«", "¡", "...", "-", "/", "!!", "👉 ", "🙏 ")
BEHIND = ("", "", "", ".", "!", "!!!", "?", "…", "”", '"', ")", "*", "»", ";", " 🙏", " 😡", " 🛑")
SEPARATORS = (" ", ".", "-", "*", "_", " . ", " - ", ". ", "\u00a0", "  ")
POLITE = ("please", "Please", "pls", "thanks", "thank you", "now", "por favor", "gracias", "svp",
          "merci", "hi", "Hello,", "sir", "buddy")  # fmt: skip
DIGITS = {"o": "0", "i": "1", "e": "3", "a": "4", "s": "5", "t": "7"}

Change = Callable[[str, Random], str]


def cased(word: str, dice: Random) -> str:
    kinds = (str.upper, str.lower, str.title, str.swapcase)
    if dice.random() < 0.5:
        return dice.choice(kinds)(word)
    return "".join(dice.choice((char.upper(), char)) for char in word)


def in_other_letters(word: str, dice: Random) -> str:
    """One alphabet of NFKC's for the word, or look-alike letters here and there."""
    if word not in LATIN:
        return word
    first = dice.choice((0xFF21, 0x1D400, 0x1D4D0, 0x1D5D4, 0x24B6, 0x1F130, 0x1F150, 0x1F170))
    if dice.random() < 0.4:
        return shifted(first)(word)
    table = dice.choice((CYRILLIC, GREEK, SMALL_CAPITALS))
    plain = fold(word) if table is SMALL_CAPITALS else fold(word).upper()
    share = dice.choice((0.3, 1.0))
    return "".join(char.translate(table) if dice.random() < share else char for char in plain)


def with_a_digit(word: str, dice: Random) -> str:
    """One letter as a digit: at the end, or in a short word, it is a number."""
    at = dice.randrange(max(1, len(word) - 1))
    return word[:at] + DIGITS.get(word[at], word[at]) + word[at + 1 :] if len(word) > 3 else word


def with_unseen(word: str, dice: Random) -> str:
    return "".join(char + dice.choice(("", dice.choice(INVISIBLE))) for char in word)


def struck_through(word: str, dice: Random) -> str:
    mark = dice.choice("\u0336\u0335\u0332\u0301")
    return "".join(char + mark for char in word)


def spelt(word: str, dice: Random) -> str:
    return dice.choice(SEPARATORS).join(word) if len(word) > 2 else word


def drawn_out(word: str, dice: Random) -> str:
    return word + word[-1] * dice.randint(2, 9) if word[-1].isalpha() else word


def again(word: str, dice: Random) -> str:
    return dice.choice((" ", ", ", "! ", "\n")).join([word] * dice.randint(2, 4))


def plain(word: str, _: Random) -> str:
    return word


LETTERS: tuple[Change, ...] = (cased, cased, in_other_letters, with_a_digit)
SHAPES: tuple[Change, ...] = (plain, plain, plain, spelt, drawn_out, again)
UNSEEN: tuple[Change, ...] = (plain, plain, with_unseen, struck_through)
NUMBERS = ("2", "#3", "12345", "24273", "1")


def disguised(word: str, dice: Random) -> str:
    """Return the word as somebody may write it, with what may stand beside it."""
    text = word
    for changes in (LETTERS, SHAPES, UNSEEN):
        text = dice.choice(changes)(text, dice)
    parts = [dice.choice(BEFORE) + text + dice.choice(BEHIND)]
    if dice.random() < 0.3:
        parts.insert(dice.choice((0, 1)), dice.choice(POLITE))
    if dice.random() < 0.05:
        parts.append(dice.choice(NUMBERS))
    return dice.choice(SPACES) + " ".join(parts) + dice.choice(SPACES)


def test_no_spelling_of_an_opt_out_word_is_business() -> None:
    dice = Random(SEED)
    texts = [disguised(word, dice) for word in WRITTEN for _ in range(TEXTS_PER_WORD)]
    read = [(text, read_text(text).intent) for text in texts]
    assert [text for text, intent in read if intent not in (Intent.OPT_OUT, Intent.UNCLEAR)] == []
    assert Counter(intent for _, intent in read)[Intent.UNCLEAR] <= UNCLEAR_SHARE_MAX * len(texts)
    assert len(set(texts)) > 0.5 * len(texts)
