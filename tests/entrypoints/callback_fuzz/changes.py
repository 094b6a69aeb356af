"""What the dice changes about a request, whoever made it."""

import base64
import binascii
import random
import string
from collections.abc import Callable, Sequence
from urllib.parse import quote

from tests.entrypoints.callback_fuzz import odd
from tests.entrypoints.callback_fuzz.shots import Shot
from tests.providers.fuzz import mutated

BODY_BYTES_MAX = 1_048_576  # what the API reads of a callback
_NAMES = (
    "content-type", "content-encoding", "host", "x-forwarded-host", "x-forwarded-proto",
    "transfer-encoding-x", "authorization", "x-request-id", "expect-x", "accept", "cookie",
    "x-http-method-override", "x-original-url", "forwarded",
)  # fmt: skip
_VALUES = (
    b"", b"0", b"-1", b"\xff\xfe", b"\xc3\xa9" * 9, b"9" * 400, b"x" * 8_000, b"application/json",
    b"application/x-www-form-urlencoded", b"APPLICATION/X-WWW-FORM-URLENCODED;charset=utf-16",
    b"multipart/form-data; boundary=x", b"text/plain", b"gzip", b"identity", b"notify.example.org",
    b"evil.example.org", b"[::1", b"a:b:c", b"a/b?c#d", b"null", b";", b"=", b",", b'"',
    b"HmacSHA256", b"HMAC_SHA256", b"2", b"/callbacks/sinch-main", b"GET",
)  # fmt: skip
_METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "TRACE")
Change = Callable[[random.Random, Shot], Shot]


def anything(dice: random.Random, shot: Shot, names: Sequence[str]) -> Shot:
    """Return the request with one change. names: the accounts that there are."""
    if dice.random() < 0.04:
        return _path(dice, shot, names)
    return dice.choices(_CHANGES, _WEIGHTS)[0](dice, shot)


def respelt_base64(dice: random.Random, text: str) -> str:
    """Return a signature in base64 changed: other bytes, or the same spelt another way."""
    at = dice.randrange(len(text) + 1)
    letter = dice.choice(string.ascii_letters + string.digits + "+/=-_ \t!\u00e9")
    ways = (
        text[:at] + letter + text[at + 1 :], text[:at] + letter + text[at:], text[:at],
        text.rstrip("="), text + "=", text.translate(str.maketrans("+/", "-_")), text.swapcase(),
        text + text, f"{text}, {text}", "", "=", "AAAA", "\u00e9", "null", "0" * 2_000,
        base64.b64encode(text.encode("latin-1", "replace")).decode(), _same_bytes(text),
    )  # fmt: skip
    return dice.choice(ways)


def _same_bytes(text: str) -> str:
    """Return base64 whose unused last bits are set: the same bytes, if a reader is lenient."""
    bare = text.rstrip("=")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    if bare == text or not bare or bare[-1] not in alphabet:
        return text
    return bare[:-1] + alphabet[alphabet.index(bare[-1]) ^ 1] + text[len(bare) :]


def raw_signature(text: bytes) -> bytes:
    """Return what base64 spells, as far as it does."""
    try:
        return base64.b64decode(text + b"==")
    except (binascii.Error, ValueError):
        return b""


# -------------------------------------------------------------------------------------- body


def _bytes(dice: random.Random, shot: Shot) -> Shot:
    return shot.but("bytes", body=mutated(dice, shot.body))


def _flip(dice: random.Random, shot: Shot) -> Shot:
    if not shot.body:
        return shot.but("flip", body=b"\0")
    body = bytearray(shot.body)
    body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    return shot.but("flip", body=bytes(body))


def _twice(dice: random.Random, shot: Shot) -> Shot:
    start = dice.randrange(len(shot.body) + 1)
    end = start + dice.choice([1, 8, 40, len(shot.body)])
    at = dice.randrange(len(shot.body) + 1)
    return shot.but("twice", body=shot.body[:at] + shot.body[start:end] + shot.body[at:])


def _cut(dice: random.Random, shot: Shot) -> Shot:
    at = dice.randrange(len(shot.body) + 1)
    return shot.but("cut", body=dice.choice([shot.body[:at], shot.body[at:], b""]))


def _piece(dice: random.Random, shot: Shot) -> Shot:
    at = dice.choice([0, len(shot.body), dice.randrange(len(shot.body) + 1)])
    return shot.but("piece", body=shot.body[:at] + dice.choice(odd.PIECES) + shot.body[at:])


def _long(dice: random.Random, shot: Shot) -> Shot:
    size = BODY_BYTES_MAX + dice.choice([-1, 0, 1, 70_000, BODY_BYTES_MAX])
    filling = dice.choice([b" ", b"x", b"[", b"\0"]) * max(0, size - len(shot.body))
    return shot.but("long", body=shot.body + filling)


# ----------------------------------------------------------------------------------- headers


def _drop(dice: random.Random, shot: Shot) -> Shot:
    if not shot.headers:
        return shot
    at = dice.randrange(len(shot.headers))
    return shot.but("drop", headers=shot.headers[:at] + shot.headers[at + 1 :])


def _again(dice: random.Random, shot: Shot) -> Shot:
    name, value = dice.choice(shot.headers or ((b"host", b"x"),))
    new = (name, dice.choice([value, dice.choice(_VALUES), mutated(dice, value)]))
    ways = ((new, *shot.headers), (*shot.headers, new))
    return shot.but("again", headers=dice.choice(ways))


def _swap(dice: random.Random, shot: Shot) -> Shot:
    values = [value for _, value in shot.headers]
    dice.shuffle(values)
    headers = zip((name for name, _ in shot.headers), values, strict=True)
    return shot.but("swap", headers=tuple(headers))


def _recase(dice: random.Random, shot: Shot) -> Shot:
    how = dice.choice([bytes.upper, bytes.lower, bytes.swapcase, bytes.title])
    headers = [(how(name), value) for name, value in shot.headers]
    dice.shuffle(headers)
    return shot.but("recase", headers=tuple(headers), in_pieces=dice.random() < 0.5)


def _value(dice: random.Random, shot: Shot) -> Shot:
    name = dice.choice([*_NAMES, *(name.decode("latin-1") for name, _ in shot.headers)])
    value = dice.choice([dice.choice(_VALUES), mutated(dice, shot.header(name))])
    return shot.but("value", headers=shot.with_header(name, value))


# --------------------------------------------------------------------------------------- URL


def _query(dice: random.Random, shot: Shot) -> Shot:
    query = shot.query
    other = quote(dice.choice(odd.TEXTS)[:500].encode(errors="surrogatepass")).encode()
    ways = (
        b"", query + b"&" + query, query + b"&x=1", b"reference=" + other, query + other,
        query.upper(), query.replace(b"=", b"%3D"), b"&" + query, query + b"&reference=",
        query[: dice.randrange(len(query) + 1)], b"reference", b"=" * 50, b"a=1&" * 2_000,
        query.replace(b"reference", b"%72eference"), query + b";reference=x",
    )  # fmt: skip
    return shot.but("query", query=dice.choice(ways))


def _path(dice: random.Random, shot: Shot, names: Sequence[str]) -> Shot:
    ways = (
        *(f"/callbacks/{name}" for name in names), f"{shot.path}/", f"/{shot.path}",
        shot.path.upper(), shot.path + "%00", shot.path + "%0A", shot.path.replace("-", "%2D"),
        "/callbacks/", "/callbacks/..%2F" + shot.path, shot.path + "%ff", "/callbacks/%C3%A9",
        "/callbacks/" + "x" * 4_000, shot.path + "%3Freference=x", shot.path + ";a=b",
    )  # fmt: skip
    return shot.but("path", path=dice.choice(ways))


def _method(dice: random.Random, shot: Shot) -> Shot:
    return shot.but("method", method=dice.choice(_METHODS))


_CHANGES: tuple[Change, ...] = (
    _bytes, _flip, _twice, _cut, _piece, _long, _drop, _again, _swap, _recase, _value, _query,
    _method,
)  # fmt: skip
_WEIGHTS = (8, 8, 5, 5, 8, 0.5, 4, 5, 3, 2, 5, 6, 0.5)
