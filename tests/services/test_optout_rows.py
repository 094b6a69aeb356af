"""Opt-outs against sends and stores, row by row of the project's sheet on consent, its section 14.

Row 4, a failover that loses what was heard last, belongs to the regions. Of row 2 a provider is not
asked to take back what it has queued: what it holds is worth nothing after its validity. Of row 10
there is no way in yet for the registry of reassigned numbers: the ledger knows the event, though.
Row 12 waits for RCS itself.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from notifyq.domain.consent import Kind, Source
from notifyq.domain.hours import Hours
from notifyq.domain.model import Category, Channel, MessageClass
from notifyq.domain.outcome import Refusal, Refused
from notifyq.domain.terms import Terms
from notifyq.services import bounces
from notifyq.store import db, ledger
from tests.services.test_hear import OURS, becomes, line_of, replies, text, wrote
from tests.store import helpers as h

STOPPED, BEGUN = ("suppressed", "opted_out"), ("begun", None)


@pytest.fixture
async def hot(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def noted(conn: db.Conn, shop: h.Shop, kind: Kind, source: Source) -> None:
    async def work(conn: db.Conn) -> None:
        who = ledger.Person(shop.brand, Channel.SMS, await ledger.address_key(conn, h.PHONE))
        entry = ledger.Entry(kind, source, "test", "told", h.database_now(), None, {})
        await ledger.note(conn, who, entry, cell=0, event_id=h.new_id(), always=True)

    await db.transact(conn, work)


async def told_of(conn: db.Conn, shop: h.Shop) -> list[tuple[str, str]]:
    """Every event of the ledger: what it says, and by which way we learnt it."""
    return await h.all_rows(
        conn,
        "SELECT kind, source FROM consent_event WHERE brand = %(brand)s ORDER BY revision",
        brand=shop.brand,
    )


async def test_row_14_1_a_stop_between_the_request_and_the_send(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (at,) = await h.accepted(hot, h.make_ask(shop))
    await wrote(hot, line_of(shop), text("STOP"))
    assert at not in {
        ready.due.delivery_id for ready in (await h.begin(hot, h.post_of(shop))).ready
    }
    after = await h.standing(hot, at)
    assert (after.state, after.reason, after.outcomes, after.jobs) == (*STOPPED, (), 0)


async def test_row_14_2_a_stop_while_thousands_are_on_their_way(hot: db.Conn) -> None:
    """What was handed over before is counted, ends with its validity, and nothing follows it."""
    shop = await h.open_shop(hot)
    await h.accepted(hot, *(h.make_ask(shop, lifetime_s=60) for _ in range(300)))
    first = await h.begin(hot, h.post_of(shop), room=20)
    assert len(first.ready) == 20
    latest = h.database_now() + timedelta(seconds=60)
    assert all(ready.due.expires_at <= latest for ready in first.ready)
    await wrote(hot, line_of(shop), text("STOP"))
    while (turn := await h.begin(hot, h.post_of(shop), room=100)).claimed:
        assert all(ready.due.terms.is_exempt for ready in turn.ready)
    states = await h.all_rows(
        hot,
        "SELECT d.state::text, d.reason, count(*) FROM delivery d"
        " WHERE d.category IS DISTINCT FROM 'notifyq.reply' GROUP BY 1, 2 ORDER BY 3",
    )
    assert states == [("pending", None, 20), (*STOPPED, 280)]


async def test_row_14_3_a_stop_that_is_heard_by_another_process(
    hot: db.Conn, database_url: str
) -> None:
    """Both ask the primary: nothing that allows a send is remembered anywhere else."""
    shop = await h.open_shop(hot)
    assert await becomes(hot, shop) == BEGUN
    async with await db.connect(database_url) as elsewhere:
        await wrote(elsewhere, line_of(shop), text("STOP"), provider="sinch")
    assert await becomes(hot, shop) == STOPPED


async def test_row_14_5_a_provider_knows_of_an_opt_out_that_we_do_not(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    refused = Refused(Refusal.OPTED_OUT, "21610")
    await h.settled(hot, h.post_of(shop), (ready, refused))
    news = bounces.of_outcome(ready.due.delivery_id, refused, h.database_now())
    assert news is not None
    assert await bounces.keep(hot, [news], cell=0, new_id=h.new_id) == 1
    after = await h.standing(hot, ready.due.delivery_id)
    assert (after.outcomes, after.jobs) == (("refused",), 0)
    assert await told_of(hot, shop) == [("opt_out", "provider")]
    assert await becomes(hot, shop) == STOPPED


async def test_row_14_6_a_stop_at_night_is_confirmed_at_once_or_not_at_all(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    assert ready.due.terms.hours is Hours.ANY
    assert ready.due.expires_at <= h.database_now() + timedelta(minutes=5)
    late = text("STOP", sender="+14155550124", at=h.database_now() - timedelta(minutes=6))
    assert (await wrote(hot, line_of(shop), late)).reply is None
    assert [kind for kind, _ in await told_of(hot, shop)] == ["opt_out", "opt_out"]


async def test_row_14_7_a_second_stop_is_confirmed_only_after_a_start(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    noon = h.database_now() - timedelta(minutes=4)
    words = ("STOP", "stop!", "START", "STOP")
    answered = [
        await wrote(hot, line_of(shop), text(word, at=noon + timedelta(minutes=n)))
        for n, word in enumerate(words)
    ]
    assert [heard.reply is not None for heard in answered] == [True, False, True, True]


async def test_row_14_8_help_from_whoever_opted_out(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    before = await told_of(hot, shop)
    assert (await wrote(hot, line_of(shop), text("HELP"))).reply is not None
    assert [body for _, body, _ in await replies(hot)] == ["acme: stopped", "acme: help"]
    assert await told_of(hot, shop) == before
    assert await becomes(hot, shop) == STOPPED


async def test_row_14_9_a_stop_to_one_of_forty_numbers(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    pool = [OURS, *(f"+141555502{n:02}" for n in range(39)), "+12125550199"]  # one is new
    for number in pool:
        assert await becomes(hot, shop, sender=number) == STOPPED


async def test_row_14_10_a_number_that_is_somebody_elses_by_now(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await noted(hot, shop, Kind.REASSIGNED, Source.OPERATOR)
    assert await becomes(hot, shop) == STOPPED
    after = h.database_now() + timedelta(minutes=1)
    await wrote(hot, line_of(shop), text("START", at=after))
    assert await becomes(hot, shop) == STOPPED


async def test_row_14_11_of_emergencies_only_the_approved_go_out(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    ask = h.make_ask(shop, category=Category("flood", MessageClass.EMERGENCY))
    for is_exempt, came in ((False, STOPPED), (True, ("pending", None))):
        terms = Terms("flood", is_exempt=is_exempt)
        (at,) = await h.accepted(
            hot,
            replace(h.make_ask(shop), category=ask.category,
                    parts=(replace(ask.parts[0], terms=terms),)),
        )  # fmt: skip
        await h.begin(hot, h.post_of(shop))
        after = await h.standing(hot, at)
        assert (after.state, after.reason) == came
        assert after.outcomes == (("open",) if is_exempt else ())


async def test_row_14_13_what_nobody_has_read_stays_held(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("don't stop"))
    for words in ("see you at 5", "HELP", "thanks"):
        await wrote(hot, line_of(shop), text(words))
        held = await becomes(hot, shop, is_marketing=True)
        assert held == ("suppressed", "held_for_review")


async def test_row_14_14_where_consent_cannot_be_read_nothing_is_sent(
    hot: db.Conn, database_url: str
) -> None:
    shop = await h.open_shop(hot)
    assert await becomes(hot, shop) == BEGUN  # so that there is a row to lock
    (at,) = await h.accepted(hot, h.make_ask(shop))
    async with (
        await db.connect(database_url) as holder,
        await db.connect(database_url, hot=True, lock_timeout_ms=100) as worker,
    ):
        await holder.execute("SELECT 1 FROM consent FOR UPDATE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await asyncio.wait_for(h.begin(worker, h.post_of(shop)), timeout=30)
        await holder.rollback()
        after = await h.standing(hot, at)
        assert (after.state, after.outcomes, after.jobs) == ("pending", (), 1)
