"""Whose a callback is: by Sinch's own library, by its time, and 2,000 that were changed."""

import base64
import hashlib
import hmac
import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from sinch.domains.sms.sinch_events.v1 import SmsSinchEvent  # type: ignore[import-untyped]

from notifyq.domain.provider import BadSignature, Callback, Reported
from notifyq.providers.sinch.callback import SIGNED_S_AGO_MAX, SIGNED_S_AHEAD_MAX, read_callback
from notifyq.providers.wire import Lost
from tests.providers.fuzz import mutated_callback
from tests.providers.test_sinch import NOW, SECRET, Script, sinch
from tests.providers.test_sinch_callback import (
    NONCE,
    REPORT,
    SIGNED_AT,
    SUMMARY,
    URL,
    WRITTEN,
    H,
    callback,
    read,
)


@pytest.mark.parametrize("body", [REPORT, SUMMARY, WRITTEN])
async def test_what_sinchs_own_library_believes_is_believed(body: dict[str, object]) -> None:
    what = callback(body)
    assert SmsSinchEvent(SECRET).validate_authentication_header(dict(what.headers), what.body)
    assert isinstance(await read(what), Reported)
    assert SmsSinchEvent(SECRET).parse_event(what.body) is not None


CHANGES: list[Callable[[Callback], Callback]] = [
    lambda c: Callback(c.url, c.headers, c.body + b" "),
    lambda c: Callback(c.url, c.headers, c.body.replace(b"Delivered", b"Aborted")),
    lambda c: Callback(c.url, c.headers, b""),
    *(
        lambda c, name=name, value=value: Callback(c.url, {**c.headers, name: value}, c.body)
        for name in (H, f"{H}-nonce", f"{H}-timestamp")
        for value in ("", "x", "é", "\udc80", "\x00")
    ),
    *(
        lambda c, name=name: Callback(
            c.url, {n: v for n, v in c.headers.items() if n != name}, c.body
        )
        for name in (H, f"{H}-nonce", f"{H}-timestamp")
    ),
    lambda c: Callback(c.url, {**c.headers, H: c.headers[H].rstrip("=")}, c.body),
    lambda c: Callback(c.url, {**c.headers, f"{H}-algorithm": "HmacSHA1"}, c.body),
    lambda c: Callback(c.url, {**c.headers, f"{H}-algorithm": ""}, c.body),
    lambda c: callback(secret="another"),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_callback_is_not_believed(change: Callable[[Callback], Callback]) -> None:
    assert isinstance(await read(change(callback())), BadSignature)


async def test_the_algorithm_may_go_unnamed() -> None:
    what = callback()
    headers = {name: text for name, text in what.headers.items() if name != f"{H}-algorithm"}
    assert isinstance(await read(Callback(what.url, headers, what.body)), Reported)


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_a_secret_nothing_is_believed(secret: str | None) -> None:
    for what in (callback(), callback(secret=secret or "")):
        refused = BadSignature("no secret is configured for callbacks")
        assert await read(what, callback_secret=secret) == refused
        assert read_callback(secret.encode() if secret is not None else None, what, NOW) == refused


def signed_at(ago_s: float) -> str:
    return str(int((NOW - timedelta(seconds=ago_s)).timestamp()))


@pytest.mark.parametrize(
    ("ago_s", "counts"),
    [
        (0, True),
        (81_920, True),  # Sinch's last repeat, if it is signed as the first try was
        (SIGNED_S_AGO_MAX, True),
        (SIGNED_S_AGO_MAX + 1, False),
        (-SIGNED_S_AHEAD_MAX, True),
        (-SIGNED_S_AHEAD_MAX - 1, False),
        (NOW.timestamp() - 1_000_000_000, False),
    ],
)
async def test_a_signature_counts_for_a_day(ago_s: float, counts: bool) -> None:
    found = await read(callback(timestamp=signed_at(ago_s)))
    assert isinstance(found, Reported if counts else BadSignature)


@pytest.mark.parametrize(
    ("timestamp", "counts"),
    [
        (f"{SIGNED_AT}000", True),
        (NOW.isoformat(), True),
        ("2026-11-23T12:00:00.123Z", True),
        ("2026-11-21T12:00:00Z", False),
        ("soon", False),
        ("", False),
        ("-1", False),
        ("9" * 11, False),
    ],
)
async def test_a_time_of_signing_is_seconds_milliseconds_or_iso(
    timestamp: str, counts: bool
) -> None:
    found = await read(callback(timestamp=timestamp))
    assert isinstance(found, Reported if counts else BadSignature)


async def test_a_repeat_with_the_same_nonce_is_read_again() -> None:
    """The store keeps it once; a memory here would turn away what it could not store."""
    client = sinch(Script(Lost("x")))
    assert await client.read_callback(callback()) == await client.read_callback(callback())


async def test_no_part_of_the_signed_text_can_be_moved_into_another() -> None:
    body = b'{"type":"mo_binary"}'
    what = callback(body, nonce="a.b", timestamp=SIGNED_AT)
    for moved, nonce, at in (
        (body + b".a", "b", SIGNED_AT),
        (body[:-1], "", SIGNED_AT),
        (body, "a", f"b.{SIGNED_AT}"),
    ):
        headers = {**what.headers, f"{H}-nonce": nonce, f"{H}-timestamp": at}
        assert not isinstance(await read(Callback(URL, headers, moved)), Reported)


# -------------------------------------------------------------------------------------- fuzz


PIECES = [b"\\ud800", b'"', b"{", b"\xff", b"null,", b"[" * 5000]
VALUES = ["", "\udc80", "é" * 9, "9" * 400, "HmacSHA1", "\x00"]


def signed_again(what: Callback) -> Callback:
    """The same with a signature that holds, so that what comes behind it is reached."""
    headers = {**callback().headers}
    signed = what.body + f".{NONCE}.{SIGNED_AT}".encode()
    mac = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return Callback(what.url, {**headers, H: base64.b64encode(mac).decode()}, what.body)


async def test_no_mutation_raises_or_is_believed_unless_it_is_signed() -> None:
    dice = random.Random(8_272)
    client = sinch(Script(Lost("x")))
    starts = [callback(REPORT), callback(SUMMARY), callback(WRITTEN)]
    counted = {True: 0, False: 0}
    for number in range(2_000):
        start = starts[number % 3]
        what = mutated_callback(dice, start, pieces=PIECES, values=VALUES)
        found = await client.read_callback(what)
        if isinstance(found, Reported):
            assert what.body == start.body
            signed = {name: text for name, text in what.headers.items() if name.startswith(H)}
            assert signed.items() <= start.headers.items()
        counted[isinstance(found, Reported)] += 1
        assert await client.read_callback(signed_again(what)) is not None
    assert counted[True] > 20
    assert counted[False] > 1_000
