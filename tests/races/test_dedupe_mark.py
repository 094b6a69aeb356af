"""The second net: one mark, one notification, in every order of two transactions."""

from datetime import timedelta
from typing import Any

import pytest

from notifyq.domain.asking import Ask, Dedupe
from notifyq.services.accept import Answer, Reply
from notifyq.store import db, dedupe
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, Session, merges, named, run
from tests.store import helpers as h

DAY_S = 86_400
STEPS = [ONE, ONE, ONE, END]  # take the key, the mark, see who has it, write or read, commit
ORDERS = merges([len(STEPS), len(STEPS)])
RIGHT_AND_WRONG = pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])


def marked(shop: h.Shop, key: str, mark: str = "m", *, phone: str = h.PHONE, **more: Any) -> Ask:
    window_s = more.pop("window_s", DAY_S)
    return h.make_ask(shop, key, to=phone, dedupe=Dedupe(mark.encode().ljust(32), window_s), **more)


async def race(url: str, order: tuple[int, ...], *, old: bool = False) -> tuple[list[Reply], int]:
    """Two requests of one mark in this order of steps: their replies, how many notifications.

    old: there is a mark already, whose time is over.
    """
    async with (
        await db.connect(url, hot=True) as first,
        await db.connect(url, hot=True) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        if old:
            before = h.new_id()
            await look.execute(
                "INSERT INTO dedupe_mark VALUES (0, %s, %s, %s, now() - interval '1 s')",
                [shop.tenant_id, b"m".ljust(32), before],
            )
        asks = [marked(shop, key, phone=phone, body=key) for key in ("one", "two")]

        async def submit(conn: Conn) -> list[Reply]:
            return await h.submit(conn, [asks[0] if conn is first else asks[1]])

        one, two = Session("A", first, submit), Session("B", second, submit)
        await run(order, [(one, STEPS), (two, STEPS)], look)
        assert (one.error, two.error) == (None, None)
        # Whoever comes again under either key gets the same.
        again = await h.submit(first, asks)
        assert {r.body for r in again if isinstance(r, Answer)} >= {
            r.body for r in (*one.result, *two.result) if isinstance(r, Answer)
        }
        assert await h.faults(look) == []
        found = await h.one(
            look, "SELECT count(*) FROM notification WHERE tenant_id = %(t)s", t=shop.tenant_id
        )
        return [one.result[0], two.result[0]], found


@pytest.mark.parametrize("old", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("order", ORDERS, ids=[named("AB", order) for order in ORDERS])
async def test_one_mark_one_notification(
    shared_url: str, order: tuple[int, ...], old: bool
) -> None:
    replies, notifications = await race(shared_url, order, old=old)
    assert notifications == 1
    answers = [r for r in replies if isinstance(r, Answer)]
    assert len(answers) == 2
    assert [a.replayed for a in answers].count(True) == 1
    assert answers[0].body == answers[1].body


# Look first, then insert: what another transaction is inserting this moment is not seen.
LOOK_FIRST = h.mutated(
    dedupe.TAKE,
    (
        " ORDER BY m.tenant_id, m.mark\n    ON CONFLICT (cell, tenant_id, mark) DO UPDATE\n"
        "   SET notification_id = excluded.notification_id, until = excluded.until\n"
        " WHERE held.until <= now()",
        " WHERE NOT EXISTS (SELECT 1 FROM dedupe_mark AS h WHERE h.mark = m.mark"
        " AND h.tenant_id = m.tenant_id) ON CONFLICT DO NOTHING",
    ),
)
# Step by step side by side: each asks for the mark, and who has it, before the other commits.
BESIDE = (0, 1, 0, 1, 0, 1, 0, 1)


@RIGHT_AND_WRONG
async def test_inserting_without_the_unique_key_lets_two_through(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    """What keeps them apart is the primary key: without it, each sees no other."""
    if wrong:
        monkeypatch.setattr(dedupe, "TAKE", LOOK_FIRST)
        async with h.looking(database_url) as look:
            await look.execute("ALTER TABLE dedupe_mark DROP CONSTRAINT dedupe_mark_pk")
    _, notifications = await race(database_url, BESIDE)
    assert (notifications == 1) is not wrong


@RIGHT_AND_WRONG
async def test_an_expired_mark_that_is_never_taken_over_would_swallow_for_ever(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(dedupe, "TAKE", LOOK_FIRST)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        (first,) = await h.submit(conn, [marked(shop, "one")])
        await conn.execute("UPDATE dedupe_mark SET until = now()")
        await conn.commit()
        (second,) = await h.submit(conn, [marked(shop, "two")])
        assert isinstance(first, Answer)
        assert isinstance(second, Answer)
        assert second.replayed is wrong
        assert (second.body == first.body) is wrong


ALWAYS_TAKEN = h.mutated(dedupe.TAKE, (" WHERE held.until <= now()", ""))
NOT_POINTED = h.mutated(dedupe.POINT, ("WHERE k.cell", "WHERE false AND k.cell"))


@RIGHT_AND_WRONG
async def test_a_mark_taken_over_before_its_time_sends_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(dedupe, "TAKE", ALWAYS_TAKEN)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        for key in ("one", "two"):
            await h.submit(conn, [marked(shop, key)])
        assert (await h.one(conn, "SELECT count(*) FROM job") == 1) is not wrong


@RIGHT_AND_WRONG
async def test_a_key_that_is_not_pointed_there_stands_for_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(dedupe, "POINT", NOT_POINTED)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        for key in ("one", "two"):
            (reply,) = await h.submit(conn, [marked(shop, key)])
        assert isinstance(reply, Answer) is not wrong


# ------------------------------------------------------------------------- in one transaction


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def test_another_key_with_the_mark_gets_the_first_ones_answer_and_leaves_only_its_key(
    hot: Conn,
) -> None:
    shop = await h.open_shop(hot)
    (first,) = await h.submit(hot, [marked(shop, "one", body="hello")])
    assert isinstance(first, Answer)
    assert not first.replayed
    again = Answer(first.status, first.body, replayed=True)
    # Under its own key from then on too, whatever it asked for.
    for _ in range(2):
        assert await h.submit(hot, [marked(shop, "two", body="HELLO")]) == [again]
    found = await h.all_rows(
        hot,
        "SELECT (SELECT count(*) FROM idempotency_key), (SELECT count(*) FROM notification),"
        " (SELECT count(*) FROM delivery), (SELECT count(*) FROM stored_response),"
        " (SELECT count(*) FROM outbox), (SELECT count(*) FROM dedupe_mark)",
    )
    assert found == [(2, 1, 1, 1, 1, 1)]


async def test_of_two_with_one_mark_in_a_batch_the_first_wins_and_the_others_are_untouched(
    hot: Conn,
) -> None:
    shop = await h.open_shop(hot)
    asks = [
        h.make_ask(shop),
        marked(shop, "b", "m1"),
        marked(shop, "a", "m1"),
        marked(shop, "c", "m2"),
        marked(shop, "d", "m1"),
        h.make_ask(shop),
    ]
    replies = await h.submit(hot, asks)
    assert all(isinstance(reply, Answer) for reply in replies)
    assert [r.replayed for r in replies if isinstance(r, Answer)] == [
        False, False, True, False, True, False
    ]  # fmt: skip
    assert replies[2] == replies[4]
    assert await h.one(hot, "SELECT count(*) FROM job") == 4
    assert await h.faults(hot) == []


async def test_a_mark_is_another_tenants_own(hot: Conn) -> None:
    one, two = await h.open_shop(hot), await h.open_shop(hot, "other")
    await h.accepted(hot, marked(one, "k"), marked(two, "k"))
    assert await h.one(hot, "SELECT count(*) FROM dedupe_mark") == 2


@pytest.mark.parametrize(("left", "replayed"), [("1 s", True), ("-1 s", False)])
async def test_a_mark_lasts_as_long_as_its_window(hot: Conn, left: str, replayed: bool) -> None:
    shop = await h.open_shop(hot)
    await h.accepted(hot, marked(shop, "one", window_s=7_200))
    until = "SELECT until - now() FROM dedupe_mark"
    assert timedelta(seconds=7_199) < await h.one(hot, until) <= timedelta(seconds=7_200)
    await hot.execute("UPDATE dedupe_mark SET until = now() + %s::interval", [left])
    await hot.commit()
    (reply,) = await h.submit(hot, [marked(shop, "two", window_s=7_200)])
    assert isinstance(reply, Answer)
    assert reply.replayed is replayed
    assert await h.one(hot, "SELECT count(*) FROM notification") == 2 - replayed
    if not replayed:  # a new window of its own
        assert await h.one(hot, until) > timedelta(seconds=7_190)


async def test_a_rolled_back_holder_leaves_the_mark_to_the_one_who_waited(
    database_url: str, hot: Conn
) -> None:
    async with await db.connect(database_url, hot=True) as second, h.looking(database_url) as look:
        shop = await h.open_shop(look)

        async def fails(conn: Conn) -> list[Reply]:
            with h.instead(conn, "commit", conn.rollback):
                return await h.submit(conn, [marked(shop, "one")])

        async def submit(conn: Conn) -> list[Reply]:
            return await h.submit(conn, [marked(shop, "two")])

        two = Session("B", second, submit)
        await fails(hot)
        await two.ended()
        assert not two.result[0].replayed
        assert await h.one(look, "SELECT count(*) FROM notification") == 1


async def test_a_mark_somebody_is_taking_is_running_and_stalls_nobody_else(
    database_url: str, hot: Conn
) -> None:
    async with await db.connect(database_url, hot=True) as slow, h.looking(database_url) as look:
        shop = await h.open_shop(look)
        await hot.execute("SET lock_timeout = 100")
        await hot.commit()
        await slow.execute(
            "INSERT INTO dedupe_mark VALUES (0, %s, %s, %s, now() + interval '1 day')",
            [shop.tenant_id, b"held".ljust(32), h.new_id()],
        )
        replies = await h.submit(hot, [h.make_ask(shop), marked(shop, "k", "held")])
        assert isinstance(replies[0], Answer)
        assert not isinstance(replies[1], Answer)
        await slow.rollback()
        assert isinstance((await h.submit(hot, [marked(shop, "k", "held")]))[0], Answer)
