"""Reactions: what a phone sends when somebody taps a heart on our text, and quotes it.

iPhones send `Liked “our text”` to phones that cannot show a tapback, in the language of the phone;
`Loved an image` where there is no text; Google Messages `👍 to “our text”`. The quotation is our
own text, and our texts say "Reply STOP", so nothing in it is the person's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What closes a quotation, by what opened it. A mark that does both opens where a word begins.
_PAIRS = {
    '"': '"',
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u00ab": "\u00bb",
    "\u2039": "\u203a",
    "\u300c": "\u300d",
}
_QUOTED = rf"(?<=[\s:])(?P<open>[{''.join(_PAIRS)}])(?P<quoted>\s*\S.*)"
_WORD_BEGINS = re.compile(r"(?<!\S).(?=\w)")
_SIGN = r"[^\w\s\"\u201c\u00ab]+"  # an emoji: neither a letter nor a quotation mark
# Without accents: marks are gone from a text before it is compared.
_VERBS = (
    # English
    r"liked|loved|disliked|laughed at|emphasi[sz]ed|questioned|reacted (?:with )?.{1,40}? to",
    r"removed (?:an? |the |their |your )?.{1,40}? (?:reaction )?from|reacted to",
    rf"{_SIGN}\s*(?:to|a|en|sur|au|zu|para)",
    # Spanish
    r"(?:no )?(?:le|me) (?:ha )?(?:gusto|encanto|encantado|gustado|dio risa|hizo gracia)",
    r"(?:exclamo|dudo|pregunto|se rio|enfatizo|destaco|cuestiono|subrayo|resalto)"
    r"(?: (?:por|sobre|de|en|con))?",
    r"(?:ha )?(?:reacciono|reaccionado) (?:con )?.{1,40}? (?:a|al mensaje)",
    r"(?:quito|elimino|retiro|ha quitado|ha eliminado|agrego|anadio)"
    r" .{1,60}? (?:de|del mensaje|a|en)",
    # French
    r"(?:a )?(?:aime|adore|n'a pas aime|pas aime|ri a|ri de|souligne|mis en avant|mis en evidence)",
    r"(?:a )?(?:questionne|remis en question|mis en exergue|accentue|ete amuse par|insiste sur)",
    r"a trouve (?:drole|hilarant)|a (?:pose une question|exclame) (?:a|sur|au sujet de)?",
    r"a attribue .{1,60}? a|(?:a )?(?:reagi|repondu) (?:avec |par )?.{1,40}? a",
    r"a (?:supprime|retire|enleve|ajoute) .{1,60}? (?:de|du message|a|sur)",
    # Portuguese, German, Italian
    r"(?:gostou|amou|nao gostou|riu|enfatizou|questionou|curtiu)(?: (?:de|da|do))?",
    r"(?:reagiu|hat|reagiert) (?:com |mit )?.{1,40}? (?:a|auf)|gefallt|reagiert auf|hat",
    r"(?:ha messo|ha reagito|piace|non piace|ha riso|ha evidenziato).{0,40}?",
)
_REACTION = re.compile(rf"\s*(?:{'|'.join(_VERBS)})\s*:?\s*{_QUOTED}", re.IGNORECASE | re.DOTALL)
_BEHIND = re.compile(r"\s*mit .{1,40} markiert$", re.IGNORECASE)  # German says the verb last
_OF_A_THING = re.compile(
    r"(?:liked|loved|disliked|laughed at|emphasi[sz]ed|questioned"
    r"|(?:reacted|removed) .{1,40}? (?:to|from)"
    r"|(?:le|me) (?:gusto|encanto|dio risa)|a (?:aime|adore))"
    r" (?:an?|una?|une) (?:image|photo|video|movie|audio message|attachment|link|sticker|gif|file"
    r"|contact|location|imagen|foto|piece jointe|archivo)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the quotation of a reaction.

    text: the person's own words; empty for a reaction and no more. may_be_quoted: the quotation
    may as well end at the very end, since a mark like its own stood within it (`12" pipe`).
    """

    text: str
    may_be_quoted: bool = False


def beside_quotation(cleaned: str) -> Beside | None:
    """Return what a phone's report of a reaction has beside its quotation; None if it is none.

    cleaned: the text as `clean` returns it. A quotation that the network cut short has no end.
    """
    text = cleaned.strip()
    thing = _OF_A_THING.match(text)
    if thing is not None:
        return Beside(text[thing.end() :])
    found = _REACTION.match(text)
    if found is None:
        return None
    mark, quoted = found["open"], found["quoted"]
    behind = _BEHIND.sub("", _behind(mark, quoted)).rstrip(" .\u2026\n\r\t")
    *_, depth = 1, *(depth for depth, _ in _depths(mark, behind))
    return Beside(behind, may_be_quoted=depth <= 0)


def _behind(mark: str, quoted: str) -> str:
    """Return what stands behind the mark that closes the quotation, quotations in it skipped."""
    return next((quoted[at + 1 :] for depth, at in _depths(mark, quoted) if depth == 0), "")


def _depths(mark: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield for each mark of the kind how many quotations are open behind it, and where it is.

    One is open before the text.
    """
    depth = 1
    for at, char in enumerate(text):
        if char == mark and (mark not in _PAIRS[mark] or _WORD_BEGINS.match(text, at)):
            depth += 1
        elif char in _PAIRS[mark]:
            depth -= 1
        else:
            continue
        yield depth, at
