"""Reactions: what a phone sends when somebody taps a heart on our text, and quotes it.

iPhones send `Liked “our text”` to phones that cannot show a tapback, in the language of the phone;
`Loved an image` where there is no text; Google Messages `👍 to “our text”`. The quotation is our
own text, and our texts say "Reply STOP", so nothing in it is the person's.
"""

import re

from notifyq.domain.wording.normal import clean

_OPEN, _CLOSE = '"\u201c\u201e\u201d\u00ab\u2039\u300c', '"\u201d\u201c\u00bb\u203a\u300d'
_QUOTED = rf"[{_OPEN}](?P<quoted>.*)"
_SIGN = r"[^\w\s\"\u201c\u00ab]+"  # an emoji: neither a letter nor a quotation mark
# Without accents: marks are gone from a text before it is compared.
_VERBS = (
    # English
    r"liked|loved|disliked|laughed at|emphasi[sz]ed|questioned|reacted (?:with )?.{1,40}? to",
    r"removed (?:an? |the |their |your )?.{1,40}? (?:reaction )?from|reacted to",
    rf"{_SIGN}\s*(?:to|a|en|sur|au|zu|para)",
    # Spanish
    r"(?:no )?(?:le|me) (?:ha )?(?:gusto|encanto|encantado|gustado|dio risa|hizo gracia)",
    r"(?:exclamo|dudo|pregunto|se rio|enfatizo|destaco|cuestiono)(?: (?:por|sobre|de|en|con))?",
    r"(?:ha )?(?:reacciono|reaccionado) (?:con )?.{1,40}? (?:a|al mensaje)",
    r"(?:quito|elimino|retiro|ha quitado|ha eliminado) .{1,60}? (?:de|del mensaje|a|en)",
    # French
    r"(?:a )?(?:aime|adore|n'a pas aime|pas aime|ri a|ri de|souligne|mis en avant|mis en evidence)",
    r"a trouve (?:drole|hilarant)|a (?:pose une question|exclame) (?:a|sur|au sujet de)?",
    r"a attribue .{1,60}? a|(?:a )?(?:reagi|repondu) (?:avec |par )?.{1,40}? a",
    r"a (?:supprime|retire|enleve) .{1,60}? (?:de|du message|a|sur)",
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
    r"|contact|location|imagen|foto|piece jointe|archivo)\W*",
    re.IGNORECASE,
)


def is_reaction(text: str) -> bool:
    """Say whether a text is a phone's report of a reaction, and nothing behind it.

    text: as it came. What stands behind the closed quotation is the person's own, so that is none;
    a quotation that the network cut short has no end.
    """
    cleaned = clean(text).strip()
    if _OF_A_THING.fullmatch(cleaned):
        return True
    found = _REACTION.match(cleaned)
    return found is not None and _is_only_quoted(
        _BEHIND.sub("", found["quoted"]).rstrip(" .\u2026\n\r\t")
    )


def _is_only_quoted(rest: str) -> bool:
    return rest.endswith(tuple(_CLOSE)) or not any(mark in rest for mark in _CLOSE)
