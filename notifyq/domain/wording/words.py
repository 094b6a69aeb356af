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
_AGAIN = re.compile(r"^(.{3,12}?|[^\x00-\x7f]{1,2})\1+$")  # "stopstop"
_DRAWN_OUT = re.compile(r"(.)\1{2,}")
_DIGITS = "0123456789"
_CODE_LETTERS_MAX = 2  # of Latin letters beside a number: "B12" is a code


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
    """Return the word; two where a number is written to an opt-out word: "STOP12345".

    "quit3" is so read before it is "quite", and "STOP1" is a slip of the finger before it is so.
    """
    word = _known(written, slips)
    if word.text in OPT_OUT:
        return (word,)
    cores = {written.rstrip(_DIGITS), written.lstrip(_DIGITS), written.strip(_DIGITS)} - {written}
    inner = (_known(core, slips=False) for core in cores if _is_word(core))
    found = next((one for one in inner if one.text in OPT_OUT), None)
    return (word,) if found is None else (found, Word("0", written))


def _is_word(core: str) -> bool:
    return len(core) > _CODE_LETTERS_MAX or not core.isascii()


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
