"""Values that stand where nobody expects them, and documents that hold them."""

import json
import random
from collections.abc import Sequence
from typing import Any

# What a database or a codec takes badly; drawn more often than the rest.
NASTY = ("\0", "a\0b", "\ud800", "x" * 5_000, "\U0001f600" * 300)
_NASTY_SHARE = 0.3
TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", "\udc80x", "\u00e9" * 9, "\U0001f600", "x" * 5_000, "0", "1",
    "-1", "9" * 400, "+14155550123", "\u0661\u0662\u0663\u0664\u0665", "delivered", "Delivered",
    "DELIVERY", "received", "reference", "null", "true", "2026-11-23", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2026-11-23T10:00:00", "2026-W01-1", "../../etc/passwd",
    "'; DROP TABLE receipt; --", "%s%n%(x)s", "{0}", "\r\nX-A: b", "un\u212anown", "\u0130",
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 7, 1.5, -0.0, 1e308, 10**400, 2**31, 2**63, -(2**63), 253402300800,
    -62135596800, float("nan"), float("inf"), [], {}, [[]], [None], {"a": 1}, [{}], {"": ""},
    *TEXTS,
)  # fmt: skip
PIECES = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"%00", b"%", b"%zz", b"%ff", b"&", b"=",
    b'"', b"{", b"}", b"[" * 5_000, b"[" * 100_000, b"9" * 400, b"9" * 5_000, b"\\ud800",
    b"\\u0000", b"null,", b"NaN", b"1e999", b"-", b"\xef\xbb\xbf", b"\r\n", b"&reference=x", b";",
)  # fmt: skip
_DEPTH_MAX = 100
_CODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig")


def text(dice: random.Random, likely: Sequence[str] = ()) -> str:
    """Return an odd text, or one that is likely to be read as something."""
    return dice.choice(NASTY if dice.random() < _NASTY_SHARE else [*TEXTS, *likely])


def value(dice: random.Random) -> object:
    """Return an odd JSON value."""
    return dice.choice(NASTY if dice.random() < _NASTY_SHARE else VALUES)


def altered(dice: random.Random, document: Any) -> Any:
    """Return a JSON value with one to four places in it changed, named anew or taken away."""
    if not _places(document):
        return value(dice)
    changed = json.loads(json.dumps(document))
    for _ in range(dice.randint(1, 4)):
        places = _places(changed)
        if not places:
            return value(dice)
        holder, key = dice.choice(places)
        match dice.randrange(6):
            case 0:
                del holder[key]
            case 1:
                holder[key] = [holder[key]] * dice.randint(0, 3)
            case 2:
                holder[key] = {"x": holder[key]}
            case 3 if isinstance(holder, dict):
                holder[text(dice)] = holder.pop(key)
            case _:
                holder[key] = value(dice)
    return changed


def written(dice: random.Random, document: object) -> bytes:
    """Return JSON in one of the ways in which it can be written, or spoilt."""
    raw = json.dumps(document, ensure_ascii=dice.random() < 0.8)
    match dice.randrange(16):
        case 0:
            return raw.encode(dice.choice(_CODINGS), "surrogatepass")
        case 1:
            return raw.encode(errors="surrogatepass") + dice.choice(PIECES)
        case 2:
            at = dice.randrange(len(raw) + 1)
            head, tail = (part.encode(errors="surrogatepass") for part in (raw[:at], raw[at:]))
            return head + dice.choice(PIECES) + tail
        case 3:  # a name twice: the last one counts
            return raw.replace("{", '{"reference": 1, "type": null, "status": [], ', 1).encode(
                errors="surrogatepass"
            )
        case 4:
            deep = dice.choice([50, 900, 5_000])
            return b"[" * deep + raw.encode(errors="surrogatepass") + b"]" * deep
        case 5:
            return json.dumps(value(dice)).encode()
    return raw.encode(errors="surrogatepass")


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (holder, key) in a JSON value; none of what is nested too deep to be copied."""
    found: list[tuple[Any, Any]] = []
    level = [value]
    for _ in range(_DEPTH_MAX):
        here = [(one, key) for one in level for key in _keys(one)]
        found += here
        level = [holder[key] for holder, key in here]
        if not level:
            return found
    return []


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []
