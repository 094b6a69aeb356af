"""Settle, receipt and lease sweep of one attempt, in every order: one outcome, one state."""

import pytest

from notifyq.domain.model import RANK_DELIVERED, Ready, Receipt
from notifyq.domain.outcome import Accepted, InDoubt, Outcome, Refusal, Refused, Unavailable
from notifyq.services import receive
from notifyq.store import db
from notifyq.store.db import Conn
from tests.races.interleave import (
    END,
    ONE,
    TO_COMMIT,
    Session,
    Step,
    merges,
    named,
    run,
)
from tests.store import helpers as h

ANSWERS: dict[str, Outcome] = {
    "accepted": Accepted("SM1"),
    "unavailable": Unavailable("20500"),
    "refused": Refused(Refusal.ADDRESS, "21211"),
    "lost": InDoubt("read_timeout"),
}
COARSE = [TO_COMMIT, END]
FINE = {"S": [ONE, ONE, END], "R": [ONE, ONE, ONE, ONE, END], "L": [ONE, ONE, END]}


async def _sweep(conn: Conn) -> None:
    await h.swept(conn)


async def race(
    url: str, who: str, order: tuple[int, ...], steps: dict[str, list[Step]], answer: Outcome
) -> h.Standing:
    """Let the parties of `who` (S, R, L) loose on one attempt whose lease is over."""
    async with (
        await db.connect(url, hot=True) as first,
        await db.connect(url, hot=True) as second,
        await db.connect(url, hot=True) as third,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (ready,) = await h.begun(first, shop, h.make_ask(shop, to=phone), lease_s=-1.0)
        work = {
            "S": lambda conn: h.settled(conn, h.post_of(shop), (ready, answer)),
            "R": lambda conn: h.told(conn, _delivered(ready), shop.lane.provider),
            "L": _sweep,
        }
        sessions = [
            (Session(name, conn, work[name]), steps[name])
            for name, conn in zip(who, (first, second, third), strict=False)
        ]
        await run(order, sessions, look)
        for session, _ in sessions:
            assert session.error is None, f"{session.name}: {session.error!r}"
        assert await h.faults(look) == []
        after = await h.standing(look, ready.due.delivery_id)
        _consistent(after, {s.name: s.result for s, _ in sessions}, answer)
        return after


def _delivered(ready: Ready) -> Receipt:
    return h.receipt_for(ready.due.delivery_id, ready.number, RANK_DELIVERED)


def _consistent(after: h.Standing, results: dict[str, object], answer: Outcome) -> None:
    """One outcome, and never back to pending once somebody may have got it."""
    (outcome,) = after.outcomes
    refuted = outcome in {"unavailable", "refused"}
    told = "R" in results  # a receipt says that it arrived
    if "S" in results:
        assert isinstance(results["S"], set)
        wrote = bool(results["S"])
        assert not refuted or wrote, "only the answer itself refutes an attempt"
    if "R" in results:
        received = results["R"]
        assert isinstance(received, receive.Received)
        # Evidence of delivery stands, or is late because the provider's answer said otherwise.
        assert (received.applied is receive.Applied.LATE) == refuted
        # Late evidence takes a waiting retry back; what was given up on for good stays so.
        assert (after.state == "delivered") == (outcome != "refused")
    retried = outcome == "unavailable" and not told
    assert after.jobs == (1 if retried else 0)
    assert (after.state == "pending") == retried


TRIPLE = merges([2, 2, 2])


@pytest.mark.parametrize("answer", ["accepted", "unavailable"])
@pytest.mark.parametrize("order", TRIPLE, ids=[named("SRL", order) for order in TRIPLE])
async def test_settle_receipt_and_sweep_leave_one_outcome(
    shared_url: str, order: tuple[int, ...], answer: str
) -> None:
    await race(shared_url, "SRL", order, dict.fromkeys("SRL", COARSE), ANSWERS[answer])


def _pair(who: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(who, order) for order in merges([len(FINE[name]) for name in who])]


PAIRS = _pair("SR") + _pair("RL") + _pair("SL")


@pytest.mark.parametrize(("who", "order"), PAIRS, ids=[named(who, order) for who, order in PAIRS])
async def test_statement_by_statement_too(
    shared_url: str, who: str, order: tuple[int, ...]
) -> None:
    for answer in ("refused", "lost") if "S" in who else ("none comes",):
        await race(shared_url, who, order, FINE, ANSWERS.get(answer, InDoubt(answer)))
