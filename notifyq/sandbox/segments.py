"""Segments: how many parts a text message is sent in.

Owns the GSM 03.38 alphabets and the lengths: 160 septets in one part and 153 in each of several;
70 and 67 UTF-16 units once a single character is outside the alphabet (3GPP TS 23.038, 23.040).
"""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # an escape and a second septet each


def segments(text: str) -> int:
    """Return the number of parts, 1 or more."""
    if _BASIC.union(_EXTENDED).issuperset(text):
        units = [2 if char in _EXTENDED else 1 for char in text]
        return _parts(units, one=160, each=153)
    return _parts([2 if ord(char) > 0xFFFF else 1 for char in text], one=70, each=67)


def _parts(units: list[int], *, one: int, each: int) -> int:
    if sum(units) <= one:
        return 1
    parts, room = 1, each
    for unit in units:  # no character is cut in two: it moves on whole
        if unit > room:
            parts, room = parts + 1, each
        room -= unit
    return parts
