"""Letters of other scripts, and digits, that are read as Latin letters.

The table is a subset of the confusables of UTS #39 (confusables.txt, as the package
confusable-homoglyphs 3.3.1 carries it; its newest character is of Unicode 13.0): for each of a-z,
what looks like it in either case, one character each, in the scripts below, and without what NFKC
unfolds anyway (fullwidth, mathematical, circled letters). Beside it, what UTS #39 has not and
people's font toys write: small capitals, letters with a stroke, lower-case Cyrillic and Greek in
the place of capitals; and letters in black squares and circles, for which NFKC does nothing.
"""

from collections.abc import Iterator

# Cyrillic, Greek, Armenian, Cherokee, Coptic, Lisu, Canadian syllabics, Latin, Georgian, Hebrew,
# Deseret, Osage, Warang Citi, Tifinagh.
_UTS_39 = """
a 0251 0391 03B1 0410 0430 13AA 15C5 A4EE
b 0184 0392 0412 042C 13CF 13F4 1472 15AF 15F7 A4D0 A7B4
c 0421 0441 13DF 1D04 2CA4 2CA5 A4DA ABAF 10415 1043D
d 0501 13A0 13E7 146F 15DE 15EA A4D2 A4D3
e 0395 0415 0435 04BD 13AC 2D39 A4F0 AB32 118A6 118AE
f 03DC 0584 15B4 1E9D A4DD A798 A799 AB35 118A2 118C2
g 018D 0261 050C 0581 13C0 13F3 1D83 A4D6
h 0397 041D 04BB 0570 13BB 13C2 157C 2C8E A4E7
i 0131 0269 026A 03B9 0456 04CF 13A5 A647 AB75 118C3
j 037F 03F3 0408 0458 13AB 148D A4D9 A7B2
k 039A 041A 13E6 2C94 A4D7
l 0196 01C0 0399 0406 04C0 05D5 05DF 13DE 14AA 2C92 2CD0 2D4F A4E1 A4F2 1041B 118A3 118B2
m 039C 03FA 041C 13B7 15F0 2C98 A4DF
n 039D 0578 057C 2C9A A4E0
o 039F 03BF 03C3 041E 043E 0555 0585 05E1 10FF 1D0F 1D11 2C9E 2C9F 2D54 A4F3 AB3D 10404 1042C
o 104C2 104EA 118B5 118C8 118D7
p 03A1 03C1 0420 0440 13E2 146D 2CA2 2CA3 A4D1
q 051B 0563 0566 2D55
r 01A6 0433 13A1 13D2 1587 1D26 2C85 A4E3 AB47 AB48 AB81 104B4
s 01BD 0405 0455 054F 13D5 13DA A4E2 A731 ABAA 10420 10448 118C1
t 03A4 0422 13A2 2CA6 A4D4 118BC
u 028B 03C5 054D 057D 144C 1D1C A4F4 A79F AB4E AB52 104CE 104F6 118B8 118D8
v 03BD 0474 0475 05D8 13D9 142F 1D20 2D38 A4E6 ABA9 118A0 118C0
w 026F 0461 051C 051D 0561 13B3 13D4 1D21 A4EA AB83
x 03A7 0425 0445 1541 157D 2CAC 2D5D A4EB A7B3
y 0263 028F 03A5 03B3 0423 0443 04AE 04AF 10E7 13A9 13BD 1D8C 1EFF 2CA8 A4EC AB5A 118A4 118DC
z 0396 13C3 1D22 A4DC AB93 118A9 118C4
"""
_BESIDE_UTS_39 = """
a 1D00 2C6F 2C65
b 0299 0432 0432 0180
c 023C A793
d 1D05 0111 0110 0256
e 1D07 0454 0404 20AC 025B 0190 0247
f A730 0192
g 0262 0260
h 029C 043D 0127
i 0407 0457 0268
j 1D0A 0249
k 1D0B 043A 03BA 0138
l 029F 0142 0141 019A
m 1D0D 043C
n 0274 043F 0438 03B7 014B 019E
o 00F8 00D8 0275 2C7A
p 1D18 01A5 01A4 0440 00FE
q A7AF 024B
r 0280 0453 044F
s A731 01A8 00A7 1515
t 1D1B 0442 03C4 0167 0166 01AD 01AC
u 0446 00B5 03BC 0244
v 1D20
w 0448 03C9 0461
x 04FE
y 028F 04F2 00A5
z 1D22 01B6
"""
_DIGITS = {"0": "o", "1": "I", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "$": "s", "@": "a"}
# Regional indicators, and letters in black circles and squares: their first character each.
_BOXED = (0x1F1E6, 0x1F150, 0x1F170)


def _read(table: str) -> Iterator[tuple[int, str]]:
    for line in table.split("\n"):
        letter, *points = line.split() or ("",)
        yield from ((int(point, 16), letter) for point in points)


# To UTS #39 a capital I and a small l are one: what looks like either stands as I in the table.
_ONE = {point: "I" if letter == "l" else letter for point, letter in _read(_UTS_39)}
_LETTERS = {**dict(_read(_BESIDE_UTS_39)), **_ONE}
_WITH_DIGITS = {**_LETTERS, **str.maketrans(_DIGITS)}
_UNBOXED = {first + at: chr(ord("A") + at) for first in _BOXED for at in range(26)}
# A number with a letter ("7d", "b4") is a number: so many letters, and half of the word at least.
_WORD_LENGTH_MIN = 4


def unboxed(text: str) -> str:
    """Return the text with letters in black boxes and circles, and flags, as plain capitals."""
    return text.translate(_UNBOXED)


def skeletons(word: str) -> Iterator[str]:
    """Yield in which other ways a word may be read, in lower case: none for a plain one.

    word: as it was written. It is read in capitals and in small letters too, since a phone may
    have changed them: Greek small Nu looks like v, the capital one like N. A small l and a capital
    I look alike, so each is also read as the other.
    """
    table = _WITH_DIGITS if _is_spelt_with_digits(word) else _LETTERS
    plain = word.casefold()
    first, upper, lower = (cased.translate(table) for cased in (word, word.upper(), word.lower()))
    swapped = (first.replace("I", "l"), first.replace("l", "I"), lower.replace("I", "l"))
    readings = (first, upper, lower, *swapped)
    yield from (reading.casefold() for reading in readings if reading.casefold() != plain)


def _is_spelt_with_digits(word: str) -> bool:
    letters = sum(char.isalpha() for char in word)
    return len(word) >= _WORD_LENGTH_MIN and len(word) > letters >= len(word) / 2
