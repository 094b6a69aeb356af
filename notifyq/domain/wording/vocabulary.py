"""All languages put together: the words of each kind, folded as the texts are."""

from notifyq.domain.wording.english import ENGLISH
from notifyq.domain.wording.french import FRENCH
from notifyq.domain.wording.language import Language
from notifyq.domain.wording.normal import fold
from notifyq.domain.wording.others import OTHERS
from notifyq.domain.wording.spanish import SPANISH

LANGUAGES: tuple[Language, ...] = (ENGLISH, SPANISH, FRENCH, *OTHERS)
# A text that begins with one of these is held for a person at least, whatever else it says.
_HEADS = "stop stopp stopall optout unsubscribe unsub unsubscribed revoke"
HEADS = frozenset(_HEADS.split())
LIFT = frozenset({"start", "yes", "unstop"})  # what Twilio and the carriers know, and no other
# Behind or before an opt-out word without a space between: "stopit", "pleasestop".
_STUCK_BEHIND = "it all now this me please pls plz texting texts text messages sms sending spam"
_STUCK_BEFORE = "please pls plz just"
_STUCK_LENGTH_MIN = 4  # "end" begins and ends too many words


def _all(block: str) -> frozenset[str]:
    return frozenset(
        word for language in LANGUAGES for word in fold(getattr(language, block)).split()
    )


def _pairs(block: str) -> dict[str, str]:
    return {one: other for one, _, other in (pair.partition("=") for pair in _all(block))}


CANCEL = _all("cancel")
ALONE = _all("alone") - CANCEL
STOP = _all("stop") - ALONE - CANCEL
OPT_OUT = STOP | ALONE | CANCEL
MISSPELT = tuple(sorted(_all("misspelt") & OPT_OUT))
HELP = _all("help")
POLITE = _all("polite")
FILLER = _all("filler")
WISH = _all("wish")
ANSWERS = _all("answers")
ABOUT = _all("about")
NEGATION = _all("negation")
BEFORE_NOUN = _all("before_noun")
PLACE = _all("place")
HOSTILE = _all("hostile")
HOSTILE_FILLER = _all("hostile_filler")
MATTER = _all("matter")
LIMITS = _all("limits")
PAST = _all("past")
GAP = POLITE | FILLER | WISH | ABOUT | HOSTILE  # what may stand within a phrase
BESIDE = GAP | ANSWERS  # says nothing more beside an opt-out word
LOOSE = BESIDE | OPT_OUT | HOSTILE_FILLER | _all("loose")  # nor these beside a phrase
ALIASES = _pairs("aliases")
JOINED = {tuple(words.split("_")): one for words, one in _pairs("joined").items()}


def _stuck_together() -> dict[str, str]:
    plain = [word for word in fold(ENGLISH.stop).split() if len(word) >= _STUCK_LENGTH_MIN]
    behind = {word + other: word for word in plain for other in _STUCK_BEHIND.split()}
    before = {other + word: word for word in plain for other in _STUCK_BEFORE.split()}
    return {word: one for word, one in {**behind, **before}.items() if word not in OPT_OUT}


STUCK = _stuck_together()


def _of_phrases() -> frozenset[str]:
    blocks = [language.sets for language in LANGUAGES]
    blocks += [phrase.pattern for language in LANGUAGES for phrase in language.phrases]
    plain = fold(" ".join(blocks)).translate(str.maketrans("|?:{}", "     "))
    return frozenset(plain.split())


# A word is looked for in other spellings only while it is not one of these.
KNOWN = frozenset().union(
    *(LOOSE, LIFT, HELP, NEGATION, BEFORE_NOUN, MATTER, LIMITS, PAST, ALIASES, STUCK),
    *(_of_phrases(), *JOINED),
)
