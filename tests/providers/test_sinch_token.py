"""A project's token: kept, renewed, asked for once; and why nothing about it is ever in doubt."""

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Unavailable,
)
from notifyq.domain.provider import LookUpFailed, Seen, Sought
from notifyq.providers.sinch.client import Sinch
from notifyq.providers.sinch.token import AUTH_URL, Project, ServicePlan
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire
from tests.providers.test_sinch import BATCH, MESSAGE, NOW, REFERENCE, Result, answer, sinch

PROJECT = Project("project-1", "key-id", "key-secret")
ZT = "https://zt.us.sms.api.sinch.com"
TAKEN = answer(201, {"id": BATCH})
EXPIRED = answer(
    401, b"", **{"WWW-Authenticate": 'Bearer error="invalid_token", The token Expired'}
)


def token(text: str = "t1", lasts_s: object = 3_600) -> Answer:
    return answer(200, {"access_token": text, "expires_in": lasts_s, "token_type": "bearer"})


class Sinchs(Wire):
    """Gives tokens and takes batches; keeps what was asked for, and the tokens it was asked by."""

    def __init__(self, tokens: list[Result], batches: list[Result] | None = None) -> None:
        super().__init__(max_in_flight=1)
        self.tokens, self.batches = tokens, batches or [TAKEN]
        self.asked: list[httpx.Request] = []
        self.used: list[str] = []

    async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
        await asyncio.sleep(0)
        if str(request.url) == AUTH_URL:
            self.asked.append(request)
            return self.tokens.pop(0)
        self.used.append(request.headers["authorization"].removeprefix("Bearer "))
        return self.batches.pop(0) if len(self.batches) > 1 else self.batches[0]


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def project(wire: Wire, **more: Any) -> Sinch:
    return sinch(wire, ZT, PROJECT, **more)


async def send(client: Sinch) -> Outcome:
    return await client.send(MESSAGE, timeout_s=5)


async def test_a_token_is_asked_for_as_oauth_says_and_kept() -> None:
    wire = Sinchs([token()])
    client = project(wire)
    assert [await send(client) for _ in range(3)] == [Accepted(BATCH)] * 3
    (request,) = wire.asked
    basic = base64.b64encode(b"key-id:key-secret").decode()
    assert (request.method, request.headers["authorization"]) == ("POST", f"Basic {basic}")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.read() == b"grant_type=client_credentials"
    assert wire.used == ["t1"] * 3


async def test_a_token_is_renewed_before_its_end() -> None:
    wire, clock = Sinchs([token("t1"), token("t2")]), Clock()
    client = project(wire, now=clock)
    for seconds in (0, 3_539, 1):  # of 3,600, less the minute in which none is begun with
        clock.at += timedelta(seconds=seconds)
        await send(client)
    assert wire.used == ["t1", "t1", "t2"]


@pytest.mark.parametrize("lasts_s", [None, "3600", True, -1, 0, 60, 10**30, 1.5])
async def test_a_token_of_unknown_or_no_length_serves_one_request(lasts_s: object) -> None:
    wire = Sinchs([token("t1", lasts_s), token("t2", lasts_s)])
    client = project(wire)
    assert [await send(client) for _ in range(2)] == [Accepted(BATCH)] * 2
    assert wire.used == ["t1", "t2"]


async def test_many_that_wait_for_a_token_ask_for_one() -> None:
    wire = Sinchs([token()])
    client = project(wire)
    assert await asyncio.gather(*[send(client) for _ in range(20)]) == [Accepted(BATCH)] * 20
    assert len(wire.asked) == 1


async def test_a_send_refused_for_its_tokens_age_is_definite_and_not_repeated() -> None:
    wire = Sinchs([token("t1"), token("t2")], [EXPIRED, TAKEN])
    client = project(wire)
    assert await send(client) == Unavailable("token_expired")
    assert wire.used == ["t1"]  # the job table is the only layer that sends again
    assert await send(client) == Accepted(BATCH)
    assert wire.used == ["t1", "t2"]


async def test_a_token_refused_for_another_reason_is_ours_and_a_new_one_is_tried_next() -> None:
    wire = Sinchs([token("t1"), token("t2")], [answer(401, b""), TAKEN])
    client = project(wire)
    assert await send(client) == Misconfigured("http_401")
    assert await send(client) == Accepted(BATCH)
    assert wire.used == ["t1", "t2"]


async def test_a_late_refusal_of_an_old_token_leaves_the_new_one() -> None:
    class Slow(Sinchs):
        """Holds back the first refusal until the second send has a new token."""

        async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
            found = await super().exchange(request, timeout_s=timeout_s)
            if len(self.used) == 1 and str(request.url) != AUTH_URL:
                await gate.wait()
            return found

    gate = asyncio.Event()
    wire = Slow([token("t1"), token("t2")], [EXPIRED, EXPIRED, TAKEN])
    client = project(wire)
    first = asyncio.create_task(send(client))
    while not wire.used:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await send(client) == Unavailable("token_expired")
    assert await send(client) == Accepted(BATCH)
    gate.set()
    assert await first == Unavailable("token_expired")
    assert await send(client) == Accepted(BATCH)
    assert wire.used == ["t1", "t1", "t2", "t2"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer(400, {"error": "invalid_client"}), Misconfigured("token_http_400")),
        (answer(401, b""), Misconfigured("token_http_401")),
        (answer(403, b""), Misconfigured("token_http_403")),
        (answer(404, b"<html>"), Misconfigured("token_http_404")),
        (answer(405, b""), Misconfigured("token_http_405")),
        (answer(408, b""), NotSent("token_http_408")),
        (answer(429, b""), NotSent("token_http_429")),
        (answer(500, b""), NotSent("token_http_500")),
        (answer(503, b""), NotSent("token_http_503")),
        (answer(302, b""), NotSent("token_http_302")),
        (answer(201, {"access_token": "t", "expires_in": 1}), NotSent("token_http_201")),
        (answer(200, b"<html>"), NotSent("token_unreadable")),
        (answer(200, {}), NotSent("token_unreadable")),
        (token(""), NotSent("token_unreadable")),
        (token("a b"), NotSent("token_unreadable")),
        (token("a\r\nx: y"), NotSent("token_unreadable")),
        (token("é"), NotSent("token_unreadable")),
        (answer(200, {"access_token": 1, "expires_in": 1}), NotSent("token_unreadable")),
        (NeverLeft("econnrefused"), NotSent("token_econnrefused")),
        (Lost("timeout"), NotSent("token_timeout")),
        (Lost("closed"), NotSent("token_closed")),
    ],
)
async def test_a_message_without_a_token_was_surely_not_sent(
    result: Result, expected: Outcome
) -> None:
    wire = Sinchs([result])
    found = await send(project(wire))
    assert found == expected
    assert not isinstance(found, InDoubt)
    assert wire.used == []


async def test_who_waits_too_long_for_a_token_was_not_sent() -> None:
    class Stuck(Wire):
        """Answers nothing in time."""

        async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
            assert str(request.url) == AUTH_URL
            await asyncio.sleep(timeout_s)
            return Lost("timeout")

    client = project(Stuck(max_in_flight=2))
    first = asyncio.create_task(client.send(MESSAGE, timeout_s=0.3))
    await asyncio.sleep(0)
    assert await client.send(MESSAGE, timeout_s=0.05) == NotSent("token_timeout")
    assert not first.done()  # nobody waits out another's time
    assert await first == NotSent("token_timeout")


async def test_a_token_that_took_all_the_time_leaves_none_for_the_message() -> None:
    class Late(Sinchs):
        """Gives its token at the last moment."""

        async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Result:
            await asyncio.sleep(timeout_s)
            return await super().exchange(request, timeout_s=timeout_s)

    wire = Late([token()])
    assert await project(wire).send(MESSAGE, timeout_s=0.02) == NotSent("timeout")
    assert wire.used == []


async def test_a_look_up_has_a_token_too_and_renews_one_that_is_refused() -> None:
    sought = Sought("+14155550100", "+15005550006", "b", REFERENCE, NOW, NOW)
    nothing = answer(200, {"count": 0, "batches": []})
    wire = Sinchs([token("t1"), token("t2")], [EXPIRED, nothing])
    client = project(wire)
    assert await client.look_up(sought, timeout_s=5) == LookUpFailed("http_401")
    assert await client.look_up(sought, timeout_s=5) == Seen(())
    assert wire.used == ["t1", "t2"]
    without = project(Sinchs([answer(401, b"")]))
    assert await without.look_up(sought, timeout_s=5) == LookUpFailed("token_http_401")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ServicePlan("a/b", "t"), "service_plan_id"),
        (lambda: ServicePlan("", "t"), "service_plan_id"),
        (lambda: ServicePlan("a", ""), "api_token"),
        (lambda: ServicePlan("a", "t\n"), "api_token"),
        (lambda: ServicePlan("a", "hidden é"), "api_token"),
        (lambda: Project("a?b", "k", "s"), "project_id"),
    ],
)
def test_credentials_that_no_request_could_carry_are_found_at_the_start(
    make: Callable[[], object], word: str
) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        make()
    assert "hidden" not in str(caught.value)
