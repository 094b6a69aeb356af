"""Whether a clause says that we have reached somebody else than the one whom it names.

A name is known by its capital in a sentence that is not all in capitals, and by being no word that
we know: "I'm not Maria", but neither "I'm not Home" nor "im not available".
"""

import re
from collections.abc import Sequence

from notifyq.domain.wording.normal import fold
from notifyq.domain.wording.vocabulary import KNOWN

_NAME = r"(?P<name{}>[A-Z][a-z]+(?: [A-Z][a-z]+)?)"
_FORMS = (
    # English: "sorry this is not Ann", "this isn't Ann's phone anymore", "no Ann at this number"
    r"(?i:(?:sorry|hi|hello|hey|no) )?(?i:this|it|that|i|this number|this phone)? ?"
    r"(?i:i?s not|isnt|is no longer|am not|m not|im not|not|aint) (?i:for )?"
    rf"{_NAME.format(1)}(?i: (?:phone|number|cell|cellphone))?(?i: anymore| any more| now)?",
    rf"(?i:there is |theres )?(?i:no) {_NAME.format(2)} (?i:here|at this number|at this phone)",
    # Spanish, French
    r"(?i:yo )?(?i:no soy|(?:este )?no es el numero de|(?:este )?numero ya no es de"
    r"|este no es|aqui no vive) "
    rf"{_NAME.format(3)}",
    rf"(?i:je ne suis pas|ce n est pas|c est pas) {_NAME.format(4)}",
)
_SOMEBODY_ELSE = re.compile("|".join(f"(?:{form})" for form in _FORMS))


def is_somebody_else(written: Sequence[str]) -> bool:
    """Say whether the words, as they were written, are all of "I am not NAME"."""
    found = _SOMEBODY_ELSE.fullmatch(" ".join(written))
    if found is None:
        return False
    name = next(name for name in found.groups() if name is not None)
    return KNOWN.isdisjoint(fold(name).split())
