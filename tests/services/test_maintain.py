"""Maintain: leases that ran out, windows that closed, leaves ahead and behind."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from notifyq.domain.model import DoubtRules
from notifyq.domain.outcome import Accepted, InDoubt
from notifyq.domain.retention import Retention
from notifyq.services import maintain
from notifyq.services.maintain import Swept
from notifyq.store import db
from tests.store import helpers as h

KEPT = Retention()


@pytest.fixture
async def plain(database_url: str) -> Any:
    """A connection as the janitor has it."""
    async with await db.connect(database_url) as connection:
        yield connection


async def sweep(conn: db.Conn, **windows_s: float) -> Swept:
    doubts = {provider: DoubtRules(window_s) for provider, window_s in windows_s.items()}
    return await h.swept(conn, maintain.Rules(doubts, DoubtRules(900.0), h.DEDUPE_DAYS))


# -------------------------------------------------------------------------------------- sweep


async def test_a_lease_that_ran_out_is_in_doubt_and_not_pending(plain: db.Conn) -> None:
    shop = await h.open_shop(plain)
    (ready,) = await h.begun(plain, shop, h.make_ask(shop), lease_s=-1.0)
    assert await sweep(plain, twilio=120.0) == Swept(leases=1, resends=0, windows=0)
    after = await h.standing(plain, ready.due.delivery_id)
    assert after == h.Standing("in_doubt", "lease_expired", ("in_doubt",), 0, 1, ())
    assert (
        119 < float(await h.one(plain, "SELECT extract(epoch FROM due - now()) FROM timer")) < 121
    )
    assert await sweep(plain, twilio=120.0) == Swept(0, 0, 0)
    assert await h.faults(plain) == []


async def test_an_account_that_is_no_longer_configured_gets_the_longest_window(
    plain: db.Conn,
) -> None:
    shop = await h.open_shop(plain)
    await h.begun(plain, shop, h.make_ask(shop), lease_s=-1.0)
    await sweep(plain, another=1.0)
    assert float(await h.one(plain, "SELECT extract(epoch FROM due - now()) FROM timer")) > 899


async def test_a_lease_that_runs_is_left_alone(plain: db.Conn) -> None:
    shop = await h.open_shop(plain)
    (ready,) = await h.begun(plain, shop, h.make_ask(shop), lease_s=60.0)
    assert await sweep(plain) == Swept(0, 0, 0)
    assert (await h.standing(plain, ready.due.delivery_id)).outcomes == ("open",)


async def test_a_doubt_whose_window_is_over_rests_as_unknown_and_is_listed(
    plain: db.Conn,
) -> None:
    shop = await h.open_shop(plain)
    (ready,) = await h.begun(plain, shop, h.make_ask(shop))
    await h.settled(plain, h.post_of(shop), (ready, InDoubt("timeout")))
    assert await sweep(plain) == Swept(0, 0, 0)
    await plain.execute("UPDATE timer SET due = now() - interval '1 s'")
    await plain.commit()
    assert await sweep(plain) == Swept(leases=0, resends=0, windows=1)
    after = await h.standing(plain, ready.due.delivery_id)
    expected = ("unknown", "outcome_unknown", ("in_doubt",), 0, 0, ("outcome_unknown",))
    assert after == h.Standing(*expected)
    # It stays live: nothing may begin beside it.
    with pytest.raises(psycopg.errors.UniqueViolation):
        await plain.execute(
            "INSERT INTO attempt (cell, number, lane, delivery_id, epoch, began_at, send_by, "
            "consent_revision, outcome, worker) SELECT cell, 2, lane, delivery_id, epoch, now(), "
            "now(), 0, 'open', worker FROM attempt"
        )
    await plain.rollback()


async def test_what_is_being_settled_this_moment_is_not_swept(database_url: str) -> None:
    async with (
        await db.connect(database_url, hot=True) as settler,
        await db.connect(database_url) as janitor,
        h.looking(database_url) as look,
    ):
        shop = await h.open_shop(look)
        ready = await h.begun(settler, shop, *(h.make_ask(shop) for _ in range(3)), lease_s=-1.0)
        commit = settler.commit
        swept: list[Swept] = []

        async def first_the_sweep() -> None:
            swept.append(await sweep(janitor))
            await commit()

        with h.instead(settler, "commit", first_the_sweep):
            done = await h.settled(settler, h.post_of(shop), (ready[0], Accepted("SM1")))
        assert done == {ready[0].due.delivery_id}
        assert swept == [Swept(leases=2, resends=0, windows=0)]
        assert await h.faults(look) == []


async def test_two_janitors_share_the_work(database_url: str) -> None:
    async with (
        await db.connect(database_url, hot=True) as first,
        await db.connect(database_url) as second,
    ):
        shop = await h.open_shop(first)
        await h.begun(first, shop, *(h.make_ask(shop) for _ in range(50)), lease_s=-1.0)
        one, two = await asyncio.gather(sweep(first), sweep(second))
        assert one.leases + two.leases == 50
        await first.execute("UPDATE timer SET due = now() - interval '1 s'")
        await first.commit()
        one, two = await asyncio.gather(sweep(first), sweep(second))
        assert one.windows + two.windows == 50
        assert await h.faults(first) == []


# ------------------------------------------------------------------------------------- leaves


async def tend(url: str, now: datetime) -> tuple[int, list[str]]:
    async with h.looking(url) as conn:
        return await maintain.tend_leaves(conn, cell=0, now=now, retention=KEPT)


async def test_leaves_are_made_ahead_and_dropped_behind(database_url: str) -> None:
    now = h.database_now()
    assert await tend(database_url, now) == (0, [])
    made, dropped = await tend(database_url, now + timedelta(days=KEPT.content_days + 3))
    assert made > 0
    day = f"{now:%Y%m%d}"
    for table in ("content", "outbox", "stored_response"):
        assert f"{table}_{day}" in dropped
    # Evidence outlives content.
    assert not [name for name in dropped if name.startswith(("attempt", "delivery", "receipt"))]


async def test_evidence_goes_after_its_years(database_url: str) -> None:
    now = h.database_now()
    _, dropped = await tend(database_url, now + timedelta(days=366 * (KEPT.consent_years + 1)))
    for table in ("attempt", "delivery", "notification", "receipt"):
        assert f"{table}_{now:%Y%m}" in dropped


def own_leaves() -> list[str]:
    """The leaves of what is accepted now, answers and events aside: nothing alive needs those."""
    now = h.database_now()
    months = [f"{table}_{now:%Y%m}" for table in ("notification", "delivery", "attempt")]
    return [*months, f"content_{now:%Y%m%d}"]


@pytest.mark.parametrize("alive", ["a job", "an open attempt"])
async def test_no_leaf_is_dropped_while_something_in_it_is_alive(
    database_url: str, plain: db.Conn, alive: str
) -> None:
    shop = await h.open_shop(plain)
    ask = h.make_ask(shop)
    if alive == "a job":
        await h.accepted(plain, ask)
    else:
        await h.begun(plain, shop, ask)
    late = h.database_now() + timedelta(days=366 * (KEPT.consent_years + 1))
    _, dropped = await tend(database_url, late)
    assert [leaf for leaf in own_leaves() if leaf in dropped] == []


async def test_no_leaf_is_dropped_while_a_delivery_in_it_is_in_doubt(
    database_url: str, plain: db.Conn
) -> None:
    shop = await h.open_shop(plain)
    (ready,) = await h.begun(plain, shop, h.make_ask(shop))
    await h.settled(plain, h.post_of(shop), (ready, InDoubt("timeout")))
    late = h.database_now() + timedelta(days=366 * (KEPT.consent_years + 1))
    _, dropped = await tend(database_url, late)
    assert [leaf for leaf in own_leaves() if leaf in dropped] == []


async def test_what_is_alive_keeps_its_own_leaf_and_no_older_one(
    database_url: str, plain: db.Conn
) -> None:
    shop = await h.open_shop(plain)
    now = h.database_now()
    older = f"content_{now - timedelta(days=1):%Y%m%d}"
    await h.accepted(plain, h.make_ask(shop))
    _, dropped = await tend(database_url, now + timedelta(days=KEPT.content_days + 3))
    assert older in dropped


async def test_leaves_are_made_while_somebody_reads_and_nobody_waits(database_url: str) -> None:
    async with (
        await db.connect(database_url) as reader,
        await db.connect(database_url, hot=True) as producer,
        await db.connect(database_url, autocommit=True) as janitor,
        h.looking(database_url) as look,
    ):
        shop = await h.open_shop(look)
        await reader.execute("SET idle_in_transaction_session_timeout = 0")
        await reader.execute("SELECT count(*) FROM notification")  # a dump, a report
        later = h.database_now() + timedelta(days=2)  # new leaves, and none old enough to go
        tending = asyncio.create_task(
            maintain.tend_leaves(janitor, cell=0, now=later, retention=KEPT)
        )
        async with asyncio.timeout(30.0):
            while not tending.done():
                await h.accepted(producer, h.make_ask(shop))
            made, _ = await tending
        assert made > 0
        await reader.rollback()
