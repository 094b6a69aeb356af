"""What somebody who texts one of our numbers wants: the decision.

An opt-out that is missed is a breach of the law, and a business reply taken for one silences
somebody who wants to hear. So a text is read as a whole, and where it can honestly be read both
ways it is UNCLEAR: a person reads it, and no marketing goes out meanwhile.

Within one text an opt-out beats an opt-in and a cry for help. Total: any text has a reading.
"""

import re
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from notifyq.domain.wording.normal import Clause, clauses, clean
from notifyq.domain.wording.reactions import Beside, beside_quotation
from notifyq.domain.wording.vocabulary import (
    BEFORE_NOUN,
    CANCEL,
    HEADS,
    LIFT,
    OPT_OUT,
    PLACE,
    STOP,
)
from notifyq.domain.wording.weighing import Says, Sense, sense_of
from notifyq.domain.wording.words import known_words

# Stop sign, no entry, prohibited, bell struck out, the button that stops; raised hands; an insult.
_STOP_SIGNS = "\U0001f6d1\u26d4\U0001f6ab\U0001f515\u23f9\u270b\U0001f91a\U0001f590\U0001f595"
_STOP_SIGN = _STOP_SIGNS[0]
_NO_SIGNS = "\u274c\u274e\U0001f645\u2716"  # they may just say no
_QUIET_SIGNS = "\U0001f64f\U0001f620\U0001f621\U0001f92c\U0001f624"  # folded hands, angry faces
_SKIN = range(0x1F3FB, 0x1F400)
_NO_LETTER = re.compile(r"[\W\d_]")  # "STOP2ME", "stop@once"
_SAYS_NOTHING = {Says.POLITE, Says.NOTHING}
_BESIDE_A_WORD = {Says.WORD, Says.CANCEL, Says.POLITE, Says.HELP, Says.HOSTILE}


class Intent(StrEnum):
    """What the person wants of us."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"  # only lifts an opt-out; it is no consent to marketing
    HELP = "help"
    UNCLEAR = "unclear"  # a person has to read it; no marketing meanwhile
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Reading:
    """rule: the short name of the rule that decided, for the record.

    word: the word or phrase of our lists that was recognised, never the person's text.
    offer_cancel: a bare "cancel" is an opt-out, and may have meant a booking.
    """

    intent: Intent
    rule: str
    word: str | None = None
    offer_cancel: bool = False


def read_text(text: str) -> Reading:
    """Return what a text asks of us. text: as it came; what is behind READ_MAX is not read."""
    cleaned = clean(text)
    beside = beside_quotation(cleaned)
    return _read(cleaned) if beside is None else _reaction(beside)


def _read(cleaned: str) -> Reading:
    said = clauses(cleaned)
    if not said:
        return _signs(cleaned)
    reading = _weighed(said, _STOP_SIGN in cleaned)
    if reading.intent is not Intent.OTHER:
        return reading
    return _one_word(said) or _headed(said) or reading


def _reaction(beside: Beside) -> Reading:
    """Return what the person wrote beside a reaction: what it quotes is ours."""
    reading = _read(beside.text)
    if reading.intent is Intent.OTHER:
        return Reading(Intent.OTHER, "reaction")
    if beside.may_be_quoted:
        return Reading(Intent.UNCLEAR, "reaction", reading.word)
    return reading


def _headed(said: Sequence[Clause]) -> Reading | None:
    """Keep from being business what begins with a word that our texts ask people to write.

    "Stop at the gate" is read both ways by people too, when it answers "Reply STOP to opt out".
    """
    words = said[0].words
    heads = (known_words(words)[0].text, known_words([_NO_LETTER.split(words[0])[0]])[0].text)
    word = next((head for head in heads if head in HEADS), None)
    return None if word is None else Reading(Intent.UNCLEAR, "headed", word)


def _signs(cleaned: str) -> Reading:
    """Return what signs without a word say: such a text is empty once it is normalised."""
    signs = {
        char for char in cleaned if unicodedata.category(char)[0] == "S" and ord(char) not in _SKIN
    }.difference(_QUIET_SIGNS)
    if not signs:
        return Reading(Intent.OTHER, "empty")
    if signs <= {*_STOP_SIGNS}:
        return Reading(Intent.OPT_OUT, "sign")
    unclear = not signs.isdisjoint(_STOP_SIGNS + _NO_SIGNS)
    return Reading(Intent.UNCLEAR if unclear else Intent.OTHER, "sign")


def _weighed(said: Sequence[Clause], stop_sign: bool) -> Reading:
    known = [known_words(clause.words) for clause in said]
    senses = [sense_of(words) for words in known]
    kinds = {sense.says for sense in senses}
    if stop_sign and kinds <= _SAYS_NOTHING:
        return Reading(Intent.OPT_OUT, "sign")
    wish = _first(senses, Says.WISH)
    if wish is not None and Says.CONTRARY in kinds:
        return Reading(Intent.UNCLEAR, "contradiction", wish.word)
    if wish is not None:
        return Reading(Intent.OPT_OUT, wish.rule, wish.word)
    head = sum(clause.line == said[0].line for clause in said)
    later = [word.text for words in known[head:] for word in words]
    return _bare(senses, _with_first_line(senses, head, later)) or _rest(senses)


def _with_first_line(senses: Sequence[Sense], head: int, later: Sequence[str]) -> Set[Says]:
    """Return what counts beside a bare word: the first line alone, where the next is another thing.

    So a name and an address below "STOP" take nothing from it, but "STOP / at the gate" is one
    sentence. "CANCEL" above business may be about the business.
    """
    first, rest = ({sense.says for sense in part} for part in (senses[:head], senses[head:]))
    goes_on = not (PLACE | BEFORE_NOUN).isdisjoint(later[:1])
    booking = Says.CANCEL in first and Says.MATTER in rest
    bare = first <= _BESIDE_A_WORD and not first.isdisjoint({Says.WORD, Says.CANCEL})
    return first if bare and not goes_on and not booking else first | rest


def _bare(senses: Sequence[Sense], kinds: Set[Says]) -> Reading | None:
    """Read a bare word; kinds: what stands beside it, and itself."""
    sense = _first(senses, Says.WORD) or _first(senses, Says.CANCEL)
    if sense is None:
        return None
    rest = kinds - _BESIDE_A_WORD
    is_word = sense.says is Says.WORD
    if not rest or (is_word and rest == {Says.NOTHING}):
        return Reading(Intent.OPT_OUT, sense.rule, sense.word, not is_word)
    if is_word and sense.word in STOP and Says.MATTER not in rest:
        return Reading(Intent.OPT_OUT, sense.rule, sense.word)
    return Reading(Intent.UNCLEAR, "word_beside_speech", sense.word)


def _rest(senses: Sequence[Sense]) -> Reading:
    kinds = {sense.says for sense in senses} - {Says.POLITE, Says.NOTHING}
    stranger = _first(senses, Says.STRANGER) or _first(senses, Says.NAME)
    call = _first(senses, Says.HELP)
    doubt = _first(senses, Says.DOUBT) or _first(senses, Says.LEADS)
    if stranger is not None:
        doubtful = Says.MATTER in kinds or (Says.ELSE in kinds and stranger.says is Says.NAME)
        return Reading(Intent.UNCLEAR if doubtful else Intent.OPT_OUT, stranger.rule, stranger.word)
    if doubt is not None:
        return Reading(Intent.UNCLEAR, doubt.rule, doubt.word)
    if kinds == {Says.HOSTILE}:
        return Reading(Intent.OPT_OUT, "hostile")
    if kinds == {Says.HELP} and call is not None:
        return Reading(Intent.HELP, call.rule, call.word)
    return Reading(Intent.OTHER, "other")


def _first(senses: Sequence[Sense], says: Says) -> Sense | None:
    return next((sense for sense in senses if sense.says is says), None)


def _one_word(said: Sequence[Clause]) -> Reading | None:
    """Read the text as one word: an opt-in is nothing else, an opt-out may be split ("st op")."""
    written = [word for clause in said for word in clause.words]
    word = known_words(["".join(written)])[0]
    if word.text in LIFT and len(written) == 1:
        return Reading(Intent.OPT_IN, "word", word.text)
    if word.text in OPT_OUT and not word.misspelt:
        return Reading(Intent.OPT_OUT, "split_word", word.text, word.text in CANCEL)
    return None
