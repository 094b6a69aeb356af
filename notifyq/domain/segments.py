"""How many parts a text message is sent in: what a carrier counts and bills. Pure.

Owns the alphabet GSM 03.38 (today 3GPP TS 23.038, tables of 6.2.1) and the sizes of a part
(TS 23.040): 140 bytes, of which a header takes 6 once there are several. One character outside
the alphabet and the whole text goes out as UTF-16.
Refuses national alphabets: senders use them by arrangement only.
"""

# 128 places by rows of 16, as the standard prints them; the gap is the escape to the second table.
_ROWS = (
    "@£$¥èéùìòÇ\nØø\rÅå",
    "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ",
    " !\"#¤%&'()*+,-./",
    "0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNO",
    "PQRSTUVWXYZÄÖÑÜ§",
    "¿abcdefghijklmno",
    "pqrstuvwxyzäöñüà",
)
_COSTS = {
    **dict.fromkeys("".join(_ROWS), 1),
    **dict.fromkeys("\f^{}\\[~]|€", 2),  # the second table: an escape before each
}
GSM_ALONE, GSM_EACH = 160, 153  # septets in a part that is alone, and in one of several
UTF16_ALONE, UTF16_EACH = 70, 67  # code units, likewise


def segments(text: str) -> int:
    """Return the number of parts, 1 or more; an empty text is one.

    No character is cut in two: an escaped one, or one outside the Basic Multilingual Plane, that
    does not fit moves to the next part. Where a carrier does cut, it needs as many or fewer.
    """
    costs = [_COSTS.get(char, 0) for char in text]
    if all(costs):
        return _parts(costs, GSM_ALONE, GSM_EACH)
    return _parts([2 if char > "\uffff" else 1 for char in text], UTF16_ALONE, UTF16_EACH)


def encoding(text: str) -> str:
    """Return how a text goes out: "gsm" in the alphabet's septets, or "utf16"."""
    return "gsm" if all(char in _COSTS for char in text) else "utf16"


def _parts(costs: list[int], alone: int, each: int) -> int:
    if sum(costs) <= alone:
        return 1
    parts, used = 1, 0
    for cost in costs:
        if used + cost > each:
            parts, used = parts + 1, 0
        used += cost
    return parts
