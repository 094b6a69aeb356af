"""Posting lines of NDJSON to the API: several in flight, each retried with its own key.

Owns what becomes of a line: accepted; refused, which is a definite no; or failed, which means that
it is not known to be accepted. Lines of one key go one after the other in the order of the file,
so that which of two requests under one key is refused is not left to luck.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import Random
from typing import Any

import aiohttp
import orjson

from notifyq.cli.ndjson import Line, Post, Reader, prepare
from notifyq.entrypoints.api.problems import KINDS, Problem

# Full jitter: up to 0.2 s before the first retry, then twice as much each time, up to 10 s.
BACKOFF_S = 0.2
BACKOFF_S_MAX = 10.0
# A server that asks for more patience than this is not waited for: the line fails.
RETRY_AFTER_S_MAX = 300.0
# What proxies and gateways answer while there is nobody behind them.
_PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Stopped(Exception):
    """The API refuses the key itself: no line would fare better. The message is for people."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The API has it, now or from before."""

    line: int
    id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """It was not accepted, or is not known to be."""

    line: int
    status: int | None  # None: there was no answer
    code: str
    pointer: str | None
    detail: str
    failed: bool  # True: every retry ended without a definite answer
    retry_after_s: float = 0.0


class Poster:
    """Posts lines until there are none left, `concurrency` at a time."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        reader: Reader,
        *,
        retries: int,
        dice: Random,
        done: Callable[[Line, Accepted | Rejected | None], None],
    ) -> None:
        """session: knows the key. url: the route's. done: told each line's end, None if blank."""
        self._session = session
        self._url = url
        self._reader = reader
        self._retries = retries
        self._dice = dice
        self._done = done
        self._last_of_key: dict[str, asyncio.Event] = {}

    async def run(self, concurrency: int) -> None:
        """Post everything; Stopped if the API refuses the key, OSError if reading fails."""
        tasks = [asyncio.create_task(self._work()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            self._reader.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        while (line := await self._reader.next()) is not None:
            self._done(line, await self._end_of(line) if line.text.strip() else None)

    async def _end_of(self, line: Line) -> Accepted | Rejected:
        try:
            post = prepare(line)
        except Problem as problem:
            return _refused_here(line.number, problem)
        before = self._last_of_key.get(post.key)
        ours = self._last_of_key[post.key] = asyncio.Event()
        try:
            if before is not None:
                await before.wait()
            return await self._insist(post)
        finally:
            ours.set()
            if self._last_of_key.get(post.key) is ours:
                del self._last_of_key[post.key]

    async def _insist(self, post: Post) -> Accepted | Rejected:
        """Post with the same key until the answer is definite or the retries are used up."""
        for retry in range(self._retries + 1):
            end = await self._once(post)
            if isinstance(end, Accepted) or not end.failed:
                return end
            if retry == self._retries or end.retry_after_s > RETRY_AFTER_S_MAX:
                break
            longest_s = min(BACKOFF_S_MAX, BACKOFF_S * 2**retry)
            await asyncio.sleep(end.retry_after_s + self._dice.uniform(0, longest_s))
        return end

    async def _once(self, post: Post) -> Accepted | Rejected:
        escaped = post.key.replace("\\", "\\\\").replace('"', '\\"')
        headers = {"Idempotency-Key": f'"{escaped}"', "Content-Type": "application/json"}
        posting = self._session.post(
            self._url, data=post.body, headers=headers, allow_redirects=False
        )
        try:
            async with posting as answer:
                return judge(post.line, answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"{type(error).__name__}: {error}".removesuffix(": ")
            return Rejected(post.line, None, "no_answer", None, why, failed=True)


def judge(line: int, status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Rejected:
    """Say what an answer means for its line; Stopped if it is about the key and so about all."""
    content = _object(body)
    if status == HTTPStatus.ACCEPTED and isinstance(content.get("id"), str):
        replayed = headers.get("Idempotent-Replayed") == "true"
        return Accepted(line, content["id"], replayed)
    code, detail = str(content.get("code", "")), str(content.get("detail", ""))
    if status == HTTPStatus.UNAUTHORIZED or code == "missing_scope":
        why = detail or "it is not accepted"
        raise Stopped(f"the API refuses NOTIFYQ_API_KEY ({status}): {why}")
    faults = [f for f in content.get("errors") or () if isinstance(f, dict)]
    passing = content.get("retryable", status in _PASSING) is True
    return Rejected(
        line,
        status,
        code or "no_problem_document",
        str(faults[0].get("pointer", "")) if faults else None,
        _told([(str(f.get("pointer")), str(f.get("detail"))) for f in faults])
        or detail
        or f"answered {status}, not as notifyq does: check NOTIFYQ_URL",
        failed=passing,
        retry_after_s=_retry_after_s(headers.get("Retry-After", "")) if passing else 0.0,
    )


def _refused_here(line: int, problem: Problem) -> Rejected:
    told = [(fault.pointer, fault.detail) for fault in problem.faults]
    pointer = told[0][0] if told else None
    detail = _told(told) or problem.detail
    status = KINDS[problem.code].status
    return Rejected(line, status, problem.code, pointer, detail, failed=False)


def _told(faults: list[tuple[str, str]]) -> str:
    """Return the first fault's sentence, and the others with where they are."""
    first = [detail for _, detail in faults[:1]]
    return "; ".join([*first, *(f"{pointer} {detail}" for pointer, detail in faults[1:])])


def _object(body: bytes) -> dict[str, Any]:
    with suppress(orjson.JSONDecodeError):
        content = orjson.loads(body)
        if isinstance(content, dict):
            return content
    return {}


def _retry_after_s(header: str) -> float:
    """Return the seconds that Retry-After asks for, 0 without one that can be read."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
