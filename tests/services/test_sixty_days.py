"""Sixty days of a house: at no tick does anything that can be replayed lack what stops a replay.

The clock is an argument: requests come with ids of their day, and the janitor is told the same
day. What the database stamps by its own clock is moved to the day it stands for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, LiteralString
from uuid import uuid4

import pytest

from notifyq.domain.asking import Ask, Dedupe
from notifyq.domain.ids import floor_of
from notifyq.domain.outcome import Accepted, InDoubt, Outcome, Refusal, Refused, Unavailable
from notifyq.domain.retention import Retention
from notifyq.services import lists, maintain, reap
from notifyq.services.accept import Answer, accept
from notifyq.store import db, upkeep
from notifyq.store import reap as store_reap
from notifyq.store.db import Conn
from tests.services.test_lists import list_ask
from tests.store import helpers as h

KEPT = Retention()
DAYS = 60
DAY = timedelta(days=1)
# The days begin so long after the test does: what the database stamped is told from what was moved.
STAMPED = timedelta(hours=1)
BAD_NUMBER = "+14155550140"
REFUSED = Refused(Refusal.ADDRESS, "21211")
OUTCOMES: Sequence[Outcome] = (Accepted("SM1"), REFUSED, InDoubt("timeout"), Unavailable("503"))

# Each says what is missing, and of what. `now` is the day's.
WANTING: dict[str, LiteralString] = {
    "a request that its client or Kafka may send again has no key": """
        SELECT asked.key_hash FROM unnest(%(recent)s::bytea[]) AS asked (key_hash)
         WHERE NOT EXISTS (SELECT 1 FROM idempotency_key k WHERE k.key_hash = asked.key_hash)""",
    "something alive has no key": """
        SELECT x.id, x.what
          FROM (SELECT delivery_id AS id, 'job' AS what FROM job
                UNION ALL SELECT delivery_id, 'timer' FROM timer
                UNION ALL SELECT delivery_id, 'standby' FROM standby
                UNION ALL SELECT delivery_id, 'dead letter' FROM dead_letter
                UNION ALL SELECT delivery_id, 'attempt' FROM attempt WHERE outcome = 'open'
                UNION ALL SELECT id, 'in doubt' FROM delivery WHERE state = 'in_doubt') AS x
         WHERE NOT EXISTS (SELECT 1 FROM idempotency_key k
                            WHERE k.notification_id = (left(x.id::text, 32) || '0000')::uuid)""",
    "something that may be sent has no content": """
        SELECT x.id, x.what
          FROM (SELECT delivery_id AS id, 'job' AS what FROM job
                UNION ALL SELECT delivery_id, 'standby' FROM standby
                UNION ALL SELECT delivery_id, 'dead letter' FROM dead_letter
                UNION ALL SELECT id, 'in doubt' FROM delivery WHERE state = 'in_doubt') AS x
         WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.delivery_id = x.id)""",
    "an answer is stored and has no key": """
        SELECT r.notification_id FROM stored_response r
         WHERE NOT EXISTS (SELECT 1 FROM idempotency_key k
                            WHERE k.notification_id = r.notification_id)""",
    "a key is unfinished and nobody can go on with it": """
        SELECT k.notification_id FROM idempotency_key k
         WHERE k.recovery_point <> 'finished'
           AND NOT EXISTS (SELECT 1 FROM unfinished_key u
                            WHERE u.notification_id = k.notification_id)""",
    "a mark that stands has no key, or is gone": """
        SELECT m.mark FROM unnest(%(marks)s::bytea[]) AS m (mark)
         WHERE NOT EXISTS (SELECT 1 FROM dedupe_mark d
                             JOIN idempotency_key k USING (notification_id)
                            WHERE d.mark = m.mark)""",
}


@dataclass
class House:
    """What is asked of it day by day, and what it was asked."""

    conn: Conn
    shop: h.Shop
    idle: h.Shop  # nobody serves its lane
    start: datetime
    keys: dict[bytes, datetime] = field(default_factory=dict)
    marks: dict[bytes, datetime] = field(default_factory=dict)
    dice: Random = field(default_factory=lambda: Random(60))

    async def accept(self, now: datetime, *asks: Ask) -> list[Any]:
        replies = await accept(
            self.conn, asks, now=now, dice=self.dice.getrandbits, render=h.render
        )
        for ask in asks:
            self.keys[ask.key_hash] = now
        return replies

    def ask(self, now: datetime, **more: Any) -> Ask:
        held = more.pop("held_days", 0)
        start = now + held * DAY
        not_before = start if held else None
        return h.make_ask(
            more.pop("shop", self.shop), not_before=not_before, expires_at=start + DAY, **more
        )

    async def requests(self, now: datetime, day: int) -> None:
        """What comes in: at once, held up to the longest, twice under two keys, to many."""
        mark = f"mark {day}".encode().ljust(32)
        twice = [self.ask(now, dedupe=Dedupe(mark, 86_400)) for _ in range(2)]
        held = self.ask(now, held_days=1 + day % KEPT.longest_hold_days)
        some = [self.ask(now) for _ in OUTCOMES]
        # It is refused however often somebody redrives it.
        bad = self.ask(now, to=BAD_NUMBER)
        replies = await self.accept(now, *some, bad, held, *twice)
        assert all(isinstance(reply, Answer) for reply in replies)
        self.marks[mark] = now + DAY
        await self.conn.execute("UPDATE dedupe_mark SET until = %s WHERE mark = %s",
                                [self.marks[mark], mark])  # fmt: skip
        await self.conn.commit()
        if day % 10 == 0:
            await self.accept(now, self.ask(now, shop=self.idle))

    async def begun_list(self, now: datetime) -> None:
        """A list whose process ends after its first phase."""
        ask = list_ask(self.shop, 3, expires_at=now + DAY)
        self.keys[ask.key_hash] = now

        async def dies() -> None:
            raise InterruptedError

        commit = self.conn.commit
        commits = iter([commit, dies])
        once = h.instead(self.conn, "commit", lambda: next(commits)())
        with once, pytest.raises(InterruptedError):
            await lists.accept_list(
                self.conn,
                ask,
                now=now,
                dice=self.dice.getrandbits,
                new_token=uuid4,
                render=h.render,
            )
        await self.conn.rollback()
        await self.conn.execute("UPDATE unfinished_key SET claimed_until = now() - interval '1 s'")
        await self.conn.commit()

    async def sends(self, now: datetime) -> None:
        """What is due by now is tried; some fails, some is in doubt, some is tried again."""
        # The database's own clock stands at the first day: what it would wait for has come.
        await self.conn.execute(
            "UPDATE delivery SET not_before = NULL WHERE not_before <= %s", [now]
        )
        await self.conn.execute(
            "UPDATE job SET due = now() - interval '1 s' WHERE due <= %s", [now]
        )
        await self.conn.commit()
        turn = await h.begin(self.conn, h.post_of(self.shop))
        ended = [
            (ready, REFUSED if ready.due.address == BAD_NUMBER else self.dice.choice(OUTCOMES))
            for ready in turn.ready
        ]
        if ended:
            await h.settled(self.conn, h.post_of(self.shop), *ended)

    async def time_passes(self, now: datetime, day: int) -> None:
        """Windows close after two days, dead letters get the day's stamp, some are redriven."""
        await self.conn.execute(
            "UPDATE timer SET due = now() - interval '1 s' WHERE delivery_id < %s",
            [floor_of(now - 2 * DAY)],
        )
        await self.conn.commit()
        await h.swept(self.conn)
        await self.conn.execute(
            "UPDATE dead_letter SET at = %s, dedupe_until = %s WHERE at < %s",
            [now, now + KEPT.dedupe_memory_days * DAY, self.start + STAMPED],
        )
        await self.conn.commit()
        await self.redrive(now)

    async def redrive(self, now: datetime) -> None:
        """The oldest dead letters, on their last day, are made due again, as redrive has it."""
        last = now - (KEPT.dead_letter_days - 1) * DAY
        await self.conn.execute(
            "WITH again AS (DELETE FROM dead_letter x USING delivery d WHERE d.id = x.delivery_id"
            "   AND d.state = 'dead' AND x.at <= %s RETURNING d.id),"
            " moved AS (UPDATE delivery d SET state = 'pending', reason = 'redriven',"
            "   expires_at = %s FROM again WHERE d.id = again.id RETURNING d.id, d.channel)"
            " INSERT INTO job (cell, delivery_id, channel, criticality, lane, due, attempts, tries)"
            " SELECT 0, id, channel, 1, %s, now(), (SELECT max(number) FROM attempt a"
            " WHERE a.delivery_id = moved.id), 0 FROM moved",
            [last, now + DAY, self.shop.lane.id],
        )
        await self.conn.commit()

    async def wanting(self, now: datetime) -> dict[str, list[Any]]:
        """What can be replayed and lacks what stops that; empty when all is well."""
        horizon = now - KEPT.replay_horizon_days() * DAY
        parameters = {
            "recent": [key for key, at in self.keys.items() if at >= horizon],
            "marks": [mark for mark, until in self.marks.items() if until > now],
        }
        found = {what: await h.all_rows(self.conn, text, **parameters)
                 for what, text in WANTING.items()}  # fmt: skip
        await self.conn.commit()
        return {what: rows for what, rows in found.items() if rows}


class Wanting(Exception):
    """Something that can be replayed lacks what stops it."""


async def live(url: str, retention: Retention, monkeypatch: pytest.MonkeyPatch) -> House:
    """Live through it; Wanting at the first tick that lacks something."""
    async with (
        await db.connect(url, hot=True) as conn,
        await db.connect(url) as janitor,
        h.looking(url) as keeper,
    ):
        await conn.execute("SET idle_in_transaction_session_timeout = 0")
        await conn.commit()
        shop = await h.open_shop(conn)
        idle = await h.open_shop(conn, "idle", provider="idle")
        house = House(conn, shop, idle, h.database_now())
        walk = reap.Walk(house.dice.getrandbits)
        monkeypatch.setattr("notifyq.domain.asking.PHASE_RECIPIENTS", 1)
        clock = [house.start]
        monkeypatch.setattr(h, "database_now", lambda: clock[-1])  # of the ids of events too
        for day in range(DAYS):
            now = house.start + 2 * STAMPED + day * DAY
            clock.append(now)
            await maintain.tend_leaves(keeper, cell=0, now=now, retention=retention)
            await house.requests(now, day)
            if day % 7 == 0:
                await house.begun_list(now)
            if day == 7:  # the second of them can never be finished
                await conn.execute("UPDATE unfinished_key SET ask = 'x'")
                await conn.commit()
            await lists.complete(janitor, cell=0, new_token=uuid4, limit=100)
            await house.sends(now)
            await house.time_passes(now, day)
            await reap.run_once(janitor, walk, cell=0, now=now, retention=retention)
            missing = await house.wanting(now)
            if missing:
                raise Wanting(f"day {day}: {missing}")
        return house


_LEFT: LiteralString = """
SELECT (SELECT count(*) FROM idempotency_key WHERE recovery_point <> 'finished'),
       (SELECT count(*) FROM job JOIN lane ON lane.id = job.lane WHERE provider = 'idle'),
       (SELECT count(DISTINCT date_trunc('day', at)) FROM dead_letter),
       (SELECT count(*) FROM dedupe_mark),
       (SELECT count(*) FROM dead_letter WHERE cause = 'outcome_unknown')
"""


async def test_in_sixty_days_nothing_that_can_be_replayed_lacks_its_mark(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await live(database_url, KEPT, monkeypatch)
    async with h.looking(database_url) as look:
        ((unfinished, idle, dead_days, marks, unknown),) = await h.all_rows(look, _LEFT)
        # It was no idle life: each kind of thing is there, and what is past its time is gone.
        assert (unfinished, idle) == (1, 6)
        assert 0 < dead_days <= KEPT.dead_letter_days + 1
        assert 0 < marks <= 2
        assert unknown > 0
        kept = {row[0] for row in await h.all_rows(look, "SELECT key_hash FROM idempotency_key")}
        over = house.start + (DAYS - 1 - 41) * DAY
        gone = [key for key, at in house.keys.items() if key not in kept]
        assert len(gone) > 60
        assert all(house.keys[key] <= over for key in gone)
        leaves = {row[0] for row in await h.all_rows(
            look, "SELECT relname FROM pg_class WHERE relname ~ '^stored_response_2'")}  # fmt: skip
        assert f"stored_response_{house.start + 40 * DAY:%Y%m%d}" not in leaves


@pytest.mark.parametrize(
    "what", ["the memory is too short", "dead letters do not keep their content"]
)
async def test_what_would_lose_a_mark_or_a_text_is_caught_within_sixty_days(
    database_url: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    kept, says = KEPT, "may be sent has no content"
    if what == "the memory is too short":  # start-up would refuse it
        kept, says = Retention(dedupe_memory_days=10), "Kafka may send again has no key"
    else:
        nothing = "FROM (SELECT * FROM dead_letter WHERE false) AS x"
        wrong = h.mutated(upkeep._ALIVE_BETWEEN, ("FROM dead_letter", nothing))
        monkeypatch.setattr(upkeep, "_ALIVE_BETWEEN", wrong)
    with pytest.raises(Wanting, match=says):
        await live(database_url, kept, monkeypatch)


@pytest.mark.parametrize("table", ["dead_letter", "job"])
async def test_a_reaper_that_looks_at_less_is_caught_within_sixty_days(
    database_url: str, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    nothing = f"FROM (SELECT * FROM {table} WHERE false) AS x"
    wrong = h.mutated(store_reap.KEYS, (f"FROM {table} AS x", nothing))
    monkeypatch.setattr(store_reap, "KEYS", wrong)
    with pytest.raises(Wanting, match="something alive has no key"):
        await live(database_url, KEPT, monkeypatch)
