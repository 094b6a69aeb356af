"""Lists over HTTP: one request to many, its limits, its answer, and where its deliveries are."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from notifyq.entrypoints.api import bulk
from notifyq.entrypoints.api.reading import BODY_BYTES_MAX, BULK_BYTES_MAX
from notifyq.services import lists
from notifyq.store import unfinished
from notifyq.store.db import Unknown

PHONE = "+14155550123"


def numbers(count: int) -> list[dict[str, Any]]:
    """So many valid numbers, no two alike."""
    return [{"phone": f"+1415{2_000_000 + n}"} for n in range(count)]


def asking(recipients: Any, **changes: Any) -> dict[str, Any]:
    asked = {
        "recipients": recipients,
        "category": "order.shipped",
        "content": {"sms": {"body": "Your order has shipped."}},
    }
    return {**asked, **changes}


@pytest.mark.parametrize("count", [1, 2, 1_000, 1_001, 9_999, 10_000])
async def test_a_list_gets_one_answer_with_a_count_and_a_link(
    client: Any, post: Any, database: Any, uuid_of: Any, count: int
) -> None:
    answer = await post(client, "k", asking(numbers(count)))
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert said == {
        "id": said["id"],
        "state": "accepted",
        "durability": "local",
        "recipients": count,
        "deliveries_url": f"/v1/notifications/{said['id']}/deliveries",
        "warnings": [],
    }
    assert answer.headers["location"] == f"/v1/notifications/{said['id']}"
    assert await database.one("SELECT count(*) FROM job") == count
    assert await database.one("SELECT id FROM notification") == uuid_of(said["id"])
    assert await database.one("SELECT count(*) FROM unfinished_key") == 0
    again = await post(client, "k", asking(numbers(count)))
    assert (again.status_code, again.content) == (202, answer.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert await database.one("SELECT count(*) FROM job") == count


async def test_10001_recipients_are_too_many(
    client: Any, post: Any, problem: Any, stores_nothing: Any
) -> None:
    async with stores_nothing():
        answer = await post(client, body=asking(numbers(10_001)))
        problem(answer, 422, "invalid_request", pointer="/recipients", says="at most 10000")


def at(place: int, bad: Any, count: int = 20) -> list[Any]:
    found: list[Any] = numbers(count)
    found[place] = bad
    return found


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "nobody": (asking([]), "/recipients", "at least 1"),
    "no list": (asking({"phone": PHONE}), "/recipients", "list"),
    "null": (asking(None), "/recipients", "list"),
    "no object": (asking(at(17, PHONE)), "/recipients/17", ""),
    "no address": (asking(at(17, {})), "/recipients/17", "needs an address"),
    "a bad phone": (asking(at(17, {"phone": "12"})), "/recipients/17/phone", ""),
    "a bad zone": (
        asking(at(3, {"phone": PHONE, "time_zone": "Mars"})),
        "/recipients/3/time_zone",
        "IANA",
    ),
    "an unknown field": (
        asking(at(0, {"phone": PHONE, "fone": "1"})),
        "/recipients/0/fone",
        "unknown field",
    ),
    "one number twice": (
        asking(at(17, numbers(4)[3])),
        "/recipients/17/phone",
        "same number as /recipients/3: remove one",
    ),
    "one number in two spellings": (
        asking([{"phone": "+14155550123"}, {"phone": "+1 (415) 555-0123"}]),
        "/recipients/1/phone",
        "same number as /recipients/0",
    ),
    "recipient too": (
        asking(numbers(2), recipient={"phone": PHONE}),
        "/recipient",
        "send one of the two",
    ),
    "a dedupe key": (asking(numbers(2), dedupe_key="k"), "/dedupe_key", "for one recipient"),
    "a bad time": (
        asking(numbers(2), expires_at="2001-01-01T00:00:00Z"),
        "/expires_at",
        "is past",
    ),
}


@pytest.mark.parametrize(("asked", "pointer", "says"), BAD.values(), ids=BAD)
async def test_a_bad_list_is_refused_at_the_place_of_the_fault(
    client: Any,
    post: Any,
    problem: Any,
    stores_nothing: Any,
    asked: Any,
    pointer: str,
    says: str,
) -> None:
    async with stores_nothing():
        answer = await post(client, "k", asked)
        problem(answer, 422, "invalid_request", pointer=pointer, says=says)
    assert (await post(client, "k", asking(numbers(2)))).status_code == 202


async def test_neither_recipient_nor_recipients_is_refused(
    client: Any, post: Any, problem: Any
) -> None:
    asked = asking([])
    del asked["recipients"]
    answer = await post(client, body=asked)
    problem(answer, 422, "invalid_request", pointer="/recipient", says="is required")


@pytest.mark.parametrize("bad", [49, 50, 51, 10_000])
async def test_every_fault_is_named_up_to_fifty(
    client: Any, post: Any, problem: Any, stores_nothing: Any, bad: int
) -> None:
    recipients = [{"phone": "+1999"}] * bad + numbers(10_000 - bad)
    async with stores_nothing():
        answer = await post(client, body=asking(recipients))
    found = problem(answer, 422, "invalid_request", says=f"{bad} faults")
    places = [error["pointer"] for error in found["errors"]]
    assert places == [f"/recipients/{n}/phone" for n in range(min(bad, 50))]


# ------------------------------------------------------------------------------- the bytes


def padded(asked: dict[str, Any], size: int, *, before: str = "") -> bytes:
    """The JSON with white space in it, exactly so many bytes long."""
    raw = json.dumps(asked).encode()
    return (
        raw[:1] + b" " * (size - len(raw)) + raw[1:] if before else raw + b" " * (size - len(raw))
    )


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, BULK_BYTES_MAX - 1, BULK_BYTES_MAX])
async def test_a_list_is_read_up_to_four_mebibytes(client: Any, post: Any, size: int) -> None:
    assert (await post(client, body=padded(asking(numbers(3)), size))).status_code == 202


@pytest.mark.parametrize("size", [BULK_BYTES_MAX + 1, 3 * BULK_BYTES_MAX])
@pytest.mark.parametrize("told", [True, False], ids=["with its length", "chunked"])
async def test_and_no_byte_further(
    client: Any, problem: Any, stores_nothing: Any, size: int, told: bool
) -> None:
    raw = padded(asking(numbers(3)), size)

    async def chunks() -> Any:
        for start in range(0, len(raw), 65_536):
            yield raw[start : start + 65_536]

    headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
    async with stores_nothing():
        answer = await client.post(
            "/v1/notifications", content=raw if told else chunks(), headers=headers
        )
    problem(answer, 413, "body_too_large", says=f"or {BULK_BYTES_MAX} if the first 65536 name")


async def test_beyond_64_kib_a_list_is_named_near_the_beginning_and_is_one(
    client: Any, post: Any, problem: Any, stores_nothing: Any
) -> None:
    late = padded(asking(numbers(3)), BODY_BYTES_MAX * 2, before="all of it")
    one = json.dumps(
        {
            "metadata": {"a": '"recipients"'},
            "recipient": {"phone": PHONE},
            "category": "a",
            "content": {"sms": {"body": "x"}},
        }
    )
    hidden = one.replace('\\"recipients\\"', "recipients").encode()
    async with stores_nothing():
        problem(await post(client, body=late), 413, "body_too_large")
        for raw in (one.encode(), hidden, one.replace("metadata", "recipients").encode()):
            answer = await post(client, body=raw + b" " * BODY_BYTES_MAX)
            assert answer.status_code in (413, 422), answer.text


# --------------------------------------------------------------------- what stands in the way


async def test_a_list_that_stopped_is_in_use_and_its_retry_goes_on_after_the_claim(
    client: Any, post: Any, problem: Any, database: Any, monkeypatch: Any
) -> None:
    asked = asking(numbers(2_500))

    async def dies(*_: Any, **__: Any) -> bool:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "advance", dies)
        problem(await post(client, "k", asked), 500, "internal", retryable=True)
    assert await database.one("SELECT recovery_point FROM idempotency_key") == "recipients_1000"
    answer = await post(client, "k", asked)
    problem(answer, 409, "key_in_use", retryable=True)
    assert int(answer.headers["retry-after"]) >= 1
    problem(await post(client, "k", asking(numbers(2_501))), 422, "key_reused")
    await database.do("UPDATE unfinished_key SET claimed_until = now() - interval '1 s'")
    done = await post(client, "k", asked)
    assert done.status_code == 202, done.text
    assert "idempotent-replayed" not in done.headers
    assert await database.one("SELECT count(*) FROM job") == 2_500


async def test_a_phase_whose_commit_is_not_known_is_503_and_the_retry_doubles_nothing(
    client: Any, post: Any, problem: Any, database: Any, monkeypatch: Any
) -> None:
    asked = asking(numbers(2_500))
    right, calls = lists.transact, 0

    async def unsure(conn: Any, work: Any) -> Any:
        nonlocal calls
        fate = await right(conn, work)
        calls += 1
        return Unknown("the wait was cancelled") if calls == 2 else fate

    with monkeypatch.context() as patch:
        patch.setattr(lists, "transact", unsure)
        answer = await post(client, "k", asked)
    problem(answer, 503, "unavailable", says="retry, same key", retryable=True)
    await database.do("UPDATE unfinished_key SET claimed_until = now() - interval '1 s'")
    assert (await post(client, "k", asked)).status_code == 202
    assert await database.one("SELECT count(*) FROM job") == 2_500


async def test_lists_do_not_hold_up_small_requests_and_beyond_the_room_are_503(
    client: Any, post: Any, problem: Any, database: Any, monkeypatch: Any
) -> None:
    go_on = asyncio.Event()
    right = lists.accept_list

    async def slow(*given: Any, **named: Any) -> Any:
        await go_on.wait()
        return await right(*given, **named)

    monkeypatch.setattr(bulk, "accept_list", slow)
    room = bulk.AT_ONCE + bulk.WAITING_MAX
    running = [asyncio.create_task(post(client, body=asking(numbers(3)))) for _ in range(room)]
    small = await asyncio.gather(*(post(client) for _ in range(20)))
    assert {answer.status_code for answer in small} == {202}
    async with asyncio.timeout(20):
        while True:
            busy = asyncio.create_task(post(client, body=asking(numbers(3))))
            done, _ = await asyncio.wait({busy}, timeout=0.5)
            if done:
                break
            running.append(busy)  # it came before one of the others
    answer = busy.result()
    problem(answer, 503, "unavailable", says="too many requests", retryable=True)
    assert int(answer.headers["retry-after"]) >= 1
    go_on.set()
    answers = await asyncio.gather(*running)
    assert [a.status_code for a in answers].count(202) == room


# ---------------------------------------------------------------------------- reading it back


async def listed(client: Any, post: Any, count: int) -> str:
    answer = await post(client, body=asking(numbers(count)))
    assert answer.status_code == 202
    return f"/v1/notifications/{answer.json()['id']}"


@pytest.mark.parametrize("count", [1, 20, 21, 1_500])
async def test_a_long_list_shows_how_many_are_in_which_state(
    client: Any, post: Any, database: Any, count: int
) -> None:
    url = await listed(client, post, count)
    await database.do(
        "UPDATE delivery SET state = 'canceled', reason = 'canceled'"
        " WHERE id = (SELECT id FROM delivery ORDER BY id LIMIT 1)"
    )
    seen = (await client.get(url)).json()
    assert seen["state"] == "accepted"
    if count <= 20:
        assert len(seen["deliveries"]) == count
        assert "states" not in seen
    else:
        assert seen["states"] == {"canceled": 1, "pending": count - 1}
        assert seen["deliveries_url"] == f"{url}/deliveries"
        assert "deliveries" not in seen


@pytest.mark.parametrize("limit", [1, 7, 30, 31, 1_000, None])
async def test_deliveries_come_page_by_page_in_the_order_of_the_recipients(
    client: Any, post: Any, database: Any, uuid_of: Any, limit: int | None
) -> None:
    url = await listed(client, post, 30)
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {} if limit is None else {"limit": limit}
    while True:
        page = (await client.get(f"{url}/deliveries", params=query)).json()
        assert page.keys() == {"data", "next_cursor", "has_more"}
        assert len(page["data"]) <= (limit or 100)
        found += page["data"]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    wanted = await database.rows("SELECT delivery_id, address FROM content ORDER BY 1")
    assert [uuid_of(d["id"]) for d in found] == [row[0] for row in wanted]
    assert [row[1] for row in wanted] == [n["phone"] for n in numbers(30)]
    assert found[0].keys() == {
        "id", "channel", "state", "reason", "scheduled_for", "attempts", "changed_at"
    }  # fmt: skip


@pytest.mark.parametrize("route", ["deliveries", "timeline"])
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"limit": "0"}, "/limit"),
        ({"limit": "-1"}, "/limit"),
        ({"limit": "1001"}, "/limit"),
        ({"limit": "x"}, "/limit"),
        ({"limit": ""}, "/limit"),
        ({"limit": "1.5"}, "/limit"),
        ({"limit": "\u0661"}, "/limit"),
        ({"limit": "9" * 5_000}, "/limit"),
        ({"cursor": ""}, "/cursor"),
        ({"cursor": "x"}, "/cursor"),
        ({"cursor": "ntf_000038g4569l8uufldmhpctag8000"}, "/cursor"),
    ],
    ids=str,
)
async def test_a_page_that_is_none_is_refused(
    client: Any, post: Any, problem: Any, route: str, query: dict[str, str], pointer: str
) -> None:
    url = await listed(client, post, 3)
    answer = await client.get(f"{url}/{route}", params=query)
    problem(answer, 422, "invalid_request", pointer=pointer)


async def test_another_tenants_list_is_not_there(
    client: Any, post: Any, problem: Any, keys: Any
) -> None:
    url = await listed(client, post, 3)
    for key in (keys.other, keys.test):
        headers = {"Authorization": f"Bearer {key}"}
        problem(await client.get(f"{url}/deliveries", headers=headers), 404, "not_found")
    headers = {"Authorization": f"Bearer {keys.send_only}"}
    problem(await client.get(f"{url}/deliveries", headers=headers), 403, "missing_scope")


async def test_a_timeline_comes_by_pages_of_deliveries(client: Any, post: Any) -> None:
    url = await listed(client, post, 50)
    pages = []
    query = {"limit": "20"}
    while True:
        page = (await client.get(f"{url}/timeline", params=query)).json()
        pages.append(page["data"])
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert [len(page) for page in pages] == [21, 20, 10]
    events = [entry["event"] for page in pages for entry in page]
    assert events.count("notification.accepted") == 1
    assert len({entry["delivery"] for page in pages for entry in page}) == 51
