"""A redrive meets late evidence, another redrive, a discard, an opt-out, in every order.

Each guard is taken out once: a guard that no order misses is not a guard.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.interventions import Refusal
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED
from notifyq.domain.outcome import Accepted, Outcome, Refused
from notifyq.domain.outcome import Refusal as Why
from notifyq.domain.states import State
from notifyq.services import redrive
from notifyq.services.redrive import Errand, Redriven
from notifyq.store import consents, db, dead_letters, held
from notifyq.store.db import Conn
from tests.races.interleave import (
    END,
    ONE,
    TO_COMMIT,
    Session,
    Step,
    in_each,
    merges,
    run,
    some_fail,
    symmetric,
)
from tests.store import helpers as h

ERRAND = Errand(0, "jo", "try it again", 10.0, h.new_id)
# attempts, delivery, attempts since, letter, meet, consent, write
REDRIVE = [ONE, ONE, ONE, ONE, ONE, ONE, END]
RECEIPT = [ONE, TO_COMMIT, END]  # lock, the rest, commit
REFUSED: tuple[Outcome, ...] = (Refused(Why.ADDRESS, "21614"),)
OTHER = tuple[str, Callable[[Conn], Awaitable[Any]], list[Step]]


@dataclass
class World:
    """A dead letter of its own, who looks, and how it stood afterwards."""

    shop: h.Shop
    phone: str
    at: UUID
    look: Conn
    after: h.Standing | None = None

    async def redrive(self, conn: Conn) -> Redriven:
        result = await redrive.redrive(conn, self.at, ERRAND)
        assert isinstance(result, Redriven)
        return result

    async def arrives(self, conn: Conn) -> None:
        receipt = h.receipt_for(self.at, 1, RANK_DELIVERED)
        await h.told(conn, receipt, self.shop.lane.provider)

    async def discard(self, conn: Conn) -> int:
        pages = [page async for page in redrive.discard(conn, [self.at], ERRAND)]
        return sum(len(page) for page in pages if isinstance(page, set))

    async def stop(self, conn: Conn) -> None:
        await h.opt_out(conn, self.shop, self.phone)


async def race(
    url: str,
    order: tuple[int, ...],
    other: Callable[[World], OTHER],
    *,
    undelivered: bool = False,
    steps: Sequence[Step] = REDRIVE,
) -> tuple[World, Session, Session, list[str]]:
    async with (
        await db.connect(url) as first,
        await db.connect(url) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone))
        at = ready.due.delivery_id
        ended = Accepted("SM1") if undelivered else REFUSED[0]
        await h.settled(first, h.post_of(shop), (ready, ended))
        if undelivered:
            await h.told(first, h.receipt_for(at, 1, RANK_UNDELIVERED), shop.lane.provider)
        world = World(shop, phone, at, look)
        name, work, its_steps = other(world)
        one, two = Session("redrive", first, world.redrive), Session(name, second, work)
        trace = await run(order, [(one, steps), (two, its_steps)], look)
        assert await h.faults(look) == []
        world.after = await h.standing(look, at)
        return world, one, two, trace


def after(world: World) -> h.Standing:
    assert world.after is not None
    return world.after


def orders(steps: list[Step]) -> list[tuple[int, ...]]:
    return merges([len(REDRIVE), len(steps)])


def every(steps: list[Step], letters: str) -> pytest.MarkDecorator:
    return in_each(orders(steps), letters)


# -------------------------------------------------------------------------- late evidence


def receipt(world: World) -> OTHER:
    return "receipt", world.arrives, RECEIPT


async def arrived(url: str, order: tuple[int, ...], *, undelivered: bool) -> bool:
    """Whether late evidence of arrival kept the message from being sent again."""
    world, one, two, _ = await race(url, order, receipt, undelivered=undelivered)
    assert (one.error, two.error) == (None, None)
    found = after(world)
    if undelivered:
        return (found.state, found.jobs, found.dead_letters) == ("delivered", 0, ())
    if one.result.refusal is Refusal.CARRIED_OUT_LATE:
        return (found.state, found.jobs, found.dead_letters) == ("dead", 0, ("refused_address",))
    return (found.state, found.jobs, found.dead_letters) == ("delivered", 0, ())


@every(RECEIPT, "Rc")
@pytest.mark.parametrize("undelivered", [False, True], ids=["refused", "undelivered"])
async def test_what_arrived_after_all_is_not_sent_again(
    shared_url: str, order: tuple[int, ...], undelivered: bool
) -> None:
    assert await arrived(shared_url, order, undelivered=undelivered)


UNHELD = h.mutated(held.LOCK_ATTEMPTS, ("   FOR NO KEY UPDATE\n", ""))


async def test_without_holding_the_attempts_a_message_that_arrived_is_sent_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LOCK_ATTEMPTS", UNHELD)
    claim = partial(arrived, database_url, undelivered=False)
    assert await some_fail(orders(RECEIPT)[::-1], claim)


# ----------------------------------------------------------------- a redrive and a discard


def discard(world: World) -> OTHER:
    return "discard", world.discard, [ONE, END]


async def decided_once(url: str, order: tuple[int, ...]) -> bool:
    world, one, two, _ = await race(url, order, discard)
    assert (one.error, two.error) == (None, None)
    redriven = one.result.refusal is None
    assert two.result in (0, 1)
    state = after(world).state
    assert (state == "pending") is redriven
    return redriven is (two.result == 0)


@every([ONE, END], "Rd")
async def test_whoever_deletes_the_dead_letter_decides(
    shared_url: str, order: tuple[int, ...]
) -> None:
    assert await decided_once(shared_url, order)


HEEDLESS = h.mutated(
    dead_letters.REDRIVE,
    (
        "      FROM letter\n     WHERE d.cell = %(cell)s::int2 AND d.id = letter.delivery_id",
        "      FROM (VALUES ('', '', now())) AS letter (cause, detail, at)\n"
        "     WHERE d.cell = %(cell)s::int2 AND d.id = %(delivery_id)s::uuid",
    ),
)


async def test_a_redrive_that_does_not_hang_on_the_row_sends_what_was_discarded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "REDRIVE", HEEDLESS)
    assert await some_fail(orders([ONE, END]), partial(decided_once, database_url))


# ------------------------------------------------------------------------- two redrives

TWICE = [ONE, ONE, TO_COMMIT, END]  # attempts, delivery, the rest, commit


def second(world: World) -> OTHER:
    return "second", world.redrive, TWICE


@in_each(symmetric(len(TWICE)), "Rs")
async def test_of_two_redrives_one_wins(shared_url: str, order: tuple[int, ...]) -> None:
    world, one, two, _ = await race(shared_url, order, second, steps=TWICE)
    assert (one.error, two.error) == (None, None)
    assert sorted([one.result.refusal, two.result.refusal], key=str) == [None, Refusal.NOTHING]
    assert after(world) == h.Standing("pending", "redriven", ("refused",), 1, 0, ())


# ------------------------------------------------- a redrive, its attempt, and a redrive

LIFE = [TO_COMMIT, ONE, TO_COMMIT, END]  # a redrive, its commit, its attempt begins, and ends
LATER = [ONE, ONE, TO_COMMIT, END]  # attempts, delivery, the rest, commit
LIVES = merges([len(LATER), len(LIFE)])


async def goes_on(url: str, order: tuple[int, ...]) -> bool:
    """Whether what a second redrive made due can be begun, though the first one's has ended."""
    async with (
        await db.connect(url) as first,
        await db.connect(url) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone))
        at = ready.due.delivery_id
        await h.settled(first, h.post_of(shop), (ready, REFUSED[0]))
        world = World(shop, phone, at, look)

        async def live(conn: Conn) -> None:
            await world.redrive(conn)
            for again in (await h.begin(conn, h.post_of(shop))).ready:
                await h.settled(conn, h.post_of(shop), (again, REFUSED[0]))

        one, two = Session("redrive", first, world.redrive), Session("life", second, live)
        await run(order, [(one, LATER), (two, LIFE)], look)
        assert (one.error, two.error) == (None, None)
        assert one.result.refusal in (None, Refusal.NOTHING, Refusal.BUSY)
        assert await h.faults(look) == []
        if (await h.standing(look, at)).jobs == 0:
            assert (await world.redrive(first)).refusal is None  # asked again, it is done
        begun = "SELECT max(number) FROM attempt WHERE delivery_id = %(at)s"
        jobs = "SELECT max(attempts) FROM job WHERE delivery_id = %(at)s"
        return bool(await h.one(look, jobs, at=at) == await h.one(look, begun, at=at))


@in_each(LIVES, "Rl")
async def test_a_redrive_counts_the_attempt_that_ended_while_it_waited(
    shared_url: str, order: tuple[int, ...]
) -> None:
    assert await goes_on(shared_url, order)


async def test_without_looking_for_attempts_again_it_makes_a_job_that_cannot_begin(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heedless = h.mutated(held.BEGAN_SINCE, ("SELECT EXISTS", "SELECT false AND EXISTS"))
    monkeypatch.setattr(held, "BEGAN_SINCE", heedless)
    assert await some_fail(LIVES[::-1], partial(goes_on, database_url))


# ----------------------------------------------------------------------------- opt-out


STOP: list[Step] = [TO_COMMIT, END]  # what it says; its commit


def stop(world: World) -> OTHER:
    return "stop", world.stop, STOP


async def stop_wins(url: str, order: tuple[int, ...]) -> bool:
    """Whether the redrive was refused just when the opt-out's commit came first."""
    world, one, two, trace = await race(url, order, stop)
    assert (one.error, two.error) == (None, None)
    first = trace.index("stop commit") < trace.index("redrive commit")
    refused = one.result.refusal is Refusal.OPTED_OUT
    assert after(world).dead_letters == (("refused_address",) if refused else ())
    return refused is first


@every(STOP, "Ro")
async def test_an_opt_out_that_committed_first_is_heeded(
    shared_url: str, order: tuple[int, ...]
) -> None:
    assert await stop_wins(shared_url, order)


async def test_without_the_consent_rows_lock_an_opt_out_slips(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = h.mutated(consents.LOCK, ("LIMIT 1 FOR NO KEY UPDATE", "LIMIT 1"))
    monkeypatch.setattr(consents, "LOCK", unlocked)
    assert await some_fail(orders(STOP), partial(stop_wins, database_url))


# ---------------------------------------------------------------------- a worker ends it

CLAIM = [ONE, ONE, TO_COMMIT, END]  # claim, facts, consent and delivery, commit


async def ended_beside(url: str, order: tuple[int, ...]) -> tuple[object, object]:
    """Redrive what was redriven and is due, while a worker ends it for an opt-out."""
    async with (
        await db.connect(url) as first,
        await db.connect(url, hot=True) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone))
        await h.settled(first, h.post_of(shop), (ready, REFUSED[0]))
        world = World(shop, phone, ready.due.delivery_id, look)
        assert (await world.redrive(first)).refusal is None
        await world.stop(first)
        one = Session("redrive", first, world.redrive)
        two = Session("worker", second, lambda conn: h.begin(conn, h.post_of(shop)))
        await run(order, [(one, [ONE, ONE, TO_COMMIT, END]), (two, CLAIM)], look)
        assert await h.faults(look) == []
        assert (await h.standing(look, world.at)).state in ("suppressed", "pending")
        return one.error, two.error


BESIDE = merges([4, len(CLAIM)])


@in_each(BESIDE, "Rw")
async def test_a_redrive_of_what_is_due_stands_in_no_workers_way(
    shared_url: str, order: tuple[int, ...]
) -> None:
    assert await ended_beside(shared_url, order) == (None, None)


async def test_one_that_holds_the_consent_of_what_is_due_does(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "sources", lambda _: tuple(State))
    found = [await ended_beside(database_url, order) for order in BESIDE[::5]]
    assert found != [(None, None)] * len(found)
