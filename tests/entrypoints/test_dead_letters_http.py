"""Dead letters over HTTP: a tenant's own, by pages; redriven with a result for each."""

from typing import Any
from uuid import UUID

import pytest

from notifyq.cli.tenants import make_key
from notifyq.domain.ids import public_id, read_public_id
from notifyq.domain.outcome import Refusal, Refused
from notifyq.entrypoints.api.dead_letters import READ, REDRIVE
from notifyq.entrypoints.api.notifications import SEND
from notifyq.entrypoints.api.openapi import document
from tests.entrypoints.test_openapi import validator

ALL = (SEND, READ, REDRIVE)
LIST, AGAIN = "/v1/dead-letters", "/v1/dead-letters/redrive"
ADDRESS, CONTENT = Refused(Refusal.ADDRESS, "21614"), Refused(Refusal.CONTENT, "21610")


@pytest.fixture
def made(keys: Any, database_url: str, open_client: Any) -> Any:
    """await made("acme"): a client of a tenant with all that is needed here."""

    async def make(tenant: str, *, test: bool = False, scopes: tuple[str, ...] = ALL) -> Any:
        key = await make_key(database_url, tenant=tenant, test=test, scopes=scopes, by="test")
        return await open_client(key=key)

    return make


@pytest.fixture
async def producer(made: Any) -> Any:
    return await made("acme")


@pytest.fixture
def dead(post: Any, hand: Any, database: Any) -> Any:
    """await dead(client, 3): that many deliveries with a bad number; their ids in order."""

    async def make(client: Any, count: int, outcome: Any = ADDRESS) -> list[str]:
        for _ in range(count):
            assert (await post(client)).status_code == 202
        ready = await hand.begin()
        for one in ready:
            assert await hand.end(one, outcome)
        ids = sorted(one.due.delivery_id for one in ready)
        return [public_id("dlv", 0, at) for at in ids]

    return make


async def listed(client: Any, **query: Any) -> dict[str, Any]:
    answer = await client.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("DeadLettersAnswer").validate(found)
    return found


async def redriven(client: Any, **body: Any) -> dict[str, Any]:
    answer = await client.post(AGAIN, json={"reason": "the number is back", **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("RedriveAnswer").validate(found)
    return found


def results(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(one["result"], one["reason"]) for one in found["data"]]


async def test_dead_letters_are_listed_by_pages(producer: Any, dead: Any) -> None:
    ids = await dead(producer, 3)
    whole = await listed(producer)
    assert [one["id"] for one in whole["data"]] == ids
    assert (whole["next_cursor"], whole["has_more"]) == (None, False)
    one = whole["data"][0]
    assert (one["cause"], one["detail"], one["state"]) == ("refused_address", "21614", "dead")
    first = await listed(producer, limit=2)
    assert [one["id"] for one in first["data"]] == ids[:2]
    assert first["has_more"]
    rest = await listed(producer, limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in rest["data"]] == ids[2:]
    assert not rest["has_more"]
    exactly = await listed(producer, limit=3)
    assert (len(exactly["data"]), exactly["has_more"]) == (3, False)
    assert (await listed(producer, cause="refused_content"))["data"] == []
    assert len((await listed(producer, cause="refused_address"))["data"]) == 3


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"cause": "weather"}, "/cause"),
        ({"limit": "0"}, "/limit"),
        ({"limit": "1001"}, "/limit"),
        ({"cursor": "x"}, "/cursor"),
    ],
)
async def test_what_no_page_is_is_refused(
    producer: Any, problem: Any, query: dict[str, str], pointer: str
) -> None:
    problem(await producer.get(LIST, params=query), 422, "invalid_request", pointer=pointer)


async def test_they_are_redriven_by_their_names_once(
    producer: Any, dead: Any, database: Any
) -> None:
    ids = await dead(producer, 2)
    first = await redriven(producer, ids=ids)
    assert results(first) == [("redriven", None)] * 2
    assert [one["id"] for one in first["data"]] == ids
    assert all(one["due"] for one in first["data"])
    assert await database.one("SELECT count(*) FROM job") == 2
    again = await redriven(producer, ids=ids)
    assert results(again) == [("refused", "nothing_to_redrive")] * 2
    assert await database.one("SELECT count(*) FROM intervention") == 2
    key = producer.headers["authorization"].partition(" ")[2]
    assert await database.rows("SELECT DISTINCT kind, actor, reason FROM intervention") == [
        ("redrive", key[:16], "the number is back")
    ]


async def test_a_dry_run_says_the_same_and_changes_nothing(
    producer: Any, dead: Any, database: Any, stores_nothing: Any
) -> None:
    ids = await dead(producer, 2)
    await database.do("UPDATE delivery SET expires_at = now() WHERE id = %s", _uuid(ids[0]))
    before = await database.rows("SELECT xmin::text, * FROM delivery ORDER BY id")
    async with stores_nothing():
        dry = await redriven(producer, ids=ids, dry_run=True, reason=None)
    assert await database.rows("SELECT xmin::text, * FROM delivery ORDER BY id") == before
    assert (dry["dry_run"], results(dry)) == (
        True, [("refused", "expired"), ("would_redrive", None)],
    )  # fmt: skip
    wet = await redriven(producer, ids=ids)
    assert results(wet) == [("refused", "expired"), ("redriven", None)]
    assert "expires_at has passed" in wet["data"][0]["detail"]


async def test_they_are_redriven_by_cause_and_by_pages(
    producer: Any, dead: Any, database: Any
) -> None:
    ids = await dead(producer, 3)
    await dead(producer, 1, CONTENT)
    await database.do("UPDATE delivery SET expires_at = now() WHERE id = %s", _uuid(ids[0]))
    first = await redriven(producer, cause="refused_address", limit=2)
    assert results(first) == [("refused", "expired"), ("redriven", None)]
    assert first["has_more"]
    rest = await redriven(producer, cause="refused_address", limit=2, cursor=first["next_cursor"])
    assert results(rest) == [("redriven", None)]
    assert not rest["has_more"]
    assert [one["cause"] for one in (await listed(producer))["data"]] == [
        "refused_address", "refused_content",
    ]  # fmt: skip


async def test_past_dedupe_until_there_is_no_override_here(
    producer: Any, dead: Any, database: Any, problem: Any
) -> None:
    ids = await dead(producer, 1)
    await database.do("UPDATE dead_letter SET dedupe_until = now()")
    found = await redriven(producer, ids=ids)
    assert results(found) == [("refused", "past_dedupe")]
    answer = await producer.post(AGAIN, json={"ids": ids, "reason": "x", "past_dedupe": True})
    problem(answer, 422, "invalid_request", pointer="/past_dedupe", says="unknown field")
    assert await database.one("SELECT count(*) FROM job") == 0


async def test_an_unknown_one_is_in_no_redrive(
    producer: Any, dead: Any, database: Any, problem: Any
) -> None:
    ids = await dead(producer, 1)
    await database.do("UPDATE dead_letter SET cause = 'outcome_unknown'")
    assert results(await redriven(producer, ids=ids)) == [("refused", "outcome_unknown")]
    answer = await producer.post(AGAIN, json={"cause": "outcome_unknown", "reason": "x"})
    problem(answer, 422, "invalid_request", pointer="/cause", says="notifyq doubt resolve")
    assert len((await listed(producer, cause="outcome_unknown"))["data"]) == 1


async def test_nobody_sees_or_redrives_what_is_anothers_or_of_another_mode(
    producer: Any, made: Any, dead: Any, database: Any, problem: Any
) -> None:
    ids = await dead(producer, 1)
    for other in (await made("globex"), await made("acme", test=True)):
        assert (await listed(other))["data"] == []
        found = await redriven(other, ids=ids)
        assert results(found) == [("refused", "nothing_to_redrive")]
        assert (await redriven(other, cause="refused_address"))["data"] == []
    assert await database.one("SELECT count(*) FROM job") == 0
    reader = await made("acme", scopes=(READ,))
    assert len((await listed(reader))["data"]) == 1
    answer = await reader.post(AGAIN, json={"ids": ids, "reason": "x"})
    problem(answer, 403, "missing_scope", says=REDRIVE)
    writer = await made("acme", scopes=(REDRIVE,))
    problem(await writer.get(LIST), 403, "missing_scope", says=READ)


ID = public_id("dlv", 0, UUID(int=1 << 100 | 1))
MANY = [public_id("dlv", 0, UUID(int=1 << 100 | n)) for n in range(1, 102)]
TAKEN: list[dict[str, Any]] = [
    {"ids": [ID]},
    {"ids": MANY[:100]},
    {"cause": "undelivered"},
    {"cause": "undelivered", "limit": 1},
    {"cause": "undelivered", "limit": 100},
    {"cause": "undelivered", "cursor": ID},
    {"cause": "undelivered", "reason": "x" * 500},
    {"cause": "undelivered", "dry_run": True, "reason": None},
]
FORBIDDEN: list[tuple[dict[str, Any], str, str]] = [
    ({}, "/ids", "send one"),
    ({"ids": [ID], "cause": "undelivered"}, "/ids", "send one"),
    ({"ids": []}, "/ids", "at least 1"),
    ({"ids": MANY}, "/ids", "at most 100"),
    ({"ids": [ID, ID]}, "/ids", "twice"),
    ({"ids": ["x"]}, "/ids/0", "dlv_"),
    ({"ids": [1]}, "/ids/0", "string"),
    ({"ids": [public_id("dlv", 1, UUID(int=1 << 100 | 1))]}, "/ids/0", "dlv_"),
    ({"ids": [ID], "limit": 1}, "/limit", "goes with cause"),
    ({"ids": [ID], "cursor": ID}, "/cursor", "goes with cause"),
    ({"cause": "undelivered", "cursor": "x"}, "/cursor", "dlv_"),
    ({"cause": "weather"}, "/cause", "must be one of"),
    ({"cause": "undelivered", "limit": 0}, "/limit", "greater than or equal to 1"),
    ({"cause": "undelivered", "limit": 101}, "/limit", "less than or equal to 100"),
    ({"cause": "undelivered", "dry_run": "yes"}, "/dry_run", "boolean"),
    ({"cause": "undelivered", "reason": None}, "/reason", "is required unless dry_run"),
    ({"cause": "undelivered", "reason": " "}, "/reason", "say something"),
    ({"cause": "undelivered", "reason": "x" * 501}, "/reason", "at most 500"),
    ({"cause": "undelivered", "unknown": 1}, "/unknown", "unknown field"),
]


@pytest.mark.parametrize("body", TAKEN, ids=lambda body: str(body)[:60])
async def test_what_is_allowed_is_taken(producer: Any, body: dict[str, Any]) -> None:
    assert validator("RedriveBody").is_valid({"reason": "x", **body})
    await redriven(producer, **body)


@pytest.mark.parametrize(("body", "pointer", "says"), FORBIDDEN, ids=lambda value: str(value)[:40])
async def test_what_breaks_a_rule_is_refused_by_its_name(
    producer: Any, problem: Any, body: dict[str, Any], pointer: str, says: str
) -> None:
    answer = await producer.post(AGAIN, json={"reason": "x", **body})
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)


def test_their_answers_are_described() -> None:
    paths = document()["paths"]
    assert paths[LIST]["get"]["responses"].keys() >= {"200", "401", "403", "422", "503"}
    answers = paths[AGAIN]["post"]["responses"].keys()
    assert answers >= {"200", "400", "401", "403", "413", "415", "422", "503"}


def _uuid(named: str) -> UUID:
    return read_public_id("dlv", named)[1]
