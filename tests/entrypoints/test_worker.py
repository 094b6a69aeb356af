"""The lane worker against the real sandbox: each message reaches its provider once or is in doubt,
whatever stops, hangs or restarts; and no call is made on less than a committed attempt."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from notifyq import migrate
from notifyq.domain import ids
from notifyq.domain.message import Message
from notifyq.domain.model import DoubtRules
from notifyq.domain.outcome import Accepted, Outcome
from notifyq.domain.pace import Pace
from notifyq.embedded import EmbeddedPostgres
from notifyq.entrypoints.worker import lane as lane_module
from notifyq.entrypoints.worker.process import serve as serve_workers
from notifyq.services import deliver
from notifyq.services.maintain import Rules, Swept, sweep
from notifyq.store import db

SETTLED = "SELECT count(*) = 0 FROM delivery WHERE state IN ('pending', 'sent', 'in_doubt')"
IN_STATE = "SELECT count(*) = %s FROM delivery WHERE state = %s::delivery_state"
NO_MORE_IS_SENT = """
SELECT (SELECT count(*) FROM job)
     + (SELECT count(*) FROM attempt WHERE outcome = 'open' AND send_by > now()) = 0
"""
SID = "SM" + "c" * 32


def at_most_once(received: list[dict[str, Any]]) -> None:
    """Per delivery and per (recipient, body), never per attempt: one acceptance at the most."""
    deliveries = Counter(ids.read_reference(row["reference"])[:2] for row in received)
    messages = Counter((row["to"], row["body"]) for row in received)
    assert not [found for found in (deliveries + Counter(messages)).items() if found[1] > 1]


async def attempts(database: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = await database.rows(
        "SELECT number, outcome::text, code FROM attempt ORDER BY delivery_id, number"
    )
    return found


async def swept(database: Any) -> Swept:
    """Do one sweep, as a janitor does."""
    async with await db.connect(database.conn.info.dsn) as conn:
        return await sweep(
            conn,
            Rules({}, DoubtRules(3_600), 40),
            cell=0,
            new_id=lambda: ids.new_notification_id(datetime.now().astimezone(), uuid4().int),
        )


# ----------------------------------------------------------------------------- there and back


async def test_everything_accepted_is_delivered_once(rig: Any, database: Any) -> None:
    runs = [await rig.start(), await rig.start(), await rig.start("twilio-main")]
    named = await asyncio.gather(
        *(rig.accept(text=f"text {n}", key=rig.keys.live if n % 3 else None) for n in range(120))
    )
    await database.until(SETTLED)
    assert await database.rows("SELECT DISTINCT state::text FROM delivery") == [("delivered",)]
    received = await rig.received()
    at_most_once(received)
    assert {row["body"] for row in received} == {f"text {n}" for n in range(120)}
    assert set(await attempts(database)) == {(1, "accepted", None)}
    assert len(set(named)) == 120
    for table in ("job", "timer", "dead_letter"):
        assert (await database.counts())[table] == 0
    assert not any(run.done() for run in runs)


async def test_what_waits_is_sent_when_its_time_has_come_and_not_before(
    rig: Any, database: Any, soon: Any
) -> None:
    await rig.accept(text="later", not_before=soon(1.5).isoformat())
    await rig.accept(text="at once")
    await rig.start()
    await database.until(SETTLED)
    (began,) = await database.rows(
        "SELECT bool_and(d.not_before IS NULL OR a.began_at >= d.not_before)"
        "  FROM attempt a JOIN delivery d ON d.id = a.delivery_id"
    )
    assert began == (True,)
    at_most_once(await rig.received())


async def test_a_lost_answer_is_in_doubt_and_settled_by_its_callback(
    rig: Any, database: Any, callback: Any
) -> None:
    await rig.script("drop_after_accept", match={"body_contains": "doubt"})
    await rig.script("no_callbacks", match={"body_contains": "doubt"})
    await rig.start()
    await rig.accept(text="doubt")
    await database.until(IN_STATE, 1, "in_doubt")
    assert await database.rows("SELECT reason FROM delivery") == [("answer_lost",)]
    assert await database.one("SELECT count(*) FROM job") == 0
    (row,) = await rig.received()
    for status, state in (("sent", "sent"), ("delivered", "delivered")):
        answer = await callback(
            rig.api,
            row["reference"],
            status,
            provider="sandbox-sms",
            sid=row["provider_id"],
            public_url=rig.settings.public_url,
        )
        assert answer.status_code == 200
        assert await database.one("SELECT state::text FROM delivery") == state
    assert await attempts(database) == [(1, "accepted", "closed")]
    told = await database.rows("SELECT kind FROM outbox WHERE kind LIKE 'delivery.%%' ORDER BY id")
    assert told == [("delivery.in_doubt",), ("delivery.sent",), ("delivery.delivered",)]
    assert len(await rig.received()) == 1


async def test_the_callbacks_of_the_sandbox_settle_a_doubt_by_themselves(
    rig: Any, database: Any
) -> None:
    await rig.start()
    await rig.accept(to="+14155550145", text="doubt")  # drop_after_accept
    await database.until(IN_STATE, 1, "delivered")
    at_most_once(await rig.received())


@pytest.mark.parametrize("fault", ["drop_before_accept", "error_before_accept"])
async def test_an_answer_that_says_nothing_is_in_doubt_and_never_sent_again(
    rig: Any, database: Any, fault: str
) -> None:
    await rig.script(fault)
    await rig.start()
    await rig.accept(text="doubt")
    await database.until(IN_STATE, 1, "in_doubt")
    await rig.accept(text="next")
    await database.until(IN_STATE, 1, "delivered")
    assert [row["body"] for row in await rig.received()] == ["next"]
    assert await database.one("SELECT count(*) FROM attempt") == 2


async def test_throttled_is_tried_again_and_does_not_use_up_a_try(rig: Any, database: Any) -> None:
    await rig.start()
    await rig.accept(to="+14155550143", text="too fast")
    await database.until("SELECT count(*) = 1 FROM job WHERE attempts = 1 AND tries = 0")
    await database.until(IN_STATE, 1, "delivered")
    assert await attempts(database) == [(1, "throttled", "20429"), (2, "accepted", None)]
    at_most_once(await rig.received())


async def test_what_retry_after_asks_for_is_obeyed(rig: Any, database: Any) -> None:
    await rig.script("throttle", retry_after_s=100)
    await rig.start()
    await rig.accept(text="too fast")
    await database.until("SELECT count(*) = 1 FROM job WHERE attempts = 1")
    (wait,) = await database.rows("SELECT due - now() FROM job")
    assert timedelta(seconds=95) < wait[0] <= timedelta(seconds=125)


@pytest.mark.parametrize(
    ("to", "state", "reason", "dead"),
    [
        ("+14155550140", "dead", "refused_address", 1),
        ("+14155550142", "dead", "refused_address", 1),
        ("+14155550149", "dead", "refused_content", 1),
        ("+14155550141", "suppressed", "opted_out_at_provider", 0),
    ],
)
async def test_what_is_refused_comes_to_rest_with_a_reason(
    rig: Any, database: Any, to: str, state: str, reason: str, dead: int
) -> None:
    await rig.start()
    await rig.accept(to=to, text="no")
    await database.until(IN_STATE, 1, state)
    assert await database.one("SELECT reason FROM delivery") == reason
    assert await database.one("SELECT count(*) FROM dead_letter") == dead
    assert [outcome for _, outcome, _ in await attempts(database)] == ["refused"]
    assert await rig.received() == []


async def test_a_provider_that_cannot_be_reached_has_received_nothing_and_is_tried_again(
    rig: Any, database: Any
) -> None:
    account = rig.settings.providers["twilio-main"]
    nowhere = account.model_copy(update={"base_url": "http://127.0.0.1:9"})
    rig.settings = rig.settings.model_copy(update={"providers": {"twilio-main": nowhere}})
    await rig.start("twilio-main")
    await rig.accept(text="nobody there", key=rig.keys.live)
    await database.until("SELECT count(*) = 1 FROM job WHERE tries >= 1")
    number, outcome, code = (await attempts(database))[0]
    assert (number, outcome, code) == (1, "not_sent", "econnrefused")


# ----------------------------------------------------------------------------------- expiry


class Ahead(db.DatabaseClock):
    """A clock that is two days ahead of the database's."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=2)


async def test_what_expires_between_begin_and_the_call_is_not_sent(rig: Any, database: Any) -> None:
    await rig.accept(text="too late")
    await rig.start(clock=Ahead())
    await database.until(IN_STATE, 1, "expired")
    assert await attempts(database) == [(1, "not_sent", "expired")]
    assert await rig.received() == []


async def test_what_has_expired_is_never_begun(rig: Any, database: Any) -> None:
    await rig.accept(text="too late")
    await database.do("UPDATE delivery SET expires_at = now()")
    await rig.start()
    await database.until(IN_STATE, 1, "expired")
    assert await attempts(database) == []
    assert await rig.received() == []


async def test_a_retry_that_would_come_after_the_expiry_is_not_made(
    rig: Any, database: Any, soon: Any
) -> None:
    await rig.script("throttle", retry_after_s=600)
    await rig.start()
    await rig.accept(text="too late", expires_at=soon(300).isoformat())
    await database.until(IN_STATE, 1, "expired")
    assert await rig.received() == []


async def test_a_call_is_not_begun_when_its_lease_is_over(rig: Any, database: Any) -> None:
    """Nothing of it may leave: the janitor may have put it in doubt already."""
    await rig.accept(text="too late")
    await rig.start(lease_s=0.001)
    await database.until("SELECT count(*) >= 1 FROM attempt WHERE code = 'lease_over'")
    assert await rig.received() == []


# --------------------------------------------------------------------------------- stopping


async def test_a_stop_drains_what_is_held_settles_it_and_claims_nothing_new(
    rig: Any, database: Any
) -> None:
    await rig.script("hold_before_accept", match={"body_contains": "held"}, times=None)
    run = await rig.start(timeout_s=20, lease_s=25)
    for number in range(3):
        await rig.accept(text=f"held {number}")
    await rig.held(3)
    rig.stop.set()
    await rig.accept(text="after the stop")
    # The claim loop would have polled many times over by then.
    await asyncio.wait([run], timeout=4 * lane_module.POLL_S_MAX)
    assert not run.done()
    assert await database.one("SELECT count(*) FROM attempt") == 3
    assert await database.one("SELECT count(*) FROM job") == 1
    await rig.release()
    async with asyncio.timeout(10):
        await run
    assert await database.one("SELECT count(*) FROM attempt WHERE outcome = 'open'") == 0
    assert {outcome for _, outcome, _ in await attempts(database)} == {"accepted"}
    at_most_once(await rig.received())
    assert await database.one("SELECT count(*) FROM job") == 1


async def test_an_idle_worker_stops_at_once(rig: Any) -> None:
    run = await rig.start()
    await asyncio.sleep(0)
    rig.stop.set()
    async with asyncio.timeout(5):
        await run


async def test_a_process_says_that_it_lives_and_that_it_has_stopped(
    rig: Any, database: Any
) -> None:
    url = rig.settings.database_url
    worker_id, stop = uuid4(), asyncio.Event()
    lane = await rig.worker()
    serving = asyncio.create_task(
        serve_workers(
            [lane],
            worker_id=worker_id,
            connect=partial(db.connect, url, autocommit=True),
            clock=db.DatabaseClock(),
            stop=stop,
        )
    )
    await database.until("SELECT count(*) = 1 FROM worker WHERE id = %s", worker_id)
    await rig.accept(text="hello")
    await database.until(IN_STATE, 1, "delivered")
    stop.set()
    async with asyncio.timeout(10):
        await serving
    assert await database.one("SELECT count(*) FROM worker") == 0


# --------------------------------------------------------------------------------- bulkheads


async def test_a_lane_that_hangs_claims_nothing_more_and_another_goes_on(
    rig: Any, database: Any
) -> None:
    await rig.script("hold_before_accept", match={"body_contains": "hang"}, times=None)
    await rig.start("sandbox-sms", room=4, timeout_s=20, lease_s=25)
    await rig.start("twilio-main", room=4)
    for number in range(10):
        await rig.accept(text=f"hang {number}")
    await rig.held(4)
    for number in range(40):
        await rig.accept(text=f"goes on {number}", key=rig.keys.live)
    await database.until(IN_STATE, 40, "delivered")
    assert await database.one("SELECT count(*) FROM job") == 6
    assert await database.one("SELECT count(*) FROM attempt WHERE outcome = 'open'") == 4
    await rig.held(4)
    await rig.sandbox.delete("/sandbox/faults")
    await rig.release()
    await database.until(IN_STATE, 50, "delivered")
    at_most_once(await rig.received())


async def test_a_lane_whose_results_cannot_be_written_sends_no_more(
    rig: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else everything that is due would be sent, and be in doubt when the leases end."""
    room, batch, wanted = 4, 2, 20
    monkeypatch.setattr(lane_module, "BATCH_MAX", batch)
    blocker = await psycopg.AsyncConnection.connect(rig.settings.database_url)
    await blocker.execute("LOCK TABLE notifyq.dead_letter")  # every result may need it
    await rig.start(room=room)
    for number in range(wanted):
        await rig.accept(text=f"text {number}")
    # Begun, and their results wait; the rest is not begun.
    await database.until("SELECT count(*) = %s FROM attempt", room + batch)
    await asyncio.sleep(1.0)
    assert len(await rig.received()) == room + batch
    await blocker.close()
    await database.until(IN_STATE, wanted, "delivered")
    at_most_once(await rig.received())


async def test_a_provider_client_with_a_bug_stops_neither_its_lane_nor_the_rest(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether bytes left is not known: the lease will put that one attempt in doubt."""

    async def work(message: Message) -> Outcome:
        if message.content.body == "bug":
            raise KeyError("a bug")
        return Accepted(SID)

    await rig.start(provider=Fake(work), lease_s=1.0)
    await rig.accept(text="bug")
    for number in range(5):
        await rig.accept(text=f"good {number}")
    await database.until(IN_STATE, 5, "sent")
    assert await database.one("SELECT count(*) FROM attempt WHERE outcome = 'open'") == 1
    await database.until(
        "SELECT count(*) = 1 FROM attempt WHERE outcome = 'open' AND send_by < now()"
    )
    assert (await swept(database)).leases == 1
    assert await database.rows(
        "SELECT state::text, reason FROM delivery WHERE state <> 'sent'"
    ) == [("in_doubt", "lease_expired")]
    assert "event=send.crashed" in caplog.text


async def test_an_answer_that_comes_after_the_lease_settles_the_doubt(
    rig: Any, database: Any
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def work(_: Message) -> Outcome:
        asked.set()
        await go.wait()
        return Accepted(SID)

    run = await rig.start(provider=Fake(work), lease_s=0.3)
    await rig.accept(text="late")
    async with asyncio.timeout(10):
        await asked.wait()
    await database.until("SELECT count(*) = 1 FROM attempt WHERE send_by < now()")
    assert (await swept(database)).leases == 1
    go.set()
    rig.stop.set()
    async with asyncio.timeout(10):
        await run
    assert await database.rows("SELECT state::text, reason FROM delivery") == [("sent", None)]
    assert await attempts(database) == [(1, "accepted", "lease_expired")]


# ---------------------------------------------------------------------------------- its quota


async def test_a_lane_with_a_quota_sends_no_faster_and_sends_everything(
    rig: Any, database: Any
) -> None:
    """20 at once and 40 a second: 60 messages take a second at the least."""
    for n in range(60):
        await rig.accept(text=f"text {n}")
    await rig.start(room=64, pace=Pace(40.0, 20.0))
    await database.until(SETTLED)
    received = await rig.received()
    at_most_once(received)
    assert len(received) == 60
    began = await database.rows("SELECT began_at FROM attempt ORDER BY began_at")
    first = began[0][0]
    for count, (at,) in enumerate(began, 1):
        # the bucket's clock follows the database's and is read a moment after the claim's
        assert count <= 20 + 40 * (at - first).total_seconds() + 2, f"{count} after {at - first}"


# --------------------------------------------------------------------------------- the fence


async def test_a_closed_fence_lets_nothing_begin_and_a_new_epoch_goes_on(
    rig: Any, database: Any
) -> None:
    for phase, region in (("closed", "default"), ("draining", "default"), ("open", "elsewhere")):
        await database.do("UPDATE fence SET phase = %s, region = %s", phase, region)
        for number in range(3):
            await rig.accept(text=f"{phase} {region} {number}")
    run = await rig.start()
    await asyncio.wait([run], timeout=3 * lane_module.FENCED_S)
    assert await attempts(database) == []
    assert await database.one("SELECT count(*) FROM job") == 9
    assert await rig.received() == []
    await database.do("UPDATE fence SET phase = 'open', region = 'default', epoch = 7")
    await database.until(IN_STATE, 9, "delivered")
    assert await database.rows("SELECT DISTINCT epoch FROM attempt") == [(7,)]


async def test_a_worker_that_loses_the_fence_under_way_connections_nothing_more(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.start()
    await rig.accept(text="before")
    await database.until(IN_STATE, 1, "delivered")
    await database.do("UPDATE fence SET epoch = 2, region = 'elsewhere'")
    for number in range(5):
        await rig.accept(text=f"fenced {number}")
    async with asyncio.timeout(10):
        while True:
            if "event=fence.lost" in caplog.text:
                break
            await asyncio.sleep(0.01)
    assert await database.one("SELECT count(*) FROM attempt") == 1
    assert await database.one("SELECT count(*) FROM job") == 5
    await database.do("UPDATE fence SET epoch = 3, region = 'default'")
    await database.until(IN_STATE, 6, "delivered")
    assert await database.rows("SELECT epoch, count(*) FROM attempt GROUP BY 1 ORDER BY 1") == [
        (1, 1),
        (3, 5),
    ]
    at_most_once(await rig.received())


async def test_what_was_begun_at_the_old_epoch_is_still_settled(rig: Any, database: Any) -> None:
    """A planned drain waits for what is on its way; its answers are the truth."""
    await rig.script("hold_before_accept")
    await rig.start(timeout_s=20, lease_s=25)
    await rig.accept(text="held")
    await rig.held(1)
    await database.do("UPDATE fence SET epoch = 2, phase = 'closed'")
    await rig.release()
    await database.until(IN_STATE, 1, "delivered")
    assert await database.rows("SELECT epoch, outcome::text FROM attempt") == [(1, "accepted")]


# -------------------------------------------------------------- transactions and the provider


async def test_no_transaction_is_open_while_a_provider_is_called(rig: Any, database: Any) -> None:
    await rig.script("hold_before_accept", times=None)
    await rig.start(room=4, timeout_s=20, lease_s=25)
    await rig.start("twilio-main", room=4, timeout_s=20, lease_s=25)
    for number in range(4):
        await rig.accept(text=f"one {number}")
        await rig.accept(text=f"other {number}", key=rig.keys.live)
    await rig.held(8)
    for _ in range(100):
        found = await database.rows(
            "SELECT state, query FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            "   AND backend_type = 'client backend'"
            "   AND (state LIKE 'idle in transaction%%' OR xact_start < now() - interval '1 s')"
        )
        assert found == []
    assert await database.one("SELECT count(*) FROM attempt WHERE outcome = 'open'") == 8
    await rig.release()
    await database.until(IN_STATE, 8, "delivered")


class Fake:
    """A provider that does what it is told when it is called."""

    def __init__(self, work: Callable[[Message], Awaitable[Outcome]]) -> None:
        self.name = "fake"
        self.work = work

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        return await self.work(message)

    async def read_callback(self, callback: object) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


async def _watched_sends(rig: Any, look: Any, count: int) -> list[tuple[str, int] | None]:
    """Send `count` messages; return what another connection saw inside each call."""
    seen: list[tuple[str, int] | None] = []
    async with look(rig.settings.database_url) as other:

        async def work(message: Message) -> Outcome:
            _, delivery, number = ids.read_reference(message.reference)
            found = await other.rows(
                "SELECT a.outcome::text, (SELECT count(*) FROM job j WHERE j.delivery_id = %s)"
                "  FROM attempt a WHERE a.delivery_id = %s AND a.number = %s",
                delivery,
                delivery,
                number,
            )
            seen.append(found[0] if found else None)
            return Accepted(SID)

        await rig.start(provider=Fake(work))
        for number in range(count):
            await rig.accept(text=f"look {number}")
        async with asyncio.timeout(10):
            while True:
                if len(seen) >= count:
                    break
                await asyncio.sleep(0.01)
    return seen


async def test_the_begin_is_committed_before_the_provider_is_called(
    rig: Any, look: Any, database: Any
) -> None:
    assert await _watched_sends(rig, look, 20) == [("open", 0)] * 20
    await database.until(IN_STATE, 20, "sent")


async def test_a_worker_that_commits_after_the_call_is_caught_by_that_check(
    rig: Any, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: `transact` says Committed, and commits only when the sends have begun."""
    late: set[asyncio.Task[None]] = set()
    locks: dict[int, asyncio.Lock] = {}

    async def commits_late(
        conn: db.Conn, work: Callable[[db.Conn], Awaitable[deliver.Turn]]
    ) -> db.Committed[deliver.Turn]:
        async with locks.setdefault(id(conn), asyncio.Lock()):
            value = await work(conn)
            if not value.ready:
                await conn.commit()
                return db.Committed(value)

        async def commit() -> None:
            async with locks[id(conn)]:
                await asyncio.sleep(0.05)  # the call is made meanwhile
                await conn.commit()

        late.add(asyncio.create_task(commit()))
        return db.Committed(value)

    monkeypatch.setattr(deliver, "transact", commits_late)
    seen = await _watched_sends(rig, look, 1)
    await asyncio.gather(*late)
    assert seen == [None]


# ----------------------------------------------------------------------- a database in trouble


class Frozen(db.Conn):
    """A connection whose process is stopped before its next commit, until the server hangs up."""

    freezes = 0
    frozen: asyncio.Event

    async def commit(self) -> None:
        if (
            Frozen.freezes
            and self.pgconn.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        ):
            Frozen.freezes -= 1
            # What the kernel does to a stopped process's transaction: idle_in_transaction_timeout.
            loop = asyncio.get_running_loop()
            hung_up: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self.fileno(), lambda: hung_up.done() or hung_up.set_result(None))
            try:
                await hung_up
            finally:
                loop.remove_reader(self.fileno())
        await super().commit()


async def test_a_settle_that_was_frozen_is_written_after_all_and_its_lane_goes_on(
    rig: Any, database: Any
) -> None:
    """idle_in_transaction_session_timeout ends the session of a frozen process. What it held in
    its hands is settled by the next connection; neither the results nor the loop are lost."""
    connections = 0

    async def connect() -> db.Conn:
        nonlocal connections
        connections += 1
        if (
            connections != 2
        ):  # the first is the claim loop's, the second the settler's, then reconnects
            return await db.connect(rig.settings.database_url, hot=True)
        conn = await Frozen.connect(rig.settings.database_url, autocommit=True)
        await db.prepare_session(conn, hot=True)
        await conn.execute("SET idle_in_transaction_session_timeout = '50ms'")
        await conn.set_autocommit(False)
        Frozen.freezes = 1
        return conn

    async def work(_: Message) -> Outcome:
        return Accepted("SM" + uuid4().hex)

    run = await rig.start(provider=Fake(work), connect=connect, lease_s=30)
    await asyncio.sleep(0)
    await rig.accept(text="frozen")
    await database.until("SELECT count(*) = 1 FROM attempt")
    await rig.accept(text="after it")
    await database.until(IN_STATE, 2, "sent")
    assert Frozen.freezes == 0
    assert connections >= 3
    rig.stop.set()
    async with asyncio.timeout(10):
        await run


async def test_a_worker_whose_connections_are_cut_loses_nothing(rig: Any, database: Any) -> None:
    await rig.start()
    await rig.start()
    cutting = True

    async def cut() -> None:
        while cutting:
            await database.do(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                "   AND query LIKE '%%attempt_20%%'"
            )
            await asyncio.sleep(0.1)

    knife = asyncio.create_task(cut())
    for number in range(60):
        with suppress(AssertionError):  # the API's own connections are not what is cut
            await rig.accept(text=f"text {number}")
    cutting = False
    await knife
    # A result whose settle was cut is written once its worker is connected again, so its delivery
    # may become 'sent' long after its job is gone: no look at the deliveries alone finds the end.
    # But when no job is left and no lease runs, nothing more is sent, and all of it has to arrive.
    await database.until(NO_MORE_IS_SENT)
    received = await rig.received()
    await database.until(IN_STATE, len(received), "delivered")
    at_most_once(received)
    # What became of a begin of unknown fate is in doubt by its lease, everything else delivered.
    states = dict(await database.rows("SELECT state::text, count(*) FROM delivery GROUP BY 1"))
    assert set(states) <= {"delivered", "pending"}
    assert states.get("pending", 0) == await database.one(
        "SELECT count(*) FROM attempt WHERE outcome = 'open'"
    )
    assert states["delivered"] == len(received)


async def test_a_begin_of_unknown_fate_is_closed_as_not_sent_and_made_again(
    rig: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design.md section 4: the incarnation that did not send knows that it did not; once it learns
    that the row is there it says so, and the message goes out: it is not lost to a doubt."""
    real, told = db.transact, 0

    async def unknown_once(conn: db.Conn, work: Callable[[db.Conn], Awaitable[Any]]) -> Any:
        nonlocal told
        fate = await real(conn, work)
        if isinstance(fate, db.Committed) and getattr(fate.value, "ready", ()) and not told:
            told += 1
            await conn.close()
            return db.Unknown("the connection broke in the commit")
        return fate

    monkeypatch.setattr(deliver, "transact", unknown_once)
    await rig.start(lease_s=2.0, timeout_s=1.0)
    await rig.accept(text="not lost")
    await database.until("SELECT count(*) > 0 FROM attempt WHERE send_by < now() OR number > 1")
    await swept(database)
    await database.until("SELECT count(*) = 0 FROM attempt WHERE outcome = 'open'")
    assert [outcome for _, outcome, _ in await attempts(database)] == ["not_sent", "accepted"]


async def test_a_database_that_restarts_under_load_sends_nothing_twice_and_loses_nothing(
    rig_on: Any, look: Any, major: int | None
) -> None:
    """Every 202 is there afterwards; each message was accepted once, or is in doubt and shown."""
    settings = {"max_connections": "100"}
    with EmbeddedPostgres.start(major=major, settings=settings) as server:
        url = server.url()
        await asyncio.to_thread(migrate.upgrade, url)
        async with rig_on(url) as rig:
            accepted = await _restarted_under_load(rig, server)
            async with look(url) as database:
                await database.until("SELECT count(*) = 0 FROM job")
                await database.until(
                    "SELECT count(*) = 0 FROM attempt WHERE outcome = 'open' AND send_by > now()"
                )
                await swept(database)
                await _nothing_twice_nothing_lost(rig, database, accepted)


async def _restarted_under_load(rig: Any, server: EmbeddedPostgres) -> list[str]:
    """Post for as long as the database restarts twice; return what was answered 202."""
    await rig.script("slow", delay_s=0.02, times=None)
    for _ in range(2):
        await rig.start(room=16, timeout_s=2.0, lease_s=4.0)
    posting = True
    accepted: list[str] = []

    async def produce(name: str) -> None:
        number = 0
        while posting:
            number += 1
            body = {
                "recipient": {"phone": "+14155550123"},
                "category": "order.shipped",
                "content": {"sms": {"body": f"{name} {number}"}},
            }
            headers = {
                "Authorization": f"Bearer {rig.keys.test}",
                "Idempotency-Key": f"{name}-{number}",
            }
            while True:  # the same key until somebody knows
                answer = await rig.api.post("/v1/notifications", json=body, headers=headers)
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])
                    break
                assert answer.json()["retryable"], answer.text
                await asyncio.sleep(0.05)

    producers = [asyncio.create_task(produce(f"p{n}")) for n in range(8)]
    async with asyncio.timeout(120):
        for step in (1, 2, 3):
            while True:
                if len(accepted) >= 200 * step:
                    break
                await asyncio.sleep(0.01)
            if step < 3:
                await asyncio.to_thread(server.restart)
    posting = False
    await asyncio.gather(*producers)
    return accepted


async def _nothing_twice_nothing_lost(rig: Any, database: Any, accepted: list[str]) -> None:
    received = await rig.received()
    at_most_once(received)
    stored = {row[0] for row in await database.rows("SELECT id FROM notification")}
    assert {ids.read_public_id("ntf", named)[1] for named in accepted} == stored
    rows = await database.rows("SELECT id, state::text FROM delivery")
    assert {ids.notification_of(delivery) for delivery, _ in rows} == stored
    assert {state for _, state in rows} <= {"sent", "delivered", "in_doubt"}
    took: set[UUID] = {ids.read_reference(row["reference"])[1] for row in received}
    assert {delivery for delivery, state in rows if state != "in_doubt"} <= took
    doubtful = sum(state == "in_doubt" for _, state in rows)
    assert doubtful <= 2 * 2 * 16 * 2  # two restarts, two workers, at most what was on its way
