"""From what a phone sent to clauses of words: the part of a reading that knows no language.

In order: what is longer than the limit is cut; apostrophes become one kind; boxed letters and NFKC
(fullwidth, mathematical, circled letters, no-break spaces); control and format characters go,
except line breaks and tabs (zero-width spaces, byte order marks, direction marks, NUL); marks on
letters go; a signature goes; spelt-out letters are joined; what is left falls into clauses of
words. Capitals stay as they are: a look-alike letter and a name are known by them.
"""

import re
import unicodedata
from dataclasses import dataclass

from notifyq.domain.wording.lookalikes import unboxed

# Characters. Twilio hands over at most 1,600 of a text; a longer one says more than "stop", so
# that cutting it loses no opt-out that is decided on the whole of a text.
READ_MAX = 4_096
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032\u00b4\u0060\uff07", "'"))
# What breaks a line on paper breaks one here: GSM 03.38 has a form feed.
_LINE_ENDS = str.maketrans(dict.fromkeys("\v\f\x1c\x1d\x1e\x85", "\n"))
_PLAINER = {**_APOSTROPHES, **_LINE_ENDS}
_BREAKS = re.compile(r"[\r\n\u2028\u2029]+")
# Signs on both sides of a line are emphasis: "**stop**".
_SIGNATURE_LINE = re.compile(r"\s*(?:--|__|==|\*\*|>|~)(?!.*\w[^\w\s]*(?:--|__|==|\*\*|<|~)\s*$)")
_SIGNATURE = re.compile(
    r"(?:sent (?:from|via|with|by) (?:my|a|the|outlook|gmail|yahoo|mail|proton|aol)\b"
    r"|get outlook for\b|enviado (?:desde|de|do) (?:mi|meu|el|un|outlook)\b"
    r"|envoye (?:de|depuis|a partir de) (?:mon|ma|outlook)\b"
    r"|von meinem \w+ gesendet|gesendet (?:von|mit) (?:meinem|outlook)\b"
    r"|inviato da(?:l mio)?\b)[^\n]*"
    # What is quoted below a line like this is ours, to the end.
    r"|(?:on|el|le|am) [^\n]{1,80}(?:wrote|escribio|a ecrit|schrieb):[\s\S]*",
    re.IGNORECASE,
)
_CONTRACTED = re.compile(r"(?<=\w)'(?=(?:t|s|m|re|ve|ll|d)\b)", re.IGNORECASE)
# Three letters and more, apart by one space or by signs: "s t o p", "S.T.O.P.", "s - t - o - p".
_APART = r"(?:[^\w\s]+[ \t]?|[ \t][^\w\s]*[ \t]?)"
_SPELT = re.compile(rf"(?<![\w'])\w(?:{_APART}\w(?!\w)){{2,}}")
_NUMBER_SIGN = re.compile(r"#(?!\w)")
_BETWEEN = re.compile(r"[^\w]+")
_MASKED = ((re.compile(r"(?i)\bf[*#@!$]{1,3}c?k|\bf[*#@!$]{2,3}(?!\w)"), "fuck"),)
# The end of a clause. A full stop ends one before a space only: "stop.please", "3.30", "S.T.O.P.".
_ENDS = re.compile(r"\.{2,}|[.!?]+(?=[\s\"')\]]|$)|[!?]+|[,;:()\u2013\u2014\u00a1\u00bf]|\s-+\s")
_WORD = re.compile(r"[$@]?\w+(?:[$@]\w+)*")


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a text between its signs.

    words: as they were written, without marks and signs; at least one. line: counted from 0.
    """

    words: tuple[str, ...]
    line: int


def clean(text: str) -> str:
    """Return the text without what nobody sees, its letters plain, its capitals kept.

    At most READ_MAX characters are read and returned: NFKC makes up to eighteen of one.
    """
    return _plain(text[:READ_MAX])[:READ_MAX]


def fold(text: str) -> str:
    """Return words of a list as they are compared: no accents, lower case; of any length."""
    return _plain(text).casefold()


def clauses(cleaned: str) -> list[Clause]:
    """Return what a cleaned text says, clause by clause, without its signature."""
    cleaned = _NUMBER_SIGN.sub(" number", cleaned)
    text = _spelt_out_joined(_CONTRACTED.sub("", _without_signature(cleaned).replace("_", " ")))
    for masked, word in _MASKED:
        text = masked.sub(word, text)
    found = [
        Clause(tuple(_WORD.findall(piece.replace("&", " and "))), line)
        for line, said in enumerate(text.split("\n"))
        for piece in _ENDS.split(said)
    ]
    return [clause for clause in found if clause.words]


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", unboxed(text.translate(_PLAINER)))
    apart = unicodedata.normalize("NFKD", "".join(filter(_is_seen, text)))
    unmarked = (char for char in apart if unicodedata.category(char)[0] != "M")
    return unicodedata.normalize("NFC", "".join(unmarked))


def _is_seen(char: str) -> bool:
    return char in "\n\r\t" or unicodedata.category(char) not in ("Cc", "Cf")


def _without_signature(text: str) -> str:
    first, *others = [line for line in _BREAKS.split(text) if line.strip()] or [""]
    kept = [first]
    for line in others:
        if _SIGNATURE_LINE.match(line):
            break
        kept.append(line)
    whole = "\n".join(kept)
    said = _SIGNATURE.sub("", whole)
    return said if said.strip() else whole


def _spelt_out_joined(text: str) -> str:
    return _SPELT.sub(lambda found: _BETWEEN.sub("", found[0]), text)
