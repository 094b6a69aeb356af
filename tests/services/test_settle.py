"""Settle: what every outcome makes of attempt, delivery, job, timer and dead letter."""

import asyncio
from typing import Any

import pytest

from notifyq.domain import retry
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.store import db
from tests.races.interleave import until_blocked
from tests.store import helpers as h

Standing = h.Standing


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


EFFECTS: list[tuple[Outcome, Standing]] = [
    (Accepted("SM1"), Standing("sent", None, ("accepted",), 0, 0, ())),
    (InDoubt("timeout"), Standing("in_doubt", "answer_lost", ("in_doubt",), 0, 1, ())),
    (
        Refused(Refusal.ADDRESS, "21211"),
        Standing("dead", "refused_address", ("refused",), 0, 0, ("refused_address",)),
    ),
    (
        Refused(Refusal.CONTENT, "21617"),
        Standing("dead", "refused_content", ("refused",), 0, 0, ("refused_content",)),
    ),
    (
        Refused(Refusal.OPTED_OUT, "21610"),
        Standing("suppressed", "opted_out_at_provider", ("refused",), 0, 0, ()),
    ),
    (Throttled("429"), Standing("pending", "retry_throttled", ("throttled",), 1, 0, ())),
    (Unavailable("503"), Standing("pending", "retry_unavailable", ("unavailable",), 1, 0, ())),
    (NotSent("refused"), Standing("pending", "retry_not_sent", ("not_sent",), 1, 0, ())),
    (
        Misconfigured("20003"),
        Standing("pending", "retry_misconfigured", ("misconfigured",), 1, 0, ()),
    ),
]


@pytest.mark.parametrize(
    ("outcome", "expected"), EFFECTS, ids=[f"{o.__class__.__name__}_{e.reason}" for o, e in EFFECTS]
)
async def test_every_outcome_has_its_effect(
    hot: db.Conn, outcome: Outcome, expected: Standing
) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    delivery_id = ready.due.delivery_id
    assert await h.settled(hot, h.post_of(shop), (ready, outcome)) == {delivery_id}
    assert await h.standing(hot, delivery_id) == expected
    assert await h.faults(hot) == []
    events = await h.all_rows(hot, "SELECT kind FROM outbox WHERE kind <> 'notification.accepted'")
    waits = expected.state == "pending"
    assert events == ([] if waits else [(f"delivery.{expected.state}",)])
    ended = await h.all_rows(hot, "SELECT ended_at IS NOT NULL FROM attempt")
    assert ended == [(not isinstance(outcome, InDoubt),)]
    if isinstance(outcome, InDoubt):
        return  # what is in doubt is settled by a late answer
    # A second time it changes nothing: so a settle whose commit was unclear is done again.
    assert await h.settled(hot, h.post_of(shop), (ready, outcome)) == set()
    assert await h.standing(hot, delivery_id) == expected


async def test_a_mixed_batch_ends_each_in_its_own_way(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await h.begun(hot, shop, *(h.make_ask(shop) for _ in EFFECTS))
    ended = [(r, outcome) for r, (outcome, _) in zip(ready, EFFECTS, strict=True)]
    done = await h.settled(hot, h.post_of(shop), *reversed(ended))
    assert done == {r.due.delivery_id for r in ready}
    for r, (_, expected) in zip(ready, EFFECTS, strict=True):
        assert await h.standing(hot, r.due.delivery_id) == expected
    assert await h.faults(hot) == []


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [(Unavailable("503"), 1), (NotSent("x"), 1), (Throttled("429"), 0), (Misconfigured("x"), 0)],
)
async def test_only_tries_that_say_something_about_the_message_count(
    hot: db.Conn, outcome: Outcome, counted: int
) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop, category=h.CODE))
    await h.settled(hot, h.post_of(shop), (ready, outcome))
    row = await h.all_rows(hot, "SELECT attempts, tries, criticality, lane FROM job")
    assert row == [(1, counted, 0, shop.lane.id)]


async def test_retry_after_is_obeyed(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (ready, Throttled("429", 120.0)))
    assert 119 < float(await h.one(hot, "SELECT extract(epoch FROM due - now()) FROM job")) <= 120


async def test_a_retry_that_would_come_too_late_is_not_made(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop, lifetime_s=60))
    await h.settled(hot, h.post_of(shop), (ready, Throttled("429", 120.0)))
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == Standing("expired", "expired", ("throttled",), 0, 0, ())


async def test_the_last_try_that_counts_ends_in_a_dead_letter(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (delivery_id,) = await h.accepted(hot, h.make_ask(shop))
    await hot.execute(
        "UPDATE job SET attempts = %s, tries = %s", [retry.TRIES_MAX - 1, retry.TRIES_MAX - 1]
    )
    await hot.commit()
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    await h.settled(hot, h.post_of(shop), (ready, Unavailable("503")))
    after = await h.standing(hot, delivery_id)
    assert (after.state, after.dead_letters) == ("dead", ("retries_exhausted",))
    assert await h.all_rows(hot, "SELECT detail FROM dead_letter") == [("503",)]


async def test_what_was_begun_before_a_bump_is_still_settled_after_it(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await hot.execute("UPDATE fence SET epoch = 2")
    await hot.commit()
    done = await h.settled(hot, h.post_of(shop, epoch=2), (ready, Accepted("SM1")))
    assert done == {ready.due.delivery_id}


async def test_two_settles_of_overlapping_batches_do_not_wait_in_a_circle(
    database_url: str,
) -> None:
    async with (
        await db.connect(database_url, hot=True) as first,
        await db.connect(database_url, hot=True) as second,
    ):
        shop = await h.open_shop(first)
        ready = await h.begun(first, shop, *(h.make_ask(shop) for _ in range(40)))
        one = [(r, Accepted(f"SM{n}")) for n, r in enumerate(ready)]
        done = await asyncio.gather(
            h.settled(first, h.post_of(shop), *one),
            h.settled(second, h.post_of(shop), *reversed(one)),
        )
        assert sorted(len(d) for d in done) == [0, 40]


async def _settle_while(
    url: str, touch: str, outcome: Outcome
) -> tuple[set[Any], Standing, list[Any]]:
    """Settle while another transaction holds and then commits a harmless change of a row."""
    async with (
        await db.connect(url, hot=True) as settler,
        await db.connect(url) as other,
        h.looking(url) as look,
    ):
        shop = await h.open_shop(look)
        (ready,) = await h.begun(settler, shop, h.make_ask(shop))
        await other.execute(touch.encode())
        settling = asyncio.create_task(h.settled(settler, h.post_of(shop), (ready, outcome)))
        await until_blocked(settler, look)
        await other.commit()
        done = await settling
        return done, await h.standing(look, ready.due.delivery_id), await h.faults(look)


TOUCHES = ["UPDATE attempt SET code = 'noted'", "UPDATE delivery SET program = 'renamed'"]


@pytest.mark.parametrize("touch", TOUCHES, ids=["attempt", "delivery"])
async def test_a_row_that_was_touched_while_settle_waited_is_settled_all_the_same(
    database_url: str, touch: str
) -> None:
    done, after, found = await _settle_while(database_url, touch, Unavailable("503"))
    assert len(done) == 1
    assert found == [], f"lost: {after}"
    assert (after.state, after.outcomes, after.jobs) == ("pending", ("unavailable",), 1)


async def test_an_answer_that_comes_after_its_lease_is_kept_as_evidence(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop), lease_s=-1.0)
    await h.swept(hot)
    assert len(await h.settled(hot, h.post_of(shop), (ready, Accepted("SM1")))) == 1
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == Standing("sent", None, ("accepted",), 0, 0, ())
    found = await h.one(
        hot, "SELECT count(*) FROM attempt WHERE provider_id = 'SM1' OR late_at IS NOT NULL"
    )
    assert found == 1, "the provider's name of the message is nowhere: nobody can look it up"
