"""What a dice does to bytes and to callbacks, for every client's test of garbage."""

import random
from collections.abc import Sequence

from notifyq.domain.provider import Callback

ODD = (b'"', b"{", b"\0", b"\xed\xa0\x80", b"9" * 40)


def mutated(dice: random.Random, data: bytes) -> bytes:
    """Return the bytes with none to three changes: more, fewer, cut off, or odd ones."""
    changed = bytearray(data)
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(4):
            case 0:
                changed[at:at] = dice.randbytes(dice.randrange(1, 5))
            case 1:
                del changed[at : at + dice.randrange(1, 9)]
            case 2:
                changed[at:] = b""
            case 3:
                changed[at : at + 1] = dice.choice(ODD)
    return bytes(changed)


def mutated_callback(
    dice: random.Random,
    what: Callback,
    *,
    pieces: Sequence[bytes],
    values: Sequence[str],
    names: Sequence[str] = (),
    tails: Sequence[str] = (),
) -> Callback:
    """Return the callback with one to three changes: of a byte, a piece, a header, the URL.

    pieces: put into the body. values: of headers; names: of headers that it need not have yet.
    tails: take the place of the end of the URL, wherever that begins; none: it stays.
    """
    body, url, headers = bytearray(what.body), what.url, dict(what.headers)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(body) + 1)
        match dice.randrange(6 if tails else 5):
            case 0:
                body[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del body[at : at + dice.randint(1, 30)]
            case 2:
                body[at:at] = dice.choice(pieces)
            case 3:
                headers[dice.choice([*headers, *names] or ["none"])] = dice.choice(values)
            case 4:
                headers.pop(dice.choice([*headers, "none"]), None)
            case 5:
                url = url[: dice.randrange(len(url) + 1)] + dice.choice(tails)
    return Callback(url, headers, bytes(body))
