"""The phrases of all languages, made searchable, and what one of them says in its clause."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from notifyq.domain.wording.language import Language, Phrase, Strength
from notifyq.domain.wording.normal import fold
from notifyq.domain.wording.vocabulary import (
    GAP,
    LANGUAGES,
    LIMITS,
    LOOSE,
    MATTER,
    NEGATION,
    OPT_OUT,
    PAST,
)

# A number as it is written in a text about it: "415 555 0123".
_PHONE = r"\d{7,15}|(?:\d{1,3} )?\d{3} \d{3} \d{4}"
_GAP_MAX = 4  # fillers within a phrase: "stop it with all the messages"
_NEGATION_REACH = 2  # words before a phrase in which "don't" turns it
# "Why won't you stop texting me", "if you don't stop texting": these do not mean the contrary.
_EMPHASIS = frozenset({"why", "if", "unless"})
_SAYING = frozenset({"said", "told", "asked", "ask", "asking", "tell", "saying", "say"})
_ALONE = frozenset({Strength.WHOLE, Strength.STRANGER, Strength.DOUBT})


class Wish(StrEnum):
    """What a phrase says where it stands."""

    CLEAR = "clear"  # to hear no more from us
    STRANGER = "stranger"  # we have reached somebody else
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class _Search:
    name: str
    strength: Strength
    pattern: re.Pattern[str]


def wish_of(words: Sequence[str]) -> tuple[Wish, str] | None:
    """Return what the clause asks for by a phrase, and the phrase's name; None if it has none.

    A clear wish in the clause counts, whatever phrases of doubt are in it too.
    """
    text = " ".join(words) + " "
    found = [(wish, search.name) for search in searches() for wish in _weighed(search, text)]
    return min(found, key=lambda each: list(Wish).index(each[0]), default=None)


@cache
def searches() -> tuple[_Search, ...]:
    """Return all phrases, made searchable when this is first called: it takes about a second.

    A process that hears people calls it before it begins to.
    """
    return tuple(
        _compiled(phrase, sets)
        for language in LANGUAGES
        for sets in [_sets_of(language)]
        for phrase in language.phrases
    )


def _weighed(search: _Search, text: str) -> Iterator[Wish]:
    for match in search.pattern.finditer(text):
        before, behind = text[: match.start()].split(), text[match.end() :].split()
        wish = _in_place(search.strength, before, behind)
        if wish is not None:
            yield wish


def _in_place(strength: Strength, before: list[str], behind: list[str]) -> Wish | None:
    rest = {*before, *behind}
    if strength in _ALONE and not rest <= LOOSE | NEGATION:
        return None
    if strength is Strength.DOUBT and not rest.isdisjoint(OPT_OUT):
        return None  # the opt-out word beside it says more
    if strength is Strength.STRANGER:
        return Wish.STRANGER
    if strength is Strength.DOUBT or _is_turned(before) or _is_told(before):
        return Wish.DOUBT
    if strength is Strength.UNLESS_MATTER and not rest.isdisjoint(MATTER):
        return Wish.DOUBT
    return Wish.CLEAR if LIMITS.isdisjoint(behind) else Wish.DOUBT


def _is_turned(before: list[str]) -> bool:
    near = before[-_NEGATION_REACH:]
    return not NEGATION.isdisjoint(near) and _EMPHASIS.isdisjoint(before)


def _is_told(before: list[str]) -> bool:
    """Say whether it is told or asked, not wished: "why did you stop texting me"."""
    if not NEGATION.isdisjoint(before) and not _EMPHASIS.isdisjoint(before):
        return False
    return not PAST.isdisjoint(before) and _SAYING.isdisjoint(before)


def _sets_of(language: Language) -> Mapping[str, str]:
    found: dict[str, list[str]] = {"gap": sorted(GAP)}
    for line in fold(language.sets).strip().splitlines():
        name, _, words = line.partition(":")
        found.setdefault(name, []).extend(words.split())
    sets = {name: "|".join(map(re.escape, words)) for name, words in found.items()}
    return {**sets, "phone": _PHONE}


def _compiled(phrase: Phrase, sets: Mapping[str, str]) -> _Search:
    parts = [_part(item, sets) for item in fold(phrase.pattern).split()]
    return _Search(phrase.name, phrase.strength, re.compile(r"(?<!\S)" + "".join(parts)))


def _part(item: str, sets: Mapping[str, str]) -> str:
    if item == "{gap}":
        return rf"(?:(?:{sets['gap']}) ){{0,{_GAP_MAX}}}?"
    if item.removesuffix("?") == "{any}":
        return r"(?:\S+ ){0,2}" if item.endswith("?") else r"(?:\S+ ){1,2}"
    words = re.sub(r"\{(\w+)\}", lambda found: sets[found[1]], item.removesuffix("?"))
    return rf"(?:(?:{words}) )" + ("?" if item.endswith("?") else "")
