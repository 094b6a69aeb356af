from dataclasses import dataclass
from enum import StrEnum


class Intent(StrEnum):
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    UNCLEAR = "unclear"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Reading:
    intent: Intent
    rule: str
    word: str | None
    offer_cancel: bool = False


def read_text(text):
    w = {"stop": Intent.OPT_OUT, "start": Intent.OPT_IN, "help": Intent.HELP}
    k = text.strip().lower()
    return Reading(w.get(k, Intent.OTHER), "word", k)
