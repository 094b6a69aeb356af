"""Accept: one key, one notification; what is answered when the key stands in the way."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from notifyq.domain.idempotency import Judgement
from notifyq.domain.retention import Retention
from notifyq.services import accept, maintain
from notifyq.services.accept import Answer, Refusal
from notifyq.store import db, intake
from tests.races.interleave import until_blocked
from tests.store import helpers as h

OTHER = "+14155550199"


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def test_accepted_means_every_row_is_there(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop))
    assert await h.standing(hot, delivery_id) == h.Standing("pending", None, (), 1, 0, ())
    assert await h.all_rows(hot, "SELECT address, body FROM content") == [(h.PHONE, "hello")]
    assert await h.all_rows(hot, "SELECT kind FROM outbox") == [("notification.accepted",)]
    assert await h.faults(hot) == []


async def test_a_replay_is_the_stored_answer_and_leaves_nothing_more(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ask = h.make_ask(shop, "key")
    (first,) = await h.submit(hot, [ask])
    (again,) = await h.submit(hot, [ask])
    assert isinstance(first, Answer)
    assert again == Answer(first.status, first.body, replayed=True)
    assert await h.one(hot, "SELECT count(*) FROM delivery") == 1


async def test_a_replay_writes_wal_so_that_its_commit_waits_for_the_standby(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    await hot.commit()
    ask = h.make_ask(shop, "key")
    await h.submit(hot, [ask])
    before = await h.one(hot, "SELECT pg_current_xact_id()::text::int8")
    await hot.commit()
    await h.submit(hot, [ask])
    after = await h.one(hot, "SELECT pg_current_xact_id()::text::int8")
    assert after == before + 2, "the replay's transaction has a number: its commit is in the WAL"


async def test_another_request_under_the_key_is_refused(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (first,) = await h.accepted(hot, h.make_ask(shop, "key"))
    (reply,) = await h.submit(hot, [h.make_ask(shop, "key", to=OTHER)])
    assert reply == Refusal(Judgement.REUSED, UUID(int=first.int - 1))


async def test_another_tenants_same_key_is_another_key(hot: db.Conn) -> None:
    one, two = await h.open_shop(hot), await h.open_shop(hot, "other")
    await h.accepted(hot, h.make_ask(one, "key"), h.make_ask(two, "key"))
    assert await h.one(hot, "SELECT count(*) FROM notification") == 2


async def test_the_same_key_in_one_batch_is_judged_as_if_it_had_come_later(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    asks = [h.make_ask(shop, "key"), h.make_ask(shop, "key"), h.make_ask(shop, "key", to=OTHER)]
    first, second, third = await h.submit(hot, asks)
    assert isinstance(first, Answer)
    assert not first.replayed
    assert second == Answer(first.status, first.body, replayed=True)
    assert isinstance(third, Refusal)
    assert third.judgement is Judgement.REUSED
    assert await h.one(hot, "SELECT count(*) FROM delivery") == 1


async def test_a_batch_is_answered_in_its_own_order(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    asks = [h.make_ask(shop, f"key {n}", to=f"+1415555{n:04}") for n in range(20)]
    old = await h.submit(hot, asks[::3])
    replies = await h.submit(hot, asks)
    for n, (ask, reply) in enumerate(zip(asks, replies, strict=True)):
        assert isinstance(reply, Answer)
        assert reply.replayed is (n % 3 == 0)
        held = await h.one(
            hot,
            "SELECT body FROM stored_response JOIN idempotency_key USING (cell, notification_id) "
            "WHERE key_hash = %(key_hash)s",
            key_hash=ask.key_hash,
        )
        assert held == reply.body
    assert [r.body for r in old if isinstance(r, Answer)] == [
        r.body for r in replies[::3] if isinstance(r, Answer)
    ]


async def test_a_key_that_another_transaction_holds_is_running_and_stalls_nobody_else(
    database_url: str,
) -> None:
    async with (
        await db.connect(database_url, hot=True) as slow,
        await db.connect(database_url, hot=True) as quick,
        h.looking(database_url) as look,
    ):
        shop = await h.open_shop(look)
        await quick.execute("SET lock_timeout = 100")
        await quick.commit()
        held = h.make_ask(shop, "held")
        await slow.execute(
            "INSERT INTO idempotency_key VALUES (0, %s, 'notify', %s, %s, 'finished', NULL, %s)",
            [shop.tenant_id, held.key_hash, held.fingerprint, h.new_id()],
        )
        replies = await h.submit(quick, [h.make_ask(shop), held, h.make_ask(shop)])
        assert [type(r) for r in replies] == [Answer, Refusal, Answer]
        assert replies[1] == Refusal(Judgement.RUNNING, None)
        await slow.rollback()
        (later,) = await h.submit(quick, [held])
        assert isinstance(later, Answer)
        assert not later.replayed


async def test_a_key_whose_holder_rolls_back_is_accepted_by_the_one_who_waited(
    database_url: str,
) -> None:
    async with (
        await db.connect(database_url, hot=True) as first,
        await db.connect(database_url, hot=True) as second,
        h.looking(database_url) as look,
    ):
        shop = await h.open_shop(look)
        ask = h.make_ask(shop, "key")
        await first.execute(
            "INSERT INTO idempotency_key VALUES (0, %s, 'notify', %s, %s, 'finished', NULL, %s)",
            [shop.tenant_id, ask.key_hash, ask.fingerprint, h.new_id()],
        )
        waiting = asyncio.create_task(h.submit(second, [ask]))
        await until_blocked(second, look)
        await first.rollback()
        (reply,) = await waiting
        assert isinstance(reply, Answer)
        assert not reply.replayed
        assert await h.faults(look) == []


async def test_past_the_window_the_key_still_stands_and_names_its_notification(
    database_url: str, hot: db.Conn
) -> None:
    shop = await h.open_shop(hot)
    await hot.commit()
    ask = h.make_ask(shop, "key")
    (delivery_id,) = await h.accepted(hot, ask)
    await hot.execute("DELETE FROM job")
    await hot.commit()
    async with h.looking(database_url) as janitor:
        later = h.database_now() + timedelta(days=6)
        _, dropped = await maintain.tend_leaves(janitor, cell=0, now=later, retention=Retention())
    assert [name for name in dropped if name.startswith("stored_response_")]
    (reply,) = await h.submit(hot, [ask])
    assert reply == Refusal(Judgement.PAST_WINDOW, UUID(int=delivery_id.int - 1))
    (other,) = await h.submit(hot, [h.make_ask(shop, "key", to=OTHER)])
    assert isinstance(other, Refusal)
    assert other.judgement is Judgement.REUSED


async def test_held_until_not_before_and_due_then(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at = h.database_now() + timedelta(minutes=10)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop, not_before=at))
    assert await h.one(hot, "SELECT due FROM job") == at
    assert (await h.standing(hot, delivery_id)).reason == "not_before"
    (past,) = await h.accepted(hot, h.make_ask(shop, not_before=at - timedelta(hours=1)))
    assert (await h.standing(hot, past)).reason is None
    assert await h.one(hot, "SELECT due <= now() FROM job WHERE delivery_id = %(id)s", id=past)


async def test_a_request_that_the_database_refuses_leaves_nothing(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await hot.commit()
    now = h.database_now()
    bad = h.make_ask(shop, not_before=now + timedelta(2), expires_at=now + timedelta(1))
    with pytest.raises(psycopg.errors.CheckViolation):
        await h.submit(hot, [h.make_ask(shop), bad])
    for table in ("idempotency_key", "notification", "delivery", "job", "stored_response"):
        assert await h.one(hot, f"SELECT count(*) FROM {table}") == 0


async def test_two_hundred_at_once_of_one_key_with_two_recipients_are_one_notification(
    database_url: str,
) -> None:
    async with h.looking(database_url) as look:
        shop = await h.open_shop(look)
    asks = [h.make_ask(shop, "key", to=(h.PHONE, OTHER)[n % 2]) for n in range(200)]

    async def client(mine: list[Any]) -> list[Any]:
        async with await db.connect(database_url, hot=True) as conn:
            found = []
            while mine:  # batches of several sizes, as they gather under load
                size = 1 + len(mine) % 7
                found += await h.submit(conn, mine[:size])
                del mine[:size]
            return found

    replies = [r for found in await asyncio.gather(
        *(client(asks[n::8]) for n in range(8))
    ) for r in found]  # fmt: skip
    assert len(replies) == 200
    fresh = [r for r in replies if isinstance(r, Answer) and not r.replayed]
    assert len(fresh) == 1
    replayed = [r for r in replies if isinstance(r, Answer) and r.replayed]
    refused = [r for r in replies if isinstance(r, Refusal)]
    assert {r.body for r in replayed} == {fresh[0].body}
    assert {r.judgement for r in refused} == {Judgement.REUSED}
    assert (len(replayed), len(refused)) == (99, 100)
    async with h.looking(database_url) as look:
        assert await h.one(look, "SELECT count(*) FROM notification") == 1
        assert await h.one(look, "SELECT count(*) FROM delivery") == 1
        assert await h.one(look, "SELECT count(*) FROM job") == 1


async def test_a_recall_of_unknown_fate_says_so_of_each_key(
    hot: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await h.open_shop(hot)
    await hot.commit()
    known, new = h.make_ask(shop, "key"), h.make_ask(shop, "new")
    await h.accepted(hot, known)
    asked = [(ask.key, ask.fingerprint) for ask in (known, new)]

    async def broken() -> None:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(hot, "commit", broken)
    found = await accept.recall_each(hot, asked, cell=0)
    assert [type(reply) for reply in found] == [db.Unknown] * 2
    await hot.rollback()
    monkeypatch.undo()
    found = await accept.recall_each(hot, asked, cell=0)
    assert isinstance(found[0], Answer)
    assert found[1] is None


async def test_a_key_that_is_forgotten_between_the_two_statements_is_not_confirmed(
    database_url: str, hot: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await h.open_shop(hot)
    await hot.commit()
    ask = h.make_ask(shop, "key")
    await h.accepted(hot, ask)
    async with h.looking(database_url) as janitor:
        known = intake.known

        async def forgotten(conn: db.Conn, **named: Any) -> Any:
            await janitor.execute("DELETE FROM idempotency_key")  # the end of the dedupe memory
            return await known(conn, **named)

        monkeypatch.setattr(intake, "known", forgotten)
        (reply,) = await h.submit(hot, [ask])
        confirmed = isinstance(reply, Answer) and not reply.replayed
        assert confirmed == (await h.one(janitor, "SELECT count(*) FROM notification") == 2)
