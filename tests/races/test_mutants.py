"""The wrong versions. Each is the production text with an exact fragment altered, and each breaks
the claim that the production text keeps: a guard that no test misses is not a guard.
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from notifyq.domain import idempotency
from notifyq.domain.model import RANK_DELIVERED, Channel
from notifyq.domain.outcome import Unavailable
from notifyq.errors import FenceLost
from notifyq.services import accept, deliver, maintain
from notifyq.store import attempts, consents, db, results, upkeep
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, TO_COMMIT, Session, Step, run
from tests.store import helpers as h

RIGHT_AND_WRONG = pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])


def remade(function: Callable[..., Any], *changes: tuple[str, str]) -> Callable[..., Any]:
    """The function with fragments of its source replaced, in its module's own names."""
    scope = dict(vars(sys.modules[function.__module__]))
    exec(h.mutated(inspect.getsource(function), *changes), scope)
    made: Callable[..., Any] = scope[function.__name__]
    return made


# ------------------------------------------------------------------------------- settle

NO_OPEN = h.mutated(
    results.HOLD, ("WHERE a.outcome IN ('open', 'in_doubt') AND a.epoch = r.epoch", "")
)
NO_EPOCH = h.mutated(results.HOLD, ("AND a.epoch = r.epoch", ""))


@RIGHT_AND_WRONG
async def test_settle_without_the_open_condition_unsays_a_receipt(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(results, "HOLD", NO_OPEN)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        (ready,) = await h.begun(conn, shop, h.make_ask(shop))
        delivery_id = ready.due.delivery_id
        await h.told(conn, h.receipt_for(delivery_id, 1, RANK_DELIVERED))
        await h.settled(conn, h.post_of(shop), (ready, Unavailable("20500")))
        after = await h.standing(conn, delivery_id)
        assert (after.outcomes == ("accepted",)) is not wrong


@RIGHT_AND_WRONG
async def test_settle_without_the_epoch_lets_a_zombie_close_the_new_regions_attempt(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(results, "HOLD", NO_EPOCH)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        (ready,) = await h.begun(conn, shop, h.make_ask(shop))
        # The same attempt, begun by the new region: the old one's begin did not survive.
        await conn.execute("UPDATE attempt SET epoch = 2")
        await conn.commit()
        done = await h.settled(conn, h.post_of(shop), (ready, Unavailable("20500")))
        after = await h.standing(conn, ready.due.delivery_id)
        assert (done == set()) is not wrong
        assert (after.outcomes == ("open",)) is not wrong


# -------------------------------------------------------------------------------- lease

BACK_TO_PENDING = h.mutated(
    upkeep.DOUBT,
    (
        "SET outcome = 'in_doubt', code = 'lease_expired'",
        "SET outcome = 'not_sent', code = 'lease_expired', ended_at = now()",
    ),
    ("SET state = 'in_doubt', reason = 'lease_expired'", "SET state = 'pending', reason = NULL"),
    ("RETURNING d.tenant_id, d.id, d.resend", "RETURNING d.tenant_id, d.id, d.channel, d.resend"),
    (
        """INSERT INTO timer (cell, delivery_id, kind, due, lane)
    SELECT %(cell)s::int2, id, w.kind, now() + make_interval(secs => w.after_s), lane
      FROM moved,""",
        """INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, 1, lane, now(), id, channel, 1, 0
      FROM moved,""",
    ),
    ("WHERE w.after_s IS NOT NULL", "WHERE w.kind = 'settle_window'"),
)


@RIGHT_AND_WRONG
async def test_a_lease_that_ran_out_back_to_pending_sends_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(upkeep, "DOUBT", BACK_TO_PENDING)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        (first,) = await h.begun(conn, shop, h.make_ask(shop), lease_s=-1.0)
        await sweep(conn)
        again = await h.begin(conn, h.post_of(shop))
        sends = [first, *again.ready]
        assert (len(sends) == 1) is not wrong
        after = await h.standing(conn, first.due.delivery_id)
        assert (after.state == "in_doubt") is not wrong


async def sweep(conn: Conn) -> maintain.Swept:
    return await h.swept(conn)


# --------------------------------------------------------------------------------- keys

BLIND = remade(idempotency.judge, ("if known.fingerprint != asked:", "if False:"))


@RIGHT_AND_WRONG
async def test_a_replay_without_comparing_fingerprints_confirms_what_was_never_asked(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(idempotency, "judge", BLIND)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        await h.accepted(conn, h.make_ask(shop, "key"))
        (reply,) = await h.submit(conn, [h.make_ask(shop, "key", to="+14155550199")])
        assert isinstance(reply, accept.Refusal) is not wrong


# ------------------------------------------------------------------------------ consent

_LOCKING = "LIMIT 1 FOR NO KEY UPDATE) AS c"
UNLOCKED = h.mutated(consents.LOCK, (_LOCKING, "LIMIT 1) AS c"))
NO_MEET = (
    "SELECT %(cell)s::int2, %(channel)s::channel, %(brands)s::text[], %(address_keys)s::bytea[]"
)
# Insert-if-missing and lock in one statement: its snapshot cannot see the STOP beside it. A row
# that was just inserted is not seen either, so no row has to mean that nobody said STOP.
ONE_STATEMENT = """
WITH met AS (
    INSERT INTO consent (cell, brand, channel, address_key, blocked, revision)
    SELECT %(cell)s::int2, brand, %(channel)s::channel, address_key, false, 0
      FROM unnest(%(brands)s::text[], %(address_keys)s::bytea[]) AS m (brand, address_key)
    ON CONFLICT DO NOTHING
    RETURNING brand
), first AS MATERIALIZED (SELECT count(*) FROM met)""" + h.mutated(
    consents.LOCK,
    ("asked.address_key, c.blocked, c.revision", "asked.address_key, "
     "coalesce(c.blocked, false), coalesce(c.revision, 0)"),
    ("c.programs, c.held,\n       c.consented, c.begun_at", "coalesce(c.programs, '{}'), "
     "coalesce(c.held, false), coalesce(c.consented, false), coalesce(c.begun_at, '{}')"),
    ("  FROM unnest(", "  FROM first CROSS JOIN unnest("),
    ("asked (brand, address_key),\n       LATERAL", "asked (brand, address_key)\n"
     "  LEFT JOIN LATERAL"),
    (_LOCKING, _LOCKING + " ON true"),
)  # fmt: skip


async def _stop_against_begin(
    url: str, begin_steps: list[Step], order: str, *, first_contact: bool
) -> bool:
    """Whether an attempt was begun although the STOP had committed before the begin did."""
    async with (
        await db.connect(url, hot=True) as sender,
        await db.connect(url) as stopper,
        h.looking(url) as look,
    ):
        shop, phone = await h.own_shop(look)
        (delivery_id,) = await h.accepted(sender, h.make_ask(shop, to=phone))
        if not first_contact:
            await look.execute(
                "INSERT INTO consent (cell, brand, channel, address_key, blocked, revision) "
                "SELECT 0, brand, channel, address_key, false, 0 FROM delivery"
            )
        begin = Session("begin", sender, lambda conn: h.begin(conn, h.post_of(shop)))
        stop = Session("stop", stopper, lambda conn: h.opt_out(conn, shop, phone))
        sessions = [(begin, begin_steps), (stop, [TO_COMMIT, END])]  # what it says; its commit
        trace = await run(["BS".index(letter) for letter in order], sessions, look)
        assert (begin.error, stop.error) == (None, None)
        slipped = bool((await h.standing(look, delivery_id)).outcomes)
        return slipped and trace.index("stop committed") < trace.index("begin committed")


@RIGHT_AND_WRONG
async def test_deciding_on_an_unlocked_row_lets_a_stop_slip(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(consents, "LOCK", UNLOCKED)
    steps = [ONE, ONE, ONE, ONE, TO_COMMIT, END]  # claim, facts, meet, lock
    slipped = await _stop_against_begin(database_url, steps, "BBBBSSBB", first_contact=False)
    assert slipped is wrong


@RIGHT_AND_WRONG
async def test_insert_and_lock_in_one_statement_lets_a_stop_slip(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(consents, "MEET", NO_MEET)
        monkeypatch.setattr(consents, "LOCK", ONE_STATEMENT)
    steps = [ONE, TO_COMMIT, END]  # claim, the rest, commit
    slipped = await _stop_against_begin(database_url, steps, "BSBSB", first_contact=True)
    assert slipped is wrong


# -------------------------------------------------------------------------------- begin

JOBS_FIRST = h.mutated(
    attempts.BEGIN,
    ("USING due AS d JOIN begun USING (delivery_id)", "USING due AS d"),
    (
        "SELECT EXISTS (SELECT 1 FROM fence_open), begun.delivery_id, "
        "gone.delivery_id IS NOT NULL\n"
        "  FROM (VALUES (1)) AS one LEFT JOIN begun ON true LEFT JOIN gone USING (delivery_id)",
        "SELECT true, delivery_id, true FROM gone",
    ),
)


@RIGHT_AND_WRONG
async def test_a_begin_that_deletes_jobs_first_loses_them_under_a_stale_epoch(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(attempts, "BEGIN", JOBS_FIRST)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        (delivery_id,) = await h.accepted(conn, h.make_ask(shop))
        await conn.execute("UPDATE fence SET epoch = 2")
        await conn.commit()
        ready = []
        try:
            ready = (await h.begin(conn, h.post_of(shop, epoch=1))).ready
        except FenceLost:
            assert not wrong
        after = await h.standing(conn, delivery_id)
        assert after.outcomes == ()
        assert (after.jobs == 1) is not wrong
        assert (ready == []) is not wrong
        assert (await h.faults(conn) == []) is not wrong


BY_CTID_ALONE = h.mutated(
    attempts.BEGIN,
    ("DELETE FROM job_{channel} AS j", "DELETE FROM job AS j"),
    ("WHERE j.ctid = d.place AND j.delivery_id = d.delivery_id", "WHERE j.ctid = d.place"),
)


@RIGHT_AND_WRONG
async def test_a_delete_by_ctid_through_the_parent_takes_another_channels_job_too(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(attempts, "BEGIN", BY_CTID_ALONE)
    async with await db.connect(database_url, hot=True) as conn:
        sms = await h.open_shop(conn)
        email = await h.open_shop(conn, channel=Channel.EMAIL, provider="ses")
        (here,) = await h.accepted(conn, h.make_ask(sms))
        (there,) = await h.accepted(conn, h.make_ask(email, to="a@example.com"))
        places = await h.all_rows(conn, "SELECT DISTINCT ctid FROM job")
        assert len(places) == 1, "the two rows are to lie at the same place of their leaves"
        await conn.commit()
        await h.begin(conn, h.post_of(sms))
        assert (await h.standing(conn, here)).outcomes == ("open",)
        assert ((await h.standing(conn, there)).jobs == 1) is not wrong
        assert (await h.faults(conn) == []) is not wrong


POISONED = h.mutated(attempts.BEGIN, ("    ON CONFLICT DO NOTHING\n", ""))


@RIGHT_AND_WRONG
async def test_without_on_conflict_one_bad_row_fails_its_whole_batch(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        monkeypatch.setattr(attempts, "BEGIN", POISONED)
    async with await db.connect(database_url, hot=True) as conn:
        shop = await h.open_shop(conn)
        bad, good = await h.accepted(conn, h.make_ask(shop), h.make_ask(shop, to="+14155550199"))
        await conn.execute(
            "INSERT INTO attempt (cell, number, lane, delivery_id, epoch, began_at, send_by, "
            "consent_revision, outcome, worker) "
            "SELECT 0, 7, %s, %s, 1, now(), now(), 0, 'in_doubt', gen_random_uuid()",
            [shop.lane.id, bad],
        )
        await conn.commit()
        turn: deliver.Turn | None = None
        try:
            turn = await h.begin(conn, h.post_of(shop))
        except psycopg.errors.UniqueViolation:
            assert wrong
        assert (turn is not None) is not wrong
        if turn is not None:
            assert [r.due.delivery_id for r in turn.ready] == [good]
            assert turn.blocked == (bad,)
