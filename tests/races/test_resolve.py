"""A person's word meets a callback, and another person's word, in every order."""

from functools import partial
from typing import Any

import pytest

from notifyq.domain.doubts import Claim, Objection
from notifyq.domain.model import RANK_DELIVERED
from notifyq.domain.outcome import InDoubt
from notifyq.services.resolve import Answer, Witness, resolve
from notifyq.store import db, doubts, held
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, TO_COMMIT, Session, merges, named, run, some_fail
from tests.store import helpers as h

SAYS = {claim: Witness(claim, "jo", "asked", "the console says so") for claim in Claim}
RESOLVE = [ONE, ONE, ONE, ONE, END]  # attempts, delivery, attempts since, write, commit
RECEIPT = [ONE, TO_COMMIT, END]  # lock, the rest, commit
ORDERS = merges([len(RESOLVE), len(RECEIPT)])


async def callback_counts(url: str, order: tuple[int, ...], claim: Claim) -> bool:
    """Whether a delivery that arrived is delivered, whatever a person said, and is due no more."""
    async with (
        await db.connect(url) as first,
        await db.connect(url) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone), lease_s=-1.0)
        at = ready.due.delivery_id
        await h.settled(first, h.post_of(shop), (ready, InDoubt("cut")))

        async def says(conn: Conn) -> Any:
            return await resolve(conn, at, SAYS[claim], cell=0, new_id=h.new_id)

        async def arrives(conn: Conn) -> Any:
            await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED), shop.lane.provider)

        one, two = Session("person", first, says), Session("callback", second, arrives)
        trace = await run(order, [(one, RESOLVE), (two, RECEIPT)], look)
        assert (one.error, two.error) == (None, None)
        assert isinstance(one.result, Answer)
        assert await h.faults(look) == []
        # As they were let through: the server may free a lock before it tells its holder so.
        came_first = trace.index("callback commit") < trace.index("person commit")
        assert (one.result.objection is Objection.NO_DOUBT) is came_first
        noted = "SELECT count(*) FROM intervention WHERE delivery_id = %(at)s"
        assert await h.one(look, noted, at=at) == (0 if came_first else 1)
        after = await h.standing(look, at)
        return (after.state, after.jobs, after.timers) == ("delivered", 0, 0)


@pytest.mark.parametrize("claim", Claim)
@pytest.mark.parametrize("order", ORDERS, ids=[named("Pc", order) for order in ORDERS])
async def test_a_callback_that_came_first_wins_and_one_that_comes_later_corrects(
    shared_url: str, order: tuple[int, ...], claim: Claim
) -> None:
    assert await callback_counts(shared_url, order, claim)


@pytest.mark.parametrize("claim", Claim)
async def test_without_holding_them_and_without_the_condition_evidence_is_written_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch, claim: Claim
) -> None:
    """Either of the two keeps it; with neither, somebody's word stands above a receipt."""
    attempts = h.mutated(held.LOCK_ATTEMPTS, ("   FOR NO KEY UPDATE\n", ""))
    delivery = h.mutated(held.LOCK_DELIVERY, ("   FOR NO KEY UPDATE OF d\n", ""))
    anywhere = ("\n       AND state = ANY (%(sources)s::delivery_state[])", "")
    monkeypatch.setattr(doubts, "RESOLVE", h.mutated(doubts.RESOLVE, anywhere))
    monkeypatch.setattr(held, "LOCK_ATTEMPTS", attempts)
    monkeypatch.setattr(held, "LOCK_DELIVERY", delivery)
    assert await some_fail(ORDERS, lambda order: callback_counts(database_url, order, claim))


TWICE = merges([len(RESOLVE), len(RESOLVE)])


@pytest.mark.parametrize("order", TWICE[: len(TWICE) // 2], ids=lambda o: named("Pq", o))
async def test_of_two_people_one_is_heard(shared_url: str, order: tuple[int, ...]) -> None:
    async with (
        await db.connect(shared_url) as first,
        await db.connect(shared_url) as second,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone), lease_s=-1.0)
        at = ready.due.delivery_id
        await h.settled(first, h.post_of(shop), (ready, InDoubt("cut")))
        sessions = [
            Session(
                claim,
                conn,
                lambda conn, claim=claim: resolve(  # type: ignore[misc]
                    conn, at, SAYS[claim], cell=0, new_id=h.new_id
                ),
            )
            for claim, conn in zip(Claim, (first, second), strict=True)
        ]
        await run(order, [(session, RESOLVE) for session in sessions], look)
        assert [session.error for session in sessions] == [None, None]
        heard = [session for session in sessions if session.result.objection is None]
        assert len(heard) == 1
        state = {Claim.CARRIED_OUT: "sent", Claim.NOT_CARRIED_OUT: "pending"}[Claim(heard[0].name)]
        assert (await h.standing(look, at)).state == state
        assert await h.faults(look) == []


NOT = SAYS[Claim.NOT_CARRIED_OUT]
LIFE = [TO_COMMIT, ONE, TO_COMMIT, END]  # the first word, its commit, an attempt begins, and ends
LATER = [ONE, ONE, TO_COMMIT, END]  # attempts, delivery, the rest, commit
LIVES = merges([len(LATER), len(LIFE)])


async def fresh_doubt_stays(url: str, order: tuple[int, ...]) -> bool:
    """Whether a second "not carried out" leaves the attempt that began after the first alone."""
    async with (
        await db.connect(url) as first,
        await db.connect(url) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone), lease_s=-1.0)
        at = ready.due.delivery_id
        await h.settled(first, h.post_of(shop), (ready, InDoubt("cut")))

        async def says(conn: Conn) -> Any:
            return await resolve(conn, at, NOT, cell=0, new_id=h.new_id)

        async def live(conn: Conn) -> None:
            await says(conn)
            for again in (await h.begin(conn, h.post_of(shop))).ready:
                await h.settled(conn, h.post_of(shop), (again, InDoubt("cut")))

        one, two = Session("person", first, says), Session("life", second, live)
        await run(order, [(one, LATER), (two, LIFE)], look)
        assert (one.error, two.error) == (None, None)
        assert one.result.objection in (None, Objection.NO_DOUBT, Objection.SENDING)
        after = await h.standing(look, at)
        return (after.state, after.outcomes, after.jobs) == (
            "in_doubt",
            ("not_sent", "in_doubt"),
            0,
        )


@pytest.mark.parametrize("order", LIVES, ids=[named("Pl", order) for order in LIVES])
async def test_a_word_about_one_attempt_is_not_heard_of_the_next(
    shared_url: str, order: tuple[int, ...]
) -> None:
    assert await fresh_doubt_stays(shared_url, order)


async def test_without_looking_for_attempts_again_a_fresh_doubt_is_overlooked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heedless = h.mutated(held.BEGAN_SINCE, ("SELECT EXISTS", "SELECT false AND EXISTS"))
    monkeypatch.setattr(held, "BEGAN_SINCE", heedless)
    assert await some_fail(LIVES[::-1], partial(fresh_doubt_stays, database_url))
