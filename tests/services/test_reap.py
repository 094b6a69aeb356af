"""Reap: what nothing can replay goes, in its order; what is unfinished or alive never does."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.ids import floor_of, instant_of
from notifyq.domain.outcome import Refusal, Refused
from notifyq.domain.retention import Retention, key_days
from notifyq.services import lists, maintain, reap
from notifyq.services.reap import Reaped, Walk
from notifyq.store import db
from notifyq.store import reap as store_reap
from notifyq.store.db import Conn
from tests.services.test_lists import Completed, die_after, list_ask
from tests.store import helpers as h

KEPT = Retention()
DAY = timedelta(days=1)
MEMORY = timedelta(days=key_days(KEPT))


@pytest.fixture
async def plain(database_url: str) -> Any:
    """A connection as the janitor has it."""
    async with await db.connect(database_url) as connection:
        yield connection


async def run(conn: Conn, now: datetime, walk: Walk | None = None) -> Reaped:
    return await reap.run_once(conn, walk or Walk(lambda _: 0), cell=0, now=now, retention=KEPT)


async def count(conn: Conn, table: str) -> int:
    found: int = await h.one(conn, f"SELECT count(*) FROM {table}".encode())  # type: ignore[arg-type]
    await conn.commit()
    return found


async def at_rest(conn: Conn) -> None:
    """Let everything be sent and settled, by SQL."""
    await conn.execute("DELETE FROM job")
    await conn.execute("UPDATE delivery SET state = 'delivered', reason = NULL")
    await conn.execute("DELETE FROM stored_response")
    await conn.commit()


# ------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(("late", "gone"), [(-1, 0), (0, 0), (1, 1)])
async def test_a_key_goes_when_its_memory_is_over_to_the_millisecond(
    plain: Conn, late: int, gone: int
) -> None:
    shop = await h.open_shop(plain)
    (delivery,) = await h.accepted(plain, h.make_ask(shop, "key"))
    await at_rest(plain)
    over = instant_of(delivery) + MEMORY
    found = await run(plain, over + late * timedelta(milliseconds=1))
    assert found == Reaped(0, gone, 0)
    assert await count(plain, "idempotency_key") == 1 - gone


async def test_the_memory_of_keys_covers_the_window_of_the_second_net() -> None:
    assert key_days(KEPT) == KEPT.dedupe_memory_days + 1
    assert key_days(Retention(dedupe_window_hours=25)) == KEPT.dedupe_memory_days + 2


async def test_an_unfinished_key_90_days_old_is_still_there_and_can_be_finished(
    plain: Conn, database_url: str
) -> None:
    shop = await h.open_shop(plain)
    await plain.commit()
    await die_after(plain, list_ask(shop, 1_500, "key"), 1)
    await h.accepted(plain, h.make_ask(shop, "finished"))
    await at_rest(plain)
    later = h.database_now() + 90 * DAY
    for _ in range(3):
        await run(plain, later)
        async with h.looking(database_url) as janitor:
            await maintain.tend_leaves(janitor, cell=0, now=later, retention=KEPT)
    assert await h.all_rows(plain, "SELECT recovery_point FROM idempotency_key") == [
        ("recipients_1000",)
    ]
    assert await count(plain, "unfinished_key") == 1
    await plain.execute("UPDATE unfinished_key SET claimed_until = now() - interval '1 s'")
    await plain.commit()
    done = await lists.complete(plain, cell=0, new_token=h.new_id, limit=10)
    assert done == Completed(1, 0)
    told = "SELECT count(*) FROM stored_response JOIN idempotency_key USING (cell, notification_id)"
    assert await h.one(plain, told) == 1


ALIVE = {
    "a job": "INSERT INTO job (cell, delivery_id, channel, criticality, lane, due, attempts, tries)"
    " SELECT 0, id, channel, 1, 1, now(), 0, 0 FROM delivery",
    "a timer": "INSERT INTO timer (cell, delivery_id, kind, due)"
    " SELECT 0, id, 'settle_window', now() FROM delivery",
    "a dead letter": "INSERT INTO dead_letter (cell, delivery_id, cause, at, dedupe_until)"
    " SELECT 0, id, 'refused_address', now() + interval '80 days', now() + interval '120 days'"
    " FROM delivery",
    "a dead letter past its dedupe time": "INSERT INTO dead_letter (cell, delivery_id, cause, at,"
    " dedupe_until) SELECT 0, id, 'refused_address', now() + interval '80 days', now()"
    " FROM delivery",
    "a turn to come": "INSERT INTO standby (cell, delivery_id, lane) SELECT 0, id, 1 FROM delivery",
    "a stored answer": "INSERT INTO stored_response SELECT 0, (left(id::text, 32) || '0000')::uuid,"
    " 202, 'x' FROM delivery",
    "an open attempt": "INSERT INTO attempt (cell, number, lane, delivery_id, epoch, began_at,"
    " send_by, consent_revision, outcome, worker) SELECT 0, 1, 1, id, 1, now(), now(), 0, 'open',"
    " gen_random_uuid() FROM delivery",
}


@pytest.mark.parametrize("alive", ALIVE.values(), ids=ALIVE)
@pytest.mark.parametrize("which", [0, 1], ids=["the first delivery", "the last of a list"])
async def test_a_key_stays_while_anything_of_its_notification_is_alive(
    plain: Conn, alive: str, which: int
) -> None:
    shop = await h.open_shop(plain)
    await h.accepted(plain, h.make_ask(shop, "before"))
    (delivery,) = await h.accepted(plain, h.make_ask(shop, "key"))
    await h.accepted(plain, h.make_ask(shop, "after"))
    await at_rest(plain)
    its = UUID(int=delivery.int + which * 0xFFFE)
    await plain.execute("UPDATE delivery SET id = %s WHERE id = %s", [its, delivery])
    await plain.execute(f"{alive} WHERE id = '{its}'".encode())
    await plain.commit()
    later = h.database_now() + 90 * DAY
    assert (await run(plain, later)).keys == 2  # its neighbours on both sides
    kept = await h.all_rows(plain, "SELECT notification_id FROM idempotency_key")
    assert kept == [(UUID(int=delivery.int - 1),)]


async def test_a_dead_letter_goes_before_its_key(plain: Conn) -> None:
    shop = await h.open_shop(plain)
    (ready,) = await h.begun(plain, shop, h.make_ask(shop, "key"))
    await h.settled(plain, h.post_of(shop), (ready, Refused(Refusal.ADDRESS, "21211")))
    assert await count(plain, "dead_letter") == 1
    died = await h.one(plain, "SELECT at FROM dead_letter")
    await plain.commit()
    kept = timedelta(days=KEPT.dead_letter_days)
    assert await run(plain, died + kept) == Reaped(0, 0, 0)
    await plain.execute("DELETE FROM stored_response")
    await plain.commit()
    # Both are past their time: one run deletes both, the dead letter first.
    assert await run(plain, died + MEMORY + DAY) == Reaped(1, 1, 0)


@pytest.mark.parametrize(("late", "gone"), [(-1, 0), (0, 0), (1, 1)])
async def test_dead_letters_and_marks_go_to_the_microsecond(
    plain: Conn, late: int, gone: int
) -> None:
    now = h.database_now()
    await plain.execute(
        "INSERT INTO dead_letter (cell, delivery_id, cause, at, dedupe_until)"
        " VALUES (0, %s, 'undelivered', %s, now())",
        [h.new_id(), now - timedelta(days=KEPT.dead_letter_days)],
    )
    await plain.execute(
        "INSERT INTO dedupe_mark VALUES (0, 1, sha256('x'), %s, %s)", [h.new_id(), now]
    )
    await plain.commit()
    found = await run(plain, now + late * timedelta(microseconds=1))
    assert found == Reaped(gone, 0, gone)


async def keys_of(conn: Conn, days: int, number: int) -> None:
    """So many finished keys, of as many days before now."""
    old = floor_of(h.database_now() - days * DAY)
    await conn.execute(
        "INSERT INTO idempotency_key (cell, tenant_id, operation, key_hash, fingerprint,"
        " recovery_point, notification_id) SELECT 0, %s, 'notify', sha256(n::text::bytea),"
        " sha256(n::text::bytea), 'finished', %s FROM generate_series(1, %s) n",
        [days, old, number],
    )
    await conn.commit()


async def test_the_walk_meets_every_key_once_from_wherever_it_begins(plain: Conn) -> None:
    await keys_of(plain, 100, 30_000)
    await keys_of(plain, 1, 30_000)
    blocks = await store_reap.blocks(plain)
    assert blocks > 2 * reap.BLOCKS
    for start in (0, blocks // 2, blocks - 1, 2**32 - 1):
        walk = Walk(lambda _, start=start: start)  # type: ignore[misc]
        met: list[int] = []
        while len(met) < blocks:
            first, beyond = walk.stretch(blocks)
            assert 0 < beyond - first <= reap.BLOCKS
            met += range(first, beyond)
        assert set(met) == set(range(blocks))
    walk = Walk(lambda _: blocks // 2)
    found = [await run(plain, h.database_now(), walk) for _ in range(3)]
    assert sum(one.keys for one in found) == 30_000
    assert await count(plain, "idempotency_key") == 30_000


async def test_a_step_deletes_from_its_own_blocks_only(plain: Conn) -> None:
    await keys_of(plain, 100, 30_000)
    before = await h.all_rows(plain, "SELECT DISTINCT (ctid::text::point)[0]::int FROM "
                              "idempotency_key ORDER BY 1")  # fmt: skip
    await store_reap.keys(plain, cell=0, first=7, beyond=9, before=floor_of(h.database_now()))
    after = await h.all_rows(plain, "SELECT DISTINCT (ctid::text::point)[0]::int FROM "
                             "idempotency_key ORDER BY 1")  # fmt: skip
    assert set(before) - set(after) == {(7,), (8,)}


async def test_an_empty_table_and_one_that_shrank_are_walked(plain: Conn) -> None:
    walk = Walk(lambda _: 12_345)
    assert await run(plain, h.database_now(), walk) == Reaped(0, 0, 0)
    assert Walk(lambda _: 5).stretch(0) == (0, 0)
    shrunk = Walk(lambda _: 900)
    assert shrunk.stretch(1_000) == (900, 1_000)
    assert shrunk.stretch(10) == (0, 10)


# ---------------------------------------------------------------------------------- mutants

MUTANTS: dict[str, Sequence[tuple[str, str]]] = {
    "unfinished ones too": [(" AND k.recovery_point = 'finished'", "")],
    "young ones too": [("   AND k.notification_id < %(before)s::uuid\n", "")],
}


@pytest.mark.parametrize("mutant", [None, *MUTANTS])
async def test_without_a_condition_a_key_goes_that_is_needed(
    plain: Conn, monkeypatch: pytest.MonkeyPatch, mutant: str | None
) -> None:
    if mutant:
        wrong = h.mutated(store_reap.KEYS, *MUTANTS[mutant])
        # The parameter stays bound.
        wrong = wrong.rstrip() + "\n   AND %(before)s::uuid IS NOT NULL\n"
        monkeypatch.setattr(store_reap, "KEYS", wrong)
    shop = await h.open_shop(plain)
    await plain.commit()
    await die_after(plain, list_ask(shop, 1_500, "unfinished"), 1)
    await at_rest(plain)
    await plain.execute("DELETE FROM timer")
    await plain.commit()
    now = h.database_now()
    unfinished = await run(plain, now + 90 * DAY)
    await h.accepted(plain, h.make_ask(shop, "young"))
    await at_rest(plain)
    young = await run(plain, now + DAY)
    assert (unfinished.keys + young.keys == 0) is (mutant is None)
