"""One slip of the finger: a letter too many, too few or wrong, or two neighbours swapped.

A word that means something by itself is no slip, however near it is. Those are listed: all that
lie one slip from a word that may be misspelt, among the words of pyspellchecker 0.9.1's lists of
English, Spanish and French, but for those that are opt-out words themselves.
"""

_REAL = """
angulation annulations arrester arretee arretera arretes arretiez atop canceler cancels cancer
cancerar canelar cantel carcel caucel chancel cincel cincelar cuit desabonnee desabonnera
desabonnerent desabonnes desabonniez discontinu discontinua discontinued discontinuer discontinues
discontinuo discontinus estop evoke fuit huit jarreter luit nuit qui quia quid quiet quilt quin
quint quio quip quirt quite quito quits quiz quoit remote removes renove resiliee resiliera
resilies resinier revoie revoked revoker revokes rewove scop shop shopper slop sop step stepper
stoa stob stomp stoop stope stoppe stopped stoppee stoppera stoppers stoppes stoppeur stops stor
stoup stow strop suit swop top topper unsubscribes
"""
REAL_WORDS = frozenset(_REAL.split())
LENGTH_MIN = 4  # letters of the word that was meant


def is_slip_of(meant: str, written: str) -> bool:
    """Say whether `written` is one slip away from `meant`, and no word of its own."""
    near = abs(len(meant) - len(written)) <= 1 and len(meant) >= LENGTH_MIN
    return near and written not in REAL_WORDS and _one_edit(meant, written)


def _one_edit(meant: str, written: str) -> bool:
    same = _common(meant, written)
    a, b = meant[same:], written[same:]
    swapped = len(a) == len(b) > 1 and (a[1], a[0], a[2:]) == (b[0], b[1], b[2:])
    return bool(a or b) and (swapped or a[1:] == b[1:] or a[1:] == b or a == b[1:])


def _common(one: str, other: str) -> int:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))
