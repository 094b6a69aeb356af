"""Delivering: claim, begin, call, settle, in every way that ends without a doubt or with one."""

import asyncio
from dataclasses import replace

from notifyq.domain.model import Category
from notifyq.store import db
from tests.crash.points.parts import (
    APART_S,
    POLL_S,
    accepted,
    age,
    answered_with,
    run_worker,
    slow,
    sweep_to_rest,
    two,
)
from tests.crash.points.registry import SENT, scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import Look, World
from tests.store import helpers as h

SLOW_S = 0.6  # below the time-out


@scenario("deliver", two)
async def _deliver(world: World, wire: Wire) -> None:
    """Claim, begin, call, settle."""
    await run_worker(world)


async def _mixed(world: World, wire: Wire) -> None:
    await accepted(world, 1)
    slow(world, 1, APART_S)
    await accepted(world, 2, lifetime_s=-1)
    await accepted(world, 3)
    async with await db.connect(world.url) as conn:
        await h.opt_out(conn, world.shop, world.phone(3))
        # Due before it may be sent, as one is whose opening moved.
        await accepted(world, 4)
        await conn.execute(
            "UPDATE delivery SET not_before = now() + interval '5 minutes'"
            " WHERE id = (SELECT id FROM delivery ORDER BY id DESC LIMIT 1)"
        )
        await conn.commit()


@scenario(
    "decide",
    _mixed,
    ends={2: frozenset({"expired"}), 3: frozenset({"suppressed"})},
)
async def _decide(world: World, wire: Wire) -> None:
    """One is sent, one has expired, one has opted out, one comes too early."""
    await run_worker(world)


async def _answering(world: World, wire: Wire) -> None:
    await accepted(world, 1, 2, 3)
    answered_with(world, 1, fault="throttle")
    answered_with(world, 2, fault="refuse", code=21_211)
    answered_with(world, 3, fault="refuse", code=20_003)
    for n in (1, 2, 3):
        slow(world, n, n * APART_S)


@scenario("answers", _answering, ends={2: frozenset({"dead"})}, dead=(2,))
async def _answers(world: World, wire: Wire) -> None:
    """The provider throttles one, refuses one, and does not know us for one."""
    await run_worker(world)


@scenario(
    "disown",
    two,
    first=(("commit store/db.py:transact < services/deliver.py:begin_due #1", "break_after"),),
)
async def _disown(world: World, wire: Wire) -> None:
    """The commit of a begin is of unknown fate; the same worker closes what it never sent."""
    await run_worker(world)


async def _one_later(world: World, wire: Wire) -> None:
    await two(world, wire)
    slow(world, 1, SLOW_S)
    look = Look(world)
    await look.one(
        "UPDATE notifyq.job SET due = now() + interval '1 hour' WHERE delivery_id ="
        " (SELECT id FROM notifyq.delivery ORDER BY id DESC LIMIT 1)"
    )
    await look.close()


@scenario(
    "disown_beside",
    _one_later,
    first=(("execute store/attempts.py:begin < services/deliver.py:_begin #2", "unclear_begin"),),
)
async def _disown_beside(world: World, wire: Wire) -> None:
    """The same while another attempt of that worker is on its way: that one is not touched."""
    making = asyncio.create_task(_due_once_taken(world))
    await run_worker(world)
    making.cancel()


async def _due_once_taken(world: World) -> None:
    """Make the second due as soon as the provider has the first."""
    await _taken(world)
    look = Look(world)
    await look.one("UPDATE notifyq.job SET due = now()")
    await look.close()


async def _taken(world: World) -> None:
    while not world.outside().taken:  # noqa: ASYNC110  # another process tells nobody
        await asyncio.sleep(POLL_S)


async def _one_slow(world: World, wire: Wire) -> None:
    await two(world, wire)
    slow(world, 1, SLOW_S)


@scenario("answer_after_the_lease", _one_slow)
async def _answer_after_the_lease(world: World, wire: Wire) -> None:
    """The lease is over, and the delivery in doubt, when the worker's own answer comes."""
    doubting = asyncio.create_task(_doubted_once_taken(world, wire))
    await run_worker(world)
    doubting.cancel()


async def _doubted_once_taken(world: World, wire: Wire) -> None:
    await _taken(world)
    await wire.ask_meanwhile("doubt")


async def _two_far_apart(world: World, wire: Wire) -> None:
    await accepted(world, 1, 2)
    slow(world, 2, 3 * APART_S)


@scenario(
    "settle_again",
    _two_far_apart,
    first=(("commit store/db.py:transact < services/settle.py:settle #1", "break_after"),),
)
async def _settle_again(world: World, wire: Wire) -> None:
    """The commit of a settle is of unknown fate; it is settled again."""
    await run_worker(world)


# ------------------------------------------------------------------------- at least once

AGAIN = Category("login.code", resend_after_s=0)


async def _two_again(world: World, wire: Wire) -> None:
    await accepted(world, 1, 2, category=AGAIN)
    slow(world, 2, APART_S)


@scenario("deliver_again", _two_again)
async def _deliver_again(world: World, wire: Wire) -> None:
    """Claim, begin, call, settle, for a category that asks to repeat what is in doubt."""
    await run_worker(world)


async def _left_open_again(world: World, wire: Wire) -> None:
    await _two_again(world, wire)
    await run_worker(world, settled=False)
    slow(world, 2, APART_S)
    await age(world)


@scenario("resend", _left_open_again)
async def _resend(world: World, wire: Wire) -> None:
    """What is in doubt is abandoned, counted, and sent a second time."""
    await sweep_to_rest(world)
    await run_worker(world)


# ------------------------------------------------------------------------------- standby


async def _first_refused(world: World, wire: Wire) -> None:
    first, second = world.ask(1).parts[0], world.ask(2).parts[0]
    await accepted(world, 1, parts=(first, replace(second, standby=True)))
    answered_with(world, 1, fault="refuse", code=21_211)


@scenario(
    "standby",
    _first_refused,
    ends={1: frozenset({"dead"}), 2: SENT | {"standby"}},
)
async def _standby(world: World, wire: Wire) -> None:
    """The first address is refused for good; then, and only then, comes the second's turn."""
    await run_worker(world)
