"""So many in 24 elapsed hours to one address, however many producers and workers there are."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, LiteralString
from uuid import UUID

import pytest

from notifyq.domain.asking import Ask, Part
from notifyq.domain.content import SmsContent
from notifyq.domain.model import Category, Channel, Lane, Ready
from notifyq.domain.outcome import Refusal, Refused, Unavailable
from notifyq.domain.terms import Terms
from notifyq.services import redrive
from notifyq.store import consents, db, lanes
from notifyq.store.db import Conn
from tests.races.hearing import KNOWN
from tests.races.interleave import (
    END,
    TO_COMMIT,
    Go,
    Session,
    in_each,
    merges,
    run,
    some_fail,
    symmetric,
)
from tests.store import helpers as h

CAP = 3
DAY = timedelta(hours=24)
# Claim and facts; the row that is met; its lock; begin, count, end; the commit.
WORKER: list[Go] = [2, 1, 1, TO_COMMIT, END]
COARSE: list[Go] = [3, END]  # of three: claim, facts, the row that is met; the rest
_BEGUN: LiteralString = """
SELECT a.began_at, d.category FROM attempt a JOIN delivery d ON d.id = a.delivery_id
 WHERE d.brand = %(brand)s AND d.cap IS NOT NULL ORDER BY a.began_at
"""
_COUNTED: LiteralString = """
SELECT cardinality(begun_at) FROM consent WHERE brand = %(brand)s
"""
# Time goes by: everything that is known of it was as much before.
_LATER: Sequence[LiteralString] = (
    "UPDATE consent SET begun_at = ARRAY(SELECT at - %(by)s FROM unnest(begun_at) at)",
    "UPDATE attempt SET began_at = began_at - %(by)s",
    "UPDATE delivery SET expires_at = expires_at - %(by)s",
    "UPDATE job SET due = due - %(by)s",
)


async def vendors(look: Conn, shop: h.Shop, count: int) -> list[Lane]:
    """So many lanes of texts that no other test has."""
    names = [(Channel.SMS, f"{shop.brand}-{n}") for n in range(count)]
    found = await lanes.ensure(look, names, cell=0)
    return [found[name] for name in names]


def capped(shop: h.Shop, phone: str, lane: Lane, cap: int = CAP, **more: Any) -> Ask:
    """A request for one message of a category with a cap."""
    name = more.pop("name", "order.shipped")
    parts = (Part(Channel.SMS, lane.id, phone, SmsContent("x"), terms=Terms(name, cap=cap)),)
    made: Ask = h.make_ask(shop, to=phone, parts=parts, category=Category(name), **more)
    return made


async def begun(look: Conn, shop: h.Shop) -> list[datetime]:
    return [at for at, _ in await h.all_rows(look, _BEGUN, brand=shop.brand)]


def most_in_a_day(times: Sequence[datetime]) -> int:
    """How many of these lie in the fullest 24 hours; a time that is 24 hours later is not in."""
    return max((sum(at <= one < at + DAY for one in times) for at in times), default=0)


async def passes(look: Conn, by: timedelta) -> None:
    for statement in _LATER:
        await look.execute(statement, {"by": by})


# -------------------------------------------------------------------- two, three: every order


async def keeps(
    url: str, order: Sequence[int], steps: Sequence[Sequence[Go]], *, known: bool = False
) -> bool:
    """Whether workers of as many vendors begin CAP of two each, no more and no fewer."""
    async with h.looking(url) as look, AsyncExitStack() as stack:
        shop, phone = await h.own_shop(look)
        sessions = []
        for n, lane in enumerate(await vendors(look, shop, len(steps))):
            conn = await stack.enter_async_context(await db.connect(url))
            (at, _) = await h.accepted(conn, *(capped(shop, phone, lane) for _ in range(2)))
            if known:
                await look.execute(KNOWN, [at])
            post = h.post_of(h.Shop(shop.tenant_id, shop.brand, lane))
            sessions.append((Session(f"worker {n}", conn, partial(h.begin, post=post)), steps[n]))
        await run(order, sessions, look)
        assert [session.error for session, _ in sessions] == [None] * len(steps)
        assert await h.faults(look) == []
        counted = await h.one(look, _COUNTED, brand=shop.brand)
        return bool(len(await begun(look, shop)) == counted == CAP)


@pytest.mark.parametrize("known", [False, True], ids=["first_contact", "known"])
@in_each(symmetric(len(WORKER)), "ab")
async def test_two_workers_never_go_over_a_cap(
    shared_url: str, order: tuple[int, ...], known: bool
) -> None:
    assert await keeps(shared_url, order, [WORKER, WORKER], known=known)


@in_each([o for o in merges([2, 2, 2]) if o.index(0) < o.index(1) < o.index(2)], "abc")
async def test_three_workers_never_go_over_a_cap(shared_url: str, order: tuple[int, ...]) -> None:
    assert await keeps(shared_url, order, [COARSE] * 3)


async def test_without_the_lock_two_workers_go_over_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = h.mutated(consents.LOCK, ("LIMIT 1 FOR NO KEY UPDATE", "LIMIT 1"))
    monkeypatch.setattr(consents, "LOCK", unlocked)

    async def claim(order: tuple[int, ...]) -> bool:
        return await keeps(database_url, order, [WORKER, WORKER], known=True)

    assert await some_fail(symmetric(len(WORKER))[::5], claim)


# ------------------------------------------------------------------------------- a crowd

PRODUCERS, VENDORS, WORKERS = 50, 5, 10


async def crowd(url: str, asks: Sequence[Ask], shop: h.Shop, by: Sequence[Lane]) -> None:
    """Accept on as many connections as there are producers, while the workers are at it."""
    over = asyncio.Event()

    async def produce(ask: Ask) -> UUID:
        async with await db.connect(url) as conn:
            (at,) = await h.accepted(conn, ask)
            return at

    async def work(lane: Lane) -> None:
        post = h.post_of(h.Shop(shop.tenant_id, shop.brand, lane))
        async with await db.connect(url, hot=True) as conn:
            last = False
            while not last:
                last = over.is_set()  # one more turn after the last request
                while (await h.begin(conn, post, room=2)).claimed:
                    pass

    workers = [asyncio.create_task(work(by[n % len(by)])) for n in range(WORKERS)]
    await asyncio.gather(*(produce(ask) for ask in asks))
    over.set()
    await asyncio.gather(*workers)


async def test_rule_13_7_of_50_producers_to_one_number_3_get_through_in_24_elapsed_hours(
    database_url: str,
) -> None:
    """Each on a connection of its own, to as many vendors' lanes as there are; day after day."""
    async with h.looking(database_url) as look:
        shop, phone = await h.own_shop(look)
        by = await vendors(look, shop, VENDORS)
        asks = [
            capped(shop, phone, by[n % VENDORS], lifetime_s=30 * 86_400) for n in range(PRODUCERS)
        ]
        await crowd(database_url, asks, shop, by)
        times = await begun(look, shop)
        assert len(times) == CAP
        waits = await h.all_rows(
            look, "SELECT d.reason, j.due FROM job j JOIN delivery d ON d.id = j.delivery_id"
        )
        assert {(reason, due) for reason, due in waits} == {("capped", times[0] + DAY)}
        days = 1
        while len(times) < PRODUCERS:
            await passes(look, DAY)
            await crowd(database_url, [], shop, by)
            times, days = await begun(look, shop), days + 1
            assert most_in_a_day(times) == CAP
        assert days == -(-PRODUCERS // CAP)
        assert await h.faults(look) == []


async def test_categories_with_a_cap_share_it_by_address(database_url: str) -> None:
    """Two categories, the tighter one of 2: together 3, of the tighter one 2 at the most."""
    async with h.looking(database_url) as look:
        shop, phone = await h.own_shop(look)
        by = await vendors(look, shop, VENDORS)
        asks = [
            capped(shop, phone, by[n % VENDORS], name=name, cap=cap)
            for n in range(PRODUCERS // 2)
            for name, cap in (("order.shipped", CAP), ("order.rated", CAP - 1))
        ]
        await crowd(database_url, asks, shop, by)
        rows = await h.all_rows(look, _BEGUN, brand=shop.brand)
        by_category = Counter(category for _, category in rows)
        assert by_category.total() == CAP
        assert by_category["order.rated"] <= CAP - 1
        assert await h.one(look, _COUNTED, brand=shop.brand) == CAP
        assert await h.faults(look) == []


# --------------------------------------------------------------- one message, several attempts

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Case:
    """Messages to one person, each of which is begun when it is due."""

    conn: Conn
    look: Conn
    shop: h.Shop
    phone: str

    async def accepted(self, cap: int, count: int = 1) -> list[UUID]:
        asks = [
            capped(self.shop, self.phone, self.shop.lane, cap, lifetime_s=30 * 86_400)
            for _ in range(count)
        ]
        found: list[UUID] = await h.accepted(self.conn, *asks)
        return found

    async def begins(self, *due: UUID) -> dict[UUID, Ready]:
        """What begins of these, or of all that waits, were it due now and the others were not."""
        await self.look.execute(
            "UPDATE job SET due = CASE WHEN %(all)s OR delivery_id = ANY (%(due)s::uuid[])"
            " THEN now() ELSE now() + interval '9 days' END",
            {"all": not due, "due": list(due)},
        )
        turn = await h.begin(self.conn, h.post_of(self.shop))
        return {ready.due.delivery_id: ready for ready in turn.ready}

    async def fails(self, *begun: Ready) -> None:
        """The provider took none of them, and each is to be tried again."""
        for ready in begun:
            assert await h.settled(
                self.conn, h.post_of(self.shop), (ready, Unavailable("20500"))
            ) == {ready.due.delivery_id}

    async def counted(self) -> list[datetime]:
        (((found),),) = await h.all_rows(self.look, "SELECT begun_at FROM consent")
        return list(found)

    async def last_begin(self, at: UUID) -> datetime:
        text = "SELECT max(began_at) FROM attempt WHERE delivery_id = %(at)s"
        (((found),),) = await h.all_rows(self.look, text, at=at)
        when: datetime = found
        return when

    async def waits_until(self, at: UUID) -> datetime:
        text = (
            "SELECT d.reason, j.due FROM job j JOIN delivery d ON d.id = j.delivery_id"
            " WHERE d.id = %(at)s"
        )
        ((reason, due),) = await h.all_rows(self.look, text, at=at)
        assert reason == "capped"
        when: datetime = due
        return when


@pytest.fixture
async def case(database_url: str) -> AsyncIterator[Case]:
    async with await db.connect(database_url, hot=True) as conn, h.looking(database_url) as look:
        shop, phone = await h.own_shop(look)
        yield Case(conn, look, shop, phone)


async def test_a_message_counts_once_at_its_last_begin(case: Case) -> None:
    one, other = await case.accepted(2, count=2)
    await case.fails(*(await case.begins(one)).values())
    await passes(case.look, HOUR)
    assert set(await case.begins(other)) == {other}
    await passes(case.look, HOUR)
    assert set(await case.begins()) == {one}
    assert await case.counted() == [await case.last_begin(other), await case.last_begin(one)]


async def test_its_own_begin_blocks_no_retry_and_that_of_another_waits_for_it(case: Case) -> None:
    (one,) = await case.accepted(1)
    await case.fails(*(await case.begins()).values())
    (other,) = await case.accepted(1)
    await passes(case.look, HOUR)
    assert set(await case.begins()) == {one}
    # A day after the retry, and not after the first try.
    assert await case.waits_until(other) == await case.last_begin(one) + DAY


async def test_a_retry_that_comes_days_later_waits_for_what_began_meanwhile(case: Case) -> None:
    (one,) = await case.accepted(1)
    await case.fails(*(await case.begins()).values())
    await passes(case.look, DAY)
    (other,) = await case.accepted(1)
    assert set(await case.begins(other)) == {other}
    assert set(await case.begins()) == set()
    assert await case.waits_until(one) == await case.last_begin(other) + DAY


async def test_a_retry_of_yesterday_s_counts_today(case: Case) -> None:
    (one,) = await case.accepted(1)
    await case.fails(*(await case.begins()).values())
    await passes(case.look, DAY)
    assert set(await case.begins()) == {one}
    assert await case.counted() == [await case.last_begin(one)]
    (other,) = await case.accepted(1)
    assert set(await case.begins()) == set()
    assert await case.waits_until(other) == await case.last_begin(one) + DAY


async def test_two_that_began_at_once_are_two_and_each_takes_its_own_place(case: Case) -> None:
    first, second = await case.accepted(2, count=2)
    begun = await case.begins()
    await case.fails(begun[first])
    await passes(case.look, HOUR)
    assert set(await case.begins()) == {first}
    assert await case.counted() == [await case.last_begin(second), await case.last_begin(first)]


async def test_retries_in_one_batch_count_against_each_other_in_their_order(case: Case) -> None:
    """Begun on two days, and both due again on a third: one of the two may."""
    (first,) = await case.accepted(1)
    await case.fails(*(await case.begins()).values())
    await passes(case.look, DAY)
    (second,) = await case.accepted(1)
    await case.fails(*(await case.begins(second)).values())
    await passes(case.look, DAY)
    assert set(await case.begins()) == {first}
    assert await case.waits_until(second) == await case.last_begin(first) + DAY
    assert await case.counted() == [await case.last_begin(first)]


async def test_a_redrive_takes_the_place_of_the_begin_before_it(case: Case) -> None:
    (one,) = await case.accepted(1)
    (begun,) = (await case.begins()).values()
    refused = Refused(Refusal.CONTENT, "30007")
    await h.settled(case.conn, h.post_of(case.shop), (begun, refused))
    errand = redrive.Errand(0, "jo", "the text was mended", 10.0, h.new_id)
    assert isinstance(await redrive.redrive(case.conn, one, errand), redrive.Redriven)
    assert set(await case.begins()) == {one}
    assert await case.counted() == [await case.last_begin(one)]


async def test_what_could_not_begin_beside_a_live_attempt_does_not_count(case: Case) -> None:
    (one,) = await case.accepted(1)
    await case.look.execute(
        "INSERT INTO attempt (cell, number, lane, delivery_id, epoch, began_at, send_by, "
        "consent_revision, outcome, worker) "
        "SELECT 0, 7, %s, %s, 1, now(), now(), 0, 'in_doubt', gen_random_uuid()",
        [case.shop.lane.id, one],
    )
    assert await case.begins() == {}
    assert await case.counted() == []
