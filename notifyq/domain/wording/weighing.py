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
    return bare or _hostile(texts) or _rest(words)


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
    if not said.isdisjoint(MATTER) or any(char.isdigit() for text in texts for char in text):
        return Sense(Says.MATTER)
    lead = _lead(words)
    return Sense(Says.LEADS, "leading_word", lead) if lead else Sense(Says.ELSE)


def _lead(words: Sequence[Word]) -> str | None:
    """Return the opt-out word that heads the clause, or stands out in it by its capitals."""
    texts = [word.text for word in words]
    first = next((at for at, text in enumerate(texts) if text not in POLITE), 0)
    if texts[first] in _KEYWORDS and PLACE.isdisjoint(texts[first + 1 : first + 2]):
        return texts[first]
    out = (word.text for word in words if word.text in _KEYWORDS and word.written.isupper())
    return None if all(word.written.isupper() for word in words) else next(out, None)
