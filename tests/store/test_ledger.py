"""The ledger: one event after the other, and the consent row is what they add up to."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import Channel
from notifyq.store import db, ledger
from notifyq.store.db import Conn
from notifyq.store.ledger import Entry, Noted, Person
from tests.races.interleave import END, ONE, Session, in_each, merges, run
from tests.store import helpers as h

STOP = Entry(Kind.OPT_OUT, Source.SMS, "test", "STOP")
START = Entry(Kind.LIFT, Source.SMS, "test", "START")
ROW = "SELECT blocked, programs, held, consented, revision FROM consent"
LEDGER = "SELECT revision, kind, blocked, programs FROM consent_event ORDER BY revision"


@pytest.fixture
async def cold(database_url: str) -> Any:
    async with await db.connect(database_url) as connection:
        yield connection


async def person(conn: Conn, number: str = h.PHONE, brand: str = "acme") -> Person:
    return Person(brand, Channel.SMS, await ledger.address_key(conn, number))


async def noted(conn: Conn, who: Person, entry: Entry, *, always: bool = False) -> Noted:
    async def work(conn: Conn) -> Noted:
        return await ledger.note(conn, who, entry, cell=0, event_id=h.new_id(), always=always)

    fate = await db.transact(conn, work)
    assert isinstance(fate, db.Committed)
    return fate.value


def ago(seconds: float) -> datetime:
    return h.database_now() - timedelta(seconds=seconds)


async def test_every_event_raises_the_revision_and_keeps_what_stood_after_it(cold: Conn) -> None:
    who = await person(cold)
    for entry, after_s in ((STOP, 60), (START, 40), (replace(STOP, program="codes"), 20)):
        await noted(cold, who, replace(entry, at=ago(after_s)))
    assert await h.all_rows(cold, LEDGER) == [
        (1, "opt_out", True, []),
        (2, "lift", False, []),
        (3, "opt_out", False, ["codes"]),
    ]
    assert await h.all_rows(cold, ROW) == [(False, ["codes"], False, False, 3)]


async def test_what_happened_counts_and_not_when_it_was_told(cold: Conn) -> None:
    who = await person(cold)
    await noted(cold, who, replace(START, at=ago(30)))
    told_late = await noted(cold, who, replace(STOP, at=ago(60)))
    assert (told_late.added, told_late.after.blocked) == (True, False)
    assert (await noted(cold, who, replace(STOP, at=ago(10)))).after.blocked


async def test_a_clock_that_is_ahead_decides_nothing(cold: Conn) -> None:
    """A provider's START of tomorrow takes nothing back that is said until then."""
    who = await person(cold)
    tomorrow = h.database_now() + timedelta(days=1)
    await noted(cold, who, replace(START, at=tomorrow))
    assert (await h.all_rows(cold, "SELECT happened_at <= at FROM consent_event")) == [(True,)]
    await noted(cold, who, replace(STOP, at=tomorrow))
    assert (await h.all_rows(cold, ROW))[0][0] is True


async def test_an_opt_out_beside_a_newer_one_of_the_same_source_adds_nothing(cold: Conn) -> None:
    who = await person(cold)
    await noted(cold, who, replace(STOP, at=ago(60)))
    before = await h.everything(cold)
    assert not (await noted(cold, who, replace(STOP, at=ago(60)))).added
    assert not (await noted(cold, who, replace(STOP, at=ago(90)))).added
    after = await h.everything(cold)
    assert after["consent_event"] == before["consent_event"]
    assert (await noted(cold, who, replace(STOP, at=ago(60)), always=True)).added
    assert (await noted(cold, who, replace(STOP, at=ago(60), source=Source.WEB))).added
    assert (await noted(cold, who, replace(STOP, at=ago(60), program="codes"))).added


async def test_a_newer_opt_out_is_not_lost_to_consent_between_the_two(cold: Conn) -> None:
    """Unsubscribed, consented, unsubscribed; of the consent we are told last."""
    who = await person(cold)
    click = Entry(Kind.OPT_OUT, Source.EMAIL, "recipient", "one-click unsubscribe")
    await noted(cold, who, replace(click, at=ago(90)))
    await noted(cold, who, replace(click, at=ago(30)))
    lift = Entry(Kind.LIFT, Source.WEB, "key", "consent")
    assert (await noted(cold, who, replace(lift, at=ago(60)))).after.blocked


async def test_keys_come_in_the_order_of_their_addresses(cold: Conn) -> None:
    addresses = [h.PHONE, "ann@example.org", h.PHONE, "+14155550124"]
    keys = await ledger.address_keys(cold, addresses)
    assert keys == [await ledger.address_key(cold, one) for one in addresses]
    assert len({len(key) for key in keys}) == 1
    assert len(set(keys)) == 3


# ----------------------------------------------------------------------------- two at once

STEPS = [ONE, ONE, ONE, ONE, END]  # meet, lock, the events, the change, its commit
ORDERS = merges([len(STEPS), len(STEPS)])
SAMPLE = [ORDERS[n * len(ORDERS) // 24] for n in range(24)]


@in_each(SAMPLE, "AB")
async def test_two_at_once_come_one_after_the_other(
    database_url: str, order: tuple[int, ...]
) -> None:
    """Both are kept; the row is what both add up to, whichever was first."""
    async with (
        await db.connect(database_url) as one,
        await db.connect(database_url) as two,
        h.looking(database_url) as look,
    ):
        who = await person(look)
        stop, start = replace(STOP, at=ago(60)), replace(START, at=ago(30))

        def work(entry: Entry) -> Any:
            async def do(conn: Conn) -> Noted:
                return await noted(conn, who, entry)

            return do

        first, second = Session("A", one, work(stop)), Session("B", two, work(start))
        await run(order, [(first, STEPS), (second, STEPS)], look)
        assert first.error is None, first.error
        assert second.error is None, second.error
        assert await h.all_rows(look, ROW) == [(False, [], False, False, 2)]
        events = await h.all_rows(look, LEDGER)
        assert [revision for revision, *_ in events] == [1, 2]
        assert events[-1][2] is False
        assert {kind for _, kind, *_ in events} == {"opt_out", "lift"}


async def test_many_at_once_are_all_kept(database_url: str) -> None:
    async def say(n: int) -> None:
        async with await db.connect(database_url) as conn:
            entry = replace(STOP, at=ago(60 + n), program=f"p{n}")
            await noted(conn, await person(conn), entry)

    await asyncio.gather(*(say(n) for n in range(10)))
    async with h.looking(database_url) as look:
        assert await h.one(look, "SELECT revision FROM consent") == 10
        assert await h.one(look, "SELECT cardinality(programs) FROM consent") == 10
        assert await h.one(look, "SELECT count(DISTINCT revision) FROM consent_event") == 10
