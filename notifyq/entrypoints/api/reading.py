"""Reading a request: who asks, under which key, what. Everything wrong is a Problem."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import http_sf
import orjson
import rfc8785
from starlette.requests import ClientDisconnect, Request

from notifyq.domain.idempotency import KEY_LENGTH_MAX
from notifyq.entrypoints.api.problems import Fault, Problem
from notifyq.store.tenants import Holder

BODY_BYTES_MAX = 65_536
BULK_BYTES_MAX = 4_194_304  # of a list of recipients, or a batch
# How long a key that was looked up is believed: a revoked key is refused within this.
HOLDER_CACHE_S = 5.0
HOLDERS_MAX = 10_000
KEY_PREFIXES = ("nq_live_", "nq_test_")

Find = Callable[[bytes], Awaitable[Holder | None]]


class Doorkeeper:
    """Knows who holds an API key; asks the database and remembers for a few seconds."""

    def __init__(self, find: Find, *, clock: Callable[[], float] = time.monotonic) -> None:
        """find: looks a key's hash up in the database."""
        self._find = find
        self._clock = clock
        self._known: dict[bytes, tuple[float, Holder]] = {}

    async def admit(self, request: Request, scope: str) -> Holder:
        """Return who asks; Problem without a live key or without the scope."""
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key.startswith(KEY_PREFIXES):
            raise Problem("unauthenticated", "send Authorization: Bearer nq_live_… or nq_test_…")
        holder = await self._holder(hashlib.sha256(key.strip().encode()).digest())
        if holder is None:
            raise Problem("unauthenticated", "this key is unknown or revoked")
        if scope not in holder.scopes:
            raise Problem("missing_scope", f"this key lacks the scope {scope}")
        return holder

    async def _holder(self, key_hash: bytes) -> Holder | None:
        now = self._clock()
        found = self._known.get(key_hash)
        if found is not None and now < found[0]:
            return found[1]
        holder = await self._find(key_hash)
        self._known.pop(key_hash, None)
        if holder is not None:  # unknown keys are not remembered: they are free to make up
            if len(self._known) >= HOLDERS_MAX:
                self._known.clear()
            self._known[key_hash] = (now + HOLDER_CACHE_S, holder)
        return holder


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of a body is read: bytes_max; more where its beginning names this field."""

    bytes_max: int = BODY_BYTES_MAX
    more_for: str | None = None

    def beyond(self, beginning: bytes) -> int:
        """Return how many bytes are read of a body that begins so."""
        more = self.more_for is not None and f'"{self.more_for}"'.encode() in beginning
        return BULK_BYTES_MAX if more else self.bytes_max

    def refusal(self, size_bytes: int) -> Problem:
        """Return the problem of a body that is longer than what is read."""
        most = f"at most {self.bytes_max} are read"
        if self.more_for is not None:
            most += f", or {BULK_BYTES_MAX} if the first {self.bytes_max} name {self.more_for!r}"
        return Problem("body_too_large", f"{size_bytes} bytes; {most}")


SMALL = Limit()
BATCH = Limit(BULK_BYTES_MAX)
# Nobody's 4 MiB are read before it is clear that they are a list's.
NOTIFICATION = Limit(BODY_BYTES_MAX, "recipients")


@dataclass(frozen=True, slots=True)
class Json:
    """A parsed body, and the same in the form that is hashed."""

    content: Any
    canonical: bytes


async def read_json(request: Request, limit: Limit = SMALL) -> Json:
    """Return the JSON body; Problem for a wrong type, too many bytes, or no JSON."""
    raw = await read_raw(request, limit)
    if len(raw) <= BODY_BYTES_MAX:
        return _json(raw)
    found = await asyncio.to_thread(_json, raw)  # tenths of a second: others are answered
    if limit.more_for is not None and not is_list(found.content):
        raise limit.refusal(len(raw))  # the word was somewhere, but it names no list
    return found


async def read_raw(request: Request, limit: Limit) -> bytes:
    """Return the body of a request that says it is JSON; Problem if it is not, or too long."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("unsupported_media_type", f"got {media_type or 'no Content-Type'!r}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("unsupported_media_type", "send the body without Content-Encoding")
    return await read_body(request, limit)


def is_list(content: Any) -> bool:
    """Whether a parsed body asks for many recipients."""
    return isinstance(content, dict) and "recipients" in content


def parse(raw: bytes) -> Any:
    """Return what JSON says; Problem `not_json` if it is none, or says it twice."""
    try:
        orjson.loads(raw)  # the stricter reader; the other one shows names that are there twice
        return json.loads(raw, object_pairs_hook=_unique)
    except orjson.JSONDecodeError as error:
        raise Problem(
            "not_json", f"line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError as error:
        raise _incomparable(error) from None


def canonical(content: Any) -> bytes:
    """Return parsed JSON in its RFC 8785 form; Problem `not_json` if it has none."""
    try:
        if _is_plain(content):  # every good request: in a tenth of the time, the same bytes
            return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(content)
    except (rfc8785.CanonicalizationError, orjson.JSONEncodeError, RecursionError) as error:
        raise _incomparable(error) from None


def _is_plain(content: Any) -> bool:
    """Whether sorting by bytes is sorting by UTF-16, and no number has to be written."""
    if isinstance(content, dict):
        return all(name.isascii() and _is_plain(value) for name, value in content.items())
    if isinstance(content, list):
        return all(_is_plain(value) for value in content)
    return content is None or isinstance(content, str | bool)


def _json(raw: bytes) -> Json:
    content = parse(raw)
    return Json(content, canonical(content))


def _incomparable(error: Exception) -> Problem:
    return Problem("not_json", f"not JSON that can be compared (RFC 8785): {error}")


async def read_body(request: Request, limit: Limit = SMALL) -> bytes:
    """Return the raw body; Problem `body_too_large` beyond the limit."""
    declared = request.headers.get("content-length", "")
    most = BULK_BYTES_MAX if limit.more_for is not None else limit.bytes_max
    if declared.isdigit() and int(declared) > most:
        raise limit.refusal(int(declared))
    raw = bytearray()
    most = limit.bytes_max
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > most:
                most = limit.beyond(bytes(raw[: limit.bytes_max]))
            if len(raw) > most:
                raise limit.refusal(len(raw))
    except ClientDisconnect:
        raise Problem("not_json", "the client went away in the middle of the body") from None
    return bytes(raw)


def read_idempotency_key(request: Request) -> str:
    """Return the key: the IETF draft's quoted string and the bare form are the same key."""
    found = request.headers.getlist("idempotency-key")
    if not found or not found[0].strip():
        raise Problem("missing_idempotency_key", "send the header Idempotency-Key")
    if len(found) > 1:
        raise _bad_key("sent more than once")
    return check_key(_unquoted(found[0].strip()))


def check_key(key: str) -> str:
    """Return a key that keeps the rule; Problem otherwise."""
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise _bad_key(f"must have 1 to {KEY_LENGTH_MAX} characters, has {len(key)}")
    if not is_key(key):
        raise _bad_key("must be printable ASCII")
    return key


def is_key(key: object) -> bool:
    """Whether this is an idempotency key that keeps the rule."""
    if not isinstance(key, str) or not 1 <= len(key) <= KEY_LENGTH_MAX:
        return False
    return all(" " <= character <= "~" for character in key)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        parsed: Any = http_sf.parse(text.encode("latin-1"), tltype="item")
    except ValueError:
        raise _bad_key("starts with a quote but is no structured-field string") from None
    value, parameters = parsed
    if not isinstance(value, str) or parameters:
        raise _bad_key("must be one string without parameters")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("not_json", f"the name {twice[:64]!r} is there twice in one object")
    return found


def _bad_key(rule: str) -> Problem:
    return Problem("invalid_idempotency_key", rule, faults=[Fault("/idempotency_key", rule)])
