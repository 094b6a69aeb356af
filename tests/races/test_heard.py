"""P5 by the way it comes: a STOP in a provider's callback meets all that leads to an attempt.

In every order: a begin, a retry, a redrive, a cancel, another vendor's and another channel's turn.
No attempt begins after the commit of the opt-out; what begins before it is not held up.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.asking import Part, in_turn
from notifyq.domain.consent import Kind, Said, Source, standing
from notifyq.domain.content import SmsContent
from notifyq.domain.ids import notification_of
from notifyq.domain.model import Channel, Lane
from notifyq.domain.outcome import Refusal, Refused, Unavailable
from notifyq.domain.terms import Terms
from notifyq.services import cancel, redrive
from notifyq.services.redrive import Errand
from notifyq.store import consents, db, lanes
from notifyq.store.cancels import By
from notifyq.store.db import Conn
from tests.races.hearing import KNOWN, STOP, hears, text
from tests.races.interleave import END, TO_COMMIT, Go, Session, in_each, merges, run, some_fail
from tests.store import helpers as h

REFUSED = Refused(Refusal.ADDRESS, "21614")
BEGIN: list[Go] = [2, 1, 1, TO_COMMIT, END]  # claim and facts; meet; lock; the rest; commit
Work = Callable[[Conn], Awaitable[Any]]


@dataclass
class World:
    """One delivery of its own, and who looks."""

    shop: h.Shop
    phone: str
    look: Conn

    @property
    def post(self) -> Any:
        return h.post_of(self.shop)

    async def due(self, at: UUID) -> None:
        await self.look.execute("UPDATE job SET due = now() WHERE delivery_id = %s", [at])


@dataclass(frozen=True)
class Way:
    """A way to an attempt: what came before, what is raced, and the delivery that it is about."""

    at: UUID
    work: Work
    attempts: int  # of the delivery, once the work has begun one


Prepare = Callable[[World, Conn], Awaitable[Way]]


async def beginning(world: World, conn: Conn) -> Way:
    """A first attempt."""
    (at,) = await h.accepted(conn, h.make_ask(world.shop, to=world.phone))
    return Way(at, lambda conn: h.begin(conn, world.post), 1)


async def retrying(world: World, conn: Conn) -> Way:
    """A second attempt, after the provider has definitely not taken the first."""
    (ready,) = await h.begun(conn, world.shop, h.make_ask(world.shop, to=world.phone))
    at = ready.due.delivery_id

    async def again(conn: Conn) -> None:
        await h.settled(conn, world.post, (ready, Unavailable("20500")))
        await world.due(at)
        await h.begin(conn, world.post)

    return Way(at, again, 2)


async def redriving(world: World, conn: Conn) -> Way:
    """A dead letter that somebody makes due, and its attempt."""
    (ready,) = await h.begun(conn, world.shop, h.make_ask(world.shop, to=world.phone))
    at = ready.due.delivery_id
    await h.settled(conn, world.post, (ready, REFUSED))
    errand = Errand(0, "jo", "try it again", 10.0, h.new_id)

    async def again(conn: Conn) -> None:
        await redrive.redrive(conn, at, errand)
        await h.begin(conn, world.post)

    return Way(at, again, 2)


async def _next_lane(world: World, conn: Conn, first: Channel) -> Way:
    """Two parts in turn; the first one's provider refuses, and the second part's begins."""
    name = f"before-{world.shop.lane.provider}"
    before: Lane = (await lanes.ensure(conn, [(first, name)], cell=0))[first, name]
    await conn.commit()
    parts = (
        Part(first, before.id, world.phone, SmsContent("x")),
        Part(Channel.SMS, world.shop.lane.id, world.phone, SmsContent("x")),
    )
    ask = h.make_ask(world.shop, parts=in_turn(parts, "first"))
    there = replace(world.shop, lane=before)
    (ready,) = await h.begun(conn, there, ask)

    async def turn(conn: Conn) -> None:
        await h.settled(conn, h.post_of(there), (ready, REFUSED))
        await h.begin(conn, world.post)

    return Way(UUID(int=ready.due.delivery_id.int + 1), turn, 1)


async def next_vendor(world: World, conn: Conn) -> Way:
    """The other vendor's turn: the STOP was told by neither of the two alone."""
    return await _next_lane(world, conn, Channel.SMS)


async def next_channel(world: World, conn: Conn) -> Way:
    """The turn of the text, after the mail."""
    return await _next_lane(world, conn, Channel.EMAIL)


async def race(
    url: str, order: Sequence[int], prepare: Prepare, steps: Sequence[Go], *, known: bool
) -> tuple[bool, bool, str]:
    """Return (the STOP's commit came before the work's last, an attempt began, its state).

    known: the number was met before, so that there is a row to lock.
    """
    async with (
        await db.connect(url) as sender,
        await db.connect(url) as hearer,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        world = World(shop, phone, look)
        way = await prepare(world, sender)
        if known:
            await look.execute(KNOWN, [way.at])
        one = Session("begin", sender, way.work)
        two = Session("stop", hearer, hears(shop, text("STOP", phone)))
        trace = await run(order, [(one, steps), (two, STOP)], look)
        assert (one.error, two.error) == (None, None)
        last = len(trace) - 1 - trace[::-1].index("begin committed")
        after = await h.standing(look, way.at)
        assert await h.faults(look) == []
        assert await agrees(look, shop) == 1
        begun = len(after.outcomes) == way.attempts
        return trace.index("stop committed") < last, begun, after.state


async def agrees(look: Conn, shop: h.Shop) -> int:
    """Hold each consent row of a shop against what its events add up to; return how many block."""
    people = await h.all_rows(
        look,
        "SELECT address_key, blocked, programs, held, consented FROM consent"
        " WHERE brand = %(brand)s AND channel = 'sms'",
        brand=shop.brand,
    )
    for address_key, *row in people:
        events = await h.all_rows(
            look,
            "SELECT kind, happened_at, source, program FROM consent_event"
            " WHERE brand = %(brand)s AND address_key = %(key)s AND channel = 'sms'",
            brand=shop.brand,
            key=address_key,
        )
        stands = standing(Said(Kind(k), at, Source(s), program) for k, at, s, program in events)
        kept = (stands.blocked, list(stands.programs), stands.held, stands.consented)
        assert tuple(row) == kept or not events
    return sum(row[1] for row in people)


async def stop_wins(url: str, order: Sequence[int], way: str, *, known: bool = False) -> bool:
    """Whether an attempt began just when the opt-out's commit did not come first."""
    stop_first, begun, state = await race(url, order, *WAYS[way], known=known)
    assert begun or state in ("suppressed", "standby", "dead")
    return begun is not stop_first


# Another transaction first: its commit comes with the claim, the facts and the row that is met.
LONGER: list[Go] = [TO_COMMIT, 4, 1, TO_COMMIT, END]
WAYS: dict[str, tuple[Prepare, list[Go]]] = {
    "begin": (beginning, BEGIN),
    "retry": (retrying, LONGER),
    "redrive": (redriving, LONGER),
    "vendor": (next_vendor, LONGER),
    "channel": (next_channel, LONGER),
}


def orders(way: str) -> list[tuple[int, ...]]:
    return merges([len(WAYS[way][1]), len(STOP)])


@pytest.mark.parametrize("known", [False, True], ids=["first_contact", "known"])
@in_each(orders("begin"), "BS")
async def test_a_stop_that_was_heard_first_stops_a_begin(
    shared_url: str, order: tuple[int, ...], known: bool
) -> None:
    assert await stop_wins(shared_url, order, "begin", known=known)


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"begin"}))
@in_each(orders("retry"), "BS")
async def test_a_stop_that_was_heard_first_stops_whatever_would_begin_again(
    shared_url: str, way: str, order: tuple[int, ...]
) -> None:
    assert await stop_wins(shared_url, order, way)


SOME = 7  # every so many orders


@pytest.mark.parametrize("way", sorted(WAYS))
async def test_without_the_lock_of_the_begin_a_stop_slips(
    database_url: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    unlocked = h.mutated(consents.LOCK, ("LIMIT 1 FOR NO KEY UPDATE", "LIMIT 1"))
    monkeypatch.setattr(consents, "LOCK", unlocked)

    async def claim(order: tuple[int, ...]) -> bool:
        return await stop_wins(database_url, order, way, known=True)

    assert await some_fail(orders(way)[::SOME], claim)


# ------------------------------------------------------------------------------- a cancel

THREE: tuple[list[Go], ...] = ([3, TO_COMMIT, END], [TO_COMMIT, END], [4, END])


@in_each(merges([len(steps) for steps in THREE]), "BCS")
async def test_a_cancel_beside_it_lets_nothing_through(
    shared_url: str, order: tuple[int, ...]
) -> None:
    async with (
        await db.connect(shared_url) as first,
        await db.connect(shared_url) as second,
        await db.connect(shared_url) as third,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        way = await beginning(World(shop, phone, look), first)
        by = By("nq_live_12345678", "the order is off")
        of = notification_of(way.at)

        async def canceling(conn: Conn) -> Any:
            return await cancel.cancel(
                conn, of, by, cell=0, dedupe_days=h.DEDUPE_DAYS, new_id=h.new_id
            )

        one = Session("begin", first, way.work)
        two = Session("cancel", second, canceling)
        three = Session("stop", third, hears(shop, text("STOP", phone)))
        sessions = list(zip((one, two, three), THREE, strict=True))
        trace = await run(order, sessions, look)
        assert (one.error, two.error, three.error) == (None, None, None)
        after = await h.standing(look, way.at)
        assert await h.faults(look) == []
        if trace.index("stop committed") < trace.index("begin committed"):
            assert after.outcomes == ()
            assert after.state in ("suppressed", "canceled")
        (told,) = two.result
        assert (after.state == "canceled") == (told.came.value == "canceled")


# ----------------------------------------------------------- one number, several recipients

EACH: list[Go] = [3, END]  # claim, facts, meet; the rest
HEARD: list[Go] = [4, END]  # to its lock; the rest


@in_each(merges([len(EACH), len(EACH), len(HEARD)]), "abS")
async def test_one_number_of_two_recipients_is_blocked_for_both_and_for_a_third_later(
    shared_url: str, order: tuple[int, ...]
) -> None:
    async with (
        await db.connect(shared_url) as first,
        await db.connect(shared_url) as second,
        await db.connect(shared_url) as third,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)

        def of(recipient: str) -> Any:
            ask = h.make_ask(shop, to=phone, recipient=recipient)
            terms = Terms(recipient=recipient)
            return replace(ask, parts=(replace(ask.parts[0], terms=terms),))

        await h.accepted(first, of("ann"), of("bob"))

        async def one_of_them(conn: Conn) -> Any:
            return await h.begin(conn, h.post_of(shop), room=1)

        workers = [Session("ann", first, one_of_them), Session("bob", second, one_of_them)]
        stop = Session("stop", third, hears(shop, text("STOP", phone)))
        sessions = list(zip([*workers, stop], [EACH, EACH, HEARD], strict=True))
        trace = await run(order, sessions, look)
        assert [session.error for session in (*workers, stop)] == [None] * 3
        for worker in workers:
            stopped = trace.index("stop committed") < trace.index(f"{worker.name} committed")
            its = {ready.due.terms.recipient for ready in worker.result.ready}
            assert not (stopped and its & {"ann", "bob"})
        (later,) = await h.accepted(first, of("a third"))
        for _ in range(3):  # the answer, too, and what an order left unclaimed
            await h.begin(first, h.post_of(shop), room=5)
        assert (await h.standing(look, later)).reason == "opted_out"
        assert await h.faults(look) == []
