"""What people write to our numbers: an opt-out is in force before the provider has its answer."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from notifyq.domain.asking import Part
from notifyq.domain.consent import scope_of
from notifyq.domain.content import SmsContent
from notifyq.domain.listening import Line, Replies
from notifyq.domain.model import Channel, Inbound, Lane
from notifyq.domain.terms import Terms
from notifyq.services.hear import REPLY, Ear, Heard, hear
from notifyq.store import db, lanes
from tests.store import helpers as h

OURS, CODES = "+14155550100", "+14155550101"
REPLIES = Replies("acme: stopped", "acme: started", "acme: help", "help@acme.example")


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


def ear(now: datetime | None = None) -> Ear:
    clock = db.DatabaseClock()
    return Ear(0, lambda: now or clock.now(), h.new_id, Random(1).getrandbits)


def line_of(shop: h.Shop, *, program: str = "default", separate: bool = False) -> Line:
    return Line((shop.brand,), program, separate, shop.lane.id, REPLIES)


def text(body: str, *, sender: str = h.PHONE, at: datetime | None = None) -> Inbound:
    return Inbound(f"SM{uuid4().hex}", sender, OURS, body, at)


async def wrote(conn: db.Conn, line: Line, inbound: Inbound, provider: str = "twilio") -> Heard:
    heard = await hear(conn, provider, inbound, line, ear())
    assert isinstance(heard, Heard), heard
    return heard


async def becomes(conn: db.Conn, shop: h.Shop, **terms: Any) -> tuple[str, str | None]:
    """What becomes of the next message to the person: its state and reason after a claim."""
    ask = h.make_ask(shop)
    (part,) = ask.parts
    program = terms.pop("program", "default")
    category = replace(ask.category, program=program)
    found = Terms(category=category.name, **terms)
    ask = replace(ask, category=category, parts=(replace(part, terms=found),))
    (delivery,) = await h.accepted(conn, ask)
    turn = await h.begin(conn, h.post_of(shop))
    if delivery in {ready.due.delivery_id for ready in turn.ready}:
        return "begun", None
    standing = await h.standing(conn, delivery)
    return standing.state, standing.reason


async def replies(conn: db.Conn) -> list[tuple[str, str, str | None]]:
    """Every answer: to whom, what, from which number."""
    return await h.all_rows(
        conn,
        "SELECT c.address, c.body, d.sender FROM delivery d JOIN content c"
        " ON c.cell = d.cell AND c.delivery_id = d.id WHERE d.category = 'notifyq.reply'"
        " ORDER BY d.id",
    )


async def test_a_stop_blocks_what_is_not_begun_and_is_confirmed_once(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    assert await becomes(hot, shop) == ("begun", None)
    first = await wrote(hot, line_of(shop), text("Stop."))
    assert (first.fresh, first.intent.value, first.reply is not None) == (True, "opt_out", True)
    assert await becomes(hot, shop) == ("suppressed", "opted_out")
    again = await wrote(hot, line_of(shop), text("STOP!!"))
    assert again.reply is None
    assert await replies(hot) == [(h.PHONE, "acme: stopped", OURS)]


async def test_a_second_copy_of_a_text_changes_nothing(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    stop = text("stop")
    assert (await wrote(hot, line_of(shop), stop)).fresh
    before = await h.everything(hot)
    assert not (await wrote(hot, line_of(shop), stop)).fresh
    assert await h.everything(hot) == before


async def test_the_answer_goes_out_though_the_person_has_opted_out(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    heard = await wrote(hot, line_of(shop), text("STOP"))
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    assert heard.reply is not None
    assert ready.due.delivery_id == UUID(int=heard.reply.int + 1)
    assert (ready.due.terms.category, ready.due.terms.sender) == (REPLY, OURS)
    assert ready.due.expires_at - h.database_now() <= timedelta(minutes=5)


@pytest.mark.parametrize(("late_s", "answered"), [(295, True), (305, False)])
async def test_an_answer_is_not_sent_later_than_five_minutes(
    hot: db.Conn, late_s: int, answered: bool
) -> None:
    shop = await h.open_shop(hot)
    written = h.database_now() - timedelta(seconds=late_s)
    heard = await wrote(hot, line_of(shop), text("STOP", at=written))
    assert (heard.reply is not None) is answered
    assert await becomes(hot, shop) == ("suppressed", "opted_out")


async def test_help_is_answered_to_everybody_and_changes_nothing(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    for stop, state in ((None, ("begun", None)), ("STOP", ("suppressed", "opted_out"))):
        if stop:
            await wrote(hot, line_of(shop), text(stop))
        assert (await wrote(hot, line_of(shop), text("HELP"))).reply is not None
        assert await becomes(hot, shop) == state


async def test_a_start_takes_back_the_stop_before_it_and_no_later_one(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    noon = h.database_now() - timedelta(hours=1)
    for word, at in (("STOP", 0), ("START", 10)):
        await wrote(hot, line_of(shop), text(word, at=noon + timedelta(seconds=at)))
    assert await becomes(hot, shop) == ("begun", None)
    # learnt of later, but it happened before that START
    await wrote(hot, line_of(shop), text("STOP", at=noon + timedelta(seconds=1)))
    assert await becomes(hot, shop) == ("begun", None)
    await wrote(hot, line_of(shop), text("STOP", at=noon + timedelta(seconds=20)))
    assert await becomes(hot, shop) == ("suppressed", "opted_out")
    # at one time with a STOP, as far as clocks can tell: the STOP wins
    await wrote(hot, line_of(shop), text("START", at=noon + timedelta(seconds=24)))
    assert await becomes(hot, shop) == ("suppressed", "opted_out")


async def test_a_start_that_is_told_again_does_not_undo_a_later_stop(hot: db.Conn) -> None:
    """By the ledger too: what was written to us is not kept for as long as the ledger is."""
    shop = await h.open_shop(hot)
    noon = h.database_now() - timedelta(hours=1)
    start = text("START")  # Twilio does not say when it was written
    await wrote(hot, line_of(shop), text("STOP", at=noon))
    await wrote(hot, line_of(shop), start)
    assert await becomes(hot, shop) == ("begun", None)
    await wrote(hot, line_of(shop), text("STOP"))
    await hot.execute("DELETE FROM inbound")
    await h.a_while_later(hot)
    again = await wrote(hot, line_of(shop), start)
    assert (again.fresh, again.reply) == (True, None)
    assert await becomes(hot, shop) == ("suppressed", "opted_out")
    # Another text is another word of the person, whatever it says.
    await wrote(hot, line_of(shop), text("START"))
    assert await becomes(hot, shop) == ("begun", None)


@pytest.mark.parametrize("said", ["acme: \x00", "x" * 2_000_000], ids=["NUL", "too long"])
async def test_an_answer_that_the_database_refuses_leaves_the_stop(
    hot: db.Conn, caplog: pytest.LogCaptureFixture, said: str
) -> None:
    shop = await h.open_shop(hot)
    if "x" in said:
        await hot.execute(
            "ALTER TABLE content ADD CONSTRAINT body_is_short CHECK (length(body) < 1600)"
        )
        await hot.commit()
    line = replace(line_of(shop), replies=replace(REPLIES, stop=said))
    heard = await wrote(hot, line, text("STOP"))
    assert (heard.fresh, heard.reply) == (True, None)
    assert "event=reply.refused" in caplog.text
    assert h.PHONE not in caplog.text
    assert await replies(hot) == []
    assert await h.one(hot, "SELECT count(*) FROM inbound") == 1
    assert await becomes(hot, shop) == ("suppressed", "opted_out")


async def test_a_stop_seen_by_one_vendor_blocks_the_other(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    found = await lanes.ensure(hot, [(Channel.SMS, "sinch")], cell=0)
    await hot.commit()
    sinch: Lane = found[Channel.SMS, "sinch"]
    await wrote(hot, line_of(shop), text("STOP"), provider="twilio")
    (delivery,) = await h.accepted(
        hot, h.make_ask(shop, parts=(Part(Channel.SMS, sinch.id, h.PHONE, SmsContent("x")),))
    )
    turn = await h.begin(hot, h.post_of(replace(shop, lane=sinch)))
    assert turn.ready == []
    assert (await h.standing(hot, delivery)).reason == "opted_out"


async def test_one_number_of_two_recipients_is_blocked_for_both_and_for_a_third_later(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    for recipient in ("ann", "bob", "a third who came later"):
        assert await becomes(hot, shop, recipient=recipient) == ("suppressed", "opted_out")


async def test_a_separate_program_has_stops_of_its_own(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    codes = line_of(shop, program="codes", separate=True)
    await wrote(hot, line_of(shop), text("STOP"))
    assert await becomes(hot, shop) == ("suppressed", "opted_out")
    assert await becomes(hot, shop, program="codes", is_separate=True) == ("begun", None)
    await wrote(hot, codes, text("STOP"))
    stopped = ("suppressed", "opted_out")
    assert await becomes(hot, shop, program="codes", is_separate=True) == stopped
    await wrote(hot, line_of(shop), text("START", at=h.database_now() + timedelta(minutes=1)))
    assert await becomes(hot, shop, program="codes", is_separate=True) == stopped


async def test_an_approved_emergency_goes_out_and_another_does_not(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    assert await becomes(hot, shop, is_exempt=True) == ("begun", None)
    assert await becomes(hot, shop) == ("suppressed", "opted_out")


async def test_what_only_a_person_can_read_holds_marketing_and_nothing_else(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    assert (await wrote(hot, line_of(shop), text("don't stop"))).intent.value == "unclear"
    assert await becomes(hot, shop) == ("begun", None)
    assert await becomes(hot, shop, is_marketing=True) == ("suppressed", "held_for_review")


async def test_a_test_send_s_stop_blocks_no_live_one(hot: db.Conn) -> None:
    """Everybody can sign as the sandbox: what it says must not silence anybody."""
    shop = await h.open_shop(hot)
    everybody = Line((), "default", False, shop.lane.id, REPLIES, is_test=True)
    await wrote(hot, everybody, text("STOP"))
    assert await becomes(hot, shop) == ("begun", None)
    test = replace(shop, brand=scope_of(shop.brand, test=True))
    assert await becomes(hot, test) == ("suppressed", "opted_out")


async def test_a_stop_to_a_number_that_nobody_knows_blocks_every_live_brand(hot: db.Conn) -> None:
    acme, globex = await h.open_shop(hot), await h.open_shop(hot, "globex", provider="sinch")
    nobodys = Line((), "default", False, acme.lane.id, None)
    heard = await wrote(hot, nobodys, text("STOP"))
    assert heard.reply is None
    for shop in (acme, globex):
        assert await becomes(hot, shop) == ("suppressed", "opted_out")
        test = replace(shop, brand=scope_of(shop.brand, test=True))
        assert await becomes(hot, test) == ("begun", None)


async def test_a_start_to_a_number_of_no_brand_lifts_nothing_and_a_hold_holds(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    nobodys = Line((shop.brand,), "default", False, shop.lane.id, None)
    first = h.database_now() - timedelta(hours=1)
    await wrote(hot, nobodys, text("STOP", at=first))
    await wrote(hot, nobodys, text("START"))
    assert await becomes(hot, shop) == ("suppressed", "opted_out")
    assert await h.one(hot, "SELECT count(*) FROM consent_event") == 1
    await wrote(hot, nobodys, text("don't stop"))
    assert await h.one(hot, "SELECT count(*) FROM consent_event WHERE kind = 'hold'") == 1
    await wrote(hot, line_of(shop), text("START"))
    assert await becomes(hot, shop) == ("begun", None)


async def test_a_business_reply_is_kept_and_nothing_more(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    heard = await wrote(hot, line_of(shop), text("see you at 5"))
    assert (heard.intent.value, heard.reply) == ("other", None)
    assert await h.one(hot, "SELECT count(*) FROM inbound") == 1
    assert await h.one(hot, "SELECT count(*) FROM consent_event") == 0


async def test_somebody_who_has_no_number_is_kept_and_gets_nothing(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    heard = await wrote(hot, line_of(shop), text("STOP", sender="12345"))
    assert (heard.fresh, heard.reply) == (True, None)


async def test_the_ledger_is_only_ever_added_to(hot: db.Conn) -> None:

    shop = await h.open_shop(hot)
    await wrote(hot, line_of(shop), text("STOP"))
    for change in ("UPDATE consent_event SET reason = ''", "DELETE FROM consent_event",
                   "TRUNCATE consent_event"):  # fmt: skip
        with pytest.raises(psycopg.errors.RestrictViolation):
            await hot.execute(change.encode())
        await hot.rollback()


async def test_50_producers_to_one_number_never_go_over_its_cap(database_url: str) -> None:
    """Workers on connections of their own, at the same time, on a lane each."""
    async with await db.connect(database_url) as conn:
        shop = await h.open_shop(conn)
        found = await lanes.ensure(conn, [(Channel.SMS, f"lane-{n}") for n in range(10)], cell=0)
        await conn.commit()
        for lane in found.values():
            parts = (Part(Channel.SMS, lane.id, h.PHONE, SmsContent("x"), terms=Terms(cap=3)),)
            await h.accepted(conn, *(h.make_ask(shop, parts=parts) for _ in range(5)))

    async def work(lane: Lane) -> int:
        async with await db.connect(database_url, hot=True) as conn:
            turn = await h.begin(conn, h.post_of(replace(shop, lane=lane)))
            return len(turn.ready)

    begun = await asyncio.gather(*(work(lane) for lane in found.values()))
    assert sum(begun) == 3
    async with await db.connect(database_url) as conn:
        states = await h.all_rows(conn, "SELECT state::text, reason, count(*) FROM delivery"
                                  " WHERE cap IS NOT NULL GROUP BY 1, 2 ORDER BY 3")  # fmt: skip
        assert states == [("pending", None, 3), ("suppressed", "capped", len(found) * 5 - 3)]
