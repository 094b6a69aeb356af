"""One key, one notification, as a client sees it over HTTP; and a refusal leaves nothing behind."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from notifyq.domain.idempotency import hash_key
from notifyq.entrypoints.api.app import Parts
from notifyq.services import accept
from notifyq.store import db

ONE = {
    "idempotency_key": 1,
    "stored_response": 1,
    "notification": 1,
    "delivery": 1,
    "content": 1,
    "job": 1,
    "outbox": 1,
}


def replays(answer: httpx.Response, first: httpx.Response) -> bool:
    """Say whether an answer is the first one's replay, byte for byte."""
    return (
        answer.headers.get("idempotent-replayed") == "true"
        and (answer.status_code, answer.content) == (first.status_code, first.content)
        and answer.headers["location"] == first.headers["location"]
        and answer.headers["content-type"] == first.headers["content-type"]
    )


async def added(database: Any, before: dict[str, int]) -> dict[str, int]:
    after = await database.counts()
    return {name: count - before[name] for name, count in after.items() if count != before[name]}


# ------------------------------------------------------------------------------ the answer


async def test_a_202_is_committed_and_says_what_is_there(
    client: Any, post: Any, database: Any, uuid_of: Any
) -> None:
    before = await database.counts()
    answer = await post(client, "k")
    assert answer.status_code == 202
    assert "idempotent-replayed" not in answer.headers
    assert await added(database, before) == ONE
    said = answer.json()
    (part,) = said["deliveries"]
    assert answer.headers["location"] == f"/v1/notifications/{said['id']}"
    assert said == {
        "id": said["id"],
        "state": "accepted",
        "durability": "local",
        "deliveries": [
            {
                "id": part["id"],
                "channel": "sms",
                "state": "pending",
                "scheduled_for": None,
                "reason": None,
            }
        ],
        "warnings": [],
    }
    stored = await database.one("SELECT id FROM notification")
    assert uuid_of(said["id"]) == stored
    assert uuid_of(part["id"]) == await database.one("SELECT delivery_id FROM job")


async def test_a_category_without_an_entry_is_taken_with_a_warning(
    client: Any, post: Any, body: Any
) -> None:
    answer = await post(client, body=body(category="never.heard-of"))
    assert answer.status_code == 202
    (warning,) = answer.json()["warnings"]
    assert "never.heard-of" in warning


async def test_what_waits_says_until_when_and_why(
    client: Any, post: Any, body: Any, soon: Any
) -> None:
    at = soon(3_600)
    (part,) = (await post(client, body=body(not_before=at.isoformat()))).json()["deliveries"]
    assert (part["scheduled_for"], part["reason"]) == (at.isoformat(), "not_before")


# ----------------------------------------------------------------------------- the header


async def test_a_missing_key_is_refused(
    client: Any, post: Any, problem: Any, stores_nothing: Any, body: Any
) -> None:
    async with stores_nothing():
        answer = await client.post("/v1/notifications", json=body())
    problem(answer, 400, "missing_idempotency_key")


@pytest.mark.parametrize("key", ["", " ", "   "])
async def test_an_empty_key_is_a_missing_one(
    client: Any, post: Any, problem: Any, stores_nothing: Any, key: str
) -> None:
    async with stores_nothing():
        problem(await post(client, key), 400, "missing_idempotency_key")


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ('""', "1 to 255 characters"),
        ('"abc', "structured-field string"),
        ('"abc" def', "structured-field string"),
        ('"abc", "def"', "structured-field string"),
        ('"a\\bc"', "structured-field string"),
        ('"abc";a=1', "without parameters"),
        ('"abc";a', "without parameters"),
        ("x" * 256, "has 256"),
        ('"' + "x" * 256 + '"', "has 256"),
        ("a\tb", "printable ASCII"),
        ("a\x7fb", "printable ASCII"),
        (b"caf\xe9", "printable ASCII"),
        ("caf\u00e9".encode(), "printable ASCII"),
        ('"caf\u00e9"'.encode(), "structured-field string"),
    ],
    ids=repr,
)
async def test_a_key_that_breaks_the_rule_is_refused_with_the_rule(
    client: Any, post: Any, problem: Any, stores_nothing: Any, key: str | bytes, rule: str
) -> None:
    async with stores_nothing():
        answer = await post(client, headers=[("Idempotency-Key", key)])
    problem(answer, 400, "invalid_idempotency_key", pointer="/idempotency_key", says=rule)


@pytest.mark.parametrize("second", ["abc", "other"])
async def test_a_key_sent_twice_is_refused_also_when_it_is_the_same(
    client: Any, post: Any, problem: Any, stores_nothing: Any, second: str
) -> None:
    headers = [("Idempotency-Key", "abc"), ("Idempotency-Key", second)]
    async with stores_nothing():
        answer = await post(client, headers=headers)
    problem(answer, 400, "invalid_idempotency_key", pointer="/idempotency_key", says="once")


@pytest.mark.parametrize("length", [1, 254, 255])
@pytest.mark.parametrize("quoted", [False, True])
async def test_a_key_may_have_1_to_255_characters_and_quotes_do_not_count(
    client: Any, post: Any, length: int, quoted: bool
) -> None:
    key = "x" * length
    assert (await post(client, f'"{key}"' if quoted else key)).status_code == 202


@pytest.mark.parametrize(
    ("quoted", "bare"),
    [
        ('"order-8123"', "order-8123"),
        ('  "order-8123"  ', "order-8123"),
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
        ('"with space"', "with space"),
        ('"~!@#$%^&*()"', "~!@#$%^&*()"),
    ],
)
async def test_a_quoted_key_and_the_bare_one_are_the_same_key(
    client: Any, post: Any, quoted: str, bare: str
) -> None:
    first = await post(client, quoted)
    assert first.status_code == 202
    assert replays(await post(client, bare), first)
    assert replays(await post(client, quoted), first)


async def test_keys_are_told_apart_by_case_and_inner_spaces(client: Any, post: Any) -> None:
    ids = {(await post(client, key)).json()["id"] for key in ("k k", "K k", "kk", "k  k")}
    assert len(ids) == 4


# -------------------------------------------------------------------------------- replays


async def test_a_replay_is_byte_identical_and_stores_nothing(
    client: Any, post: Any, stores_nothing: Any
) -> None:
    first = await post(client, "k")
    async with stores_nothing():
        for _ in range(3):
            assert replays(await post(client, "k"), first)


async def test_a_replay_comes_from_another_process_too(open_client: Any, post: Any) -> None:
    first = await post(await open_client(), "k")
    assert replays(await post(await open_client(), "k"), first)


async def test_key_order_white_space_and_escapes_do_not_make_another_request(
    client: Any, post: Any, body: Any
) -> None:
    asked = body(metadata={"b": "\u00e4", "a": "1"})
    first = await post(client, "k", json.dumps(asked))
    backwards = {name: asked[name] for name in reversed(list(asked))}
    backwards["metadata"] = {"a": "\u0031", "b": "\u00e4"}
    for text in (
        json.dumps(backwards),
        json.dumps(asked, indent=7),
        json.dumps(asked, ensure_ascii=False, separators=(",", ":")),
        json.dumps(asked).replace("order", "\\u006frder").replace("/", "\\/"),
    ):
        assert replays(await post(client, "k", text), first)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
metadatas = st.dictionaries(texts.map(lambda t: t[:64]), texts.map(lambda t: t[:500]), max_size=20)


@given(texts.map(lambda t: t[:1_600]), metadatas, st.randoms(use_true_random=False), st.booleans())
@example_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_permutation_of_the_json_replays(
    client: Any,
    post: Any,
    body: Any,
    text: str,
    metadata: dict[str, str],
    dice: random.Random,
    plain: bool,
) -> None:
    key = uuid4().hex
    asked = body(content={"sms": {"body": text}}, metadata=metadata)
    first = await post(client, key, json.dumps(asked))
    assert first.status_code == 202, first.text
    indent = dice.choice([None, 1, 3, "\t"])
    again = json.dumps(shuffled(asked, dice), indent=indent, ensure_ascii=plain)
    assert replays(await post(client, key, again), first)


def shuffled(value: Any, dice: random.Random) -> Any:
    """Return the same JSON value with the members of every object in another order."""
    if not isinstance(value, dict):
        return value
    names = list(value)
    dice.shuffle(names)
    return {name: shuffled(value[name], dice) for name in names}


async def test_a_request_is_replayed_after_it_has_expired(
    open_client: Any, post: Any, body: Any, soon: Any
) -> None:
    """Same key and same request give the same stored answer: the clock is not in the request."""
    first = await post(await open_client(), "k", body(expires_at=soon(60).isoformat()))
    assert first.status_code == 202

    def an_hour_later(parts: Parts) -> Parts:
        now = parts.notifications.now
        later = replace(parts.notifications, now=lambda: now() + timedelta(hours=1))
        return replace(parts, notifications=later)

    late = await open_client(change=an_hour_later)
    asked = json.loads(first.request.content)
    assert replays(await post(late, "k", asked), first)


async def test_while_nobody_knows_whether_the_key_is_known_the_answer_is_503(
    open_client: Any, post: Any, settings: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request was accepted: a 422 would say for good that it was not."""
    first = await post(await open_client(), "k")
    mute = await open_client(settings=settings.model_copy(update={"senders": {}}))

    async def lost(conn: db.Conn, work: Any) -> db.Unknown:
        return db.Unknown("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(accept, "transact", lost)
        problem(await post(mute, "k"), 503, "unavailable", retryable=True)
    assert replays(await post(mute, "k"), first)


async def test_a_request_is_replayed_whatever_the_settings_say_by_now(
    open_client: Any, post: Any, settings: Any
) -> None:
    """An operator takes the sender away; what was accepted before is still accepted."""
    first = await post(await open_client(), "k")
    mute = settings.model_copy(update={"senders": {}})
    assert replays(await post(await open_client(settings=mute), "k"), first)


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": {"phone": "+14155550124"}},
        {"recipient": {"phone": "+14155550123", "id": "user_42"}},
        {"category": "login.code"},
        {"content": {"sms": {"body": "Your order 8123 has shipped!"}}},
        {"metadata": {"order": "8123"}},
        {"channels": ["sms"]},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_request_under_the_key_is_refused_and_told_whose_it_is(
    client: Any,
    post: Any,
    body: Any,
    problem: Any,
    stores_nothing: Any,
    change: dict[str, Any],
) -> None:
    first = await post(client, "k")
    async with stores_nothing():
        answer = await post(client, "k", body(**change))
        problem(answer, 422, "key_reused", says=first.json()["id"])
    assert replays(await post(client, "k"), first)


async def test_another_tenant_has_the_key_for_itself(
    client: Any, post: Any, keys: Any, body: Any
) -> None:
    first = await post(client, "k")
    asked = body(recipient={"phone": "+14155550124"})
    other = await post(client, "k", asked, api_key=keys.other)
    assert other.status_code == 202
    assert "idempotent-replayed" not in other.headers
    assert other.json()["id"] != first.json()["id"]
    assert replays(await post(client, "k", asked, api_key=keys.other), other)
    assert replays(await post(client, "k"), first)


async def test_a_test_send_never_answers_for_a_live_one(
    client: Any, post: Any, keys: Any, database: Any
) -> None:
    """A 202 to a live key that belongs to a test send is a message that nobody will send."""
    tried = await post(client, "k", api_key=keys.test)
    assert tried.status_code == 202
    live = await post(client, "k", api_key=keys.live)
    if live.status_code == 202:
        assert live.json()["id"] != tried.json()["id"]
        assert await database.one("SELECT count(*) FROM notification WHERE NOT test") == 1
    else:
        assert live.json()["code"] == "key_reused"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"body": {"recipient": {}}}, 422, "invalid_request"),
        ({"body": b"{"}, 400, "not_json"),
        ({"body": b" " * 65_537}, 413, "body_too_large"),
        ({"headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"api_key": "nq_live_nobody"}, 401, "unauthenticated"),
        ({"api_key": "read_only"}, 403, "missing_scope"),
        ({"api_key": "mute"}, 422, "no_sender"),
    ],
    ids=lambda change: change if isinstance(change, str) else None,
)
async def test_a_refused_request_does_not_use_up_its_key(
    client: Any,
    post: Any,
    keys: Any,
    problem: Any,
    stores_nothing: Any,
    change: dict[str, Any],
    status: int,
    code: str,
) -> None:
    named = change.get("api_key")
    if named in ("read_only", "mute"):
        change = {**change, "api_key": getattr(keys, named)}
    async with stores_nothing():
        problem(await post(client, "k", **change), status, code, pointer=None)
    good = await post(client, "k")
    assert good.status_code == 202
    assert "idempotent-replayed" not in good.headers


async def test_no_route_is_refused_and_does_not_use_up_the_key(
    open_client: Any, post: Any, settings: Any, problem: Any, stores_nothing: Any
) -> None:
    closed = await open_client(settings=settings.model_copy(update={"routes": {}}))
    async with stores_nothing():
        problem(await post(closed, "k"), 503, "no_route", retryable=True)
    assert (await post(await open_client(), "k")).status_code == 202


async def test_a_key_whose_answer_is_no_longer_stored_names_its_notification(
    client: Any, post: Any, problem: Any, database: Any, stores_nothing: Any, body: Any
) -> None:
    first = await post(client, "k")
    assert await database.do("DELETE FROM stored_response") == 1
    async with stores_nothing():
        problem(await post(client, "k"), 409, "replay_window_over", says=first.json()["id"])
        other = body(recipient={"phone": "+14155550124"})
        problem(await post(client, "k", other), 422, "key_reused", says=first.json()["id"])


async def test_a_key_whose_first_request_has_not_finished_is_in_use(
    client: Any, post: Any, problem: Any, database: Any, stores_nothing: Any
) -> None:
    await post(client, "k")
    await database.do(
        "UPDATE idempotency_key SET recovery_point = 'started', claim_token = gen_random_uuid()"
    )
    async with stores_nothing():
        answer = await post(client, "k")
    problem(answer, 409, "key_in_use", retryable=True)
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_key_held_by_an_open_transaction_is_in_use_and_stalls_nobody_else(
    client: Any, post: Any, problem: Any, database: Any, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute(
            "INSERT INTO notifyq.idempotency_key (cell, tenant_id, operation, key_hash,"
            " fingerprint, recovery_point, notification_id) "
            "SELECT 0, id, 'notify', %s, %s, 'finished', gen_random_uuid()"
            "  FROM notifyq.tenant WHERE name = 'acme'",
            (hash_key("held"), hash_key("x")),
        )
        keys = ["held", *(f"free-{n}" for n in range(40))]
        held, *free = await asyncio.gather(*(post(client, key) for key in keys))
        problem(held, 409, "key_in_use", retryable=True)
        assert int(held.headers["retry-after"]) >= 1
        assert {answer.status_code for answer in free} == {202}
        await holder.rollback()
    assert (await post(client, "held")).status_code == 202
    assert await database.one("SELECT count(*) FROM notification") == 41


# ---------------------------------------------------------------------------- concurrency


async def test_of_200_posts_of_one_key_to_two_recipients_exactly_one_is_accepted(
    serve: Any, post: Any, body: Any, keys: Any, database: Any
) -> None:
    """Two processes over HTTP: the rest replay, are told 409, or are refused with 422."""
    urls = [await serve(), await serve()]
    before = await database.counts()
    bodies = [body(recipient={"phone": f"+1415555012{n}"}) for n in (3, 4)]
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(
        limits=limits,
        trust_env=False,
        timeout=30,
        headers={"Authorization": f"Bearer {keys.live}", "Idempotency-Key": "one"},
    ) as client:
        orders = [(urls[n % 2], bodies[n // 2 % 2]) for n in range(200)]
        answers = await asyncio.gather(
            *(client.post(f"{url}/v1/notifications", json=asked) for url, asked in orders)
        )
    assert await added(database, before) == ONE
    taken = [a for a in answers if a.status_code == 202]
    (first,) = [a for a in taken if "idempotent-replayed" not in a.headers]
    assert all(replays(answer, first) for answer in taken if answer is not first)
    assert {a.request.content for a in taken} == {first.request.content}
    refused = [a for a in answers if a.status_code != 202]
    assert {a.status_code for a in refused} <= {409, 422}
    assert {a.json()["code"] for a in refused} <= {"key_in_use", "key_reused"}
    assert {a.json()["code"] for a in refused if a.request.content == first.request.content} <= {
        "key_in_use"
    }


async def test_many_keys_at_once_each_get_their_own_notification(
    client: Any, post: Any, database: Any
) -> None:
    answers = await asyncio.gather(*(post(client, f"k-{n % 100}") for n in range(300)))
    by_key: dict[str, set[bytes]] = {}
    for number, answer in enumerate(answers):
        assert answer.status_code == 202
        by_key.setdefault(f"k-{number % 100}", set()).add(answer.content)
    assert all(len(bodies) == 1 for bodies in by_key.values())
    assert len(set.union(*by_key.values())) == 100
    assert await database.one("SELECT count(*) FROM notification") == 100
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 200
