"""A delivery of which an attempt was abandoned: what its ends mean while that one may have arrived.

Nobody is told "never sent" of a message that may have been, and what is known to have been carried
out is neither tried again nor waited for.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.asking import Part
from notifyq.domain.content import SmsContent
from notifyq.domain.doubts import Claim, Objection
from notifyq.domain.ids import notification_of
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Category, Ready
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.states import State
from notifyq.services import cancel, resolve
from notifyq.services.receive import Applied
from notifyq.store import db, doubts
from notifyq.store.cancels import By
from tests.store import helpers as h
from tests.store.helpers import Standing

CODES = Category("login.code", resend_after_s=15)
TAKEN = 2  # a receipt's rank: the provider has it
BY = By("nq_live_12345678", "the order is off")


def unknown(*outcomes: str) -> Standing:
    return Standing("unknown", "outcome_unknown", outcomes, 0, 0, ("outcome_unknown",))


@pytest.fixture
async def hot(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def do(conn: db.Conn, *texts: str) -> None:
    for text in texts:
        await conn.execute(text.encode())
    await conn.commit()


async def resent(conn: db.Conn, shop: h.Shop, **ask: Any) -> UUID:
    """A delivery whose first attempt is abandoned and which is due again."""
    ask.setdefault("category", CODES)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, **ask))
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("cut")))
    await do(conn, "UPDATE timer SET due = now() - interval '1 s' WHERE kind = 'resend'")
    assert (await h.swept(conn)).resends == 1
    at = ready.due.delivery_id
    assert await h.standing(conn, at) == Standing("pending", "resent", ("abandoned",), 1, 0, ())
    return at


async def begun_again(conn: db.Conn, shop: h.Shop, **ask: Any) -> tuple[UUID, Ready]:
    """A delivery whose first attempt is abandoned and whose second is on its way."""
    at = await resent(conn, shop, **ask)
    (again,) = (await h.begin(conn, h.post_of(shop))).ready
    assert (again.due.delivery_id, again.number) == (at, 2)
    return at, again


async def proof(conn: db.Conn, at: UUID, rank: int, number: int = 1) -> Applied:
    receipt = h.receipt_for(at, number, rank, provider_id=f"SM{number}")
    return (await h.told(conn, receipt)).applied


# ------------------------------------------------------------------- nobody knows of the first


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Refused(Refusal.ADDRESS, "21211"), "refused"),
        (Refused(Refusal.OPTED_OUT, "21610"), "refused"),
    ],
    ids=["gives_up", "suppressed"],
)
async def test_a_refusal_for_good_leaves_it_unknown(
    hot: db.Conn, answer: Outcome, outcome: str
) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await h.settled(hot, h.post_of(shop), (again, answer))
    assert await h.standing(hot, at) == unknown("abandoned", outcome)
    assert await h.faults(hot) == []
    assert await h.one(hot, "SELECT detail FROM dead_letter") == answer.code  # type: ignore[union-attr]
    assert await h.one(hot, "SELECT count(*) FROM outbox WHERE kind = 'delivery.unknown'") == 1
    # Evidence corrects it, however late.
    assert await proof(hot, at, RANK_DELIVERED) is Applied.LATE
    assert await h.standing(hot, at) == Standing(
        "delivered", None, ("abandoned", outcome), 0, 0, ()
    )


async def test_a_retry_that_would_come_after_its_expiry_leaves_it_unknown(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    late = replace(again, due=replace(again.due, expires_at=h.database_now()))
    await h.settled(hot, h.post_of(shop), (late, Unavailable("503")))
    assert await h.standing(hot, at) == unknown("abandoned", "unavailable")


async def test_a_retry_is_made_all_the_same(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await h.settled(hot, h.post_of(shop), (again, Unavailable("503")))
    wanted = Standing("pending", "retry_unavailable", ("abandoned", "unavailable"), 1, 0, ())
    assert await h.standing(hot, at) == wanted


async def test_called_back_while_it_is_sent_again_it_is_unknown(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await do(hot, "UPDATE delivery SET cancel_requested_at = now()")
    await h.settled(hot, h.post_of(shop), (again, Throttled("429")))
    assert await h.standing(hot, at) == unknown("abandoned", "throttled")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ("UPDATE delivery SET expires_at = now()", "expired"),
        ("UPDATE consent SET blocked = true", "opted_out"),
        ("UPDATE delivery SET cancel_requested_at = now()", "canceled"),
    ],
)
async def test_what_is_over_before_it_is_sent_again_is_unknown(
    hot: db.Conn, change: str, detail: str
) -> None:
    shop = await h.open_shop(hot)
    at = await resent(hot, shop)
    (fresh,) = await h.accepted(hot, h.make_ask(shop))
    await do(hot, change)
    turn = await h.begin(hot, h.post_of(shop))
    assert (turn.ready, turn.ended) == ([], 2)
    assert await h.standing(hot, at) == unknown("abandoned")
    assert await h.one(hot, "SELECT detail FROM dead_letter") == detail
    # The one beside it was never tried.
    assert (await h.standing(hot, fresh)).state in ("expired", "suppressed", "canceled")
    assert await h.faults(hot) == []


async def test_a_cancel_says_that_it_may_have_arrived(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at = await resent(hot, shop)

    async def called() -> tuple[str, str]:
        found = await cancel.cancel(
            hot,
            notification_of(at),
            BY,
            cell=0,
            dedupe_days=h.DEDUPE_DAYS,
            new_id=h.new_id,
        )
        assert isinstance(found, list)
        return found[0].state, found[0].came

    assert await called() == ("unknown", "requested")
    assert await h.standing(hot, at) == unknown("abandoned")
    noted = await h.all_rows(hot, "SELECT kind, actor, reason FROM intervention")
    assert noted == [("cancel", BY.actor, BY.reason)]
    assert await called() == ("unknown", "too_late")


async def test_a_bounce_of_the_second_leaves_it_unknown(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await h.settled(hot, h.post_of(shop), (again, Accepted("SM2")))
    await proof(hot, at, RANK_UNDELIVERED, number=2)
    assert await h.standing(hot, at) == unknown("abandoned", "bounced")


# ----------------------------------------------------------------------- the first is proven


@pytest.mark.parametrize(("rank", "state"), [(TAKEN, "sent"), (RANK_DELIVERED, "delivered")])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Refused(Refusal.ADDRESS, "21211"), "refused"),
        (Unavailable("503"), "unavailable"),
        (Throttled("429"), "throttled"),
        (InDoubt("cut"), "in_doubt"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_the_first_carried_out_is_not_tried_again(
    hot: db.Conn, answer: Outcome, outcome: str, rank: int, state: str
) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    assert await proof(hot, at, rank) is Applied.LATE
    assert (await h.standing(hot, at)).state == "pending"  # the second is on its way
    await h.settled(hot, h.post_of(shop), (again, answer))
    assert await h.standing(hot, at) == Standing(state, None, ("abandoned", outcome), 0, 0, ())
    assert await h.faults(hot) == []


async def test_nobody_waits_for_the_second_when_its_lease_is_over(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at, _ = await begun_again(hot, shop)
    await proof(hot, at, TAKEN)
    await do(hot, "UPDATE attempt SET send_by = now() - interval '1 s' WHERE outcome = 'open'")
    assert (await h.swept(hot)).leases == 1
    assert await h.standing(hot, at) == Standing("sent", None, ("abandoned", "in_doubt"), 0, 0, ())
    assert await h.faults(hot) == []


@pytest.mark.parametrize(("rank", "state"), [(TAKEN, "sent"), (RANK_DELIVERED, "delivered")])
async def test_what_was_carried_out_before_it_is_over_rests_so(
    hot: db.Conn, rank: int, state: str
) -> None:
    """The proof came while a worker held the job, so it could not take it back."""
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await h.settled(hot, h.post_of(shop), (again, Throttled("429")))
    await do(
        hot,
        "UPDATE attempt SET late_at = now() WHERE number = 1",
        "INSERT INTO receipt (cell, delivery_id, number, rank, provider, provider_id, status)"
        f" SELECT 0, id, 1, {rank}, 'twilio', 'SM1', 'x' FROM delivery",
        "UPDATE job SET due = now()",
        "UPDATE delivery SET expires_at = now()",
    )
    await h.begin(hot, h.post_of(shop))
    wanted = Standing(state, None, ("abandoned", "throttled"), 0, 0, ())
    assert await h.standing(hot, at) == wanted


# ----------------------------------------------------------------------- the first bounced


async def test_a_bounce_of_the_first_says_nothing_while_the_second_may_arrive(
    hot: db.Conn,
) -> None:
    """Neither in doubt nor sent is the second undone, and the next channel's turn does not come."""
    shop = await h.open_shop(hot)
    parts = tuple(
        Part(shop.lane.channel, shop.lane.id, f"+1415555{n:04}", SmsContent("hello"), standby=n > 0)
        for n in range(2)
    )
    at, again = await begun_again(hot, shop, parts=parts)
    assert await proof(hot, at, RANK_UNDELIVERED) is Applied.LATE
    assert (await h.standing(hot, at)).state == "pending"
    await h.settled(hot, h.post_of(shop), (again, InDoubt("cut")))
    assert (await h.standing(hot, at)).state == "in_doubt"
    assert await h.one(hot, "SELECT count(*) FROM standby") == 1
    await proof(hot, at, TAKEN, number=2)
    assert await h.standing(hot, at) == Standing("sent", None, ("abandoned", "accepted"), 0, 0, ())


async def test_a_bounce_of_the_first_after_a_doubt_about_the_second_leaves_the_doubt(
    hot: db.Conn,
) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await h.settled(hot, h.post_of(shop), (again, InDoubt("cut")))
    before = await h.standing(hot, at)
    assert await proof(hot, at, RANK_UNDELIVERED) is Applied.LATE
    assert await h.standing(hot, at) == before
    assert before.state == "in_doubt"


async def test_when_the_first_bounced_the_refusal_of_the_second_is_the_end(hot: db.Conn) -> None:
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await proof(hot, at, RANK_UNDELIVERED)
    await h.settled(hot, h.post_of(shop), (again, Refused(Refusal.ADDRESS, "21211")))
    wanted = ("dead", "refused_address", ("abandoned", "refused"), 0, 0, ("refused_address",))
    assert await h.standing(hot, at) == Standing(*wanted)


# ------------------------------------------------------------------------------ by a person


async def rests_unknown(conn: db.Conn) -> UUID:
    shop = await h.open_shop(conn)
    at, again = await begun_again(conn, shop)
    await h.settled(conn, h.post_of(shop), (again, Refused(Refusal.CONTENT, "30007")))
    await do(conn, "UPDATE attempt SET send_by = now() - interval '1 s'")
    assert await h.standing(conn, at) == unknown("abandoned", "refused")
    return at


async def said(conn: db.Conn, at: UUID, claim: Claim) -> resolve.Answer:
    witness = resolve.Witness(claim, "jo", "asked by the merchant", "Twilio's console", None)
    found = await resolve.resolve(conn, at, witness, cell=0, new_id=h.new_id)
    assert isinstance(found, resolve.Answer)
    return found


async def test_what_is_listed_is_the_attempt_that_nobody_knows_of(hot: db.Conn) -> None:
    at = await rests_unknown(hot)
    (listed,) = await doubts.listed(hot, cell=0, tenant=None, limit=10)
    assert (listed.delivery_id, listed.number, listed.outcome) == (at, 1, "abandoned")


async def test_somebody_who_found_the_first_says_so(hot: db.Conn) -> None:
    at = await rests_unknown(hot)
    told = await said(hot, at, Claim.CARRIED_OUT)
    assert told == resolve.Answer(State.UNKNOWN, State.SENT, None)
    assert await h.standing(hot, at) == Standing("sent", None, ("abandoned", "refused"), 0, 0, ())
    late = await h.all_rows(hot, "SELECT number FROM attempt WHERE late_at IS NOT NULL")
    assert late == [(1,)]
    assert await h.faults(hot) == []


async def test_somebody_who_found_that_the_first_never_arrived_makes_it_due_again(
    hot: db.Conn,
) -> None:
    at = await rests_unknown(hot)
    told = await said(hot, at, Claim.NOT_CARRIED_OUT)
    assert told == resolve.Answer(State.UNKNOWN, State.PENDING, None)
    wanted = Standing("pending", "not_carried_out", ("not_sent", "refused"), 1, 0, ())
    assert await h.standing(hot, at) == wanted
    assert await h.one(hot, "SELECT attempts FROM job") == 2


async def test_once_expired_it_is_not_sent_again_on_anybodys_word(hot: db.Conn) -> None:
    at = await rests_unknown(hot)
    await do(hot, "UPDATE delivery SET expires_at = now()")
    assert (await said(hot, at, Claim.NOT_CARRIED_OUT)).objection is Objection.EXPIRED
    assert await h.standing(hot, at) == unknown("abandoned", "refused")


# ------------------------------------------------------------------------ before it is sent


@pytest.mark.parametrize(("rank", "state"), [(TAKEN, "sent"), (RANK_DELIVERED, "delivered")])
@pytest.mark.parametrize("category", [CODES, Category("order.shipped")], ids=["again", "never"])
async def test_what_arrived_while_a_worker_held_its_job_is_not_sent_again(
    hot: db.Conn, category: Category, rank: int, state: str
) -> None:
    """The proof could not take the job back, and the claim that held it came to nothing."""
    shop = await h.open_shop(hot)
    (ready,) = await h.begun(hot, shop, h.make_ask(shop, category=category))
    at = ready.due.delivery_id
    await h.settled(hot, h.post_of(shop), (ready, Throttled("429")))
    await do(
        hot,
        "UPDATE attempt SET late_at = now()",
        "INSERT INTO receipt (cell, delivery_id, number, rank, provider, provider_id, status)"
        f" SELECT 0, id, 1, {rank}, 'twilio', 'SM1', 'x' FROM delivery",
        "UPDATE job SET due = now()",
    )
    turn = await h.begin(hot, h.post_of(shop))
    assert (turn.ready, turn.ended) == ([], 1)
    assert await h.standing(hot, at) == Standing(state, None, ("throttled",), 0, 0, ())
    assert await h.faults(hot) == []


async def test_what_ended_a_doubt_and_then_bounced_leaves_nobody_waiting_for_ever(
    hot: db.Conn,
) -> None:
    """Both answers were lost; "sent" about the first ended the doubt about the second."""
    shop = await h.open_shop(hot)
    at, again = await begun_again(hot, shop)
    await h.settled(hot, h.post_of(shop), (again, InDoubt("cut")))
    await proof(hot, at, TAKEN)
    assert await h.standing(hot, at) == Standing("sent", None, ("abandoned", "in_doubt"), 0, 0, ())
    await proof(hot, at, RANK_UNDELIVERED)
    assert await h.standing(hot, at) == unknown("abandoned", "in_doubt")
    await proof(hot, at, RANK_DELIVERED, number=2)
    wanted = Standing("delivered", None, ("abandoned", "accepted"), 0, 0, ())
    assert await h.standing(hot, at) == wanted
