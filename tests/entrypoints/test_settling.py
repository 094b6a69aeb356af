"""The settle loop: each result once, an attempt of a delivery after the other, none forgotten."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial

import pytest

from notifyq.domain.model import Attempt, Ready
from notifyq.domain.outcome import Accepted, NotSent, Outcome, Throttled
from notifyq.entrypoints.worker import settling
from notifyq.entrypoints.worker.settling import Settler
from notifyq.services.disown import disown_unsent
from notifyq.services.settle import Ended, settle
from notifyq.store import db
from tests.store import helpers as h


@pytest.fixture
async def hot(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def tried_again(conn: db.Conn, shop: h.Shop, first: Outcome) -> tuple[Ready, Ready]:
    """Both attempts of a delivery: the first is settled, the second on its way."""
    (one,) = await h.begun(conn, shop, h.make_ask(shop))
    await h.settled(conn, h.post_of(shop), (one, first))
    await conn.execute("UPDATE job SET due = now()")
    await conn.commit()
    (two,) = (await h.begin(conn, h.post_of(shop))).ready
    return one, two


async def written(url: str, shop: h.Shop, ended: Sequence[Ended]) -> list[Attempt]:
    """Hand these results over at once; return the attempts that the settler said are closed."""
    told: list[Attempt] = []
    settler = Settler(
        h.post_of(shop),
        connect=partial(db.connect, url, hot=True),
        dice=lambda: 0.0,
        new_id=h.new_id,
        rules=h.SETTLE_RULES,
        written=told.append,
    )
    for one in ended:
        settler.add(one)
    assert settler.unwritten == len(ended)
    run = asyncio.create_task(settler.run())
    async with asyncio.timeout(20):
        await settler.drained()
    assert settler.unwritten == 0
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    return told


@pytest.mark.parametrize("first_again", ["before", "after"])
async def test_a_result_that_is_written_again_does_not_become_the_next_attempts(
    database_url: str, hot: db.Conn, first_again: str
) -> None:
    """The commit of the first was of unknown fate, so it comes again, beside the second."""
    shop = await h.open_shop(hot)
    one, two = await tried_again(hot, shop, Throttled("20429"))
    now = h.database_now()
    ended = [Ended(one, Throttled("20429"), now), Ended(two, Accepted("SM2"), now)]
    told = await written(database_url, shop, ended if first_again == "before" else ended[::-1])
    assert sorted(told) == [one.attempt, two.attempt]
    after = await h.standing(hot, one.due.delivery_id)
    assert after == h.Standing("sent", None, ("throttled", "accepted"), 0, 0, ())
    assert await h.one(hot, "SELECT provider_id FROM attempt WHERE number = 2") == "SM2"
    assert await h.faults(hot) == []


async def test_a_second_refusal_makes_a_job_for_the_third(database_url: str, hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    one, two = await tried_again(hot, shop, Throttled("20429"))
    now = h.database_now()
    both = [Ended(one, Throttled("20429"), now), Ended(two, Throttled("20429"), now)]
    await written(database_url, shop, both)
    assert await h.all_rows(hot, "SELECT attempts FROM job") == [(2,)]


async def test_two_attempts_of_one_delivery_are_refused_in_one_transaction(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    one, two = await tried_again(hot, shop, NotSent("connect"))
    before = await h.everything(hot)
    ended = [Ended(ready, NotSent("connect"), h.database_now()) for ready in (one, two)]
    with pytest.raises(ValueError, match="two attempts of one delivery"):
        await settle(
            hot,
            h.post_of(shop),
            ended,
            h.SETTLE_RULES,
            dice=lambda: 0.0,
            new_id=h.new_id,
        )
    assert await h.everything(hot) == before


async def test_what_cannot_be_written_is_kept_in_order_until_it_can(
    database_url: str, hot: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await h.open_shop(hot)
    readies = await h.begun(hot, shop, *[h.make_ask(shop) for _ in range(5)])
    real, failed = settling.settle, 0

    async def breaks(*arguments: object, **named: object) -> object:
        nonlocal failed
        failed += 1
        if failed <= 2:
            return db.Unknown("the connection broke")
        return await real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(settling, "settle", breaks)
    monkeypatch.setattr(settling, "BROKEN_S", 0.01)
    now = h.database_now()
    told = await written(database_url, shop, [Ended(r, Accepted("SM"), now) for r in readies])
    assert told == [ready.attempt for ready in readies]
    assert failed == 3


async def test_only_the_attempt_that_was_not_seen_is_disowned(hot: db.Conn) -> None:
    """The one before it may be remembered still: that says nothing of this one."""
    shop = await h.open_shop(hot)
    post = h.post_of(shop)
    (one,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (one, NotSent("connect")))
    await hot.execute("UPDATE job SET due = now()")
    await hot.commit()
    (two,) = (await h.begin(hot, post)).ready
    at = one.due.delivery_id
    assert await disown_unsent(hot, post, [two.attempt]) == 0
    assert (await h.standing(hot, at)).outcomes == ("not_sent", "open")
    assert await disown_unsent(hot, post, [one.attempt]) == 1
    assert (await h.standing(hot, at)).outcomes == ("not_sent", "not_sent")
