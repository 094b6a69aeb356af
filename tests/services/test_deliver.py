"""Deliver: what is due is begun, ended or deferred, once, and says so in rows."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from notifyq.domain.model import RANK_DELIVERED, Ready
from notifyq.domain.outcome import Throttled, Unavailable
from notifyq.services import accept, deliver, receive
from notifyq.store import consents, db
from tests.races.interleave import until_blocked
from tests.store import helpers as h


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def test_what_is_due_is_begun_and_its_job_is_gone(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop))
    post = h.post_of(shop)
    turn = await h.begin(hot, post)
    (ready,) = turn.ready
    assert (ready.due.delivery_id, ready.number, ready.epoch) == (delivery_id, 1, 1)
    assert (ready.due.address, ready.due.body) == (h.PHONE, "hello")
    assert (turn.claimed, turn.ended, turn.deferred, turn.blocked) == (1, 0, 0, ())
    assert await h.standing(hot, delivery_id) == h.Standing("pending", None, ("open",), 0, 0, ())
    row = await h.all_rows(
        hot,
        "SELECT epoch, worker, extract(epoch FROM send_by - began_at)::float8, consent_revision "
        "FROM attempt",
    )
    assert row == [(1, post.worker, h.LEASE_S, 0)]
    assert (await h.begin(hot, post)).claimed == 0


async def test_the_most_critical_goes_first_and_then_the_oldest(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    asks = [h.make_ask(shop), h.make_ask(shop), h.make_ask(shop, category=h.CODE)]
    first, second, code = [(await h.accepted(hot, ask))[0] for ask in asks]
    order = [
        (await h.begin(hot, h.post_of(shop), room=1)).ready[0].due.delivery_id for _ in range(3)
    ]
    assert order == [code, first, second]


async def test_no_more_is_claimed_than_there_is_room_over_all_criticalities(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    await h.accepted(hot, *(h.make_ask(shop) for _ in range(5)))
    await h.accepted(hot, *(h.make_ask(shop, category=h.CODE) for _ in range(5)))
    turn = await h.begin(hot, h.post_of(shop), room=7)
    assert turn.claimed == len(turn.ready) == 7
    assert sum(r.due.criticality == 0 for r in turn.ready) == 5
    assert turn.last_due.keys() == {0, 1}


async def test_another_lanes_jobs_are_left_alone(hot: db.Conn) -> None:
    shop, other = await h.open_shop(hot), await h.open_shop(hot, "other", provider="sinch")
    await h.accepted(hot, h.make_ask(other))
    assert (await h.begin(hot, h.post_of(shop))).claimed == 0


async def test_past_its_expiry_nothing_is_begun(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop, lifetime_s=-1))
    turn = await h.begin(hot, h.post_of(shop))
    assert (turn.ready, turn.ended) == ([], 1)
    assert await h.standing(hot, delivery_id) == h.Standing("expired", "expired", (), 0, 0, ())
    assert await h.one(hot, "SELECT count(*) FROM outbox WHERE kind = 'delivery.expired'") == 1


async def test_before_its_time_it_waits_until_then(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at = h.database_now() + timedelta(minutes=10)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop, not_before=at))
    assert (await h.begin(hot, h.post_of(shop))).claimed == 0
    await hot.execute("UPDATE job SET due = now()")  # claimed all the same: decided by the rule
    await hot.commit()
    turn = await h.begin(hot, h.post_of(shop))
    assert (turn.ready, turn.deferred) == ([], 1)
    assert await h.one(hot, "SELECT due FROM job") == at
    assert (await h.standing(hot, delivery_id)).outcomes == ()


async def test_whoever_opted_out_gets_nothing(hot: db.Conn) -> None:
    shop, other = await h.open_shop(hot), await h.open_shop(hot, "other", provider="sinch")
    await h.opt_out(hot, shop)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop))
    turn = await h.begin(hot, h.post_of(shop))
    assert (turn.ready, turn.ended) == ([], 1)
    after = await h.standing(hot, delivery_id)
    assert (after.state, after.reason, after.jobs) == ("suppressed", "opted_out", 0)
    # A STOP to one brand is not a STOP to another.
    await h.accepted(hot, h.make_ask(other))
    assert len((await h.begin(hot, h.post_of(other))).ready) == 1


async def test_content_that_is_gone_is_read_as_none(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await h.accepted(hot, h.make_ask(shop))
    await hot.execute("DELETE FROM content")
    await hot.commit()
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    assert (ready.due.address, ready.due.body) == (None, None)


async def _beside_a_live_attempt(conn: db.Conn, shop: h.Shop) -> Any:
    (delivery_id,) = await h.accepted(conn, h.make_ask(shop))
    await conn.execute(
        "INSERT INTO attempt (cell, number, lane, delivery_id, epoch, began_at, send_by, "
        "consent_revision, outcome, worker) "
        "SELECT 0, 7, %s, %s, 1, now(), now(), 0, 'in_doubt', gen_random_uuid()",
        [shop.lane.id, delivery_id],
    )
    await conn.commit()
    return delivery_id


async def test_beside_a_live_attempt_nothing_begins_and_the_job_is_put_aside(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    blocked = await _beside_a_live_attempt(hot, shop)
    (free,) = await h.accepted(hot, h.make_ask(shop))
    turn = await h.begin(hot, h.post_of(shop))
    assert [r.due.delivery_id for r in turn.ready] == [free]
    assert turn.blocked == (blocked,)
    assert turn.deferred == 1
    assert (await h.begin(hot, h.post_of(shop))).claimed == 0


async def test_a_blocked_job_that_is_alone_is_put_aside_too(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    blocked = await _beside_a_live_attempt(hot, shop)
    turn = await h.begin(hot, h.post_of(shop))  # FenceLost: and again, and again
    assert turn.blocked == (blocked,)


async def test_a_job_whose_delivery_is_gone_does_not_come_up_again(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await h.accepted(hot, h.make_ask(shop))
    await hot.execute("DELETE FROM delivery")
    await hot.commit()
    await h.begin(hot, h.post_of(shop))
    assert (await h.begin(hot, h.post_of(shop))).claimed == 0


async def test_a_retry_is_the_next_attempt(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (ready, Unavailable("503")))
    await hot.execute("UPDATE job SET due = now()")
    await hot.commit()
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    assert (again.number, again.due.attempts, again.due.tries) == (2, 1, 1)
    after = await h.standing(hot, ready.due.delivery_id)
    assert after.outcomes == ("unavailable", "open")


async def test_what_was_delivered_after_all_is_not_sent_again(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    delivery_id = ready.due.delivery_id
    await h.settled(hot, h.post_of(shop), (ready, Throttled("429")))
    received = await h.told(hot, h.receipt_for(delivery_id, 1, RANK_DELIVERED))
    assert received.applied is receive.Applied.LATE
    await hot.execute("UPDATE job SET due = now()")
    await hot.commit()
    assert (await h.begin(hot, h.post_of(shop))).ready == []


async def test_a_delivery_that_is_no_longer_pending_is_not_sent(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await h.accepted(hot, h.make_ask(shop))
    await hot.execute("UPDATE delivery SET state = 'canceled', reason = 'canceled'")
    await hot.commit()
    assert (await h.begin(hot, h.post_of(shop))).ready == []


async def test_what_work_raises_leaves_the_jobs_due(
    hot: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await h.open_shop(hot)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop))

    async def broken(*_: Any, **__: Any) -> Any:
        raise OSError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(consents, "lock", broken)
        with pytest.raises(OSError, match="out of order"):
            await h.begin(hot, h.post_of(shop))
    assert (await h.standing(hot, delivery_id)).jobs == 1
    assert len((await h.begin(hot, h.post_of(shop))).ready) == 1


async def test_an_unknown_commit_sends_nothing(
    database_url: str, hot: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await h.open_shop(hot)
    await h.accepted(hot, h.make_ask(shop))

    async def broken() -> None:
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(hot, "commit", broken)
    turn = await deliver.begin_due(
        hot,
        h.post_of(shop),
        room=1,
        low_waters=[h.EVER] * 4,
        dedupe_days=h.DEDUPE_DAYS,
        new_id=h.new_id,
    )
    assert isinstance(turn, db.Unknown)


async def test_two_batches_over_midnight_do_not_wait_in_a_circle(database_url: str) -> None:
    """Batch 1: yesterday to b, today to a. Batch 2: yesterday to a, today to b."""
    a, b = "+14155550101", "+14155550102"
    async with (
        await db.connect(database_url, hot=True) as first,
        await db.connect(database_url, hot=True) as second,
        h.looking(database_url) as look,
    ):
        shop = await h.open_shop(look)
        yesterday = h.database_now() - timedelta(days=1)

        async def at(when: Any, to: str) -> None:
            replies = await accept.accept(
                first, [h.make_ask(shop, to=to)], now=when, dice=h._dice.getrandbits,
                render=h.render,
            )  # fmt: skip
            assert isinstance(replies[0], accept.Answer)

        # The claim order is that of acceptance: each worker's two are claimed together.
        await at(yesterday, b)
        await at(h.database_now(), a)
        await at(yesterday, a)
        await at(h.database_now(), b)
        await look.execute(
            "INSERT INTO consent (cell, brand, channel, address_key, blocked, revision) "
            "SELECT DISTINCT 0, brand, channel, address_key, false, 0 FROM delivery"
        )
        # The first holds what it locked until the second waits for it; then both must end.
        lock, held = consents.lock, asyncio.Event()

        async def in_step(conn: db.Conn, keys: Any, **named: Any) -> Any:
            if conn is second:
                await held.wait()
                return await lock(conn, keys, **named)
            found = await lock(conn, keys, **named)
            held.set()
            await until_blocked(second, look)
            return found

        with h.instead(consents, "lock", in_step):
            turns = await asyncio.gather(
                h.begin(first, h.post_of(shop), room=2), h.begin(second, h.post_of(shop), room=2)
            )
        assert sum(len(turn.ready) for turn in turns) == 4


async def test_a_stop_waits_for_a_begin_and_comes_after_it(database_url: str) -> None:
    async with (
        await db.connect(database_url, hot=True) as sender,
        await db.connect(database_url) as stopper,
        h.looking(database_url) as look,
    ):
        shop = await h.open_shop(look)
        await h.accepted(sender, h.make_ask(shop), h.make_ask(shop))
        stop: list[asyncio.Task[None]] = []
        commit = sender.commit

        async def later() -> None:
            stop.append(asyncio.create_task(h.opt_out(stopper, shop)))
            await until_blocked(stopper, look)
            await commit()

        sender.commit = later  # type: ignore[method-assign]
        turn = await h.begin(sender, h.post_of(shop), room=1)
        sender.commit = commit  # type: ignore[method-assign]
        await stop[0]
        assert len(turn.ready) == 1
        assert all(isinstance(r, Ready) for r in turn.ready)
        assert (await h.begin(sender, h.post_of(shop))).ended == 1
