"""Redrive: dry, twice, past dedupe_until, and whatever else speaks against it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from notifyq.domain.interventions import Refusal
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Ready
from notifyq.domain.outcome import Accepted, InDoubt, Refused
from notifyq.domain.outcome import Refusal as Why
from notifyq.services import redrive
from notifyq.services.redrive import Errand, Redriven
from notifyq.store import db
from notifyq.store.dead_letters import Wanted
from tests.store import helpers as h

ERRAND = Errand(0, "jo", "the number is back", 10.0, h.new_id)
ALL = Wanted()


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[db.Conn]:
    async with await db.connect(database_url) as connection:
        yield connection


async def dead(conn: db.Conn, count: int = 1, **changes: Any) -> tuple[h.Shop, list[Ready]]:
    """Deliveries whose number the provider refused."""
    shop = await h.open_shop(conn, f"shop-{uuid4().hex[:8]}")
    asks = [h.make_ask(shop, to=f"+1415555{n:04}", **changes) for n in range(count)]
    ready = await h.begun(conn, shop, *asks)
    refused = Refused(Why.ADDRESS, "21614")
    await h.settled(conn, h.post_of(shop), *((one, refused) for one in ready))
    return shop, ready


async def one_of(conn: db.Conn, delivery_id: UUID, errand: Errand = ERRAND) -> Redriven:
    result = await redrive.redrive(conn, delivery_id, errand)
    assert isinstance(result, Redriven)
    return result


async def run(
    conn: db.Conn, wanted: Wanted = ALL, errand: Errand = ERRAND, limit: int = 1_000
) -> list[Redriven]:
    found = [r async for r in redrive.redrive_wanted(conn, wanted, errand, limit=limit)]
    assert all(isinstance(r, Redriven) for r in found)
    return found  # type: ignore[return-value]


async def test_a_redriven_delivery_is_due_again_as_the_same_one(conn: db.Conn) -> None:
    shop, (ready,) = await dead(conn)
    at = ready.due.delivery_id
    result = await one_of(conn, at)
    assert (result.cause, result.refusal) == ("refused_address", None)
    assert await h.standing(conn, at) == h.Standing("pending", "redriven", ("refused",), 1, 0, ())
    (job,) = await h.all_rows(conn, "SELECT attempts, tries, lane, due <= now() FROM job")
    assert job == (1, 0, shop.lane.id, True)
    assert await h.all_rows(conn, "SELECT kind, actor, reason FROM intervention") == [
        ("redrive", "jo", "the number is back")
    ]
    evidence = await h.one(conn, "SELECT evidence FROM intervention")
    assert evidence.startswith("refused_address 21614 since 20")
    told = "SELECT count(*) FROM outbox WHERE kind = 'delivery.redriven' AND about = %(at)s"
    assert await h.one(conn, told, at=at) == 1
    assert await h.faults(conn) == []
    (again,) = (await h.begin(conn, h.post_of(shop))).ready
    assert (again.due.delivery_id, again.number) == (at, 2)
    await h.settled(conn, h.post_of(shop), (again, Accepted("SM2")))
    assert (await h.standing(conn, at)).state == "sent"


async def test_an_undelivered_one_is_redriven_too(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    at = ready.due.delivery_id
    await h.settled(conn, h.post_of(shop), (ready, Accepted("SM1")))
    await h.told(conn, h.receipt_for(at, 1, RANK_UNDELIVERED))
    assert (await one_of(conn, at)).cause == "undelivered"
    after = await h.standing(conn, at)
    assert after == h.Standing("pending", "redriven", ("bounced",), 1, 0, ())
    # It arrived after all, says its handset: the job is taken back.
    await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED))
    assert await h.standing(conn, at) == h.Standing("delivered", None, ("bounced",), 0, 0, ())


async def test_twice_is_once(conn: db.Conn) -> None:
    _, (ready,) = await dead(conn)
    at = ready.due.delivery_id
    assert (await one_of(conn, at)).refusal is None
    before = await h.everything(conn)
    assert await one_of(conn, at) == Redriven(at, None, Refusal.NOTHING, None)
    assert await h.everything(conn) == before
    assert await run(conn) == []


async def test_a_dry_run_says_the_same_and_changes_nothing(conn: db.Conn) -> None:
    _, ready = await dead(conn, 3)
    await conn.execute(
        "UPDATE delivery SET expires_at = now() WHERE id = %s", [ready[1].due.delivery_id]
    )
    # Without its consent row, a redrive would make one.
    await conn.execute("DELETE FROM consent")
    await conn.commit()
    before = await h.everything(conn)
    dry = await run(conn, errand=replace(ERRAND, dry_run=True))
    assert await h.everything(conn) == before
    wet = await run(conn)
    assert [(r.delivery_id, r.cause, r.refusal) for r in dry] == [
        (r.delivery_id, r.cause, r.refusal) for r in wet
    ]
    assert [r.refusal for r in wet] == [None, Refusal.EXPIRED, None]
    assert await h.everything(conn) != before


async def test_past_dedupe_until_it_takes_an_override_that_is_kept(conn: db.Conn) -> None:
    _, (ready,) = await dead(conn)
    at = ready.due.delivery_id
    await conn.execute("UPDATE dead_letter SET dedupe_until = now()")
    await conn.commit()
    before = await h.everything(conn)
    assert (await one_of(conn, at)).refusal is Refusal.PAST_DEDUPE
    assert await h.everything(conn) == before
    assert (await one_of(conn, at, replace(ERRAND, past_dedupe=True))).refusal is None
    assert await h.all_rows(conn, "SELECT kind, actor, reason FROM intervention") == [
        ("redrive_past_dedupe", "jo", "the number is back")
    ]


async def test_before_dedupe_until_the_override_is_not_needed_and_not_noted(
    conn: db.Conn,
) -> None:
    _, (ready,) = await dead(conn)
    await one_of(conn, ready.due.delivery_id, replace(ERRAND, past_dedupe=True))
    assert await h.all_rows(conn, "SELECT kind FROM intervention") == [("redrive",)]


async def test_an_unknown_one_is_in_no_redrive(conn: db.Conn) -> None:
    shop = await h.open_shop(conn)
    (ready,) = await h.begun(conn, shop, h.make_ask(shop))
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("timeout")))
    await conn.execute("UPDATE timer SET due = now() - interval '1 s'")
    await conn.commit()
    await h.swept(conn)
    before = await h.everything(conn)
    at = ready.due.delivery_id
    errand = replace(ERRAND, past_dedupe=True)
    expected = Redriven(at, "outcome_unknown", Refusal.OUTCOME_UNKNOWN, None)
    assert await one_of(conn, at, errand) == expected
    assert await run(conn, errand=errand) == [expected]
    assert await h.everything(conn) == before


REFUSED: dict[Refusal, str] = {
    Refusal.NEVER_TRIED: "DELETE FROM attempt",
    Refusal.LIVE_ATTEMPT: "UPDATE attempt SET outcome = 'accepted', provider_id = 'SM1'",
    Refusal.CARRIED_OUT_LATE: "UPDATE attempt SET late_at = now()",
    Refusal.CANCELED: "UPDATE delivery SET cancel_requested_at = now()",
    Refusal.EXPIRED: "UPDATE delivery SET expires_at = now()",
    Refusal.CONTENT_GONE: "DELETE FROM content",
    Refusal.OPTED_OUT: "UPDATE consent SET blocked = true, revision = revision + 1",
    Refusal.NOTHING: "UPDATE delivery SET state = 'sent', reason = NULL",
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_speaks_against_it_leaves_the_dead_letter(conn: db.Conn, why: Refusal) -> None:
    _, (ready,) = await dead(conn)
    await conn.execute(REFUSED[why].encode())
    await conn.commit()
    before = await h.everything(conn)
    assert (await one_of(conn, ready.due.delivery_id)).refusal is why
    assert await h.everything(conn) == before


async def test_late_evidence_that_it_was_carried_out_forbids_it(conn: db.Conn) -> None:
    _, (ready,) = await dead(conn)
    at = ready.due.delivery_id
    await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED))
    assert (await h.standing(conn, at)).dead_letters == ("refused_address",)
    assert (await one_of(conn, at)).refusal is Refusal.CARRIED_OUT_LATE


async def test_what_is_not_there_is_nothing_to_redrive(conn: db.Conn) -> None:
    assert (await one_of(conn, uuid4())).refusal is Refusal.NOTHING


async def test_a_run_spreads_its_jobs_by_its_rate(conn: db.Conn) -> None:
    _, ready = await dead(conn, 5)
    found = await run(conn, errand=replace(ERRAND, rate_per_s=4.0))
    dues = await h.all_rows(
        conn,
        "SELECT delivery_id, extract(epoch FROM j.due - i.at)::float8 FROM job j"
        " JOIN intervention i USING (delivery_id) ORDER BY delivery_id",
    )
    assert [d for d, _ in dues] == [one.due.delivery_id for one in ready]
    assert [s for _, s in dues] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [r.due is not None for r in found] == [True] * 5


async def test_one_whose_turn_would_come_too_late_is_left(conn: db.Conn) -> None:
    await dead(conn, 3, lifetime_s=3_600)
    found = await run(conn, errand=replace(ERRAND, rate_per_s=1 / 3_590))
    # due after 0 s, 3,590 s; the second of these may be tried, the third comes too late
    assert [r.refusal for r in found] == [None, None, Refusal.EXPIRES_FIRST]


async def test_a_limit_counts_what_is_made_due_and_a_run_goes_on_where_one_ended(
    conn: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "PAGE", 2)
    _, ready = await dead(conn, 5)
    await conn.execute(
        "UPDATE delivery SET expires_at = now() WHERE id = ANY (%s)",
        [[one.due.delivery_id for one in ready[:2]]],
    )
    await conn.commit()
    assert [r.refusal for r in await run(conn, limit=1)] == [Refusal.EXPIRED] * 2 + [None]
    assert [r.refusal for r in await run(conn, limit=2)] == [Refusal.EXPIRED] * 2 + [None] * 2
    assert [r.refusal for r in await run(conn, limit=3)] == [Refusal.EXPIRED] * 2


async def test_what_is_wanted_is_narrowed_by_cause_age_tenant_mode_and_id(conn: db.Conn) -> None:
    shop, ready = await dead(conn, 3)
    other, (theirs,) = await dead(conn, 1, test=True)
    one, two, three = (r.due.delivery_id for r in ready)
    await conn.execute("UPDATE dead_letter SET cause = 'undelivered' WHERE delivery_id = %s", [one])
    await conn.execute(
        "UPDATE dead_letter SET at = now() - interval '2 hours' WHERE delivery_id = %s", [two]
    )
    await conn.commit()

    async def found(**wanted: Any) -> set[UUID]:
        dry = replace(ERRAND, dry_run=True)
        return {r.delivery_id for r in await run(conn, Wanted(**wanted), dry)}

    hour = timedelta(hours=1)
    everyone = {one, two, three, theirs.due.delivery_id}
    assert await found() == everyone
    assert await found(causes=("undelivered",)) == {one}
    assert await found(causes=("undelivered", "refused_address")) == everyone
    assert await found(older_than=hour) == {two}
    assert await found(newer_than=hour) == everyone - {two}
    assert await found(older_than=hour, newer_than=3 * hour) == {two}
    assert await found(tenant=other.brand) == {theirs.due.delivery_id}
    assert await found(tenant=shop.brand, test=False) == {one, two, three}
    assert await found(tenant=shop.brand, test=True) == set()
    assert await found(test=True) == {theirs.due.delivery_id}
    assert await found(ids=(one, three)) == {one, three}
    assert await found(ids=()) == set()


async def test_what_somebody_works_on_is_passed_over(database_url: str) -> None:
    async with (
        await db.connect(database_url) as conn,
        await db.connect(database_url, lock_timeout_ms=50) as hasty,
    ):
        _, ready = await dead(conn, 2)
        first = ready[0].due.delivery_id
        await conn.execute("SELECT 1 FROM delivery WHERE id = %s FOR UPDATE", [first])
        assert [r.refusal for r in await run(hasty)] == [Refusal.BUSY, None]
        await conn.rollback()
        assert [r.refusal for r in await run(hasty)] == [None]


async def test_two_runs_at_once_share_the_work(database_url: str) -> None:
    async with await db.connect(database_url) as one, await db.connect(database_url) as two:
        await dead(one, 20)
        first, second = await asyncio.gather(run(one), run(two))
        done = [r.delivery_id for r in (*first, *second) if r.refusal is None]
        assert len(done) == len(set(done)) == 20
        assert await h.one(one, "SELECT count(*) FROM intervention") == 20
        assert await h.faults(one) == []


async def test_a_commit_of_unknown_fate_ends_the_run_and_says_so(
    conn: db.Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dead(conn, 2)
    commit, commits = conn.commit, 0

    async def broken() -> None:
        nonlocal commits
        commits += 1
        if commits == 2:  # the first one ends the reading of the list
            raise psycopg.OperationalError("gone")
        await commit()

    monkeypatch.setattr(conn, "commit", broken)
    found = [r async for r in redrive.redrive_wanted(conn, ALL, ERRAND, limit=9)]
    assert len(found) == 1
    assert isinstance(found[0], db.Unknown)


async def test_what_is_discarded_stays_dead_and_is_noted(conn: db.Conn) -> None:
    _, ready = await dead(conn, 3)
    ids = [one.due.delivery_id for one in ready]
    gone = [page async for page in redrive.discard(conn, [ids[2], ids[0], uuid4()], ERRAND)]
    assert gone == [{ids[0], ids[2]}]
    expected = h.Standing("dead", "refused_address", ("refused",), 0, 0, ())
    assert await h.standing(conn, ids[0]) == expected
    assert (await h.standing(conn, ids[1])).dead_letters == ("refused_address",)
    noted = await h.all_rows(
        conn, "SELECT delivery_id, kind, actor, evidence LIKE 'refused_address 21614 since %%'"
        " FROM intervention ORDER BY 1"
    )  # fmt: skip
    assert noted == [(ids[0], "discard", "jo", True), (ids[2], "discard", "jo", True)]
    assert [page async for page in redrive.discard(conn, ids[:1], ERRAND)] == [set()]
    assert (await one_of(conn, ids[0])).refusal is Refusal.NOTHING
