"""A doubt and its ends: the worker's own late answer, a resend, the window; and what stops each."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.model import (
    RANK_DELIVERED,
    RANK_UNDELIVERED,
    Category,
    Channel,
    DoubtRules,
    Ready,
)
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.retry import TRIES_MAX
from notifyq.services import maintain, settle
from notifyq.services.maintain import Swept
from notifyq.services.receive import Applied
from notifyq.store import db, lanes
from tests.store import helpers as h
from tests.store.helpers import Standing

CODES = Category("login.code", resend_after_s=15)


@pytest.fixture
async def hot(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def doubtful(conn: db.Conn, shop: h.Shop, **changes: Any) -> Ready:
    """A delivery whose lease ran out while its answer was waited for."""
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, **changes), lease_s=-1.0)
    assert (await h.swept(conn)).leases == 1
    return ready


async def due_now(conn: db.Conn, kind: str) -> None:
    await conn.execute(
        "UPDATE timer SET due = now() - interval '1 s' WHERE kind = %(kind)s", {"kind": kind}
    )
    await conn.commit()


async def timers(conn: db.Conn) -> dict[str, float]:
    """Seconds until each timer is due."""
    found = await h.all_rows(
        conn, "SELECT kind, extract(epoch FROM due - now())::float8 FROM timer"
    )
    return {kind: round(left_s) for kind, left_s in found}


async def cancel_requested(conn: db.Conn) -> None:
    await conn.execute("UPDATE delivery SET cancel_requested_at = now()")
    await conn.commit()


# ------------------------------------------------------------------------------ late answers


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Accepted("SM1"), Standing("sent", None, ("accepted",), 0, 0, ())),
        (
            Unavailable("503"),
            Standing("pending", "retry_unavailable", ("unavailable",), 1, 0, ()),
        ),
        (Throttled("20429"), Standing("pending", "retry_throttled", ("throttled",), 1, 0, ())),
        (
            Refused(Refusal.ADDRESS, "21211"),
            Standing("dead", "refused_address", ("refused",), 0, 0, ("refused_address",)),
        ),
        (
            Refused(Refusal.OPTED_OUT, "21610"),
            Standing("suppressed", "opted_out_at_provider", ("refused",), 0, 0, ()),
        ),
        (InDoubt("timeout"), Standing("in_doubt", "lease_expired", ("in_doubt",), 0, 1, ())),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_the_workers_own_answer_settles_the_doubt_that_its_lease_left(
    hot: db.Conn, answer: Outcome, expected: Standing
) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop)
    await h.settled(hot, h.post_of(shop), (ready, answer))
    assert await h.standing(hot, ready.due.delivery_id) == expected
    assert await h.faults(hot) == []


async def test_a_refusal_that_comes_after_the_window_closes_the_attempt_and_leaves_unknown(
    hot: db.Conn,
) -> None:
    """Only a person makes an unknown one due again; the attempt is known to have failed."""
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop)
    await due_now(hot, "settle_window")
    assert await h.swept(hot) == Swept(0, 0, 1)
    await h.settled(hot, h.post_of(shop), (ready, Unavailable("503")))
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == Standing(
        "unknown", "outcome_unknown", ("unavailable",), 0, 0, ("outcome_unknown",)
    )


async def test_an_acceptance_that_comes_after_the_window_corrects_the_record(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop)
    await due_now(hot, "settle_window")
    await h.swept(hot)
    await h.settled(hot, h.post_of(shop), (ready, Accepted("SM1")))
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == Standing("sent", None, ("accepted",), 0, 0, ())


# ----------------------------------------------------------------------------- at_least_once


async def test_a_doubt_of_a_category_that_asks_for_it_is_abandoned_and_sent_again(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop, category=CODES)
    at = ready.due.delivery_id
    assert await timers(hot) == {"settle_window": h.SETTLE_WINDOW_S, "resend": 15}
    assert await h.swept(hot) == Swept(0, 0, 0), "before its time"
    await due_now(hot, "resend")
    assert await h.swept(hot) == Swept(0, 1, 0)
    assert await h.standing(hot, at) == Standing("pending", "resent", ("abandoned",), 1, 0, ())
    assert await h.faults(hot) == []
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    assert (again.due.delivery_id, again.number, again.due.tries) == (at, 2, 1)
    kinds = await h.all_rows(hot, "SELECT kind FROM outbox WHERE kind = 'delivery.resent'")
    assert len(kinds) == 1, "every repeat is counted"


async def test_a_lost_answer_of_such_a_category_is_sent_again_too(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop, category=CODES))
    await h.settled(hot, h.post_of(shop), (ready, InDoubt("timeout")))
    assert await timers(hot) == {"settle_window": h.SETTLE_WINDOW_S, "resend": 15}
    await due_now(hot, "resend")
    assert await h.swept(hot) == Swept(0, 1, 0)


async def test_never_twice_is_the_default_and_is_never_resent(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop)
    assert await timers(hot) == {"settle_window": h.SETTLE_WINDOW_S}
    # Even if a timer of that kind were there.
    await hot.execute("UPDATE timer SET kind = 'resend', due = now() - interval '1 s'")
    await hot.commit()
    assert await h.swept(hot) == Swept(0, 0, 0)
    after = await h.standing(hot, ready.due.delivery_id)
    assert (after.state, after.outcomes) == ("in_doubt", ("in_doubt",))


STOPPED = {
    "called back": "UPDATE delivery SET cancel_requested_at = now()",
    "expired": "UPDATE delivery SET expires_at = now()",
    "tried often": f"UPDATE attempt SET number = {TRIES_MAX}",
    "evidence came": "UPDATE delivery SET state = 'sent', reason = NULL",
}


@pytest.mark.parametrize("change", STOPPED.values(), ids=STOPPED)
async def test_what_is_not_worth_another_attempt_is_not_resent(hot: db.Conn, change: str) -> None:
    shop = await h.open_shop(hot)
    await doubtful(hot, shop, category=CODES)
    await hot.execute(change.encode())
    await due_now(hot, "resend")
    assert await h.swept(hot) == Swept(0, 0, 0)
    assert await h.one(hot, "SELECT count(*) FROM job") == 0
    assert await h.one(hot, "SELECT outcome::text FROM attempt") == "in_doubt"
    assert "resend" not in await timers(hot), "it is off, and the window ends the doubt"
    assert "settle_window" in await timers(hot)


async def test_the_last_try_but_one_is_resent(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    await doubtful(hot, shop, category=CODES)
    await hot.execute(f"UPDATE attempt SET number = {TRIES_MAX - 1}".encode())
    await due_now(hot, "resend")
    assert await h.swept(hot) == Swept(0, 1, 0)


async def test_evidence_for_an_abandoned_attempt_takes_the_resend_back(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop, category=CODES)
    at = ready.due.delivery_id
    await due_now(hot, "resend")
    await h.swept(hot)
    assert (await h.told(hot, h.receipt_for(at, 1, RANK_DELIVERED))).applied is Applied.LATE
    assert await h.standing(hot, at) == Standing("delivered", None, ("abandoned",), 0, 0, ())
    assert await h.one(hot, "SELECT late_at IS NOT NULL FROM attempt")


async def test_a_worker_whose_attempt_was_abandoned_tells_what_the_provider_said(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop, category=CODES)
    at = ready.due.delivery_id
    await due_now(hot, "resend")
    await h.swept(hot)
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    # Both were carried out: the person got two, and the record says so.
    assert await h.settled(hot, h.post_of(shop), (ready, Accepted("SM1"))) == set()
    await h.settled(hot, h.post_of(shop), (again, Accepted("SM2")))
    assert (await h.standing(hot, at)).outcomes == ("abandoned", "accepted")
    found = await h.all_rows(
        hot, "SELECT provider_id, late_at IS NOT NULL FROM attempt ORDER BY number"
    )
    assert found == [("SM1", True), ("SM2", False)]


async def test_evidence_for_the_first_ends_the_doubt_about_the_second(hot: db.Conn) -> None:
    """The person has it; whether the second came too, its own evidence will say."""
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop, category=CODES)
    at = ready.due.delivery_id
    await due_now(hot, "resend")
    await h.swept(hot)
    (again,) = (await h.begin(hot, h.post_of(shop))).ready
    await h.settled(hot, h.post_of(shop), (again, InDoubt("timeout")))
    await h.told(hot, h.receipt_for(at, 1, RANK_DELIVERED))
    after = await h.standing(hot, at)
    assert after == Standing("delivered", None, ("abandoned", "in_doubt"), 0, 0, ())
    await h.told(hot, h.receipt_for(at, 2, RANK_DELIVERED, provider_id="SM2"))
    assert (await h.standing(hot, at)).outcomes == ("abandoned", "accepted")


# ---------------------------------------------------------------------------------- look-ups


async def test_a_provider_that_can_be_asked_is_asked_after_its_first_wait(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    asked = DoubtRules(60.0, (5.0, 30.0))
    rules = maintain.Rules({"twilio": asked}, h.DOUBT, h.DEDUPE_DAYS)
    await h.begun(hot, shop, h.make_ask(shop), lease_s=-1.0)
    assert (await h.swept(hot, rules)).leases == 1
    assert await timers(hot) == {"settle_window": 60, "look_up": 5}
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    fate = await settle.settle(
        hot,
        h.post_of(shop),
        [settle.Ended(ready, InDoubt("timeout"), h.database_now())],
        settle.SettleRules(asked, h.DEDUPE_DAYS),
        dice=lambda: 0.0,
        new_id=h.new_id,
    )
    assert isinstance(fate, settle.Settled)
    found = await h.all_rows(hot, "SELECT kind, lane FROM timer ORDER BY kind")
    assert found == [("look_up", shop.lane.id)] * 2 + [("settle_window", shop.lane.id)] * 2


# ------------------------------------------------------------------------------------ cancel


async def test_a_cancel_during_a_send_ends_the_retry_and_nothing_else(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    for answer, expected in [
        (Unavailable("503"), ("canceled", "canceled", 0)),
        (Accepted("SM1"), ("sent", None, 0)),
        (Refused(Refusal.CONTENT, "30007"), ("dead", "refused_content", 0)),
        (InDoubt("timeout"), ("in_doubt", "answer_lost", 0)),
    ]:
        (ready,) = await h.begun(hot, shop, h.make_ask(shop))
        await cancel_requested(hot)
        await h.settled(hot, h.post_of(shop), (ready, answer))
        after = await h.standing(hot, ready.due.delivery_id)
        assert (after.state, after.reason, after.jobs) == expected
    assert await h.faults(hot) == []


async def test_a_doubt_that_turns_out_unsent_after_a_cancel_is_canceled(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    ready = await doubtful(hot, shop)
    await cancel_requested(hot)
    await h.settled(hot, h.post_of(shop), (ready, Unavailable("503")))
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == Standing("canceled", "canceled", ("unavailable",), 0, 0, ())


async def test_a_job_that_is_claimed_after_a_cancel_request_is_canceled(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    (at,) = await h.accepted(hot, h.make_ask(shop))
    await cancel_requested(hot)
    assert not (await h.begin(hot, h.post_of(shop))).ready
    assert await h.standing(hot, at) == Standing("canceled", "canceled", (), 0, 0, ())


# -------------------------------------------------------------------------- the next channel


async def first_of_two(conn: db.Conn, shop: h.Shop) -> tuple[UUID, UUID]:
    """A notification by SMS, and by e-mail when that fails for good."""
    found = await lanes.ensure(conn, [(Channel.EMAIL, "post")], cell=0)
    await conn.commit()
    (sms,) = h.make_ask(shop).parts
    lane = found[Channel.EMAIL, "post"].id
    mail = replace(sms, channel=Channel.EMAIL, lane=lane, standby=True)
    (first,) = await h.accepted(conn, h.make_ask(shop, parts=(sms, mail)))
    second = UUID(int=first.int + 1)
    waits = Standing("standby", "earlier_channel", (), 0, 0, ())
    assert await h.standing(conn, second) == waits
    return first, second


FAILS: list[Outcome] = [
    Refused(Refusal.ADDRESS, "21211"),
    Refused(Refusal.CONTENT, "30007"),
    Refused(Refusal.OPTED_OUT, "21610"),
]
STANDS: list[Outcome] = [Accepted("SM1"), InDoubt("timeout"), Unavailable("503")]


@pytest.mark.parametrize("answer", FAILS, ids=str)
async def test_the_turn_comes_when_the_one_before_failed_for_good(
    hot: db.Conn, answer: Outcome
) -> None:
    shop = await h.open_shop(hot)
    _, second = await first_of_two(hot, shop)
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    await h.settled(hot, h.post_of(shop), (ready, answer))
    assert await h.standing(hot, second) == Standing("pending", "turn_came", (), 1, 0, ())
    assert await h.all_rows(hot, "SELECT channel::text, due <= now() FROM job") == [("email", True)]
    assert await h.one(hot, "SELECT count(*) FROM standby") == 0


@pytest.mark.parametrize("answer", STANDS, ids=str)
async def test_the_turn_does_not_come_while_the_one_before_may_still_arrive(
    hot: db.Conn, answer: Outcome
) -> None:
    shop = await h.open_shop(hot)
    _, second = await first_of_two(hot, shop)
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    await h.settled(hot, h.post_of(shop), (ready, answer))
    assert (await h.standing(hot, second)).state == "standby"


async def test_the_turn_comes_after_an_opt_out_and_after_a_bounce(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    first, second = await first_of_two(hot, shop)
    (ready,) = (await h.begin(hot, h.post_of(shop))).ready
    await h.settled(hot, h.post_of(shop), (ready, Accepted("SM1")))
    await h.told(hot, h.receipt_for(first, 1, RANK_UNDELIVERED))
    assert (await h.standing(hot, second)).state == "pending"

    await h.opt_out(hot, shop)
    _, third = await first_of_two(hot, shop)
    await h.begin(hot, h.post_of(shop))
    assert (await h.standing(hot, third)).state == "pending"


async def test_the_turn_does_not_come_after_an_expiry(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    _, second = await first_of_two(hot, shop)
    await hot.execute("UPDATE delivery SET expires_at = now()")
    await hot.commit()
    await h.begin(hot, h.post_of(shop))
    assert (await h.standing(hot, second)).state == "standby"
