"""Plans of the hot statements: one leaf, its index, no sort over a backlog, whenever prepared.

Each statement is run once by its own function while the tables are empty, so that the server has
its generic plan from then; 50,000 rows come in; then `EXPLAIN EXECUTE` of that same prepared
statement shows the plan that production would go on with. After an ANALYZE, which makes the
server plan again, it must be as good.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import sql

from notifyq.domain.ids import delivery_id, floor_of
from notifyq.domain.model import Channel
from notifyq.domain.states import State
from notifyq.store import (
    attempts,
    bounces,
    consents,
    db,
    intake,
    partitions,
    queue,
    reap,
    results,
    upkeep,
)
from notifyq.store import (
    facts as facts_store,
)
from notifyq.store.db import Conn
from tests.store import helpers as h

ROWS = 50_000
BATCH = 100
Call = tuple[sql.Composed | str, dict[str, Any]]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@dataclass(frozen=True)
class Plan:
    """What a plan touches."""

    root: dict[str, Any]

    @property
    def scans(self) -> set[tuple[str, str, str]]:
        """(node, relation, index or condition) of every scan of a table that was not skipped."""
        return {
            (n["Node Type"], n["Relation Name"], n.get("Index Name", n.get("TID Cond", "")))
            for n in nodes(self.root)
            if "Relation Name" in n and "Scan" in n["Node Type"] and n.get("Actual Loops", 1)
        }

    @property
    def relations(self) -> set[str]:
        return {n["Relation Name"] for n in nodes(self.root) if "Relation Name" in n}

    def types(self) -> set[str]:
        return {n["Node Type"] for n in nodes(self.root)}

    def rows_read(self, relation: str) -> float:
        """Rows that scans of a relation returned or filtered away, over all loops."""
        return sum(  # type: ignore[no-any-return]
            (n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"]
            for n in nodes(self.root)
            if n.get("Relation Name") == relation and "Scan" in n["Node Type"]
        )

    @property
    def buffers(self) -> int:
        hit, read = self.root["Shared Hit Blocks"], self.root["Shared Read Blocks"]
        return int(hit + read)


class Ear:
    """Hears which statements a store function sends."""

    def __init__(self, conn: Conn) -> None:
        self.calls: list[Call] = []
        execute = conn.execute

        async def heard(query: Any, params: Any = None, **named: Any) -> Any:
            self.calls.append((query, params))
            return await execute(query, params, **named)

        conn.execute = heard  # type: ignore[method-assign]


async def calls_of(conn: Conn, work: Callable[[], Awaitable[Any]]) -> list[Call]:
    """Run a store function, keep its transaction, and return the statements it sent."""
    ear = Ear(conn)
    try:
        await work()
    finally:
        del conn.execute  # the class's own again
    await conn.commit()
    return ear.calls


async def call_of(conn: Conn, work: Callable[[], Awaitable[Any]]) -> Call:
    """The same for a function of one statement."""
    (call,) = await calls_of(conn, work)
    return call


async def plan_of(conn: Conn, call: Call, *, analyze: bool = False) -> Plan:
    """The plan of the statement that psycopg has prepared for this call."""
    query, parameters = call
    text = query if isinstance(query, str) else query.as_string(conn)
    places: dict[str, int] = {}
    numbered = re.sub(
        r"%\((\w+)\)s", lambda m: f"${places.setdefault(m[1], len(places) + 1)}", text
    )
    name = await h.one(
        conn,
        "SELECT name FROM pg_prepared_statements WHERE statement = %(wanted)s LIMIT 1",
        wanted=numbered,
    )
    assert name, f"not prepared: {numbered[:80]}"
    options = "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON" if analyze else "FORMAT JSON"
    explain = sql.SQL("EXPLAIN ({}) EXECUTE {} ({})").format(
        sql.SQL(options),
        sql.Identifier(name),
        sql.SQL(", ").join(sql.Literal(parameters[place]) for place in places),
    )
    # By the simple protocol, past psycopg's own book of prepared statements.
    result = conn.pgconn.exec_(explain.as_string(conn).encode())
    assert result.ntuples, result.error_message
    (found,) = json.loads(result.get_value(0, 0) or b"[]")
    conn.pgconn.exec_(b"COMMIT")
    return Plan(found["Plan"])


@dataclass
class Bench:
    """A hot connection and a lane, and fifty thousand rows once the statement is prepared."""

    conn: Conn
    shop: h.Shop
    day: str
    ids: list[UUID]

    def claims(self) -> list[queue.Claim]:
        now = h.database_now()
        return [
            queue.Claim(id_, 0, 0, 1, f"({n // 80},{n % 80 + 1})", now, now)
            for n, id_ in enumerate(self.ids[:BATCH])
        ]

    async def load(self) -> None:
        self.ids = await h.load(self.conn, self.shop, ROWS)


@pytest.fixture
async def bench(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        some = [delivery_id(h.new_id(), 1) for _ in range(BATCH)]
        yield Bench(conn, shop, partitions.day_of(some[0]), some)


def claim(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: queue.claim(
        b.conn, channel=Channel.SMS, cell=0, lane=b.shop.lane.id, low_waters=[h.EVER] * 4, room=64
    )


def facts(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: facts_store.load(b.conn, b.claims(), channel=Channel.SMS, cell=0, day=b.day)


def lock(b: Bench) -> Callable[[], Awaitable[Any]]:
    people = {(b.shop.brand, id_.bytes): None for id_ in b.ids[:BATCH]}
    return lambda: consents.lock(b.conn, people, cell=0, channel=Channel.SMS)


def begin(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: attempts.begin(
        b.conn,
        [attempts.Beginning(c.delivery_id, 1, c.place, 0) for c in b.claims()],
        channel=Channel.SMS,
        cell=0,
        day=b.day,
        lane=b.shop.lane.id,
        epoch=1,
        region=h.REGION,
        worker=uuid4(),
        lease_s=30.0,
    )


def hold(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: results.hold(b.conn, [(id_, 1, 1) for id_ in b.ids[:BATCH]], cell=0, day=b.day)


def settle(b: Bench) -> Callable[[], Awaitable[Any]]:
    """By the rows' places, as `hold` gives them: nothing is looked for."""
    result = results.Result(
        b.ids[0], 1, "accepted", "SM1", None, State.SENT, None, h.new_id(), None, 1, 0, None,
        "(0,1)", "(0,1)",
    )  # fmt: skip
    found = [replace(result, delivery_id=id_, event_id=h.new_id()) for id_ in b.ids[:BATCH]]
    return lambda: results.settle(
        b.conn,
        found,
        channel=Channel.SMS,
        cell=0,
        day=b.day,
        lane=b.shop.lane.id,
        doubt=h.DOUBT,
        dedupe_days=40,
    )


def lock_pending(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: queue.lock_pending(
        b.conn, [c.delivery_id for c in b.claims()], cell=0, day=b.day
    )


def end_unsent(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: queue.end_unsent(
        b.conn,
        [
            queue.Ending(c.delivery_id, c.place, h.new_id(), c.place, State.EXPIRED, "expired")
            for c in b.claims()
        ],
        channel=Channel.SMS,
        cell=0,
        day=b.day,
        epoch=1,
        region=h.REGION,
        dedupe_days=40,
    )


def defer(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: queue.defer(
        b.conn,
        [(c.delivery_id, c.place, c.now) for c in b.claims()],
        channel=Channel.SMS,
        cell=0,
        epoch=1,
        region=h.REGION,
    )


def known(b: Bench) -> Callable[[], Awaitable[Any]]:
    keys = [(b.shop.tenant_id, "notify", id_.bytes * 2) for id_ in b.ids[:BATCH]]
    return lambda: intake.known(b.conn, cell=0, keys=keys)


def overdue(b: Bench) -> Callable[[], Awaitable[Any]]:
    return lambda: upkeep.overdue(b.conn, cell=0, limit=500)


TID = "TID"
Made = Callable[[Bench], Callable[[], Awaitable[Any]]]
Scans = set[tuple[str, str]]  # the scans of tables that are allowed: (leaf, index), or by ctid
_DELIVERY = ("delivery_{month}", "delivery_{month}_pkey")
_ATTEMPT = ("attempt_{month}", "attempt_{month}_pkey")
# Each function with what its statements may scan, in their order.
WANTED: dict[Made, list[Scans]] = {
    claim: [{("job_sms", "job_sms_due")}],
    facts: [
        {
            _DELIVERY,
            _ATTEMPT,
            ("content_{day}", "content_{day}_pkey"),
            ("recipient", "recipient_pk"),
        }
    ],
    lock: [set(), {("consent", "consent_pk")}],
    begin: [{("fence", "fence_pk"), ("job_sms", TID)}],
    hold: [{_ATTEMPT, _DELIVERY}],
    settle: [{("attempt_{month}", TID), ("delivery_{month}", TID)}],
    lock_pending: [{_DELIVERY}],
    end_unsent: [{("fence", "fence_pk"), ("job_sms", TID), ("delivery_{month}", TID)}],
    defer: [{("fence", "fence_pk"), ("job_sms", TID)}],
}


def check(plan: Plan, wanted: set[tuple[str, str]], day: str) -> None:
    allowed = {
        (table.format(day=day, month=day[:6]), index.format(day=day, month=day[:6]))
        for table, index in wanted
    }
    found = {
        (relation, TID if node == "Tid Scan" else index) for node, relation, index in plan.scans
    }
    assert found == allowed, json.dumps(plan.root, indent=1)
    assert "Append" not in plan.types()


@pytest.mark.parametrize("made", WANTED, ids=[made.__name__ for made in WANTED])
async def test_a_plan_made_on_empty_leaves_stays_good(bench: Bench, made: Made) -> None:
    await calls_of(bench.conn, made(bench))
    await bench.load()
    calls = (await calls_of(bench.conn, made(bench)))[: len(WANTED[made])]
    kept = [await plan_of(bench.conn, call) for call in calls]
    await bench.conn.execute("ANALYZE")
    await bench.conn.commit()
    anew = [await plan_of(bench.conn, call) for call in calls]
    for plans in (kept, anew):
        for plan, wanted in zip(plans, WANTED[made], strict=True):
            check(plan, wanted, bench.day)
            assert not [n for n in nodes(plan.root) if "Sort" in n["Node Type"]]


async def test_a_batch_reads_its_own_rows_and_no_others(bench: Bench) -> None:
    await call_of(bench.conn, claim(bench))
    await call_of(bench.conn, facts(bench))
    await bench.load()
    plan = await plan_of(bench.conn, await call_of(bench.conn, claim(bench)), analyze=True)
    assert plan.rows_read("job_sms") == 64
    plan = await plan_of(bench.conn, await call_of(bench.conn, facts(bench)), analyze=True)
    assert plan.rows_read(f"delivery_{bench.day[:6]}") == BATCH
    assert plan.rows_read(f"content_{bench.day}") == BATCH


async def test_news_of_an_address_is_noted_by_keys(bench: Bench) -> None:
    def note(at: UUID) -> Callable[[], Awaitable[Any]]:
        news = bounces.News(at, None, None, None)
        return lambda: bounces.note(bench.conn, news, cell=0)

    await call_of(bench.conn, note(h.new_id()))
    await bench.load()
    plan = await plan_of(bench.conn, await call_of(bench.conn, note(bench.ids[0])))
    assert {node for node, _, _ in plan.scans} == {"Index Scan"}
    assert ("consent", "consent_pk") in {(relation, index) for _, relation, index in plan.scans}


async def test_a_known_key_is_found_by_its_index_in_one_leaf(bench: Bench) -> None:
    await call_of(bench.conn, known(bench))
    await bench.conn.execute(
        "INSERT INTO idempotency_key (cell, tenant_id, operation, key_hash, fingerprint, "
        "recovery_point, notification_id) SELECT 0, %s, 'notify', sha256(n::text::bytea), "
        "sha256(n::text::bytea), 'finished', %s FROM generate_series(1, %s) n",
        [bench.shop.tenant_id, h.new_id(), ROWS],
    )
    await bench.conn.execute(
        "INSERT INTO stored_response SELECT 0, notification_id, 202, 'x' FROM idempotency_key "
        "LIMIT 1"
    )
    (key_hash,) = (
        await (await bench.conn.execute("SELECT key_hash FROM idempotency_key LIMIT 1")).fetchone()
    ) or (b"",)
    await bench.conn.commit()

    def found() -> Awaitable[Any]:
        keys = [(bench.shop.tenant_id, "notify", key_hash)]
        return intake.known(bench.conn, cell=0, keys=keys)

    call = await call_of(bench.conn, found)
    for analyzed in (False, True):
        if analyzed:
            await bench.conn.execute("ANALYZE")
            await bench.conn.commit()
        plan = await plan_of(bench.conn, call, analyze=True)
        leaf = f"stored_response_{bench.day}"
        assert {(relation, index) for _, relation, index in plan.scans} == {
            ("idempotency_key", "idempotency_key_pk"),
            (leaf, f"{leaf}_pkey"),
        }
        assert plan.rows_read("idempotency_key") == 1
        assert plan.rows_read(leaf) == 1


async def test_the_walk_over_the_keys_reads_its_own_blocks_and_looks_up_what_is_old(
    database_url: str,
) -> None:
    """As the janitor runs it: on a connection that plans as it likes."""
    async with await db.connect(database_url) as conn:
        conn.prepare_threshold = 0
        shop = await h.open_shop(conn)
        await conn.commit()
        before = floor_of(h.database_now() - timedelta(days=41))
        old = floor_of(h.database_now() - timedelta(days=42))
        step = partial(reap.keys, conn, cell=0, first=10, beyond=20, before=before)
        await call_of(conn, step)
        await conn.execute(
            "INSERT INTO idempotency_key (cell, tenant_id, operation, key_hash, fingerprint, "
            "recovery_point, notification_id) SELECT 0, %s, 'notify', sha256(n::text::bytea), "
            "sha256(n::text::bytea), 'finished', CASE n %% 10 WHEN 0 THEN %s::uuid ELSE %s::uuid "
            "END FROM generate_series(1, %s) n",
            [shop.tenant_id, old, h.new_id(), ROWS],
        )
        await h.load(conn, shop, ROWS)
        per_block = await h.one(
            conn,
            "SELECT count(*) FROM idempotency_key WHERE ctid >= '(10,0)' AND ctid < '(20,0)'",
        )
        await conn.execute("ANALYZE")
        await conn.commit()
        plan = await plan_of(conn, await call_of(conn, step))
        walks = [n for n in nodes(plan.root) if n.get("Relation Name") == "idempotency_key"]
        assert {n["Node Type"] for n in walks} == {"Tid Range Scan", "ModifyTable"}
        found = {n.get("Index Name", "") for n in nodes(plan.root) if "Scan" in n["Node Type"]}
        assert "job_sms_pk" in found
        assert "Seq Scan" not in {
            n["Node Type"] for n in nodes(plan.root) if n.get("Relation Name") == "job_sms"
        }
        left = await h.one(
            conn,
            "SELECT count(*) FROM idempotency_key WHERE ctid >= '(10,0)' AND ctid < '(20,0)'",
        )
        assert 0 < per_block - left == pytest.approx(per_block / 10, abs=10)


async def test_accepting_reads_no_table(bench: Bench) -> None:
    asks = [h.make_ask(bench.shop) for _ in range(3)]
    ear = Ear(bench.conn)
    await h.accepted(bench.conn, *asks)
    del bench.conn.execute
    plan = await plan_of(bench.conn, ear.calls[0])
    assert {relation for _, relation, _ in plan.scans} == set()
    (keys,) = [n for n in nodes(plan.root) if n.get("Relation Name") == "idempotency_key"]
    assert keys["Conflict Resolution"] == "NOTHING"
    # The one sort is that of the batch's own keys.
    assert len([n for n in nodes(plan.root) if n["Node Type"] == "Sort"]) == 1


@pytest.mark.parametrize(
    "hot",
    [
        True,
        False,
    ],
    ids=["hot", "janitors"],
)
async def test_overdue_attempts_are_found_by_the_partial_index(
    database_url: str, hot: bool
) -> None:
    async with await db.connect(database_url, hot=hot) as conn:
        conn.prepare_threshold = 0
        shop = await h.open_shop(conn)
        bench = Bench(conn, shop, partitions.day_of(h.new_id()), [])
        await call_of(conn, overdue(bench))
        await h.load(conn, shop, ROWS, outcome="accepted", jobs=False, whole=False)
        await h.load(conn, shop, 20, outcome="open", jobs=False, whole=False)
        for analyzed in (False, True):
            if analyzed:
                await conn.execute("ANALYZE")
                await conn.commit()
            call = await call_of(conn, overdue(bench))
            plan = await plan_of(conn, call, analyze=True)
            leaf = f"attempt_{bench.day[:6]}"
            assert plan.rows_read(leaf) <= 2 * 20, (analyzed, plan.scans)


@pytest.mark.parametrize("leaf_is_analyzed", [False, True])
async def test_a_full_lane_does_not_delay_a_free_one(bench: Bench, leaf_is_analyzed: bool) -> None:
    free = bench.shop
    full = await h.open_shop(bench.conn, "full", provider="another")
    await bench.conn.commit()
    await call_of(bench.conn, claim(bench))
    await h.load(bench.conn, full, 200_000, whole=False)
    await h.load(bench.conn, free, 100, whole=False)
    if leaf_is_analyzed:
        await bench.conn.execute("ANALYZE")
        await bench.conn.commit()
    call = await call_of(bench.conn, claim(bench))
    plan = await plan_of(bench.conn, call, analyze=True)
    assert plan.rows_read("job_sms") == 64
    assert plan.buffers < 2 * 64 + 30  # the rows, the tuples' locks, the way down the index
