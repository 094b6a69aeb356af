"""Batches: each notification as if it had been posted alone; none spoils another."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from notifyq.entrypoints.api import bulk
from notifyq.entrypoints.api.openapi import document
from notifyq.entrypoints.api.reading import BULK_BYTES_MAX
from notifyq.services import accept
from notifyq.store import db

PHONE = "+14155550123"


def item(key: object = None, **changes: object) -> dict[str, Any]:
    asked = {
        "idempotency_key": uuid4().hex if key is None else key,
        "recipient": {"phone": PHONE},
        "category": "order.shipped",
        "content": {"sms": {"body": "Your order has shipped."}},
        **changes,
    }
    return {name: value for name, value in asked.items() if value is not ...}


async def send(client: Any, *items: Any, **more: Any) -> Any:
    return await client.post("/v1/notifications/batch", json={"notifications": list(items)}, **more)


async def results(client: Any, *items: Any) -> list[dict[str, Any]]:
    """Post a batch; what is answered is what the document says, an entry for each, in order."""
    answer = await send(client, *items)
    assert answer.status_code == 200, answer.text
    wanted = {"$ref": "#/components/schemas/BatchAnswer", "components": document()["components"]}
    Draft202012Validator(wanted).validate(answer.json())
    found: list[dict[str, Any]] = answer.json()["results"]
    assert [one["index"] for one in found] == list(range(len(items)))
    assert all(one["status"] == one["body"].get("status", 202) for one in found)
    return found


@pytest.mark.parametrize("count", [1, 2, 249, 250, 251, 999, 1_000])
async def test_every_notification_of_a_batch_is_accepted(
    client: Any, database: Any, count: int
) -> None:
    asked = [item(f"k{n}") for n in range(count)]
    found = await results(client, *asked)
    assert {(one["status"], one["replayed"]) for one in found} == {(202, False)}
    assert len({one["body"]["id"] for one in found}) == count
    assert await database.one("SELECT count(*) FROM job") == count
    again = await results(client, *asked)
    assert [one["body"] for one in again] == [one["body"] for one in found]
    assert {one["replayed"] for one in again} == {True}
    assert await database.one("SELECT count(*) FROM job") == count


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"notifications": []}, "/notifications", "at least 1"),
        ({"notifications": [item(str(n)) for n in range(1_001)]}, "/notifications", "at most 1000"),
        ({"notifications": {}}, "/notifications", "list"),
        ({"notifications": None}, "/notifications", "list"),
        ({}, "/notifications", "is required"),
        ({"notifications": [item()], "more": 1}, "/more", "unknown field"),
        ([item()], "", ""),
    ],
    ids=["none", "1001", "an object", "null", "empty", "more", "a list"],
)
async def test_what_is_no_batch_is_refused_as_a_whole(
    client: Any, problem: Any, stores_nothing: Any, body: Any, pointer: str, says: str
) -> None:
    async with stores_nothing():
        answer = await client.post("/v1/notifications/batch", json=body)
        problem(answer, 422, "invalid_request", pointer=pointer, says=says)


BAD: dict[str, tuple[Any, int, str, str, str]] = {
    "no object": ("text", 422, "invalid_request", "", ""),
    "null": (None, 422, "invalid_request", "", ""),
    "no key": (item(...), 422, "invalid_request", "/idempotency_key", "is required"),
    "an empty key": (item(""), 422, "invalid_request", "/idempotency_key", "at least 1"),
    "a long key": (item("x" * 256), 422, "invalid_request", "/idempotency_key", "at most 255"),
    "a key in umlauts": (item("\u00e4"), 422, "invalid_request", "/idempotency_key", "ASCII"),
    "a key with a line": (item("a\n"), 422, "invalid_request", "/idempotency_key", "ASCII"),
    "a number as key": (item(1), 422, "invalid_request", "/idempotency_key", "string"),
    "no recipient": (item(recipient=...), 422, "invalid_request", "/recipient", "is required"),
    "a list": (
        item(recipients=[{"phone": PHONE}], recipient=...),
        422,
        "invalid_request",
        "/recipients",
        "request of its own",
    ),
    "a bad phone": (
        item(recipient={"phone": "1"}),
        422,
        "invalid_request",
        "/recipient/phone",
        "",
    ),
    "a long text": (
        item(content={"sms": {"body": "x" * 1_601}}),
        422,
        "invalid_request",
        "/content/sms/body",
        "at most 1600",
    ),
    "past": (
        item(expires_at="2001-01-01T00:00:00Z"),
        422,
        "invalid_request",
        "/expires_at",
        "is past",
    ),
    "held too long": (
        item(not_before="2999-01-01T00:00:00Z"),
        422,
        "invalid_request",
        "/not_before",
        "within 7 days",
    ),
    "a number that cannot be compared": (
        item(metadata={"a": 2**60}),
        400,
        "not_json",
        "",
        "",
    ),
}


@pytest.mark.parametrize(("bad", "status", "code", "pointer", "says"), BAD.values(), ids=BAD)
async def test_a_bad_one_is_told_at_its_place_and_spoils_none(
    client: Any, database: Any, bad: Any, status: int, code: str, pointer: str, says: str
) -> None:
    found = await results(client, item("before"), bad, item("after"))
    assert [one["status"] for one in found] == [202, status, 202]
    told = found[1]["body"]
    assert (told["code"], found[1]["replayed"]) == (code, False)
    if pointer or says:
        details = [e["detail"] for e in told["errors"] if e["pointer"] == pointer]
        assert details, told
        assert any(says in detail for detail in details), told
    assert await database.one("SELECT count(*) FROM notification") == 2


async def test_at_the_limits_of_a_key_it_is_taken(client: Any) -> None:
    found = await results(client, item("x"), item("y" * 255), item(" ~"))
    assert [one["status"] for one in found] == [202] * 3


async def test_all_bad_is_a_result_too(client: Any, stores_nothing: Any) -> None:
    async with stores_nothing():
        found = await results(client, {}, {"a": 1}, [])
    assert {one["status"] for one in found} == {422}


async def test_a_batch_and_a_request_alone_share_their_keys(client: Any, post: Any) -> None:
    one, two = item("one"), item("two")
    (first,) = await results(client, one)
    alone = {name: value for name, value in one.items() if name != "idempotency_key"}
    answer = await post(client, "one", alone)
    assert answer.status_code == 202
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.json() == first["body"]
    before = await post(client, "two", {k: v for k, v in two.items() if k != "idempotency_key"})
    (second,) = await results(client, two)
    assert (second["status"], second["replayed"]) == (202, True)
    assert second["body"] == before.json()
    (other,) = await results(client, item("two", category="login.code"))
    assert (other["status"], other["body"]["code"]) == (422, "key_reused")
    assert before.json()["id"] in other["body"]["detail"]


async def test_one_key_twice_in_a_batch_is_judged_as_if_it_had_come_later(
    client: Any, database: Any
) -> None:
    others = [item() for _ in range(300)]  # more than one transaction takes
    other = item("k", category="login.code")
    found = await results(client, item("k"), item("k"), other, *others, item("k"))
    assert [(found[n]["status"], found[n]["replayed"]) for n in (0, 1, 2, -1)] == [
        (202, False), (202, True), (422, False), (202, True)
    ]  # fmt: skip
    assert await database.one("SELECT count(*) FROM notification") == 301


@pytest.mark.parametrize("later", [item("k"), item("k", category="login.code")], ids=["a", "b"])
async def test_a_bad_one_is_judged_by_what_came_before_it_only(client: Any, later: Any) -> None:
    bad = item("k", recipient={"phone": "4155550123"})
    before, good, after = await results(client, bad, later, bad)
    assert before["body"]["code"] == "invalid_request"
    assert (good["status"], good["replayed"]) == (202, False)
    assert after["body"]["code"] == "key_reused"
    (again, *_) = await results(client, bad, later)
    assert again["body"]["code"] == "key_reused"


async def test_what_was_accepted_stays_accepted_though_it_would_be_refused_today(
    open_client: Any, settings: Any
) -> None:
    asked = [item("a"), item("b")]
    first = await results(await open_client(), *asked)
    mute = await open_client(settings=settings.model_copy(update={"senders": {}}))
    new, same = item("c"), item("a", category="login.code")
    found = await results(mute, *asked, new, same, same)
    assert [one["body"] for one in found[:2]] == [one["body"] for one in first]
    assert [one["replayed"] for one in found[:2]] == [True, True]
    assert found[2]["body"]["code"] == "no_sender"
    assert [one["body"]["code"] for one in found[3:]] == ["key_reused", "key_reused"]


async def test_while_nobody_knows_whether_a_key_is_known_its_item_is_503(
    open_client: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [item("a"), item(), item("")]
    await results(await open_client(), asked[0])
    mute = await open_client(settings=settings.model_copy(update={"senders": {}}))

    async def lost(conn: db.Conn, work: Any) -> db.Unknown:
        return db.Unknown("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(accept, "transact", lost)
        found = await results(mute, *asked)
    # One without a key has none that may be known.
    assert [one["status"] for one in found] == [503, 503, 422]
    assert [one["body"]["code"] for one in found[:2]] == ["unavailable"] * 2
    again = await results(mute, *asked)
    assert [(one["status"], one["replayed"]) for one in again[:2]] == [(202, True), (422, False)]


async def test_marks_hold_over_a_batch_and_beyond(client: Any, database: Any, post: Any) -> None:
    found = await results(
        client, item("a", dedupe_key="d"), item("b", dedupe_key="d"), item("c", dedupe_key="e")
    )
    assert [one["replayed"] for one in found] == [False, True, False]
    assert found[0]["body"] == found[1]["body"]
    alone = {k: v for k, v in item(dedupe_key="d").items() if k != "idempotency_key"}
    answer = await post(client, "z", alone)
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.json() == found[0]["body"]
    assert await database.one("SELECT count(*) FROM notification") == 2


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"content": {"sms": {"body": "another text"}}}, True),
        ({"metadata": {"a": "b"}}, True),
        ({"dedupe_key": "D"}, False),
        ({"category": "login.code"}, False),
        ({"recipient": {"phone": "+14155550124"}}, False),
        ({"recipient": {"phone": "+1 415 555 0123"}}, True),
        ({"recipient": {"phone": PHONE, "id": "u"}}, False),
    ],
    ids=str,
)
async def test_a_mark_is_the_recipient_the_category_and_the_dedupe_key(
    client: Any, change: dict[str, Any], same: bool
) -> None:
    first, second = await results(
        client, item("a", dedupe_key="d"), item("b", **{"dedupe_key": "d", **change})
    )
    assert (first["body"]["id"] == second["body"]["id"]) is same
    assert second["replayed"] is same


async def test_a_recipients_own_id_counts_before_the_number(client: Any) -> None:
    def whom(id_: str, phone: str) -> dict[str, Any]:
        return {"recipient": {"id": id_, "phone": phone}, "dedupe_key": "d"}

    found = await results(
        client,
        item("a", **whom("u", PHONE)),
        item("b", **whom("u", "+14155550124")),
        item("c", **whom("v", PHONE)),
        item("d", **whom(PHONE, PHONE)),
        item("e", recipient={"phone": PHONE}, dedupe_key="d"),
    )
    assert [one["replayed"] for one in found] == [False, True, False, False, False]


async def test_a_test_key_and_a_live_one_have_marks_of_their_own(
    client: Any, keys: Any, database: Any
) -> None:
    (live,) = await results(client, item("a", dedupe_key="d"))
    headers = {"Authorization": f"Bearer {keys.test}"}
    answer = await send(client, item("b", dedupe_key="d"), headers=headers)
    (tried,) = answer.json()["results"]
    assert not tried["replayed"]
    assert tried["body"]["id"] != live["body"]["id"]


async def test_who_may_not_send_may_not_send_a_batch(
    client: Any, problem: Any, keys: Any, stores_nothing: Any
) -> None:
    async with stores_nothing():
        for key, status, code in (
            (keys.read_only, 403, "missing_scope"),
            ("nq_live_x", 401, "unauthenticated"),
        ):
            answer = await send(client, item(), headers={"Authorization": f"Bearer {key}"})
            problem(answer, status, code)


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_a_batch_is_read_up_to_its_limit(client: Any, problem: Any, more: int) -> None:
    raw = json.dumps({"notifications": [item()]}).encode()
    raw += b" " * (BULK_BYTES_MAX + more - len(raw))
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/notifications/batch", content=raw, headers=headers)
    if more <= 0:
        assert answer.status_code == 200
    else:
        problem(answer, 413, "body_too_large", says=f"at most {BULK_BYTES_MAX}")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"notifications": [], "notifications": []}'])
async def test_a_batch_that_is_no_json_is_refused(client: Any, problem: Any, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/notifications/batch", content=raw, headers=headers)
    problem(answer, 400, "not_json")


async def test_beyond_the_room_a_batch_is_503(
    client: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WAITING_MAX", -bulk.AT_ONCE)
    problem(await send(client, item()), 503, "unavailable", retryable=True)


async def test_batches_at_once_of_the_same_keys_are_one_notification_each(
    client: Any, database: Any
) -> None:
    asked = [item(f"k{n}") for n in range(400)]
    found = await asyncio.gather(*(results(client, *asked[n:], *asked[:n]) for n in (0, 100, 200)))
    every = [one for several in found for one in several]
    assert {one["status"] for one in every} <= {202, 409}
    assert sum(one["status"] == 202 and not one["replayed"] for one in every) == 400
    assert await database.one("SELECT count(*) FROM notification") == 400
