"""Whatever is wrong with a request: a problem that says where, which rule and how to mend it.

One database serves the whole file: nothing here is ever stored, which every test checks.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pytest_postgresql.janitor import DatabaseJanitor

from notifyq.domain.ids import new_notification_id, public_id
from notifyq.entrypoints.api.app import Parts
from notifyq.entrypoints.api.reading import HOLDER_CACHE_S, Doorkeeper
from notifyq.store.tenants import Holder

LIMIT_BYTES = 65_536
MICROSECOND = timedelta(microseconds=1)
PHONE, TEXT = "+14155550123", "Your order 8123 has shipped."


@pytest.fixture(scope="module")
def database_url(server: dict[str, Any], template: str) -> Iterator[str]:
    name = f"notifyq_{os.getpid()}_bad_input"
    with DatabaseJanitor(dbname=name, template_dbname=template, **server):
        where = {k: v for k, v in server.items() if k in ("host", "port", "user", "password") and v}
        yield make_conninfo("", dbname=name, **where)


@pytest.fixture(scope="module")
def keys(database_url: str, make_keys: Callable[[str], Any]) -> Any:
    return make_keys(database_url)


# ------------------------------------------------------------------------------- the body


@dataclass(frozen=True)
class Bad:
    """A change to a good body, and what has to be said about it."""

    name: str
    pointer: str
    says: str
    change: dict[str, Any]
    more: tuple[str, ...] = ()  # other pointers that are named as well


def recipient(**fields: object) -> dict[str, Any]:
    return {"recipient": {"phone": PHONE, **fields}}


def content(**fields: object) -> dict[str, Any]:
    return {"content": {"sms": {"body": TEXT, **fields}}}


UNKNOWN = "unknown field: remove it or mend its name"
BAD = [
    Bad("unknown field", "/expire_at", UNKNOWN, {"expire_at": "2030-01-01T00:00:00Z"}),
    Bad("unknown in recipient", "/recipient/zone", UNKNOWN, recipient(zone="UTC")),
    Bad("unknown in content", "/content/voice", UNKNOWN, {"content": {"sms": {"body": TEXT}, "voice": {}}}),  # noqa: E501
    Bad("unknown in sms", "/content/sms/sender", UNKNOWN, content(sender="x")),
    Bad("unknown with a pointer's own signs", "/a~1b~0c", UNKNOWN, {"a/b~c": 1}),
    Bad("template and content", "/template", "in place of content", {"template": "order-shipped"}),
    Bad("no such template", "/template", "there is no template of this name", {"content": ..., "template": "order-shipped"}),  # noqa: E501
    Bad("data without a template", "/data", "fills a template", {"data": {}}),
    Bad("template with a bad name", "/template", "lower-case", {"content": ..., "template": "A b"}),
    Bad("template without a name", "/template", "lower-case", {"content": ..., "template": ""}),
    Bad("collapse key with a blank", "/collapse_key", "without blanks", {"collapse_key": "a b"}),
    Bad("the tenant's defaults", "/recipient", "must be a recipient", {"recipient": "*"}),
    Bad("the defaults' id", "/recipient/id", "must be a recipient", recipient(id="*")),
    Bad("an id alone in an object", "/recipient", "kept here in its place", {"recipient": {"id": "u"}}),  # noqa: E501
    Bad("recipient missing", "/recipient", "is required", {"recipient": ...}),
    Bad("category missing", "/category", "is required", {"category": ...}),
    Bad("content missing", "/content", "is required", {"content": ...}),
    Bad("no address", "/recipient", "needs an address", {"recipient": {"id": "u"}}),
    Bad("no content", "/content", "says nothing", {"content": {}}),
    Bad("sms body missing", "/content/sms/body", "is required", {"content": {"sms": {}}}),
    Bad("two faults at once", "/recipient", "is required", {"recipient": ..., "nope": 1}, ("/nope",)),  # noqa: E501
    Bad("recipient that is not kept", "/recipient", "kept here", {"recipient": "user_42"}),
    Bad("recipient's id is empty", "/recipient", "at least 1 character", {"recipient": ""}),
    Bad("recipient's id is long", "/recipient", "at most 128 characters", {"recipient": "u" * 129}),
    Bad("recipient is a list", "/recipient", "", {"recipient": []}),
    Bad("recipient is null", "/recipient", "", {"recipient": None}),
    Bad("category is a number", "/category", "valid string", {"category": 1}),
    Bad("category is null", "/category", "valid string", {"category": None}),
    Bad("phone is a number", "/recipient/phone", "valid string", recipient(phone=14155550123)),
    Bad("sms body is a number", "/content/sms/body", "valid string", content(body=1)),
    Bad("sms body is true", "/content/sms/body", "valid string", content(body=True)),
    Bad("sms body is null", "/content/sms/body", "valid string", content(body=None)),
    Bad("channels is a text", "/channels", "valid list", {"channels": "sms"}),
    Bad("metadata is a list", "/metadata", "valid dictionary", {"metadata": []}),
    Bad("metadata value is a number", "/metadata/n", "valid string", {"metadata": {"n": 1}}),
    Bad("metadata value is an object", "/metadata/n", "valid string", {"metadata": {"n": {}}}),
    Bad("metadata value is null", "/metadata/n", "valid string", {"metadata": {"n": None}}),
    Bad("id is a number", "/recipient/id", "valid string", recipient(id=42)),
    # telephone numbers
    Bad("national form", "/recipient/phone", "international form", recipient(phone="4155550123")),
    Bad("00 for +", "/recipient/phone", "international form", recipient(phone="0014155550123")),
    Bad("a space first", "/recipient/phone", "international form", recipient(phone=" +14155550123")),  # noqa: E501
    Bad("empty phone", "/recipient/phone", "international form", recipient(phone="")),
    Bad("a word", "/recipient/phone", "like +14155550123", recipient(phone="+hello")),
    Bad("only a plus", "/recipient/phone", "like +14155550123", recipient(phone="+")),
    Bad("too short", "/recipient/phone", "check the digits", recipient(phone="+1415555")),
    Bad("too long", "/recipient/phone", "", recipient(phone="+1415555012345678")),
    Bad("no such area", "/recipient/phone", "check the digits", recipient(phone="+10005550123")),
    Bad("no such country", "/recipient/phone", "", recipient(phone="+9995550123")),
    Bad("33 characters", "/recipient/phone", "at most 32", recipient(phone="+" + "1" * 32)),
    Bad("an extension", "/recipient/phone", "", recipient(phone="+14155550123;ext=7")),
    Bad("letters for digits", "/recipient/phone", "", recipient(phone="+1415555SHIP")),
    # who
    Bad("empty id", "/recipient/id", "at least 1", recipient(id="")),
    Bad("id of 129", "/recipient/id", "at most 128", recipient(id="x" * 129)),
    Bad("no such zone", "/recipient/time_zone", "IANA", recipient(time_zone="Mars/Olympus")),
    Bad("zone is an offset", "/recipient/time_zone", "IANA", recipient(time_zone="+02:00")),
    Bad("zone is empty", "/recipient/time_zone", "IANA", recipient(time_zone="")),
    Bad("zone is a folder", "/recipient/time_zone", "IANA", recipient(time_zone="America")),
    Bad("zone is a file", "/recipient/time_zone", "IANA", recipient(time_zone="tzdata.zi")),
    Bad("zone climbs", "/recipient/time_zone", "IANA", recipient(time_zone="../../etc/passwd")),
    Bad("zone from the root", "/recipient/time_zone", "IANA", recipient(time_zone="/etc/passwd")),
    Bad("zone of 65", "/recipient/time_zone", "at most 64", recipient(time_zone="x" * 65)),
    Bad("locale is a word", "/recipient/locale", "language tag", recipient(locale="english")),
    Bad("locale ends in a line", "/recipient/locale", "language tag", recipient(locale="en\n")),
    # which way
    Bad("no channels", "/channels", "at least 1", {"channels": []}),
    Bad("unknown channel", "/channels/0", "sms", {"channels": ["pigeon"]}),
    Bad("a channel without content", "/content/email", "channels names it", {"channels": ["email"]}, ("/recipient/email",)),  # noqa: E501
    Bad("a channel twice", "/channels", "names sms twice", {"channels": ["sms", "sms"]}),
    Bad("channel in capitals", "/channels/0", "sms", {"channels": ["SMS"]}),
    # what kind
    Bad("empty category", "/category", "like order.shipped", {"category": ""}),
    Bad("category in capitals", "/category", "like order.shipped", {"category": "Order.Shipped"}),
    Bad("category ends in a dot", "/category", "like order.shipped", {"category": "order."}),
    Bad("category ends in a line", "/category", "like order.shipped", {"category": "order\n"}),
    Bad("category of 65", "/category", "at most 64", {"category": "x" * 65}),
    # what
    Bad("empty body", "/content/sms/body", "at least 1", content(body="")),
    Bad("body of 1601", "/content/sms/body", "at most 1600 characters, has 1601", content(body="x" * 1601)),  # noqa: E501
    Bad("1601 emoji", "/content/sms/body", "at most 1600 characters, has 1601", content(body="\U0001f600" * 1601)),  # noqa: E501
    # when
    Bad("naive expiry", "/expires_at", "timezone", {"expires_at": "2030-01-01T00:00:00"}),
    Bad("naive not_before", "/not_before", "timezone", {"not_before": "2030-01-01T00:00:00"}),
    Bad("a date", "/expires_at", "", {"expires_at": "2030-01-01"}),
    Bad("a word for a time", "/expires_at", "", {"expires_at": "tomorrow"}),
    Bad("no such day", "/expires_at", "", {"expires_at": "2030-02-30T00:00:00Z"}),
    Bad("a list for a time", "/expires_at", "", {"expires_at": []}),
    Bad("true for a time", "/expires_at", "", {"expires_at": True}),
    Bad("year 1", "/expires_at", "past", {"expires_at": "0001-01-01T00:00:00+14:00"}),
    Bad("year 9999", "/expires_at", "at most", {"expires_at": "9999-12-31T23:59:59-12:00"}),
    Bad("not before 9999", "/not_before", "within 7 days", {"not_before": "9999-12-31T23:59:59Z"}),
    # characters that no column holds
    Bad("NUL in the body", "/content/sms/body", "NUL", content(body="a\0b")),
    Bad("NUL in the id", "/recipient/id", "NUL", recipient(id="a\0b")),
    Bad("NUL in metadata", "/metadata/k", "NUL", {"metadata": {"k": "a\0b"}}),
    Bad("NUL in a metadata key", "/metadata/a\0b", "NUL", {"metadata": {"a\0b": "v"}}),
    Bad("NUL in the category", "/category", "like order.shipped", {"category": "a\0b"}),
    Bad("NUL in the zone", "/recipient/time_zone", "IANA", recipient(time_zone="UTC\0")),
    Bad("NUL in the phone", "/recipient/phone", "", recipient(phone="+1415\x005550123")),
    # metadata
    Bad("21 entries", "/metadata", "at most 20 entries, has 21", {"metadata": {f"k{n}": "v" for n in range(21)}}),  # noqa: E501
    Bad("key of 65", f"/metadata/{'k' * 65}", "at most 64", {"metadata": {"k" * 65: "v"}}),
    Bad("empty key", "/metadata/", "at least 1", {"metadata": {"": "v"}}),
    Bad("value of 501", "/metadata/k", "at most 500", {"metadata": {"k": "v" * 501}}),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_a_body_that_breaks_a_rule_is_refused_at_its_place(
    client: Any, post: Any, body: Any, problem: Any, stores_nothing: Any, bad: Bad
) -> None:
    asked = {**body(), **bad.change}
    asked = {key: value for key, value in asked.items() if value is not ...}
    async with stores_nothing():
        answer = await post(client, body=asked)
    found = problem(answer, 422, "invalid_request", pointer=bad.pointer, says=bad.says)
    named = {error["pointer"] for error in found["errors"]}
    assert named == {bad.pointer, *bad.more}
    assert all(error["detail"] for error in found["errors"])


@pytest.mark.parametrize(
    "value",
    [1_893_456_000, 1_893_456_000.5, "1893456000", "1893456000.0"],
    ids=repr,
)
@pytest.mark.parametrize("field", ["expires_at", "not_before"])
async def test_a_time_is_a_text_and_never_a_number_of_something(
    open_client: Any,
    post: Any,
    body: Any,
    problem: Any,
    stores_nothing: Any,
    field: str,
    value: object,
) -> None:
    """Seconds or milliseconds? What is guessed is sent at the wrong hour; OpenAPI says text."""
    client = await open_client(change=at(datetime.fromtimestamp(1_893_456_000 - 600, UTC)))
    async with stores_nothing():
        answer = await post(client, body=body(**{field: value}))
        problem(answer, 422, "invalid_request", pointer=f"/{field}")


@pytest.mark.parametrize(
    "change",
    [
        recipient(id="x" * 128),
        recipient(time_zone="America/New_York"),
        recipient(locale="en-US"),
        recipient(phone="+1 (415) 555-0123"),
        content(body="x"),
        content(body="x" * 1_600),
        content(body="\U0001f600" * 1_600),
        content(body=" line\nand\ttab "),
        {"category": "x" * 64},
        {"category": "a-b.c_d"},
        {"metadata": {f"k{n}": "v" for n in range(20)}},
        {"metadata": {"k" * 64: "v" * 500}},
        {"metadata": {"k": ""}},
        {"metadata": {}},
        {"channels": ["sms"]},
    ],
    ids=lambda change: json.dumps(change)[:50],
)
async def test_what_lies_exactly_at_a_limit_is_taken(
    client: Any, post: Any, body: Any, change: dict[str, Any]
) -> None:
    answer = await post(client, body={**body(), **change})
    assert answer.status_code == 202, answer.text


# ---------------------------------------------------------------------------- the limits of time


def at(now: datetime) -> Callable[[Parts], Parts]:
    """Let it be `now` for the notification routes: a limit is met to the microsecond."""

    def change(parts: Parts) -> Parts:
        return replace(parts, notifications=replace(parts.notifications, now=lambda: now))

    return change


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


WEEK = timedelta(days=7)
TIMES: list[tuple[str, timedelta | None, timedelta | None, str, str]] = [
    # category, not_before, expires_at (both from now), pointer of the fault or "", what it says
    ("order.shipped", None, -MICROSECOND, "/expires_at", "past"),
    ("order.shipped", None, seconds(0), "/expires_at", "past"),
    ("order.shipped", None, MICROSECOND, "", ""),
    ("order.shipped", None, seconds(86_400), "", ""),
    ("order.shipped", None, seconds(86_400) + MICROSECOND, "/expires_at", "at most 86400 s"),
    ("unknown.category", None, seconds(86_400), "", ""),
    ("unknown.category", None, seconds(86_400) + MICROSECOND, "/expires_at", "transactional"),
    ("login.code", None, seconds(600), "", ""),
    ("login.code", None, seconds(600) + MICROSECOND, "/expires_at", "at most 600 s"),
    ("fire", None, seconds(3_600), "", ""),
    ("fire", None, seconds(3_600) + MICROSECOND, "/expires_at", "at most 3600 s"),
    ("order.shipped", -WEEK, None, "", ""),
    ("order.shipped", WEEK - MICROSECOND, None, "", ""),
    ("order.shipped", WEEK, None, "", ""),
    ("order.shipped", WEEK + MICROSECOND, None, "/not_before", "within 7 days"),
    ("order.shipped", seconds(60), seconds(60) - MICROSECOND, "/expires_at", "later than not_before"),  # noqa: E501
    ("order.shipped", seconds(60), seconds(60), "/expires_at", "later than not_before"),
    ("order.shipped", seconds(60), seconds(60) + MICROSECOND, "", ""),
    ("login.code", seconds(60), seconds(660), "", ""),
    ("login.code", seconds(60), seconds(660) + MICROSECOND, "/expires_at", "at most 600 s"),
    ("login.code", -seconds(60), seconds(600), "", ""),
    ("login.code", -seconds(60), seconds(600) + MICROSECOND, "/expires_at", "at most 600 s"),
]  # fmt: skip


@pytest.mark.parametrize(("category", "not_before", "expires_at", "pointer", "says"), TIMES)
async def test_times_are_bounded_to_the_microsecond(
    open_client: Any,
    post: Any,
    body: Any,
    problem: Any,
    stores_nothing: Any,
    category: str,
    not_before: timedelta | None,
    expires_at: timedelta | None,
    pointer: str,
    says: str,
) -> None:
    now = datetime.now(UTC)
    client = await open_client(change=at(now))
    told = {
        name: None if since is None else (now + since).isoformat()
        for name, since in (("not_before", not_before), ("expires_at", expires_at))
    }
    asked = body(category=category, **told)
    if not pointer:
        assert (await post(client, body=asked)).status_code == 202
        return
    async with stores_nothing():
        answer = await post(client, body=asked)
        problem(answer, 422, "invalid_request", pointer=pointer, says=says)


async def test_a_time_means_the_same_in_every_zone(open_client: Any, post: Any, body: Any) -> None:
    now = datetime(2030, 1, 1, 12, tzinfo=UTC)
    client = await open_client(change=at(now))
    for text in ("2030-01-01T12:00:01Z", "2030-01-01T14:00:01+02:00", "2030-01-01T07:00:01-05:00"):
        assert (await post(client, body=body(expires_at=text))).status_code != 422


# ------------------------------------------------------------------------------- the bytes


def padded(size: int) -> bytes:
    """Return a good body of exactly so many bytes."""
    asked = {"recipient": {"phone": PHONE}, "category": "a", "content": {"sms": {"body": TEXT}}}
    raw = json.dumps(asked).encode()
    return raw + b" " * (size - len(raw))


async def chunks(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


@pytest.mark.parametrize("size", [LIMIT_BYTES - 1, LIMIT_BYTES, LIMIT_BYTES + 1, 10_000_000])
@pytest.mark.parametrize("way", ["length", "chunked", "wrong length"])
async def test_a_body_is_read_up_to_its_limit_and_no_byte_further(
    client: Any, problem: Any, stores_nothing: Any, size: int, way: str
) -> None:
    raw = padded(size)
    headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
    if way == "wrong length":
        headers["Content-Length"] = "10"  # a server would not let more through; this one asks
    read = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in chunks(raw, 4_096):
            read += len(chunk)
            yield chunk

    if size <= LIMIT_BYTES:
        sent = raw if way == "length" else counted()
        answer = await client.post("/v1/notifications", content=sent, headers=headers)
        assert answer.status_code == 202
        return
    async with stores_nothing():
        sent = raw if way == "length" else counted()
        answer = await client.post("/v1/notifications", content=sent, headers=headers)
    problem(answer, 413, "body_too_large", says="at most 65536")


async def test_a_real_server_refuses_a_body_before_its_end(
    serve: Any, keys: Any, stores_nothing: Any
) -> None:
    url = httpx.URL(await serve())
    head = (
        f"POST /v1/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {keys.live}\r\n"
        "Content-Type: application/json\r\nIdempotency-Key: k\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    async with stores_nothing(), asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(head.encode() + (b"1000\r\n" + b" " * 4_096 + b"\r\n") * 17)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


NOT_JSON = {
    "nothing": b"",
    "white space": b"  \n",
    "cut short": b'{"recipient": ',
    "two values": b"{} {}",
    "a comma too many": b'{"category": "a",}',
    "single quotes": b"{'category': 'a'}",
    "a comment": b"{} // ok?",
    "a form": b"category=a",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "latin-1": '{"category": "\u00e4"}'.encode("latin-1"),
    "utf-16": "{}".encode("utf-16"),
    "NaN": b'{"category": NaN}',
    "infinity": b'{"category": -Infinity}',
    "an infinite number": b'{"metadata": 1e400}',
    "an integer beyond 2**53": b'{"metadata": 9007199254740993}',
    "an integer of 64 bits": b'{"metadata": 18446744073709551615}',
    "a raw control character": b'{"category": "a\nb"}',
    "a lone high surrogate": b'{"category": "\\ud83d"}',
    "a lone low surrogate": b'{"category": "\\ude00"}',
    "surrogates in the wrong order": b'{"category": "\\ude00\\ud83d"}',
    "a surrogate in a key": b'{"\\ud83d": 1}',
    "a raw surrogate": b'{"category": "\xed\xa0\xbd"}',
    "overlong utf-8": b'{"category": "\xc0\x80"}',
    "5,000 lists deep": b"[" * 5_000 + b"]" * 5_000,
    "10,000 objects deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "never closed": b"[" * 60_000,
}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_no_json_of_ours_is_refused(
    client: Any, post: Any, problem: Any, stores_nothing: Any, raw: bytes
) -> None:
    async with stores_nothing():
        problem(await post(client, body=raw), 400, "not_json")


@pytest.mark.parametrize("depth", [2, 100, 300, 900, 1_000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")], ids=["list", "object"])
async def test_deep_nesting_is_refused_and_never_a_bug(
    client: Any, post: Any, stores_nothing: Any, depth: int, opened: str, closed: str
) -> None:
    raw = f'{{"metadata": {opened * depth}1{closed * depth}}}'
    async with stores_nothing():
        answer = await post(client, body=raw)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("not_json", "invalid_request")


@pytest.mark.parametrize("raw", ["null", "true", "1", "1.5", '"text"', "[]", "[{}]"])
async def test_json_that_is_no_object_is_refused_as_a_whole(
    client: Any, post: Any, problem: Any, stores_nothing: Any, raw: str
) -> None:
    async with stores_nothing():
        found = problem(await post(client, body=raw), 422, "invalid_request", pointer="")
    assert len(found["errors"]) == 1


@pytest.mark.parametrize("number", ["1e308", "9" * 400 + "e-390", "-0.0", "9007199254740991"])
async def test_a_number_that_json_allows_is_refused_only_as_a_wrong_type(
    client: Any, post: Any, problem: Any, stores_nothing: Any, number: str
) -> None:
    async with stores_nothing():
        answer = await post(client, body=f'{{"metadata": {{"n": {number}}}}}')
        problem(answer, 422, "invalid_request", pointer="/metadata/n", says="valid string")


@pytest.mark.parametrize(
    "twice",
    [
        f'{{"recipient": {{"phone": "{PHONE}"}}, "recipient": {{"phone": "+14155550124"}},',
        f'{{"recipient": {{"phone": "+14155550124", "phone": "{PHONE}"}},',
        f'{{"recipient": {{"phone": "{PHONE}"}}, "metadata": {{"a": "1", "a": "1"}},',
        f'{{"recipient": {{"phone": "{PHONE}", "ph\\u006fne": "+14155550124"}},',
    ],
    ids=["top", "nested", "the same value", "escaped"],
)
async def test_a_name_that_is_there_twice_is_refused(
    client: Any, post: Any, stores_nothing: Any, twice: str
) -> None:
    """Two readers of the same bytes see two recipients; RFC 8785 asks for I-JSON, without it."""
    raw = twice + f' "category": "order.shipped", "content": {{"sms": {{"body": "{TEXT}"}}}}}}'
    async with stores_nothing():
        answer = await post(client, body=raw)
        assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content-Type": "text/plain"}, "text/plain"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "x-www-form-urlencoded"),
        ({"Content-Type": "application/jsonp"}, "application/jsonp"),
        ({"Content-Type": "application/json-patch+json"}, "json-patch"),
        ({"Content-Type": "*/*"}, "*/*"),
        ({"Content-Type": ""}, "no Content-Type"),
        ({"Content-Type": ";charset=utf-8"}, "no Content-Type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "Content-Encoding"),
        ({"Content-Type": "application/json", "Content-Encoding": "br, gzip"}, "Content-Encoding"),
    ],
    ids=str,
)
async def test_another_media_type_is_refused(
    client: Any,
    post: Any,
    problem: Any,
    stores_nothing: Any,
    headers: dict[str, str],
    says: str,
) -> None:
    async with stores_nothing():
        problem(await post(client, headers=headers), 415, "unsupported_media_type", says=says)


async def test_no_content_type_at_all_is_refused(
    client: Any, problem: Any, stores_nothing: Any
) -> None:
    async with stores_nothing():
        answer = await client.post(
            "/v1/notifications", content=padded(500), headers={"Idempotency-Key": "k"}
        )
        problem(answer, 415, "unsupported_media_type", says="no Content-Type")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        {"Content-Type": " application/json ;a=b"},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
    ],
    ids=str,
)
async def test_json_by_another_spelling_is_taken(
    client: Any, post: Any, headers: dict[str, str]
) -> None:
    assert (await post(client, headers=headers)).status_code == 202


# ----------------------------------------------------------------------------------- who asks

CREDENTIALS = {
    "none": None,
    "empty": "",
    "no scheme": "{live}",
    "basic": "Basic dXNlcjpwYXNz",
    "basic with a good key": "Basic {live}",
    "scheme alone": "Bearer",
    "scheme and a space": "Bearer ",
    "another prefix": "Bearer sk_live_123",
    "no prefix": "Bearer 123",
    "unknown": "Bearer nq_live_" + "0" * 48,
    "unknown test key": "Bearer nq_test_" + "0" * 48,
    "prefix alone": "Bearer nq_live_",
    "cut short": "Bearer {cut}",
    "one letter more": "Bearer {live}0",
    "in capitals": "Bearer {capitals}",
    "a comma and another": "Bearer {live}, Bearer {live}",
    "revoked": "Bearer {revoked}",
    "not ascii": b"Bearer nq_live_\xe4\xff",
    "very long": "Bearer nq_live_" + "x" * 60_000,
}


@pytest.mark.parametrize("given", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("route", ["post", "get", "timeline"])
async def test_without_a_live_key_nobody_is_let_in(
    client: Any, keys: Any, problem: Any, stores_nothing: Any, given: Any, route: str
) -> None:
    named = public_id("ntf", 0, new_notification_id(datetime.now(UTC), 1))
    headers: list[tuple[bytes, bytes]] = [(b"Idempotency-Key", b"k")]
    del client.headers["Authorization"]
    if isinstance(given, str):
        filled = given.format(
            live=keys.live,
            cut=keys.live[:-1],
            capitals="nq_live_" + keys.live.removeprefix("nq_live_").upper(),
            revoked=keys.revoked,
        )
        headers.append((b"Authorization", filled.encode()))
    elif given is not None:
        headers.append((b"Authorization", given))
    async with stores_nothing():
        if route == "post":
            answer = await client.post("/v1/notifications", content=b"{", headers=headers)
        else:
            path = f"/v1/notifications/{named}" + ("/timeline" if route == "timeline" else "")
            answer = await client.get(path, headers=headers)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_may_be_written_in_any_case(client: Any, post: Any, keys: Any) -> None:
    for scheme in ("bearer", "BEARER", "Bearer"):
        answer = await post(client, headers={"Authorization": f"{scheme} {keys.live}"})
        assert answer.status_code == 202


async def test_a_scope_that_is_missing_is_named(
    client: Any, post: Any, keys: Any, problem: Any, stores_nothing: Any
) -> None:
    named = public_id("ntf", 0, new_notification_id(datetime.now(UTC), 1))
    async with stores_nothing():
        answer = await post(client, api_key=keys.read_only)
        problem(answer, 403, "missing_scope", says="notifications:send")
        headers = {"Authorization": f"Bearer {keys.send_only}"}
        for path in (f"/v1/notifications/{named}", f"/v1/notifications/{named}/timeline"):
            answer = await client.get(path, headers=headers)
            problem(answer, 403, "missing_scope", says="notifications:read")


async def test_who_may_not_ask_learns_nothing_about_the_rest(
    client: Any, problem: Any, stores_nothing: Any, keys: Any
) -> None:
    """No key, a bad body, a bad type: the first thing said is 401."""
    async with stores_nothing():
        answer = await client.post(
            "/v1/notifications", content=b"[" * 100_000, headers={"Authorization": "Bearer x"}
        )
    problem(answer, 401, "unauthenticated")


async def test_a_revoked_key_is_believed_no_longer_than_the_cache_says(
    open_client: Any, post: Any, problem: Any, stores_nothing: Any
) -> None:
    clock = [0.0]
    rows: list[Holder | None] = []

    async def find(_: bytes) -> Holder | None:
        return rows[-1]

    def remembering(parts: Parts) -> Parts:
        doorkeeper = Doorkeeper(find, clock=lambda: clock[0])
        return replace(parts, notifications=replace(parts.notifications, doorkeeper=doorkeeper))

    client = await open_client(change=remembering)
    rows.append(Holder(0, 1, "acme", "acme", True, frozenset({"notifications:send"}), "nq"))
    assert (await post(client)).status_code == 202
    rows.append(None)  # revoked
    clock[0] = HOLDER_CACHE_S - 0.001
    assert (await post(client)).status_code == 202
    clock[0] = HOLDER_CACHE_S
    async with stores_nothing():
        problem(await post(client), 401, "unauthenticated")


# --------------------------------------------------------------------------------- where to


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/notifications", {"POST"}),
        ("PUT", "/v1/notifications", {"POST"}),
        ("DELETE", "/v1/notifications", {"POST"}),
        ("PATCH", "/v1/notifications/ntf_x", {"GET", "HEAD"}),
        ("DELETE", "/v1/notifications/ntf_x", {"GET", "HEAD"}),
        ("POST", "/v1/notifications/ntf_x/timeline", {"GET", "HEAD"}),
        ("GET", "/callbacks/twilio-main", {"POST"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("OPTIONS", "/v1/notifications", {"POST"}),
        ("TRACE", "/v1/notifications", {"POST"}),
    ],
)
async def test_a_method_that_does_nothing_names_those_that_do(
    client: Any, problem: Any, stores_nothing: Any, method: str, path: str, allowed: set[str]
) -> None:
    async with stores_nothing():
        answer = await client.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/notification",
        "/v2/notifications",
        "/v1/notifications/a/b",
        "/v1/notifications/ntf_x/timeline/more",
        "/callbacks",
        "/callbacks/twilio-main/more",
        "/V1/notifications",
        "/v1/notifications/%2e%2e",
        "/openapi.yaml",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_is_a_problem_too(
    client: Any, problem: Any, stores_nothing: Any, path: str, method: str
) -> None:
    async with stores_nothing():
        answer = await client.request(method, path)
    if answer.status_code != 405:  # /v1/notifications/%2e%2e is an id as far as routes go
        problem(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["/v1/notifications/", "/callbacks/twilio-main/", "/healthz/"])
async def test_a_slash_too_many_is_not_redirected(
    client: Any, stores_nothing: Any, problem: Any, path: str
) -> None:
    """A redirect is built from the Host header and without TLS: the key would go along."""
    async with stores_nothing():
        answer = await client.post(path, headers={"Host": "evil.example"}, content=b"{}")
        problem(answer, 404, "not_found")


# ------------------------------------------------------------------------------------- ids


def other_ids(named: str) -> dict[str, str]:
    raw = new_notification_id(datetime.now(UTC), 7)
    return {
        "unknown": public_id("ntf", 0, raw),
        "another cell": public_id("ntf", 1, raw),
        "a cell that does not fit": public_id("ntf", 40_000, raw),
        "the last cell": public_id("ntf", 65_535, raw),
        "a delivery's": public_id("dlv", 0, raw),
        "in capitals": named.upper(),
        "cut short": named[:-1],
        "one letter more": named + "0",
        "not base32": "ntf_" + "z" * 29,
        "prefix alone": "ntf_",
        "no prefix": named.removeprefix("ntf_"),
        "a uuid": str(raw),
        "not ascii": "ntf_\u00e4",
        "NUL": "ntf_%00",
        "an injection": "ntf_'%20OR%201=1--",
        "very long": "ntf_" + "0" * 10_000,
        "the least": public_id("ntf", 0, new_notification_id(datetime(1970, 1, 1, tzinfo=UTC), 0)),
    }


@pytest.mark.parametrize("which", other_ids("ntf_x"))
async def test_an_id_that_leads_nowhere_is_not_found(
    client: Any, post: Any, problem: Any, stores_nothing: Any, which: str
) -> None:
    named = (await post(client)).json()["id"]
    async with stores_nothing():
        for tail in ("", "/timeline"):
            path = f"/v1/notifications/{other_ids(named)[which]}{tail}"
            problem(await client.get(path), 404, "not_found")


async def test_what_is_not_ones_own_looks_like_nothing(
    client: Any, post: Any, keys: Any, problem: Any
) -> None:
    """Another tenant's id, and the same tenant's in the other mode, answer as an unknown one."""
    own = {
        api_key: (await post(client, api_key=api_key)).json()["id"]
        for api_key in (keys.live, keys.test, keys.other, keys.other_test)
    }
    unknown = public_id("ntf", 0, new_notification_id(datetime.now(UTC), 9))
    for reader in own:
        headers = {"Authorization": f"Bearer {reader}"}
        nothing = (await client.get(f"/v1/notifications/{unknown}", headers=headers)).json()
        for owner, named in own.items():
            for tail in ("", "/timeline"):
                answer = await client.get(f"/v1/notifications/{named}{tail}", headers=headers)
                if owner == reader:
                    assert answer.status_code == 200
                    continue
                found = problem(answer, 404, "not_found")
                assert {**found, "request_id": ""} == {**nothing, "request_id": ""}


# ------------------------------------------------------------------------------- the answer


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("req-1", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        (b"caf\xe9", False),
        ("a\tb", False),
    ],
    ids=repr,
)
async def test_a_request_id_is_taken_over_when_it_is_fit_to_be_logged(
    client: Any, post: Any, problem: Any, given: str | bytes, kept: bool
) -> None:
    headers = {"X-Request-Id": given}
    found = problem(await post(client, body="{}", headers=headers), 422, "invalid_request")
    assert (found["request_id"] == given) is kept
    assert found["request_id"].isascii()
    answer = await post(client, headers=headers)
    assert answer.status_code == 202
    assert (answer.headers["x-request-id"] == given) is kept


async def test_nobodys_number_text_or_key_is_in_an_error_or_a_log_line(
    client: Any, post: Any, body: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    number, text, key = "+14155550177", "the secret text 4711", "my-own-key-0815"
    asked = body(recipient={"phone": number}, content={"sms": {"body": text}})
    answers = [
        await post(client, key, asked),
        await post(client, key, {**asked, "nope": 1}),
        await post(client, key, {**asked, "channels": ["sms"]}),
        await post(client, key, {**asked, "recipient": {"phone": number + "99"}}),
        await post(client, key, {**asked, "recipient": number}),
        await post(client, key, {**asked, "content": {"sms": {"body": [text]}}}),
        await post(client, key, {**asked, "content": text}),
        await post(client, key, {**asked, "category": text}),
        await post(client, key, json.dumps(asked)[:-1]),
        await post(client, "x" * 300 + key, asked),
        await post(client, key, asked, api_key=keys.live + "0"),
    ]
    lines = [record.getMessage() for record in caplog.records]
    for secret in (number, number[1:], text, key, keys.live):
        assert not [line for line in lines if secret in line]
        assert not [answer.text for answer in answers if secret in answer.text]


async def test_a_refusal_is_not_much_longer_than_what_is_refused(
    client: Any, post: Any, problem: Any
) -> None:
    """Ten thousand faults in 64 KB are not worth a megabyte of answer."""
    raw = json.dumps({f"{n:x}": 0 for n in range(6_000)})
    assert len(raw) < LIMIT_BYTES
    answer = await post(client, body=raw)
    problem(answer, 422, "invalid_request")
    assert len(answer.content) <= 2 * LIMIT_BYTES


async def test_while_the_database_refuses_the_answer_is_503_and_the_same_key_goes_on(
    client: Any, post: Any, problem: Any, database: Any, stores_nothing: Any
) -> None:
    """A table that is locked for longer than anybody waits."""
    dsn = database.conn.info.dsn
    async with stores_nothing(), await psycopg.AsyncConnection.connect(dsn) as locker:
        await locker.execute("LOCK TABLE notifyq.notification IN ACCESS EXCLUSIVE MODE")
        answer = await post(client, "k-locked")
        assert answer.status_code in (409, 503), answer.text
        assert answer.json()["retryable"] is True
        assert int(answer.headers["retry-after"]) >= 1
    assert (await post(client, "k-locked")).status_code == 202
