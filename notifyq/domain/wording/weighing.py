"""What one clause of a text says, weighed as a whole: never a word of it alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from notifyq.domain.wording.names import is_somebody_else
from notifyq.domain.wording.phrases import Wish, wish_of
from notifyq.domain.wording.vocabulary import (
    ABOUT,
    ALONE,
    ANSWERS,
    BEFORE_NOUN,
    BESIDE,
    CANCEL,
    HELP,
    HOSTILE,
    HOSTILE_FILLER,
    LIFT,
    MATTER,
    NEGATION,
    OPT_OUT,
    PLACE,
    POLITE,
    WISH,
)
from notifyq.domain.wording.words import Word


class Says(StrEnum):
    """What a clause is for the text that it stands in."""

    WISH = "wish"  # an opt-out, whatever stands beside it
    STRANGER = "stranger"  # the wrong person: an opt-out, unless the text is about business
    NAME = "name"  # not the one whom it names: the same, if nothing else is said
    WORD = "word"  # a bare opt-out word
    CANCEL = "cancel"  # a bare word that may mean a booking
    DOUBT = "doubt"  # only a person can tell
    HOSTILE = "hostile"
    HELP = "help"
    POLITE = "polite"  # nothing else
    NOTHING = "nothing"  # words that say nothing by themselves
    CONTRARY = "contrary"  # asks us to write
    MATTER = "matter"  # business
    LEADS = "leads"  # begins with an opt-out word, and goes on about something
    ELSE = "else"


@dataclass(frozen=True, slots=True)
class Sense:
    """What a clause says, by which rule, and the word or phrase that told."""

    says: Says
    rule: str = ""
    word: str | None = None


_WISHES = {
    Wish.CLEAR: Sense(Says.WISH, "phrase"),
    Wish.STRANGER: Sense(Says.STRANGER, "wrong_person"),
    Wish.DOUBT: Sense(Says.DOUBT, "doubtful_phrase"),
}


# "Don't email me, text me": what is asked for is not to be taken for an opt-out.
_ASKED_TO_WRITE = frozenset({"text", "message", "me", "us", "please", "just", "only", "instead"})
# What our texts ask people to write: standing out in a sentence, a person has to read it.
_KEYWORDS = frozenset({"stop", "stopall", "optout", "unsubscribe", "unsub"})
# Beside an opt-out word and a number: a program's code, a booking's, or a finger that slipped.
_BESIDE_A_NUMBER = OPT_OUT | POLITE | ABOUT | ANSWERS


def sense_of(words: Sequence[Word]) -> Sense:
    """Return what the clause says. words: at least one."""
    texts = [word.text for word in words]
    wish, bare = wish_of(texts), _bare(words)
    if wish is not None:
        sense, (_, name) = _WISHES[wish[0]], wish
        is_bare = bare is not None and (sense.says, bare.says) == (Says.WISH, Says.WORD)
        return replace(bare, says=Says.WISH) if is_bare and bare else replace(sense, word=name)
    if is_somebody_else([word.written for word in words]):
        return Sense(Says.NAME, "wrong_person", "not this person")
    return bare or _numbered(texts) or _hostile(texts) or _rest(words)


def _bare(words: Sequence[Word]) -> Sense | None:
    texts = [word.text for word in words]
    at = next((at for at, text in enumerate(texts) if text in OPT_OUT), None)
    if at is None or (at > 0 and texts[at - 1] in BEFORE_NOUN - ANSWERS):
        return None
    others = set(texts) - OPT_OUT
    if not others <= _beside(texts[at], texts):
        return None
    if not NEGATION.isdisjoint(set(texts[:at]) - ANSWERS):
        return Sense(Says.DOUBT, "negated", texts[at])
    rule = "misspelt_word" if words[at].misspelt else "word"
    if texts[at] not in CANCEL:
        return Sense(Says.WORD, rule, texts[at])
    if not others.isdisjoint(ABOUT):
        return Sense(Says.WORD, rule, texts[at])
    booked = not others.isdisjoint(WISH | ANSWERS | HELP)
    return (
        Sense(Says.DOUBT, "booking", texts[at]) if booked else Sense(Says.CANCEL, rule, texts[at])
    )


def _numbered(texts: Sequence[str]) -> Sense | None:
    """Read "STOP 2" and "cancel #24273": they say neither texts nor business.

    "Unsubscribe 2" can be nothing but an opt-out.
    """
    plain = [text for text in texts if not _has_digit(text)]
    word = next((text for text in plain if text in OPT_OUT), None)
    beside = BESIDE | OPT_OUT if word in _KEYWORDS else _BESIDE_A_NUMBER
    if word is None or len(plain) == len(texts) or not beside.issuperset(plain):
        return None
    says = Says.WORD if word in _KEYWORDS and word != "stop" else Says.DOUBT
    return Sense(says, "numbered", word)


def _has_digit(text: str) -> bool:
    return any(char.isdigit() for char in text)


def _beside(word: str, texts: Sequence[str]) -> frozenset[str]:
    """Return which words say nothing more beside an opt-out word."""
    beside = POLITE if word in ALONE else BESIDE | NEGATION | HELP | LIFT
    return beside if HOSTILE.isdisjoint(texts) else beside | HOSTILE | HOSTILE_FILLER


def _hostile(texts: Sequence[str]) -> Sense | None:
    said = set(texts)
    if HOSTILE.isdisjoint(said) or not said <= HOSTILE | HOSTILE_FILLER | BESIDE:
        return None
    if not said.isdisjoint(ANSWERS - NEGATION) or texts[0] in ("is", "oh", "holy"):
        return Sense(Says.DOUBT, "hostile", None)
    return Sense(Says.HOSTILE, "hostile", None)


def _rest(words: Sequence[Word]) -> Sense:
    texts = [word.text for word in words]
    said = set(texts)
    if said <= _ASKED_TO_WRITE and said & {"text", "message"} and said & {"me", "us"}:
        return Sense(Says.CONTRARY)
    if said & HELP and said <= HELP | BESIDE:
        return Sense(Says.HELP, "word", next(text for text in texts if text in HELP))
    if said <= BESIDE | HOSTILE_FILLER | NEGATION:
        return Sense(Says.POLITE if said <= POLITE | HOSTILE else Says.NOTHING)
    is_business = not said.isdisjoint(MATTER) or any(map(_has_digit, texts))
    lead = _standing_out(words) or (None if is_business else _lead(texts))
    if lead is not None:
        return Sense(Says.LEADS, "leading_word", lead)
    return Sense(Says.MATTER if is_business else Says.ELSE)


def _lead(texts: Sequence[str]) -> str | None:
    """Return the opt-out word that heads the clause."""
    first = next((at for at, text in enumerate(texts) if text not in POLITE), 0)
    follows = texts[first + 1 : first + 2]
    return texts[first] if texts[first] in _KEYWORDS and PLACE.isdisjoint(follows) else None


def _standing_out(words: Sequence[Word]) -> str | None:
    """Return the opt-out word that stands out in the clause by its capitals."""
    out = (word.text for word in words if word.text in _KEYWORDS and word.written.isupper())
    return None if all(word.written.isupper() for word in words) else next(out, None)
