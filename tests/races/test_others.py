"""The first attempt was abandoned, and its receipt comes while the delivery ends, in every order.

Whoever is first: the person has it, so it is delivered, and nothing is sent again.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from notifyq.domain.ids import notification_of
from notifyq.domain.model import RANK_DELIVERED, Category, Ready
from notifyq.domain.outcome import InDoubt, Outcome, Refusal, Refused, Throttled
from notifyq.services import cancel
from notifyq.store import db, queue
from notifyq.store.cancels import By
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, Session, Step, merges, named, run, some_fail
from tests.store import helpers as h

CODES = Category("login.code", resend_after_s=15)
ANSWERS: dict[str, Outcome] = {
    "refused": Refused(Refusal.ADDRESS, "21211"),
    "throttled": Throttled("20429"),
    "lost": InDoubt("read_timeout"),
}
STEPS: dict[str, list[Step]] = {
    "R": [ONE, ONE, ONE, END],  # the receipt: lock, the other attempts, keep, and the rest
    "S": [ONE, ONE, ONE, END],  # settle: hold, the other attempts, the result
    "L": [ONE, ONE, ONE, END],  # the lease is over: find, doubt, the other attempts
    "C": [ONE, ONE, ONE, ONE, ONE, END],  # claim: facts, consent, delivery, the others, the end
    "B": [ONE] * 6 + [END],  # claim: facts, consent, delivery, the others, the begin
    "K": [ONE, ONE, ONE, END],  # cancel: look, take the job, the delivery, the others
}
Work = Callable[[Conn], Awaitable[Any]]


async def resent(conn: Conn, shop: h.Shop, phone: str) -> Ready:
    """Begin, lose the answer and resend: the first attempt is abandoned, the delivery due."""
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, to=phone, category=CODES))
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("cut")))
    await conn.execute(
        "UPDATE timer SET due = now() - interval '1 s'"
        " WHERE kind = 'resend' AND delivery_id = %(id)s",
        {"id": ready.due.delivery_id},
    )
    await conn.commit()
    await h.swept(conn)
    return ready


async def race(
    url: str, who: str, order: tuple[int, ...], answer: Outcome | None = None
) -> tuple[h.Standing, list[str]]:
    """Let the receipt and one other party loose on a delivery whose first attempt arrived."""
    async with (
        await db.connect(url, hot=True) as first,
        await db.connect(url, hot=True) as second,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        ready = await resent(first, shop, phone)
        at = ready.due.delivery_id
        again = None
        if who[1] in "SL":
            post = h.post_of(shop, lease_s=-1.0 if who[1] == "L" else h.LEASE_S)
            (again,) = (await h.begin(first, post)).ready
        if who[1] == "C":
            await first.execute(
                "UPDATE delivery SET expires_at = now() WHERE id = %(at)s", {"at": at}
            )
            await first.commit()

        async def settled(conn: Conn) -> object:
            assert again is not None
            assert answer is not None
            return await h.settled(conn, h.post_of(shop), (again, answer))

        def called(conn: Conn) -> Awaitable[Any]:
            return cancel.cancel(
                conn,
                notification_of(at),
                By("key", "test"),
                cell=0,
                dedupe_days=h.DEDUPE_DAYS,
                new_id=h.new_id,
            )

        work: dict[str, Work] = {
            "R": lambda conn: h.told(
                conn, h.receipt_for(at, 1, RANK_DELIVERED), shop.lane.provider
            ),
            "S": settled,
            "L": h.swept,
            "C": lambda conn: h.begin(conn, h.post_of(shop)),
            "B": lambda conn: h.begin(conn, h.post_of(shop)),
            "K": called,
        }
        sessions = [
            (Session(name, conn, work[name]), STEPS[name])
            for name, conn in zip(who, (first, second), strict=True)
        ]
        trace = await run(order, sessions, look)
        for session, _ in sessions:
            assert session.error is None, f"{session.name}: {session.error!r}"
        assert await h.faults(look) == []
        return await h.standing(look, at), trace


def _is_delivered(after: h.Standing) -> bool:
    return (after.state, after.jobs, after.dead_letters) == ("delivered", 0, ())


def _orders(who: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(who, order) for order in merges([len(STEPS[name]) for name in who])]


ENDINGS = _orders("RL") + _orders("RC") + _orders("RK")


@pytest.mark.parametrize(
    ("who", "order"), ENDINGS, ids=[named(who, order) for who, order in ENDINGS]
)
async def test_a_receipt_of_the_first_beside_an_end_leaves_it_delivered(
    shared_url: str, who: str, order: tuple[int, ...]
) -> None:
    after, _ = await race(shared_url, who, order)
    assert _is_delivered(after)


SETTLES = _orders("RS")


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    ("who", "order"), SETTLES, ids=[named(who, order) for who, order in SETTLES]
)
async def test_a_receipt_of_the_first_beside_the_second_answer_leaves_it_delivered(
    shared_url: str, who: str, order: tuple[int, ...], answer: str
) -> None:
    after, _ = await race(shared_url, who, order, ANSWERS[answer])
    assert _is_delivered(after)


async def heeds(url: str, order: tuple[int, ...]) -> bool:
    """Whether it was sent again only when the begin was committed before the receipt."""
    after, trace = await race(url, "RB", order)
    first = trace.index("R committed") < trace.index("B committed")
    sent_again = after.outcomes == ("abandoned", "open")
    assert sent_again or _is_delivered(after)
    return sent_again is not first


BEGINS = _orders("RB")


@pytest.mark.parametrize(("who", "order"), BEGINS, ids=[named(who, order) for who, order in BEGINS])
async def test_a_receipt_that_committed_first_is_heeded_by_the_begin(
    shared_url: str, who: str, order: tuple[int, ...]
) -> None:
    assert await heeds(shared_url, order)


async def test_a_begin_that_does_not_lock_the_delivery_sends_what_has_arrived(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = h.mutated(queue.LOCK_PENDING, ("LIMIT 1 FOR NO KEY UPDATE", "LIMIT 1"))
    monkeypatch.setattr(queue, "LOCK_PENDING", unlocked)
    whole = len(STEPS["B"])
    between = [(1,) * n + (0,) * len(STEPS["R"]) + (1,) * (whole - n) for n in range(whole)]
    assert await some_fail(between, partial(heeds, database_url))
