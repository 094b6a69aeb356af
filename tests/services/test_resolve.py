"""A doubt ends by a person's evidence: once, audited, and never against what is known."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from notifyq.domain.doubts import Claim, Objection
from notifyq.domain.model import RANK_DELIVERED, Category, MessageClass, Ready
from notifyq.domain.outcome import Accepted, InDoubt, Refusal, Refused, Unavailable
from notifyq.domain.states import State
from notifyq.services import receive
from notifyq.services.resolve import Answer, Witness, resolve
from notifyq.store import db, doubts
from tests.store import helpers as h

CARRIED = Witness(Claim.CARRIED_OUT, "jo", "asked by the merchant", "Twilio's console lists it")
NOT = replace(CARRIED, claim=Claim.NOT_CARRIED_OUT, evidence="Twilio's console has no such SMS")
SENT_AGAIN = Category("code", MessageClass.OTP, resend_after_s=0)
LEASE_OVER = "UPDATE attempt SET send_by = now() - interval '1 s'"
WINDOW_OVER = "UPDATE timer SET due = now() - interval '1 s'"


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url) as connection:
        yield connection


async def do(conn: db.Conn, *texts: str) -> None:
    for text in texts:
        await conn.execute(text.encode())
    await conn.commit()


async def in_doubt(
    conn: db.Conn, *, unknown: bool = False, **ask: Any
) -> tuple[h.Shop, Ready, UUID]:
    """A delivery whose answer was lost and whose lease is over."""
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, **ask))
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("read_timeout")))
    await do(conn, LEASE_OVER)
    if unknown:
        await do(conn, WINDOW_OVER)
        await h.swept(conn)
    return shop, ready, ready.due.delivery_id


async def said(conn: db.Conn, at: UUID, witness: Witness) -> Answer:
    found = await resolve(conn, at, witness, cell=0, new_id=h.new_id)
    assert isinstance(found, Answer)
    return found


async def noted(conn: db.Conn) -> list[tuple[Any, ...]]:
    return await h.all_rows(conn, "SELECT kind, actor, reason, evidence FROM intervention")


async def names(conn: db.Conn) -> list[tuple[Any, ...]]:
    return await h.all_rows(
        conn, "SELECT provider_id, code, ended_at IS NOT NULL FROM attempt ORDER BY number"
    )


@pytest.mark.parametrize("unknown", [False, True], ids=["in_doubt", "unknown"])
async def test_what_was_carried_out_is_sent_and_its_name_leads_to_the_evidence(
    conn: db.Conn, unknown: bool
) -> None:
    _, _, at = await in_doubt(conn, unknown=unknown)
    before = State.UNKNOWN if unknown else State.IN_DOUBT
    assert await said(conn, at, CARRIED) == Answer(before, State.SENT, None)
    assert await h.standing(conn, at) == h.Standing("sent", None, ("accepted",), 0, 0, ())
    intervention = await h.one(conn, "SELECT id FROM intervention")
    assert await names(conn) == [(f"by-hand:{intervention}", "read_timeout", True)]
    assert await noted(conn) == [("carried_out", "jo", CARRIED.reason, CARRIED.evidence)]
    assert await h.one(conn, "SELECT count(*) FROM outbox WHERE kind = 'delivery.sent'") == 1
    # A receipt that comes after all goes on from there.
    await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED, provider_id="SM7"))
    assert (await h.standing(conn, at)).state == "delivered"


async def test_the_providers_own_name_is_kept_where_it_is_known(conn: db.Conn) -> None:
    _, _, at = await in_doubt(conn)
    await said(conn, at, replace(CARRIED, provider_id="SM9"))
    assert await names(conn) == [("SM9", "read_timeout", True)]


@pytest.mark.parametrize("unknown", [False, True], ids=["in_doubt", "unknown"])
async def test_what_was_not_carried_out_is_due_again(conn: db.Conn, unknown: bool) -> None:
    shop, _, at = await in_doubt(conn, unknown=unknown)
    assert (await said(conn, at, NOT)).after is State.PENDING
    after = await h.standing(conn, at)
    assert after == h.Standing("pending", "not_carried_out", ("not_sent",), 1, 0, ())
    assert await names(conn) == [(None, "by_hand", True)]
    assert await h.all_rows(conn, "SELECT attempts, tries, lane FROM job") == [(1, 0, shop.lane.id)]
    assert await noted(conn) == [("not_carried_out", "jo", NOT.reason, NOT.evidence)]
    told = "SELECT count(*) FROM outbox WHERE kind = 'delivery.not_carried_out'"
    assert await h.one(conn, told) == 1
    assert await h.faults(conn) == []
    (again,) = (await h.begin(conn, h.post_of(shop))).ready
    assert again.number == 2
    await h.settled(conn, h.post_of(shop), (again, Accepted("SM2")))
    # It was carried out after all: the record is corrected, and the repeat can be counted.
    assert (
        await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED))
    ).applied is receive.Applied.LATE
    assert (await h.standing(conn, at)).outcomes == ("not_sent", "accepted")
    assert await h.one(conn, "SELECT count(*) FROM attempt WHERE late_at IS NOT NULL") == 1


@pytest.mark.parametrize("witness", [CARRIED, NOT], ids=["carried_out", "not_carried_out"])
async def test_nothing_but_a_doubt_is_resolved_and_one_only_once(
    conn: db.Conn, witness: Witness
) -> None:
    shop, _, at = await in_doubt(conn)
    assert (await said(conn, at, witness)).objection is None
    after = await h.standing(conn, at)
    for other in (CARRIED, NOT):
        assert (await said(conn, at, other)).objection is Objection.NO_DOUBT
    assert await h.standing(conn, at) == after
    assert len(await noted(conn)) == 1
    (waiting,) = await h.accepted(conn, h.make_ask(shop))
    assert (await said(conn, waiting, witness)).objection is Objection.NO_DOUBT
    found = await said(conn, uuid4(), witness)
    assert found == Answer(None, None, Objection.NO_DOUBT)


@pytest.mark.parametrize("witness", [CARRIED, NOT], ids=["carried_out", "not_carried_out"])
async def test_evidence_that_came_first_wins(conn: db.Conn, witness: Witness) -> None:
    _, _, at = await in_doubt(conn)
    await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED))
    expected = Answer(State.DELIVERED, State.DELIVERED, Objection.NO_DOUBT)
    assert await said(conn, at, witness) == expected
    assert await noted(conn) == []


@pytest.mark.parametrize("witness", [CARRIED, NOT], ids=["carried_out", "not_carried_out"])
async def test_while_its_lease_runs_nobody_is_heard(conn: db.Conn, witness: Witness) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    at = ready.due.delivery_id
    assert (await said(conn, at, witness)).objection is Objection.SENDING
    await do(conn, LEASE_OVER)  # nobody has looked yet: it is open, not in doubt
    assert (await said(conn, at, witness)).objection is Objection.SENDING
    await do(conn, "UPDATE attempt SET send_by = now() + interval '9 s'")
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("cut")))
    assert (await said(conn, at, witness)).objection is Objection.SENDING
    await do(conn, LEASE_OVER)
    assert (await said(conn, at, witness)).objection is None


AGAINST: dict[Objection, str] = {
    Objection.CANCELED: "UPDATE delivery SET cancel_requested_at = now()",
    Objection.EXPIRED: "UPDATE delivery SET expires_at = now()",
    Objection.CONTENT_GONE: "DELETE FROM content",
}


@pytest.mark.parametrize("why", AGAINST)
async def test_what_may_not_be_sent_again_stays_in_doubt(conn: db.Conn, why: Objection) -> None:
    _, _, at = await in_doubt(conn, unknown=True)
    await do(conn, AGAINST[why])
    before = await h.standing(conn, at)
    assert (await said(conn, at, NOT)).objection is why
    assert await h.standing(conn, at) == before
    assert await noted(conn) == []
    assert (await said(conn, at, CARRIED)).objection is None


async def test_a_late_answer_of_its_worker_leaves_only_one_thing_to_say(conn: db.Conn) -> None:
    """The window was over when the provider's refusal came: the attempt has it, and is closed."""
    shop, ready, at = await in_doubt(conn, unknown=True)
    refused = Refused(Refusal.ADDRESS, "21614")
    await h.settled(conn, h.post_of(shop), (ready, refused))
    before = await h.standing(conn, at)
    if before.state != "unknown":
        pytest.skip("such an answer moves the delivery by itself")
    assert before.outcomes == ("refused",)
    assert (await said(conn, at, CARRIED)).objection is Objection.ANSWERED
    assert (await said(conn, at, NOT)).after is State.PENDING
    after = await h.standing(conn, at)
    assert after == h.Standing("pending", "not_carried_out", ("refused",), 1, 0, ())


async def test_doubts_are_listed_with_what_to_look_for(conn: db.Conn) -> None:
    shop, ready, at = await in_doubt(conn, unknown=True)
    (second,) = await h.begun(conn, shop, h.make_ask(shop, category=SENT_AGAIN))
    (fine,) = await h.begun(conn, shop, h.make_ask(shop))
    await h.settled(conn, h.post_of(shop), (second, InDoubt("cut")), (fine, Unavailable("20500")))
    unknown, doubted = await doubts.listed(conn, cell=0, tenant=None, limit=10)
    assert (unknown.delivery_id, unknown.state, unknown.number) == (at, "unknown", 1)
    assert (unknown.provider, unknown.code, unknown.at_least_once) == (
        "twilio", "read_timeout", False,
    )  # fmt: skip
    assert unknown.address_key == ready.due.address_key.hex()
    assert (unknown.window_closes, unknown.resent_at) == (None, None)
    assert (doubted.state, doubted.at_least_once) == ("in_doubt", True)
    assert doubted.window_closes is not None
    assert doubted.resent_at is not None
    assert doubted.window_closes - doubted.resent_at == timedelta(seconds=h.SETTLE_WINDOW_S)
    assert len(await doubts.listed(conn, cell=0, tenant=None, limit=1)) == 1
    assert len(await doubts.listed(conn, cell=0, tenant=shop.brand, limit=9)) == 2
    assert await doubts.listed(conn, cell=0, tenant="nobody", limit=9) == []
