"""From a word as it was written to a word that is known: in other letters, drawn out, misspelt."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from notifyq.domain.wording.lookalikes import skeletons
from notifyq.domain.wording.slips import is_slip_of
from notifyq.domain.wording.vocabulary import (
    ALIASES,
    JOINED,
    KNOWN,
    MISSPELT,
    OPT_OUT,
    STUCK,
)

_JOINED_MAX = 3  # words that count as one
# Words of a clause. A longer one is a sentence, and a slip in it decides nothing.
_SLIPS_SOUGHT_MAX = 12
_AGAIN = re.compile(r"^(.{3,12}?)\1+$")  # "stopstop"
_DRAWN_OUT = re.compile(r"(.)\1{2,}")
_WITH_NUMBER = re.compile(r"(\d*)([^\W\d_]{3,})(\d*)")  # "STOP12345"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a clause: how it is compared, how it was written, whether it was misspelt."""

    text: str
    written: str
    misspelt: bool = False


def known_words(written: Sequence[str]) -> tuple[Word, ...]:
    """Return the words as they are compared; some together are one ("opt out")."""
    slips = len(written) <= _SLIPS_SOUGHT_MAX
    return tuple(_joined([one for word in written for one in _apart(word, slips)]))


def _apart(written: str, slips: bool) -> Sequence[Word]:
    """Return the word; two where a number is written to an opt-out word."""
    word = _known(written, slips)
    found = _WITH_NUMBER.fullmatch(written)
    if word.text in KNOWN or found is None:
        return (word,)
    before, letters, behind = found.groups()
    inner = _known(letters, slips=False)
    return (inner, Word(before or behind, written)) if inner.text in OPT_OUT else (word,)


def _known(written: str, slips: bool) -> Word:
    for spelling in _spellings(written):
        if spelling in KNOWN:
            one = STUCK.get(spelling, spelling)
            return Word(ALIASES.get(one, one), written)
    plain = written.casefold()
    for meant in MISSPELT if slips else ():
        if is_slip_of(meant, plain):
            return Word(meant, written, misspelt=True)
    return Word(plain, written)


def _spellings(written: str) -> Iterator[str]:
    """Yield the word itself first, then in Latin letters, then with its letters not drawn out."""
    yield written.casefold()
    for spelling in (written.casefold(), *skeletons(written)):
        yield _DRAWN_OUT.sub(r"\1", spelling)
        yield _DRAWN_OUT.sub(r"\1\1", spelling)
        yield _AGAIN.sub(r"\1", spelling)


def _joined(words: Sequence[Word]) -> Iterator[Word]:
    at = 0
    while at < len(words):
        count, one = _joined_at(words[at : at + _JOINED_MAX])
        yield one
        at += count


def _joined_at(words: Sequence[Word]) -> tuple[int, Word]:
    for count in range(len(words), 1, -1):
        one = JOINED.get(tuple(word.text for word in words[:count]))
        if one is not None:
            return count, Word(one, " ".join(word.written for word in words[:count]))
    return 1, words[0]
