"""Plans of the look-ups: a lane's own timers, attempts by key and by time, whatever lies beside.

As in test_plans.py: prepared on empty tables, then shown with many rows, then once more analyzed.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from notifyq.domain.provider import Sighting
from notifyq.store import db, evidence, look_ups, partitions
from notifyq.store.db import Conn
from tests.store import helpers as h
from tests.store.test_plans import ROWS, TID, Plan, call_of, plan_of

WAITS_S = (5.0, 30.0)
# Attempts of the time of the message: what OTHERS may read.
NEAR = 200


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


def claim(conn: Conn, shop: h.Shop) -> Callable[[], Awaitable[Any]]:
    return lambda: look_ups.claim(conn, cell=0, lane=shop.lane.id, waits_s=WAITS_S)


async def watch(conn: Conn, shop: h.Shop) -> None:
    """Give every delivery in doubt of a lane its timers, due since an hour."""
    await conn.execute(
        "INSERT INTO timer (cell, delivery_id, kind, due, lane) "
        "SELECT 0, delivery_id, kind, began_at, lane FROM attempt, "
        "       unnest('{look_up,settle_window}'::text[]) AS kind "
        " WHERE lane = %s AND outcome = 'in_doubt'",
        [shop.lane.id],
    )
    await conn.commit()


def scans(plan: Plan) -> set[tuple[str, str]]:
    return {
        (relation, TID if node == "Tid Scan" else index) for node, relation, index in plan.scans
    }


async def test_a_claim_reads_one_timer_of_its_lane_and_its_attempt_by_key(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    full = await h.open_shop(hot, "full", provider="another")
    await call_of(hot, claim(hot, shop))
    await h.load(hot, full, ROWS, state="in_doubt", outcome="in_doubt", jobs=False, whole=False)
    await watch(hot, full)
    await h.load(hot, shop, 20, state="in_doubt", outcome="in_doubt", jobs=False)
    await watch(hot, shop)
    day = partitions.day_of(h.new_id())
    attempts, deliveries = f"attempt_{day[:6]}", f"delivery_{day[:6]}"
    for analyzed in (False, True):
        if analyzed:
            await hot.execute("ANALYZE")
            await hot.commit()
        call = await call_of(hot, claim(hot, shop))
        plan = await plan_of(hot, call, analyze=True)
        assert scans(plan) == {
            ("timer", "timer_look_up"),
            ("timer", TID),
            (attempts, f"{attempts}_cell_delivery_id_idx"),
            (deliveries, f"{deliveries}_pkey"),
            (f"content_{day}", f"content_{day}_pkey"),
        }
        assert plan.rows_read("timer") <= 3
        assert plan.rows_read(attempts) == plan.rows_read(deliveries) == 1


async def test_others_are_found_by_the_time_of_the_message(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    now = h.database_now()
    turn = look_ups.Turn(
        h.new_id(), 1, 1, now, now, shop.brand, "default", b"a" * 16, h.PHONE, "hello"
    )

    def others() -> Awaitable[Any]:
        at = evidence.Place(0, turn.delivery_id, 1)
        seen = [Sighting("SM1", now - timedelta(minutes=30), "sent", 3, None)]
        return look_ups.others(hot, at, turn, seen, lane=shop.lane.id)

    await call_of(hot, others)
    full = await h.open_shop(hot, "full", provider="another")
    for lane in (full, shop):
        # An hour ago and less, a tenth of a second apart.
        await h.load(hot, lane, ROWS // 2, outcome="accepted", jobs=False, whole=False)
    await hot.execute(
        # Their names count them; a join would be planned without knowing how many they are.
        "UPDATE attempt SET"
        " began_at = now() - interval '1 hour'"
        "            + substr(provider_id, 3)::int * interval '100 ms',"
        " send_by = now() - interval '1 hour' + interval '35 s'"
        "           + substr(provider_id, 3)::int * interval '100 ms'"
    )
    await hot.commit()
    leaf = f"attempt_{partitions.day_of(h.new_id())[:6]}"
    for analyzed in (False, True):
        if analyzed:
            await hot.execute("ANALYZE")
            await hot.commit()
        plan = await plan_of(hot, await call_of(hot, others), analyze=True)
        by_time = [s for s in scans(plan) if s[0] == leaf]
        assert (leaf, f"{leaf}_cell_lane_began_at_idx") in by_time, by_time
        assert all(index for _, index in by_time)
        # The seconds between the longest lease before the message and the skew after it.
        assert plan.rows_read(leaf) <= (300 + 60 + 2 * 10) * 10 + NEAR
