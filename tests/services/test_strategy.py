"""strategy: first — a channel has its turn when the one before failed for good, only then."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.asking import Ask, Part, in_turn
from notifyq.domain.content import SmsContent
from notifyq.domain.model import RANK_UNDELIVERED, Channel
from notifyq.domain.outcome import Accepted, InDoubt, Outcome, Refusal, Refused
from notifyq.entrypoints.api.asks import render_accepted
from notifyq.services.accept import Answer, accept
from notifyq.store import db, lanes, settling
from notifyq.store.db import Conn
from tests.store import helpers as h
from tests.store.helpers import Standing

WAITS = Standing("standby", "earlier_channel", (), 0, 0, ())
TURN = Standing("pending", "turn_came", (), 1, 0, ())


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def asking(conn: Conn, shop: h.Shop, strategy: str = "first") -> Ask:
    """A request by SMS, by e-mail, and to the app: as many lanes."""
    found = await lanes.ensure(conn, [(Channel.EMAIL, "post"), (Channel.PUSH, "bell")], cell=0)
    await conn.commit()
    places = [found[key] for key in ((Channel.EMAIL, "post"), (Channel.PUSH, "bell"))]
    parts = [Part(Channel.SMS, shop.lane.id, h.PHONE, SmsContent("hello"))]
    parts += [
        Part(lane.channel, lane.id, f"to {lane.provider}", SmsContent("hi")) for lane in places
    ]
    return h.make_ask(shop, parts=in_turn(parts, strategy))


async def submitted(conn: Conn, shop: h.Shop, strategy: str = "first") -> list[UUID]:
    (first,) = await h.accepted(conn, await asking(conn, shop, strategy))
    return [UUID(int=first.int + n) for n in range(3)]


async def standings(conn: Conn, ids: list[UUID]) -> list[Standing]:
    found = [await h.standing(conn, one) for one in ids]
    await conn.commit()
    return found


async def end(conn: Conn, shop: h.Shop, outcome: Outcome) -> None:
    (ready,) = (await h.begin(conn, h.post_of(shop))).ready
    await h.settled(conn, h.post_of(shop), (ready, outcome))


async def test_all_of_them_are_due_at_once_by_strategy_all(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    ids = await submitted(hot, shop, "all")
    assert {one.state for one in await standings(hot, ids)} == {"pending"}
    assert await h.one(hot, "SELECT count(*) FROM job") == 3


async def test_only_the_first_is_due_and_the_answer_says_so(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    ask = await asking(hot, shop)
    (reply,) = await accept(
        hot,
        [ask],
        now=h.database_now(),
        dice=lambda _: 1,
        render=lambda planned: render_accepted(planned, durability="local"),
    )
    assert isinstance(reply, Answer)
    told = [(d["channel"], d["state"], d["reason"]) for d in json.loads(reply.body)["deliveries"]]
    assert [state for _, state, _ in told] == ["pending", "standby", "standby"]
    assert [reason for _, _, reason in told] == [None, "earlier_channel", "earlier_channel"]
    rows = await h.all_rows(
        hot, "SELECT channel::text, state::text, reason FROM delivery ORDER BY id"
    )
    assert rows == told
    assert await h.all_rows(hot, "SELECT channel::text FROM job") == [("sms",)]


async def refused(conn: Conn, shop: h.Shop, _: UUID) -> None:
    await end(conn, shop, Refused(Refusal.ADDRESS, "21211"))


async def suppressed(conn: Conn, shop: h.Shop, _: UUID) -> None:
    await h.opt_out(conn, shop)
    assert not (await h.begin(conn, h.post_of(shop))).ready


async def undelivered(conn: Conn, shop: h.Shop, first: UUID) -> None:
    await end(conn, shop, Accepted("SM1"))
    await h.told(conn, h.receipt_for(first, 1, RANK_UNDELIVERED))


async def sent(conn: Conn, shop: h.Shop, _: UUID) -> None:
    await end(conn, shop, Accepted("SM1"))


async def in_doubt(conn: Conn, shop: h.Shop, _: UUID) -> None:
    await end(conn, shop, InDoubt("timeout"))


async def unknown(conn: Conn, shop: h.Shop, _: UUID) -> None:
    await end(conn, shop, InDoubt("timeout"))
    await conn.execute("UPDATE timer SET due = now() - interval '1 s'")
    await conn.commit()
    await h.swept(conn)


async def expired(conn: Conn, shop: h.Shop, _: UUID) -> None:
    await conn.execute("UPDATE delivery SET expires_at = now()")
    await conn.commit()
    await h.begin(conn, h.post_of(shop))


async def canceled(conn: Conn, shop: h.Shop, first: UUID) -> None:
    await conn.execute("UPDATE delivery SET cancel_requested_at = now() WHERE id = %s", [first])
    await conn.commit()
    await h.begin(conn, h.post_of(shop))


How = Callable[[Conn, h.Shop, UUID], Awaitable[None]]
FAILED: dict[str, How] = {"dead": refused, "suppressed": suppressed, "undelivered": undelivered}
NOT_FAILED: dict[str, How] = {
    "sent": sent,
    "in_doubt": in_doubt,
    "unknown": unknown,
    "expired": expired,
    "canceled": canceled,
}


@pytest.mark.parametrize("state", FAILED)
async def test_the_second_has_its_turn_after_the_first_failed_for_good(
    hot: Conn, state: str
) -> None:
    shop = await h.open_shop(hot)
    ids = await submitted(hot, shop)
    await FAILED[state](hot, shop, ids[0])
    first, second, third = await standings(hot, ids)
    assert (first.state, second, third) == (state, TURN, WAITS)
    assert await h.faults(hot) == []


@pytest.mark.parametrize("state", NOT_FAILED)
async def test_and_never_while_the_first_may_have_arrived_or_is_not_wanted_any_more(
    hot: Conn, state: str
) -> None:
    shop = await h.open_shop(hot)
    ids = await submitted(hot, shop)
    await NOT_FAILED[state](hot, shop, ids[0])
    first, second, third = await standings(hot, ids)
    assert (first.state, second, third) == (state, WAITS, WAITS)
    assert await h.one(hot, "SELECT count(*) FROM job WHERE channel <> 'sms'") == 0


async def test_each_has_its_turn_after_the_one_before_it(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    ids = await submitted(hot, shop)
    found = await lanes.ensure(hot, [(Channel.EMAIL, "post"), (Channel.PUSH, "bell")], cell=0)
    await hot.commit()
    by_channel = {channel: h.Shop(shop.tenant_id, shop.brand, lane) for (channel, _), lane in
                  found.items()}  # fmt: skip
    for n, one in enumerate([shop, by_channel[Channel.EMAIL], by_channel[Channel.PUSH]]):
        states = [standing.state for standing in await standings(hot, ids)]
        assert states == ["dead"] * n + ["pending"] + ["standby"] * (2 - n)
        about = UUID(int=ids[0].int - 1)
        assert await settling.settled(hot, [about], cell=0) == set()
        await hot.commit()
        await end(hot, one, Refused(Refusal.ADDRESS, "gone"))
    assert [standing.state for standing in await standings(hot, ids)] == ["dead"] * 3
    assert await h.one(hot, "SELECT count(*) FROM standby") == 0


async def test_a_standby_that_never_comes_to_its_turn_keeps_nobody_waiting(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    ids = await submitted(hot, shop)
    about = UUID(int=ids[0].int - 1)
    await end(hot, shop, Accepted("SM1"))
    assert await settling.settled(hot, [about], cell=0) == {about}
