"""Cancel: wins or loses by the job row, is honoured at settle, and says which."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from notifyq.domain import interventions
from notifyq.domain.asking import Part
from notifyq.domain.content import SmsContent
from notifyq.domain.doubts import Claim, Objection
from notifyq.domain.ids import notification_of
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Category, MessageClass
from notifyq.domain.outcome import Accepted, InDoubt, Outcome, Refusal, Refused, Unavailable
from notifyq.services import cancel, redrive
from notifyq.services.cancel import Called, Came, Running
from notifyq.services.resolve import Answer, Witness, resolve
from notifyq.store import db
from notifyq.store.cancels import By
from tests.store import helpers as h

BY = By("nq_live_12345678", "the order is off")
SENT_AGAIN = Category("code", MessageClass.OTP, resend_after_s=0)


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url) as connection:
        yield connection


async def called(conn: db.Conn, at: UUID, by: By = BY) -> list[Called]:
    found = await cancel.cancel(
        conn, notification_of(at), by, cell=0, dedupe_days=h.DEDUPE_DAYS, new_id=h.new_id
    )
    assert isinstance(found, list), found
    return found


async def came(conn: db.Conn, at: UUID) -> tuple[str, str]:
    (one,) = await called(conn, at)
    assert (one.delivery_id, one.channel) == (at, "sms")
    return one.state, one.came


def parts(shop: h.Shop, *standby: bool) -> tuple[Part, ...]:
    return tuple(
        Part(shop.lane.channel, shop.lane.id, f"+1415555{n:04}", SmsContent("hello"), standby=waits)
        for n, waits in enumerate(standby)
    )


async def noted(conn: db.Conn) -> list[tuple[Any, ...]]:
    return await h.all_rows(conn, "SELECT kind, actor, reason FROM intervention")


NOTED = ("cancel", BY.actor, BY.reason)


async def test_what_waits_for_its_turn_is_canceled(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (at,) = await h.accepted(conn, h.make_ask(shop))
    assert await came(conn, at) == ("canceled", "canceled")
    assert await h.standing(conn, at) == h.Standing("canceled", "canceled", (), 0, 0, ())
    told = "SELECT count(*) FROM outbox WHERE kind = 'delivery.canceled' AND about = %(at)s"
    assert await h.one(conn, told, at=at) == 1
    assert (await h.begin(conn, h.post_of(shop))).claimed == 0
    # Again: it says the same, and nothing is noted twice.
    assert await came(conn, at) == ("canceled", "canceled")
    assert await noted(conn) == [NOTED]
    assert await h.one(conn, told, at=at) == 1


async def test_what_is_held_back_until_a_time_is_canceled(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    later = h.database_now() + timedelta(hours=1)
    (at,) = await h.accepted(conn, h.make_ask(shop, not_before=later, lifetime_s=7_200))
    assert await came(conn, at) == ("canceled", "canceled")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Accepted("SM1"), "sent"),
        (Unavailable("20500"), "canceled"),
        (Refused(Refusal.ADDRESS, "21614"), "dead"),
        (InDoubt("timeout"), "in_doubt"),
    ],
)
async def test_while_it_is_sent_it_is_requested_and_no_other_attempt_begins(
    conn: db.Conn, outcome: Outcome, state: str
) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    at = ready.due.delivery_id
    assert await came(conn, at) == ("sending", "requested")
    assert await came(conn, at) == ("sending", "requested")
    assert await noted(conn) == [NOTED]
    await h.settled(conn, h.post_of(shop), (ready, outcome))
    after = await h.standing(conn, at)
    assert (after.state, after.jobs) == (state, 0)
    word = {"canceled": "canceled", "in_doubt": "requested"}.get(state, "too_late")
    assert await came(conn, at) == (state, word)
    assert await noted(conn) == [NOTED]


async def test_between_two_tries_it_is_canceled(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    await h.settled(conn, h.post_of(shop), (ready, Unavailable("20500")))
    at = ready.due.delivery_id
    assert await came(conn, at) == ("canceled", "canceled")
    assert (await h.standing(conn, at)).outcomes == ("unavailable",)


async def test_in_doubt_it_is_requested_and_not_sent_again(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, category=SENT_AGAIN))
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("timeout")))
    at = ready.due.delivery_id
    assert await came(conn, at) == ("in_doubt", "requested")
    await h.swept(conn)
    assert (await h.standing(conn, at)).state == "in_doubt"
    assert (await h.begin(conn, h.post_of(shop))).claimed == 0


async def test_what_is_at_rest_is_too_late_and_stays(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    at = ready.due.delivery_id
    await h.settled(conn, h.post_of(shop), (ready, Accepted("SM1")))
    assert await came(conn, at) == ("sent", "too_late")
    await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED))
    assert await came(conn, at) == ("delivered", "too_late")
    assert await noted(conn) == []


@pytest.mark.parametrize("state", ["dead", "undelivered", "unknown"])
async def test_what_somebody_could_make_due_again_is_too_late_and_marked(
    conn: db.Conn, state: str
) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop), lease_s=-1.0)
    at = ready.due.delivery_id
    ends: dict[str, Outcome] = {
        "dead": Refused(Refusal.ADDRESS, "21614"),
        "undelivered": Accepted("SM1"),
        "unknown": InDoubt("timeout"),
    }
    await h.settled(conn, h.post_of(shop), (ready, ends[state]))
    if state == "undelivered":
        await h.told(conn, h.receipt_for(at, 1, RANK_UNDELIVERED))
    if state == "unknown":
        await conn.execute("UPDATE timer SET due = now() - interval '1 s'")
        await conn.commit()
        await h.swept(conn)
    before = await h.standing(conn, at)
    assert before.state == state
    for _ in range(2):  # it is noted once
        assert await came(conn, at) == (state, "too_late")
        assert await noted(conn) == [NOTED]
    errand = redrive.Errand(0, "jo", "all of them", 10.0, h.new_id)
    if state == "unknown":
        word = Witness(Claim.NOT_CARRIED_OUT, "jo", "asked", "the console has no such SMS")
        said = await resolve(conn, at, word, cell=0, new_id=h.new_id)
        assert isinstance(said, Answer)
        assert said.objection is Objection.CANCELED
    else:
        redriven = await redrive.redrive(conn, at, errand)
        assert isinstance(redriven, redrive.Redriven)
        assert redriven.refusal is interventions.Refusal.CANCELED
    assert await h.standing(conn, at) == before


async def test_each_delivery_has_an_answer_of_its_own(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (first,) = await h.accepted(conn, h.make_ask(shop, parts=parts(shop, False, False, True)))
    at = [UUID(int=first.int + n) for n in range(3)]
    (ready,) = (await h.begin(conn, h.post_of(shop), room=1)).ready
    sending = at.index(ready.due.delivery_id)
    waiting = 1 - sending
    found = {at.index(one.delivery_id): (one.state, one.came) for one in await called(conn, first)}
    assert found == {
        sending: ("sending", "requested"),
        waiting: ("canceled", "canceled"),
        2: ("canceled", "canceled"),
    }
    assert await h.one(conn, "SELECT count(*) FROM standby") == 0
    assert await noted(conn) == [NOTED] * 3
    # The one before it fails for good: there is nothing left whose turn could come.
    refused = Refused(Refusal.ADDRESS, "21614")
    await h.settled(conn, h.post_of(shop), (ready, refused))
    assert (await h.begin(conn, h.post_of(shop))).claimed == 0
    assert await h.faults(conn) == []


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
async def test_many_deliveries_are_called_back_in_batches(
    conn: db.Conn, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(cancel, "BATCH", batch)
    shop = await h.open_shop(conn)
    (first,) = await h.accepted(conn, h.make_ask(shop, parts=parts(shop, False, True, False)))
    found = await called(conn, first)
    assert [one.delivery_id.int - first.int for one in found] == [0, 1, 2]
    assert {one.came for one in found} == {Came.CANCELED}
    assert await h.one(conn, "SELECT count(*) FROM job") == 0


async def test_another_notification_is_left_alone(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    one, other = await h.accepted(conn, h.make_ask(shop), h.make_ask(shop))
    await called(conn, one)
    assert (await h.standing(conn, other)).jobs == 1


async def test_one_that_is_still_being_accepted_is_running(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (at,) = await h.accepted(conn, h.make_ask(shop))
    await conn.execute(
        "INSERT INTO unfinished_key (cell, notification_id, tenant_id, operation, key_hash,"
        " claimed_until, ask) VALUES (0, %s, 1, 'notify', sha256(''), now(), '')",
        [notification_of(at)],
    )
    await conn.commit()
    found = await cancel.cancel(
        conn, notification_of(at), BY, cell=0, dedupe_days=h.DEDUPE_DAYS, new_id=h.new_id
    )
    assert isinstance(found, Running)
    assert (await h.standing(conn, at)).jobs == 1


async def test_of_what_is_held_for_long_only_that_is_in_the_way(database_url: str) -> None:
    async with (
        await db.connect(database_url) as conn,
        await db.connect(database_url, lock_timeout_ms=50) as hasty,
    ):
        shop = await h.open_shop(conn)
        (first,) = await h.accepted(conn, h.make_ask(shop, parts=parts(shop, False, False)))
        second = UUID(int=first.int + 1)
        await conn.execute("SELECT 1 FROM job WHERE delivery_id = %s FOR UPDATE", [second])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await called(hasty, first)
        await conn.rollback()
        assert (await h.standing(conn, first)).state == "canceled"
        assert (await h.standing(conn, second)).state == "pending"
        assert {one.came for one in await called(hasty, first)} == {Came.CANCELED}


async def test_a_commit_of_unknown_fate_is_no_answer(
    conn: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await h.open_shop(conn)
    (at,) = await h.accepted(conn, h.make_ask(shop))
    commit = conn.commit
    for broken_at in (1, 2):
        commits = 0

        async def broken(at: int = broken_at) -> None:
            nonlocal commits
            commits += 1
            if commits == at:
                raise psycopg.OperationalError("gone")
            await commit()

        monkeypatch.setattr(conn, "commit", broken)
        found = await cancel.cancel(
            conn, notification_of(at), BY, cell=0, dedupe_days=h.DEDUPE_DAYS, new_id=h.new_id
        )
        assert isinstance(found, db.Unknown)
        await conn.rollback()
    monkeypatch.undo()
    assert await came(conn, at) == ("canceled", "canceled")


async def test_of_nothing_there_is_nothing_to_call_back(conn: db.Conn) -> None:
    assert await called(conn, UUID(int=uuid4().int >> 16 << 16)) == []


async def test_a_worker_that_lets_go_of_a_job_leaves_it_to_the_cancel(database_url: str) -> None:
    """A stale worker's claim rolls back: whoever waited for the job has it then."""
    async with await db.connect(database_url) as conn, await db.connect(database_url) as holder:
        shop = await h.open_shop(conn)
        (at,) = await h.accepted(conn, h.make_ask(shop))
        await holder.execute("SELECT 1 FROM job FOR UPDATE")
        execute, calls = conn.execute, 0

        async def let_go_at_the_job(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:  # after the look: the job
                await holder.rollback()
            return await execute(*arguments, **named)

        with h.instead(conn, "execute", let_go_at_the_job):
            assert await came(conn, at) == ("canceled", "canceled")
