"""What the recipient decides is asked at the begin, whatever was known when the 202 was given."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from notifyq.domain.asking import Ask
from notifyq.domain.consent import Kind, Source
from notifyq.domain.hours import Hours
from notifyq.domain.model import Channel
from notifyq.domain.outcome import Unavailable
from notifyq.domain.profile import Profile
from notifyq.domain.terms import Terms
from notifyq.services import recipients
from notifyq.store import db, ledger
from notifyq.store.db import Conn
from notifyq.store.recipients import Book
from tests.store import helpers as h

BEGUN = ("begun", None)


@pytest.fixture
async def hot(shared_url: str) -> Any:
    async with await db.connect(shared_url, hot=True) as connection:
        yield connection


def zone_where_it_is(hour: int) -> str:
    """A zone without summer time where it is this hour now, by the hour."""
    ahead = (hour - h.database_now().hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def ask(shop: h.Shop, phone: str, **terms: Any) -> Ask:
    whole: Ask = h.make_ask(shop, to=phone, lifetime_s=86_400 * 2)
    (part,) = whole.parts
    return replace(whole, parts=(replace(part, terms=Terms("order.shipped", **terms)),))


async def becomes(conn: Conn, shop: h.Shop, wish: Ask) -> tuple[str, str | None]:
    (at,) = await h.accepted(conn, wish)
    return await comes_of(conn, shop, at)


async def comes_of(conn: Conn, shop: h.Shop, at: Any) -> tuple[str, str | None]:
    turn = await h.begin(conn, h.post_of(shop))
    if at in {ready.due.delivery_id for ready in turn.ready}:
        return BEGUN
    after = await h.standing(conn, at)
    assert after.outcomes == ()
    await conn.commit()
    return after.state, after.reason


async def test_outside_its_hours_nothing_begins(hot: Conn) -> None:
    """It was accepted as due, as one is whose recipient has moved since."""
    shop, phone = await h.own_shop(hot)
    night = ask(shop, phone, hours=Hours.COURTESY, time_zone=zone_where_it_is(3))
    assert await becomes(hot, shop, night) == ("pending", "courtesy_hours")
    waits = await h.one(
        hot,
        "SELECT min(due) - now() FROM job j WHERE lane = %(lane)s",
        lane=shop.lane.id,
    )
    assert timedelta(hours=4) <= waits <= timedelta(hours=6)
    await hot.commit()
    noon = ask(shop, phone, hours=Hours.COURTESY, time_zone=zone_where_it_is(12))
    assert await becomes(hot, shop, noon) == BEGUN


async def test_what_was_turned_off_since_it_was_accepted_does_not_begin(hot: Conn) -> None:
    shop, phone = await h.own_shop(hot)
    book = Book(0, shop.tenant_id, False)
    (at,) = await h.accepted(hot, ask(shop, phone, recipient="ann"))
    await recipients.upsert(hot, book, "ann", Profile(phones=(phone,)), actor="test")
    await recipients.revise(
        hot, book, "ann", partial(replace, preferences={("*", "sms"): False}), actor="ann"
    )
    assert await comes_of(hot, shop, at) == ("suppressed", "preference_off")
    mandatory = ask(shop, phone, recipient="ann", is_mandatory=True)
    assert await becomes(hot, shop, mandatory) == BEGUN


OFF = ("suppressed", "preference_off")


async def test_whoever_is_erased_while_it_waits_is_not_told_at_the_address_that_was_kept(
    hot: Conn,
) -> None:
    """Whatever it waits for, and though no wish would turn it off."""
    shop, phone = await h.own_shop(hot)
    book = Book(0, shop.tenant_id, False)
    await recipients.upsert(hot, book, "ann", Profile(phones=(phone,)), actor="test")
    by_id = partial(ask, shop, phone, recipient="ann", is_by_id=True)
    night = {"hours": Hours.COURTESY, "time_zone": zone_where_it_is(3)}
    found = await h.accepted(hot, by_id(), by_id(is_mandatory=True), by_id(**night))
    await recipients.erase(hot, book, "ann", actor="test")
    assert (await h.begin(hot, h.post_of(shop))).ready == []
    for at in found:
        after = await h.standing(hot, at)
        assert (after.state, after.reason) == OFF


async def test_a_retry_to_whoever_is_erased_since_does_not_begin(hot: Conn) -> None:
    shop, phone = await h.own_shop(hot)
    book = Book(0, shop.tenant_id, False)
    await recipients.upsert(hot, book, "ann", Profile(phones=(phone,)), actor="test")
    (ready,) = await h.begun(hot, shop, ask(shop, phone, recipient="ann", is_by_id=True))
    await h.settled(hot, h.post_of(shop), (ready, Unavailable("20500")))
    await recipients.erase(hot, book, "ann", actor="test")
    await hot.execute("UPDATE job SET due = now() WHERE delivery_id = %s", [ready.due.delivery_id])
    await hot.commit()
    assert (await h.begin(hot, h.post_of(shop))).ready == []
    after = await h.standing(hot, ready.due.delivery_id)
    assert (after.state, after.reason) == OFF


async def test_whoever_is_kept_under_the_id_since_an_erasure_is_somebody_else(hot: Conn) -> None:
    """What was accepted before stays off; what is accepted now is for the one who is there now."""
    shop, phone = await h.own_shop(hot)
    book = Book(0, shop.tenant_id, False)
    ann, again = Profile(phones=(phone,)), Profile(phones=(phone,), locale="en")
    by_id = partial(ask, shop, phone, recipient="ann", is_by_id=True)
    await recipients.upsert(hot, book, "ann", ann, actor="test")
    (before,) = await h.accepted(hot, by_id())
    await recipients.erase(hot, book, "ann", actor="test")
    await asyncio.sleep(0.002)  # ids are of the millisecond
    await recipients.upsert(hot, book, "ann", again, actor="test")
    assert await comes_of(hot, shop, before) == OFF
    assert await becomes(hot, shop, by_id()) == BEGUN


async def test_an_address_of_the_request_s_own_outlives_the_recipient(hot: Conn) -> None:
    """It goes by its own terms: the hours it came with still count, and whose zone it told."""
    shop, phone = await h.own_shop(hot)
    book = Book(0, shop.tenant_id, False)
    await recipients.upsert(hot, book, "ann", Profile(phones=(phone,)), actor="test")
    inline = partial(ask, shop, phone, recipient="ann")
    now, later = await h.accepted(
        hot, inline(), inline(hours=Hours.COURTESY, time_zone=zone_where_it_is(3))
    )
    await recipients.erase(hot, book, "ann", actor="test")
    turn = await h.begin(hot, h.post_of(shop))
    assert [ready.due.delivery_id for ready in turn.ready] == [now]
    assert (await h.standing(hot, later)).reason == "courtesy_hours"


async def test_marketing_by_text_needs_written_consent_newer_than_any_opt_out(hot: Conn) -> None:
    shop, phone = await h.own_shop(hot)
    who = ledger.Person(shop.brand, Channel.SMS, await ledger.address_key(hot, phone))

    async def says(kind: Kind, ago_s: float) -> None:
        at = h.database_now() - timedelta(seconds=ago_s)
        entry = ledger.Entry(kind, Source.WEB, "test", "said so", at)
        await ledger.note(hot, who, entry, cell=0, event_id=h.new_id(), always=True)
        await hot.commit()

    sale = partial(ask, shop, phone, is_marketing=True)
    assert await becomes(hot, shop, sale()) == ("suppressed", "no_consent")
    await says(Kind.CONSENT, 300)
    assert await becomes(hot, shop, sale()) == BEGUN
    await says(Kind.OPT_OUT, 200)
    assert await becomes(hot, shop, sale()) == ("suppressed", "opted_out")
    await says(Kind.LIFT, 100)
    assert await becomes(hot, shop, ask(shop, phone)) == BEGUN
    assert await becomes(hot, shop, sale()) == ("suppressed", "no_consent")
