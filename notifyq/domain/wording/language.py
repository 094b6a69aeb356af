"""What a language contributes to the reading of texts: the place where a language is added.

One value of `Language` a language, each in its file; vocabulary.py puts them together. All words
stand here as a person writes them, with their accents: they are folded like the text itself.

A reading never looks for a word inside other words. Each clause of a text is weighed as a whole,
and a word that stands in none of these lists makes it speech about something else. So a word too
many in `filler` can turn a business reply into an opt-out, and a word too few only asks a person.
"""

from dataclasses import dataclass
from enum import StrEnum


class Strength(StrEnum):
    """How far a phrase speaks for itself."""

    CLEAR = "clear"  # a wish whatever else the clause says, unless it limits the wish
    UNLESS_MATTER = "unless_matter"  # the same, unless the clause names a matter of business
    WHOLE = "whole"  # a wish if nothing else is said in the clause
    STRANGER = "stranger"  # the wrong person, if nothing else is said in the clause
    DOUBT = "doubt"  # a person has to read it, if nothing else is said in the clause


@dataclass(frozen=True, slots=True)
class Phrase:
    """A way of asking us to stop.

    name: how it is recorded. pattern: items apart by spaces; `a|b` one of these words, `{set}` one
    of the language's set, `{gap}` up to four fillers, `{phone}` a phone number, `{any}` one or two
    words whatever they are, a `?` behind an item makes it optional.
    """

    name: str
    pattern: str
    strength: Strength = Strength.CLEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The words of one language, in blocks apart by spaces.

    code: ISO 639-1. What is left empty is simply not known in that language.
    """

    code: str
    stop: str = ""  # an opt-out, also beside fillers
    alone: str = ""  # an opt-out, but with politeness at the most: it is too common in sentences
    cancel: str = ""  # an opt-out that may mean a booking
    misspelt: str = ""  # which of the above count with one slip of the finger
    help: str = ""
    polite: str = ""  # please, thanks, hello, now: changes nothing beside a word
    filler: str = ""  # pronouns, articles and helping verbs
    wish: str = ""  # want, need, can: beside `cancel` they speak of a booking as likely
    answers: str = ""  # yes, no, ok
    about: str = ""  # words for messaging
    negation: str = ""  # turns the word behind it
    before_noun: str = ""  # right before an opt-out word it makes a thing of it ("my stop")
    place: str = ""  # right behind an opt-out word it makes a place or a time of it ("stop by")
    hostile: str = ""
    hostile_filler: str = ""  # says nothing more beside a hostile word
    matter: str = ""  # business, places and times: what our customers' people write about
    limits: str = ""  # behind a phrase: it is not meant always
    past: str = ""  # before a phrase: it tells or asks of something
    loose: str = ""  # says nothing more inside a phrase that must be all of its clause
    aliases: str = ""  # "u=you": one spelling for several
    joined: str = ""  # "opt_out=optout": words that count as one, `_` between them
    sets: str = ""  # "stop: stop quit end", a line each; for the phrases
    phrases: tuple[Phrase, ...] = ()
