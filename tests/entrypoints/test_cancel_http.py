"""Calling a notification back over HTTP: by its tenant, in its mode, with a word for each part."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from notifyq.cli.tenants import make_key
from notifyq.domain.outcome import Accepted, InDoubt, Unavailable
from notifyq.entrypoints.api.cancel import CANCEL, NO_REASON
from notifyq.entrypoints.api.notifications import READ, SEND
from notifyq.entrypoints.api.openapi import document
from notifyq.store import db
from tests.entrypoints.test_openapi import validator

ALL = (SEND, READ, CANCEL)


@pytest.fixture
async def key(keys: Any, database_url: str) -> str:
    """Acme's live key that may call back."""
    return await make_key(database_url, tenant="acme", test=False, scopes=ALL, by="test")


@pytest.fixture
async def producer(open_client: Any, key: str) -> Any:
    return await open_client(key=key)


@pytest.fixture
def accepted(post: Any, producer: Any) -> Callable[..., Any]:
    async def do(**changes: Any) -> str:
        answer = await post(producer, **changes)
        assert answer.status_code == 202, answer.text
        named: str = answer.json()["id"]
        return named

    return do


async def called(client: Any, named: str, **more: Any) -> list[tuple[str, str]]:
    answer = await client.post(f"/v1/notifications/{named}/cancel", **more)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    validator("CancelAnswer").validate(found)
    assert found["id"] == named
    return [(one["state"], one["cancel"]) for one in found["deliveries"]]


async def test_what_waits_is_canceled_and_stays_so(
    producer: Any, accepted: Any, hand: Any, database: Any, key: str
) -> None:
    named = await accepted()
    assert await called(producer, named) == [("canceled", "canceled")]
    assert await called(producer, named) == [("canceled", "canceled")]
    assert await hand.begin() == []
    seen = (await producer.get(f"/v1/notifications/{named}")).json()["deliveries"][0]
    assert (seen["state"], seen["reason"]) == ("canceled", "canceled")
    assert await database.rows("SELECT kind, actor, reason FROM intervention") == [
        ("cancel", key[:16], NO_REASON)
    ]


async def test_what_is_being_sent_is_requested_and_is_not_tried_again(
    producer: Any, accepted: Any, hand: Any, database: Any
) -> None:
    named = await accepted()
    (ready,) = await hand.begin()
    reason = {"reason": "the order was returned"}
    assert await called(producer, named, json=reason) == [("sending", "requested")]
    assert await called(producer, named, json=reason) == [("sending", "requested")]
    assert await hand.end(ready, Unavailable("20500"))
    assert await called(producer, named) == [("canceled", "canceled")]
    assert await hand.begin() == []
    assert await database.rows("SELECT reason FROM intervention") == [("the order was returned",)]


async def test_what_is_in_doubt_is_requested_and_what_is_sent_is_too_late(
    producer: Any, accepted: Any, hand: Any
) -> None:
    doubted, sent = await accepted(), await accepted()
    one, two = await hand.begin()
    await hand.end(one, InDoubt("cut"))
    await hand.end(two, Accepted("SM1"))
    found = {(await called(producer, named))[0] for named in (doubted, sent)}
    assert found == {("in_doubt", "requested"), ("sent", "too_late")}


async def test_the_producer_sees_that_it_was_called_back_and_not_by_whom(
    producer: Any, accepted: Any
) -> None:
    named = await accepted()
    await called(producer, named, json={"reason": "secret plans"})
    answer = await producer.get(f"/v1/notifications/{named}/timeline")
    events = [entry["event"] for entry in answer.json()["data"]]
    assert events == ["notification.accepted", "delivery.called_back", "delivery.canceled"]
    assert "secret plans" not in answer.text
    (entry,) = [e for e in answer.json()["data"] if e["event"] == "delivery.called_back"]
    assert entry.keys() == {"at", "event", "delivery", "kind"}


async def test_only_its_own_tenant_and_mode_may_call_it_back(
    accepted: Any, open_client: Any, keys: Any, database_url: str, problem: Any, database: Any
) -> None:
    named = await accepted()

    async def other(tenant: str, test: bool, scopes: tuple[str, ...] = ALL) -> Any:
        made = await make_key(database_url, tenant=tenant, test=test, scopes=scopes, by="test")
        client = await open_client(key=made)
        return await client.post(f"/v1/notifications/{named}/cancel")

    problem(await other("globex", False), 404, "not_found")
    problem(await other("acme", True), 404, "not_found")
    problem(await other("acme", False, (SEND, READ)), 403, "missing_scope", says=CANCEL)
    assert await database.one("SELECT count(*) FROM job") == 1


async def test_one_that_is_still_being_accepted_comes_later(
    producer: Any, accepted: Any, database: Any, problem: Any, uuid_of: Any
) -> None:
    named = await accepted()
    unfinished = (
        "INSERT INTO unfinished_key (cell, notification_id, tenant_id, operation, key_hash,"
        " claimed_until, ask) VALUES (0, %s, 1, 'notify', sha256(''), now(), '')"
    )
    await database.do(unfinished, uuid_of(named))
    answer = await producer.post(f"/v1/notifications/{named}/cancel")
    problem(answer, 409, "key_in_use", retryable=True, says="still being accepted")
    assert answer.headers["retry-after"] == "1"
    await database.do("DELETE FROM unfinished_key")
    assert await called(producer, named) == [("canceled", "canceled")]


async def test_what_somebody_works_on_for_long_is_unavailable(
    open_client: Any, key: str, accepted: Any, database_url: str, problem: Any
) -> None:
    named = await accepted()

    def hasty(parts: Any) -> Any:
        pool = db.Pool(database_url, size_max=1, lock_timeout_ms=100)
        pools.append(pool)
        return replace(parts, cancel=replace(parts.cancel, pool=pool))

    pools: list[db.Pool] = []
    client = await open_client(key=key, change=hasty)
    async with pools[0], await db.connect(database_url) as holder:
        await holder.execute("SELECT 1 FROM job FOR UPDATE")
        answer = await client.post(f"/v1/notifications/{named}/cancel")
        problem(answer, 503, "unavailable", retryable=True, says="ask again")
        assert answer.headers["retry-after"] == "1"
        await holder.rollback()
        assert await called(client, named) == [("canceled", "canceled")]


async def test_two_at_once_say_the_same(producer: Any, accepted: Any, database: Any) -> None:
    named = await accepted()
    found = await asyncio.gather(*(called(producer, named) for _ in range(6)))
    assert found == [[("canceled", "canceled")]] * 6
    assert await database.one("SELECT count(*) FROM intervention") == 1


GOOD: list[dict[str, Any]] = [
    {},
    {"json": {}},
    {"json": {"reason": None}},
    {"json": {"reason": "x"}},
    {"json": {"reason": "x" * 500}},
]
BAD: list[tuple[dict[str, Any], int, str, str | None, str]] = [
    ({"json": {"reason": ""}}, 422, "invalid_request", "/reason", "must say something"),
    ({"json": {"reason": "x" * 501}}, 422, "invalid_request", "/reason", "at most 500"),
    ({"json": {"reason": "a\nb"}}, 422, "invalid_request", "/reason", "one line"),
    ({"json": {"reason": 1}}, 422, "invalid_request", "/reason", "string"),
    ({"json": {"why": "x"}}, 422, "invalid_request", "/why", "unknown field"),
    ({"json": []}, 422, "invalid_request", "", ""),
    ({"content": b"{"}, 415, "unsupported_media_type", None, ""),
    (
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        400,
        "not_json",
        None,
        "",
    ),
]


@pytest.mark.parametrize("more", GOOD, ids=str)
async def test_a_reason_is_welcome_and_not_needed(
    producer: Any, accepted: Any, more: dict[str, Any]
) -> None:
    if "json" in more:
        assert validator("CancelBody").is_valid(more["json"])
    assert await called(producer, await accepted(), **more) == [("canceled", "canceled")]


@pytest.mark.parametrize(("more", "status", "code", "pointer", "says"), BAD, ids=str)
async def test_a_bad_body_calls_nothing_back(
    producer: Any,
    accepted: Any,
    problem: Any,
    database: Any,
    more: dict[str, Any],
    status: int,
    code: str,
    pointer: str | None,
    says: str,
) -> None:
    named = await accepted()
    answer = await producer.post(f"/v1/notifications/{named}/cancel", **more)
    problem(answer, status, code, pointer=pointer, says=says)
    assert await database.one("SELECT count(*) FROM job") == 1


@pytest.mark.parametrize("named", ["ntf_x", "dlv_" + "0" * 29, "ntf_" + "0" * 29])
async def test_what_is_not_there_is_not_found(producer: Any, problem: Any, named: str) -> None:
    problem(await producer.post(f"/v1/notifications/{named}/cancel"), 404, "not_found")


def test_its_answers_are_described() -> None:
    described = document()["paths"]["/v1/notifications/{id}/cancel"]["post"]["responses"]
    assert described.keys() >= {
        "200",
        "400",
        "401",
        "403",
        "404",
        "409",
        "413",
        "415",
        "422",
        "503",
    }
