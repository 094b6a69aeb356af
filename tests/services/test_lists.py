"""Lists: written in phases, gone on with by whoever has the claim, and nothing twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from notifyq.domain.asking import Ask, Part
from notifyq.domain.content import SmsContent
from notifyq.domain.idempotency import Judgement
from notifyq.services import lists
from notifyq.services.accept import Answer, Refusal
from notifyq.services.lists import Completed
from notifyq.store import db, intake, unfinished
from notifyq.store.db import Conn, Unknown
from tests.store import helpers as h

Reply = Answer | Refusal | Unknown


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


@pytest.fixture
async def shop(hot: Conn) -> h.Shop:
    made = await h.open_shop(hot)
    await hot.commit()
    return made


def list_ask(shop: h.Shop, count: int, key: str | None = None, **changes: Any) -> Ask:
    """A request to so many recipients."""
    parts = tuple(
        Part(shop.lane.channel, shop.lane.id, f"+1415{n:07}", SmsContent("hello"))
        for n in range(count)
    )
    return h.make_ask(shop, key, recipients=count, parts=parts, **changes)


async def submit(conn: Conn, ask: Ask) -> Reply:
    return await lists.accept_list(
        conn,
        ask,
        now=h.database_now(),
        dice=h._dice.getrandbits,
        new_token=uuid4,
        render=h.render,
    )


async def complete(conn: Conn, limit: int = 1_000) -> Completed:
    return await lists.complete(conn, cell=0, new_token=uuid4, limit=limit)


class Died(Exception):
    """The process ends here."""


async def die_after(conn: Conn, ask: Ask, commits: int) -> None:
    """Submit a list, and end before the commit after so many."""
    commit, made = conn.commit, 0

    async def counted() -> None:
        nonlocal made
        if made == commits:
            raise Died
        await commit()
        made += 1

    with h.instead(conn, "commit", counted), pytest.raises(Died):
        await submit(conn, ask)
    await conn.rollback()


@contextmanager
def after_commit(conn: Conn, number: int, happens: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Let something happen right after the connection's commit of that number."""
    commit, made = conn.commit, 0

    async def counted() -> None:
        nonlocal made
        await commit()
        made += 1
        if made == number:
            await happens()

    with h.instead(conn, "commit", counted):
        yield


async def point(conn: Conn) -> str:
    found: str = await h.one(conn, "SELECT recovery_point FROM idempotency_key")
    await conn.commit()
    return found


async def run_out(conn: Conn) -> None:
    """Let every claim have run out, the oldest first."""
    await conn.execute("UPDATE unfinished_key SET claimed_until = claimed_until - interval '1 day'")
    await conn.commit()


_COUNTS = """
SELECT (SELECT count(*) FROM idempotency_key), (SELECT count(*) FROM unfinished_key),
       (SELECT count(*) FROM notification), (SELECT count(*) FROM stored_response),
       (SELECT count(*) FROM outbox), (SELECT count(*) FROM delivery),
       (SELECT count(DISTINCT address) FROM content), (SELECT count(*) FROM job)
"""


async def counts(conn: Conn) -> tuple[int, ...]:
    """Keys, unfinished, notifications, answers, events; deliveries, addresses, jobs."""
    (found,) = await h.all_rows(conn, _COUNTS)
    await conn.commit()
    return found


def whole(recipients: int, lists_: int = 1) -> tuple[int, ...]:
    each = recipients * lists_
    return (lists_, 0, lists_, lists_, lists_, each, recipients, each)


@pytest.mark.parametrize("count", [1, 2, 999, 1_000, 1_001, 2_000, 2_500, 10_000])
async def test_a_list_is_accepted_whole_whatever_its_length(
    hot: Conn, shop: h.Shop, count: int
) -> None:
    ask = list_ask(shop, count, "key")
    reply = await submit(hot, ask)
    assert isinstance(reply, Answer)
    assert not reply.replayed
    assert await counts(hot) == whole(count)
    assert await point(hot) == "finished"
    assert await submit(hot, ask) == replace(reply, replayed=True)
    assert await counts(hot) == whole(count)
    notification = UUID(json.loads(reply.body)["id"])
    numbers = await h.all_rows(hot, "SELECT delivery_id, address FROM content ORDER BY 1")
    assert numbers == [(UUID(int=notification.int + 1 + n), f"+1415{n:07}") for n in range(count)]
    assert await h.faults(hot) == []


@pytest.mark.parametrize("commits", [0, 1, 2, 3])
@pytest.mark.parametrize("who", ["the client", "the completer"])
async def test_a_list_that_stopped_after_any_phase_goes_on_from_there(
    hot: Conn, shop: h.Shop, database_url: str, commits: int, who: str
) -> None:
    """Killed before each of its commits, it ends as if it never had been."""
    ask = list_ask(shop, 3_500, "key")
    await die_after(hot, ask, commits)
    points = [None, "recipients_1000", "recipients_2000", "recipients_3000"]
    assert await h.one(hot, "SELECT recovery_point FROM idempotency_key") == points[commits]
    assert (await counts(hot))[5] == commits * 1_000
    async with await db.connect(database_url, hot=True) as other:
        if commits:
            # Nobody goes on before the claim has run out.
            assert await complete(other) == Completed(0, 0)
            reply = await submit(other, ask)
            assert isinstance(reply, Refusal)
            assert reply.judgement is Judgement.RUNNING
            assert (await counts(other))[5] == commits * 1_000
            await run_out(other)
        if who == "the completer":
            assert await complete(other) == Completed(int(commits > 0), 0)
        reply = await submit(other, ask)
        assert isinstance(reply, Answer)
        assert reply.replayed is (who == "the completer" and commits > 0)
        assert await counts(other) == whole(3_500)
        assert await submit(other, ask) == replace(reply, replayed=True)
        assert await h.faults(other) == []


async def test_another_request_under_an_unfinished_key_is_refused_and_takes_nothing_over(
    hot: Conn,
    shop: h.Shop,
) -> None:
    await die_after(hot, list_ask(shop, 1_500, "key"), 1)
    await run_out(hot)
    reply = await submit(hot, list_ask(shop, 1_500, "key", fingerprint=b"x" * 32))
    assert isinstance(reply, Refusal)
    assert reply.judgement is Judgement.REUSED
    assert await point(hot) == "recipients_1000"


async def test_whoever_was_taken_over_writes_nothing_more(
    hot: Conn, shop: h.Shop, database_url: str
) -> None:
    """Paused past its claim, the first one wakes up while, and after, the completer works."""
    async with await db.connect(database_url, hot=True) as other:
        ask = list_ask(shop, 3_500, "key")

        async def taken_over() -> None:
            await run_out(other)
            assert await complete(other) == Completed(1, 0)

        with after_commit(hot, 2, taken_over):
            reply = await submit(hot, ask)
        assert isinstance(reply, Refusal)
        assert reply.judgement is Judgement.RUNNING
        assert await counts(hot) == whole(3_500)
        again = await submit(hot, ask)
        assert isinstance(again, Answer)
        assert again.replayed


async def test_two_who_take_over_at_once_are_one(
    database_url: str, hot: Conn, shop: h.Shop
) -> None:
    ask = list_ask(shop, 2_500, "key")
    await die_after(hot, ask, 1)
    await run_out(hot)
    async with (
        await db.connect(database_url, hot=True) as one,
        await db.connect(database_url, hot=True) as two,
        await db.connect(database_url) as three,
    ):
        await asyncio.gather(submit(one, ask), submit(two, ask), complete(three))
    assert await counts(hot) == whole(2_500)


async def test_a_commit_of_unknown_fate_is_told_and_doubles_nothing(
    hot: Conn, shop: h.Shop
) -> None:
    ask = list_ask(shop, 3_500, "key")

    async def cut_short() -> None:
        hot.unreplicated = True

    with after_commit(hot, 2, cut_short):
        reply = await submit(hot, ask)
    assert isinstance(reply, Unknown)
    assert await point(hot) == "recipients_2000"
    await run_out(hot)
    assert isinstance(await submit(hot, ask), Answer)
    assert await counts(hot) == whole(3_500)


async def test_what_a_list_asks_for_is_kept_over_the_phases(hot: Conn, shop: h.Shop) -> None:
    at = h.database_now() + timedelta(hours=1)
    told = {"category": h.CODE, "metadata": '{"a":"b"}', "not_before": at, "test": True}
    ask = list_ask(shop, 1_100, "key", expires_at=at + timedelta(minutes=9), **told)
    parts = tuple(
        part
        for n, first in enumerate(ask.parts)
        for part in (first, replace(first, content=SmsContent(f"bye {n % 2}"), standby=True))
    )
    await die_after(hot, replace(ask, parts=parts, widths=(2,) * 1_100), 1)
    await run_out(hot)
    assert await complete(hot) == Completed(1, 0)
    rows = "SELECT state::text, reason, criticality, not_before, expires_at, program, count(*)"
    assert await h.all_rows(hot, f"{rows} FROM delivery GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1") == [
        ("pending", "not_before", 0, at, at + timedelta(minutes=9), "default", 1_100),
        ("standby", "earlier_channel", 0, at, at + timedelta(minutes=9), "default", 1_100),
    ]  # fmt: skip
    assert await h.all_rows(hot, "SELECT DISTINCT due FROM job") == [(at,)]
    assert await h.one(hot, "SELECT count(*) FROM standby") == 1_100
    bodies = await h.all_rows(hot, "SELECT body, count(*) FROM content GROUP BY 1 ORDER BY 1")
    assert bodies == [("bye 0", 550), ("bye 1", 550), ("hello", 1_100)]
    assert await h.one(hot, "SELECT operation FROM idempotency_key") == "notify.test"


# ------------------------------------------------------------------------------ the completer


async def abandon(conn: Conn, shop: h.Shop, keys: Sequence[str]) -> None:
    """Leave requests after their first phase, as a killed process does."""
    for key in keys:
        await die_after(conn, list_ask(shop, 1_001, key), 1)


async def poison_first(conn: Conn, shop: h.Shop, poison: str) -> None:
    """A request that nobody can go on with, before a good one; nobody has a claim."""
    await abandon(conn, shop, ["poison"])
    await conn.execute(poison.encode())
    await conn.commit()
    await abandon(conn, shop, ["good"])
    await run_out(conn)


async def abandoned_small(conn: Conn, shop: h.Shop, monkeypatch: Any, keys: Sequence[str]) -> None:
    """The same with phases of one recipient, so that a thousand take seconds."""
    monkeypatch.setattr("notifyq.domain.asking.PHASE_RECIPIENTS", 1)
    for key in keys:
        await die_after(conn, list_ask(shop, 3, key), 1)


async def test_a_poison_key_and_1000_good_ones_are_done_in_two_cycles(
    hot: Conn, shop: h.Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await abandoned_small(hot, shop, monkeypatch, ["poison"])
    await hot.execute("UPDATE unfinished_key SET ask = 'no request'")
    await hot.commit()
    await abandoned_small(hot, shop, monkeypatch, [f"good {n}" for n in range(1_000)])
    await run_out(hot)  # the poison is the oldest: the head of the queue
    # The poison's next try is not due in the second cycle, however long the first one takes.
    monkeypatch.setattr(unfinished, "CLAIM_S", 600.0)
    async with await db.connect(database_url) as janitor:
        first = await complete(janitor)
        second = await complete(janitor)
    assert (first.finished + second.finished, first.failed + second.failed) == (1_000, 1)
    left = await h.all_rows(hot, "SELECT tries, trouble, claimed_until > now() FROM unfinished_key")
    ((tries, trouble, later),) = left
    assert (tries, later) == (1, True)
    assert trouble.startswith("it cannot be read: JSONDecodeError")
    assert await h.one(hot, "SELECT count(*) FROM stored_response") == 1_000
    assert await h.one(hot, "SELECT count(*) FROM job") == 3_001


POISONS: dict[str, tuple[str, str]] = {
    "no JSON": ("UPDATE unfinished_key SET ask = 'x'", "it cannot be read: JSONDecodeError"),
    "no UTF-8": (r"UPDATE unfinished_key SET ask = '\xff'", "it cannot be read: UnicodeDecode"),
    "a later version": (
        "UPDATE unfinished_key SET ask = convert_to(replace(convert_from(ask, 'UTF8'),"
        " '\"version\":3', '\"version\":4'), 'UTF8')",
        "it cannot be read: version 4",
    ),
    "a field is missing": (
        "UPDATE unfinished_key SET ask = convert_to(replace(convert_from(ask, 'UTF8'),"
        " '\"brand\"', '\"brant\"'), 'UTF8')",
        "it cannot be read: KeyError",
    ),
    "an unknown recovery point": (
        "UPDATE idempotency_key SET recovery_point = 'started'",
        "it cannot be read: 'started' is no recovery point",
    ),
    "its key is gone": ("DELETE FROM idempotency_key", "it cannot be read: its key is not there"),
    "what the database refuses": (
        "UPDATE unfinished_key SET ask = convert_to(replace(convert_from(ask, 'UTF8'),"
        " '+14150001000', '\\u0000'), 'UTF8')",
        "DataError",
    ),
    "its rows are there": (
        "INSERT INTO delivery SELECT (jsonb_populate_record(d, jsonb_build_object('id', "
        " left(d.id::text, 32) || '03e9'))).* FROM delivery d ORDER BY id LIMIT 1",
        "UniqueViolation 23505 delivery_",
    ),
}


@pytest.mark.parametrize(("poison", "says"), POISONS.values(), ids=POISONS)
async def test_every_poison_is_told_and_put_off_and_starves_nobody(
    hot: Conn, shop: h.Shop, poison: str, says: str
) -> None:
    await poison_first(hot, shop, poison)
    assert await complete(hot) == Completed(1, 1)
    ((tries, trouble),) = await h.all_rows(hot, "SELECT tries, trouble FROM unfinished_key")
    assert tries == 1
    assert trouble.startswith(says)
    assert "+1415" not in trouble
    assert await complete(hot) == Completed(0, 0)  # it waits for its next try


async def test_tries_of_a_poison_key_come_at_longer_and_longer_intervals(
    hot: Conn, shop: h.Shop
) -> None:
    await abandon(hot, shop, ["poison"])
    await hot.execute("UPDATE unfinished_key SET ask = 'x'")
    waits = []
    for n in range(12):
        await run_out(hot)
        assert await complete(hot) == Completed(0, 1)
        wait = "SELECT extract(epoch FROM claimed_until - now())::float8 FROM unfinished_key"
        waits.append(round(await h.one(hot, wait) / 10))
        assert await h.one(hot, "SELECT tries FROM unfinished_key") == n + 1
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]


async def test_a_bug_in_one_key_is_raised_and_the_next_cycle_goes_on_with_the_others(
    hot: Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await abandon(hot, shop, ["bug", "good"])
    await run_out(hot)
    write, calls = intake.write_phase, 0

    async def buggy(*given: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        await write(*given, **named)

    monkeypatch.setattr(intake, "write_phase", buggy)
    with pytest.raises(ZeroDivisionError):
        await complete(hot)
    assert await complete(hot) == Completed(1, 0)
    left = await h.all_rows(hot, "SELECT tries, trouble FROM unfinished_key")
    assert left == [(1, "begun, and never ended")]


async def test_a_connection_that_breaks_is_no_fault_of_the_request(
    hot: Conn, shop: h.Shop, database_url: str
) -> None:
    await abandon(hot, shop, ["key"])
    await run_out(hot)
    async with await db.connect(database_url) as janitor:
        execute = janitor.execute

        async def broken(query: Any, *given: Any, **named: Any) -> Any:
            if query == unfinished.ADVANCE:
                await hot.execute("SELECT pg_terminate_backend(%s)", [janitor.info.backend_pid])
            return await execute(query, *given, **named)

        with h.instead(janitor, "execute", broken), pytest.raises(psycopg.OperationalError):
            await complete(janitor)
    await run_out(hot)
    assert await complete(hot) == Completed(1, 0)
    assert await counts(hot) == whole(1_001)


async def test_a_thousand_completers_worth_of_keys_shared_by_two(
    hot: Conn, shop: h.Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await abandoned_small(hot, shop, monkeypatch, [f"key {n}" for n in range(50)])
    await run_out(hot)
    async with await db.connect(database_url) as one, await db.connect(database_url) as two:
        done = await asyncio.gather(complete(one), complete(two))
    assert sum(d.finished for d in done) == 50
    assert sum(d.failed for d in done) == 0
    assert await counts(hot) == whole(3, 50)


# ---------------------------------------------------------------------------------- mutants

# Statement, and what is taken out of it. They are made in their tests: the rest of this file has to
# run on a tree whose statements are mutants already (bin/chaos --only mutants).
NO_TOKEN = ("ADVANCE", ("AND k.claim_token = %(token)s::uuid AND", "AND"))
NO_POINT = ("ADVANCE", (" AND k.recovery_point = %(recovery_point)s::text", ""))
NO_TIME = ("TAKE_OVER", (" AND claimed_until < now()", ""))
NO_BACKOFF = (
    "TAKE_OVER",
    ("SET claimed_until = now() + make_interval", "SET claimed_until = u.claimed_until + 0 * "
     "make_interval"),
)  # fmt: skip
RIGHT_AND_WRONG = pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])


def take_out(monkeypatch: pytest.MonkeyPatch, guard: tuple[str, tuple[str, str]]) -> None:
    name, change = guard
    monkeypatch.setattr(unfinished, name, h.mutated(getattr(unfinished, name), change))


@RIGHT_AND_WRONG
async def test_without_the_token_the_one_taken_over_goes_on_beside_the_new_one(
    hot: Conn, shop: h.Shop, database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        take_out(monkeypatch, NO_TOKEN)
    async with await db.connect(database_url, hot=True) as other:

        async def taken_over() -> None:  # and the other one has not written yet
            await run_out(other)
            assert await unfinished.take_over(other, cell=0, token=uuid4())
            await other.commit()

        with after_commit(hot, 1, taken_over):
            reply = await submit(hot, list_ask(shop, 3_500, "key"))
        assert isinstance(reply, Answer) is wrong
        assert (await point(other) == "finished") is wrong


@RIGHT_AND_WRONG
async def test_without_the_recovery_point_a_phase_is_written_over_a_later_one(
    hot: Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        take_out(monkeypatch, NO_POINT)
    await die_after(hot, list_ask(shop, 3_500, "key"), 2)
    token = await h.one(hot, "SELECT claim_token FROM idempotency_key")
    about = await h.one(hot, "SELECT notification_id FROM idempotency_key")
    moved = await unfinished.advance(
        hot,
        cell=0,
        notification_id=about,
        token=token,
        recovery_point="recipients_1000",
        to="recipients_2000",
    )
    assert moved is wrong


@RIGHT_AND_WRONG
async def test_without_the_time_a_running_request_is_taken_over(
    hot: Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        take_out(monkeypatch, NO_TIME)
    await die_after(hot, list_ask(shop, 1_500, "key"), 1)
    assert (await complete(hot) == Completed(0, 0)) is not wrong


@RIGHT_AND_WRONG
async def test_without_the_back_off_a_poison_head_starves_the_rest(
    hot: Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        take_out(monkeypatch, NO_BACKOFF)
    await poison_first(hot, shop, "UPDATE unfinished_key SET ask = 'x'")
    done = [await complete(hot, limit=5) for _ in range(2)]
    assert (sum(d.finished for d in done) == 1) is not wrong
