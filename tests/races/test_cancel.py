"""A cancel meets a claim, a settle, a receipt, a resend, the next channel's turn: in every order.

What it answered is true afterwards, and stays true. Each guard is taken out once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.asking import Part
from notifyq.domain.content import SmsContent
from notifyq.domain.ids import notification_of
from notifyq.domain.model import RANK_DELIVERED, Category, MessageClass, Ready
from notifyq.domain.outcome import Accepted, InDoubt, Outcome, Refusal, Refused, Unavailable
from notifyq.domain.states import AT_REST, Event, sources
from notifyq.services import cancel
from notifyq.services.cancel import Called, Came
from notifyq.store import cancels, db
from notifyq.store.cancels import By
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
    until_blocked,
)
from tests.store import helpers as h

BY = By("nq_live_12345678", "the order is off")
# The look and its commit, the jobs, the rest and its commit, then what is on its way.
CANCEL = [TO_COMMIT, ONE, ONE, TO_COMMIT, END]
# The same, where no job is there: the delivery's lock is a step of its own.
CANCEL_SENDING = [TO_COMMIT, ONE, TO_COMMIT, ONE, ONE, END]
BEGIN = [ONE, ONE, TO_COMMIT, END]  # claim, facts, the rest, commit
SETTLE = [ONE, ONE, END]  # hold, write, commit
COARSE = [TO_COMMIT, END]
ANSWERS: dict[str, Outcome] = {
    "accepted": Accepted("SM1"),
    "unavailable": Unavailable("20500"),
    "refused": Refused(Refusal.ADDRESS, "21211"),
    "lost": InDoubt("read_timeout"),
}


@dataclass
class World:
    """One delivery of its own; `ready` once its first attempt was begun."""

    shop: h.Shop
    phone: str
    at: UUID
    look: Conn
    ready: Ready | None = None

    async def cancel(self, conn: Conn) -> list[Called]:
        of = notification_of(self.at)
        found = await cancel.cancel(
            conn, of, BY, cell=0, dedupe_days=h.DEDUPE_DAYS, new_id=h.new_id
        )
        assert isinstance(found, list)
        return found

    async def begin(self, conn: Conn) -> list[Ready]:
        return (await h.begin(conn, h.post_of(self.shop))).ready

    def settle(self, answer: Outcome) -> Callable[[Conn], Awaitable[Any]]:
        assert self.ready is not None
        return lambda conn: h.settled(conn, h.post_of(self.shop), (self.ready, answer))  # type: ignore[arg-type]

    async def arrives(self, conn: Conn) -> None:
        await h.told(conn, h.receipt_for(self.at, 1, RANK_DELIVERED), self.shop.lane.provider)

    async def sweep(self, conn: Conn) -> None:
        await h.swept(conn)


Other = Callable[[World], tuple[str, Callable[[Conn], Awaitable[Any]]]]


@dataclass
class Raced:
    """How it went."""

    called: list[Called]
    other: Any
    after: h.Standing
    trace: list[str]
    marked: bool
    noted: int


async def race(
    url: str,
    order: tuple[int, ...],
    steps: tuple[list[Step], list[Step]],
    other: Other,
    *,
    begun: bool = False,
    answer: Outcome | None = None,
    **ask: Any,
) -> Raced:
    """Cancel beside something else; then let the world go on, and look whether it was true."""
    async with (
        await db.connect(url) as first,
        await db.connect(url, hot=True) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        if "standby" in ask:
            ask["parts"] = tuple(
                Part(
                    shop.lane.channel,
                    shop.lane.id,
                    f"{phone[:-1]}{n}",
                    SmsContent("hello"),
                    standby=bool(n),
                )
                for n in range(ask.pop("standby"))
            )
        (at,) = await h.accepted(first, h.make_ask(shop, to=phone, **ask))
        world = World(shop, phone, at, look)
        if begun:
            (world.ready,) = await world.begin(second)
        if answer is not None:
            assert world.ready
            await h.settled(second, h.post_of(shop), (world.ready, answer))
        name, work = other(world)
        one, two = Session("cancel", first, world.cancel), Session(name, second, work)
        trace = await run(order, [(one, steps[0]), (two, steps[1])], look)
        assert (one.error, two.error) == (None, None)
        after = await h.standing(look, at)
        noted = "SELECT count(*) FROM intervention WHERE delivery_id = %(at)s AND kind = 'cancel'"
        mark = "SELECT cancel_requested_at IS NOT NULL FROM delivery WHERE id = %(at)s"
        raced = Raced(
            one.result,
            two.result,
            after,
            trace,
            await h.one(look, mark, at=at),
            await h.one(look, noted, at=at),
        )
        await _true(raced, world, second)
        return raced


async def _true(raced: Raced, world: World, conn: Conn) -> None:
    """Whatever was answered is so, and no attempt begins after it."""
    assert await h.faults(world.look) == []
    came, after = raced.called[0].came, raced.after
    # What somebody could make due again is kept from that, though it is too late.
    kept = raced.called[0].state in {*sources(Event.REDRIVE), *sources(Event.REFUTE)}
    assert raced.noted == (came is not Came.TOO_LATE or kept)
    if came is Came.CANCELED:
        assert (after.state, after.jobs) == ("canceled", 0)
        assert "open" not in after.outcomes
    elif came is Came.REQUESTED:
        assert raced.marked
    else:
        assert raced.marked is kept
        assert after.state in AT_REST
    begun = [ready.due.delivery_id for ready in await world.begin(conn)]
    assert begun == []


def every(steps: tuple[list[Step], list[Step]], letters: str) -> pytest.MarkDecorator:
    return in_each(orders(steps), letters)


def orders(steps: tuple[list[Step], list[Step]]) -> list[tuple[int, ...]]:
    return merges([len(steps[0]), len(steps[1])])


# --------------------------------------------------------------------------------- claim


def begins(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
    return "begin", world.begin


async def against_a_begin(url: str, order: tuple[int, ...]) -> bool:
    """Whether either the cancel won, or the attempt began: never both, never neither."""
    raced = await race(url, order, (CANCEL, BEGIN), begins)
    canceled = raced.called[0].came is Came.CANCELED
    return canceled is (raced.other == [])


@every((CANCEL, BEGIN), "Cb")
async def test_a_cancel_wins_or_loses_by_the_job_row(
    shared_url: str, order: tuple[int, ...]
) -> None:
    assert await against_a_begin(shared_url, order)


SEES_ONLY = h.mutated(
    cancels.TAKE_JOBS,
    (
        "DELETE FROM job_{channel}\n WHERE ctid = ANY (ARRAY(",
        "SELECT delivery_id FROM job_{channel}\n WHERE ctid = ANY (ARRAY(",
    ),
    ("LIMIT 1 FOR UPDATE", "LIMIT 1"),
    ("RETURNING delivery_id", ""),
)


async def test_a_cancel_that_takes_no_job_says_canceled_of_what_is_sent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancels, "TAKE_JOBS", SEES_ONLY)
    assert await some_fail(orders((CANCEL, BEGIN)), partial(against_a_begin, database_url))


@pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])
async def test_a_job_that_a_worker_lets_go_of_is_waited_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        hasty = ("LIMIT 1 FOR UPDATE) AS j", "LIMIT 1 FOR UPDATE SKIP LOCKED) AS j")
        monkeypatch.setattr(cancels, "TAKE_JOBS", h.mutated(cancels.TAKE_JOBS, hasty))
    async with (
        await db.connect(database_url) as conn,
        await db.connect(database_url) as holder,
        h.looking(database_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (at,) = await h.accepted(conn, h.make_ask(shop, to=phone))
        await holder.execute("SELECT 1 FROM job FOR UPDATE")
        canceling = asyncio.create_task(World(shop, phone, at, look).cancel(conn))
        if not wrong:
            await until_blocked(conn, look)
            await holder.rollback()
        (called,) = await canceling
        assert (called.came is Came.CANCELED) is not wrong
        await holder.rollback()


# -------------------------------------------------------------------------------- settle


@every((CANCEL_SENDING, SETTLE), "Cs")
async def test_a_retry_is_taken_or_never_made(shared_url: str, order: tuple[int, ...]) -> None:
    def settles(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
        return "settle", world.settle(ANSWERS["unavailable"])

    raced = await race(shared_url, order, (CANCEL_SENDING, SETTLE), settles, begun=True)
    assert raced.after == h.Standing("canceled", "canceled", ("unavailable",), 0, 0, ())
    # A retry that was there when the delivery was locked was taken back.
    locked = [n for n, step in enumerate(raced.trace) if step == "cancel call"][3]
    if "settle committed" in raced.trace[:locked]:
        assert raced.called[0].came is Came.CANCELED


@pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])
async def test_without_a_second_look_a_retry_is_left_to_the_worker(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        blind = h.mutated(cancels.TAKE_JOB, ("LIMIT 1 FOR", "LIMIT 0 FOR"))
        monkeypatch.setattr(cancels, "TAKE_JOB", blind)

    def settles(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
        return "settle", world.settle(ANSWERS["unavailable"])

    # look, commit, jobs: none; then the settle commits its retry; then the rest.
    order = (0, 0, 0, 1, 1, 1, 0, 0, 0)
    raced = await race(database_url, order, (CANCEL_SENDING, SETTLE), settles, begun=True)
    assert (raced.after.state == "canceled") is not wrong


@pytest.mark.parametrize("answer", ["accepted", "refused", "lost"])
@every((CANCEL_SENDING, COARSE), "Cs")
async def test_what_an_answer_settles_is_too_late_or_was_requested(
    shared_url: str, order: tuple[int, ...], answer: str
) -> None:
    def settles(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
        return "settle", world.settle(ANSWERS[answer])

    raced = await race(shared_url, order, (CANCEL_SENDING, COARSE), settles, begun=True)
    states = {"accepted": "sent", "refused": "dead", "lost": "in_doubt"}
    assert raced.after.state == states[answer]
    settled_first = raced.trace.index("settle commit") < _last(raced.trace, "cancel commit")
    expected = Came.TOO_LATE if settled_first and answer != "lost" else Came.REQUESTED
    assert raced.called[0].came is expected


def _last(trace: list[str], step: str) -> int:
    return max(n for n, found in enumerate(trace) if found == step)


# ------------------------------------------------------------------------------- receipt


def receipt(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
    return "receipt", world.arrives


async def too_late_or_requested(url: str, order: tuple[int, ...]) -> bool:
    raced = await race(url, order, (CANCEL_SENDING, SETTLE), receipt, begun=True)
    assert raced.after.state == "delivered"
    first = raced.trace.index("receipt commit") < _last(raced.trace, "cancel commit")
    return (raced.called[0].came is Came.TOO_LATE) is first


@every((CANCEL_SENDING, SETTLE), "Cr")
async def test_what_has_arrived_is_too_late(shared_url: str, order: tuple[int, ...]) -> None:
    assert await too_late_or_requested(shared_url, order)


async def test_without_the_deliverys_lock_what_has_arrived_is_called_requested(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = h.mutated(cancels.LOCK, ("LIMIT 1 FOR NO KEY UPDATE", "LIMIT 1"))
    monkeypatch.setattr(cancels, "LOCK", unlocked)
    assert await some_fail(
        orders((CANCEL_SENDING, SETTLE)), partial(too_late_or_requested, database_url)
    )


# ------------------------------------------------------- resend, another cancel, next channel

AGAIN = Category("code", MessageClass.OTP, resend_after_s=0)


@every((CANCEL_SENDING, COARSE), "Cj")
async def test_a_doubt_that_was_called_back_is_not_sent_again(
    shared_url: str, order: tuple[int, ...]
) -> None:
    def sweeps(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
        return "janitor", world.sweep

    steps = (CANCEL_SENDING, COARSE)
    lost = ANSWERS["lost"]
    raced = await race(shared_url, order, steps, sweeps, begun=True, answer=lost, category=AGAIN)
    assert (raced.after.state, raced.called[0].came) in {
        ("in_doubt", Came.REQUESTED),
        # The resend came first: its job was taken, and the first attempt may have arrived.
        ("unknown", Came.REQUESTED),
    }


TWICE = [TO_COMMIT, ONE, TO_COMMIT, END]  # the look and its commit, jobs and standby, commit


@in_each(symmetric(len(TWICE)), "Cc")
async def test_two_cancels_note_it_once(shared_url: str, order: tuple[int, ...]) -> None:
    def cancels_too(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
        return "second", world.cancel

    raced = await race(shared_url, order, (TWICE, TWICE), cancels_too, standby=2)
    for called in (raced.called, raced.other):
        assert [one.came for one in called] == [Came.CANCELED] * 2


FAILS = [ONE, TO_COMMIT, END]  # hold, then write and let the next one's turn come, commit


@every((CANCEL, FAILS), "Cs")
async def test_the_next_channels_turn_does_not_come_after_a_cancel(
    shared_url: str, order: tuple[int, ...]
) -> None:
    """The first is refused while it is called back: the second is taken, or ends unsent."""

    def settles(world: World) -> tuple[str, Callable[[Conn], Awaitable[Any]]]:
        return "settle", world.settle(ANSWERS["refused"])

    raced = await race(shared_url, order, (CANCEL, FAILS), settles, begun=True, standby=2)
    assert raced.called[1].came in (Came.CANCELED, Came.REQUESTED)
