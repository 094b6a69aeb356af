"""kill -9 and SIGTERM to real processes on a real database; the sandbox's record is the judge."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from notifyq.domain import ids
from tests.crash.plant import PATIENCE_S, Plant

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")


@pytest.fixture
def plant(database_url: str, tmp_path: Path) -> Iterator[Plant]:
    made = Plant(database_url, tmp_path)
    try:
        made.open_shop()
        yield made
    finally:
        made.close()


# ------------------------------------------------------------------------------- kill -9


def test_a_worker_killed_before_and_after_an_acceptance_sends_nothing_twice(plant: Plant) -> None:
    """Not accepted: in doubt, for nobody can know it, and not sent again. Accepted: settled by the
    provider's callback. The faults strike once: a second send would be accepted and counted."""
    plant.start("sandbox", "api", "janitor", "worker")
    plant.script("hold_before_accept", match={"body_contains": "held before"})
    plant.script("hold_after_accept", match={"body_contains": "held after"})
    for text in ("held before", "held after", "plain 1", "plain 2"):
        plant.accept(text)
    plant.until("both are held", lambda: plant.held() == 2)
    plant.until("the rest is there", lambda: plant.states()["plain 2"][0] == "delivered")
    assert [row["body"] for row in plant.received()].count("held after") == 1
    plant.kill("worker")
    plant.start("worker")
    plant.accept("afterwards")
    plant.rest()
    states = plant.states()
    assert states["held before"] == ("in_doubt", "lease_expired", 1, "in_doubt")
    assert states["held after"] == ("delivered", None, 1, "accepted")
    for text in ("plain 1", "plain 2", "afterwards"):
        assert states[text] == ("delivered", None, 1, "accepted")
    plant.at_most_once()
    bodies = {row["body"] for row in plant.received()}
    assert bodies == {"held after", "plain 1", "plain 2", "afterwards"}
    assert ("settle_window",) in plant.rows("SELECT kind FROM timer")


def test_killing_the_worker_again_and_again_under_load_sends_nothing_twice(plant: Plant) -> None:
    plant.start("sandbox", "api", "janitor", "worker")
    plant.script("slow", delay_s=0.05, times=None)
    dice = random.Random(16)
    texts = [f"text {number}" for number in range(240)]
    with ThreadPoolExecutor(4) as producers:
        posting = [producers.submit(plant.accept, text) for text in texts]
        for share in (0.15, 0.4, 0.65):
            want = int(share * len(texts)) + dice.randrange(10)
            plant.until(f"{want} were taken", lambda want=want: len(plant.received()) >= want)
            plant.kill("worker")
            plant.start("worker")
        for posted in posting:
            posted.result()
    plant.rest()
    plant.at_most_once()
    states = plant.states()
    assert set(states) == set(texts)
    assert {state for state, *_ in states.values()} <= {"delivered", "in_doubt"}
    assert {attempts for _, _, attempts, _ in states.values()} == {1}
    taken = {row["body"] for row in plant.received()}
    for text, (state, reason, _, _) in states.items():
        assert (state, reason, text in taken) in (
            ("delivered", None, True),
            ("in_doubt", "lease_expired", False),
        )


def test_everything_dies_at_once_and_nothing_is_lost_or_sent_twice(plant: Plant) -> None:
    """The sandbox too comes back with its record; what it had not told yet is never told."""
    plant.start("sandbox", "api", "janitor", "worker")
    plant.script("hold_before_accept", match={"body_contains": "held before"})
    plant.script("hold_after_accept", match={"body_contains": "held after"})
    for text in ("held before", "held after", *(f"plain {n}" for n in range(20))):
        plant.accept(text)
    plant.until("both are held", lambda: plant.held() == 2)
    for name in ("api", "worker", "janitor", "sandbox"):
        plant.kill(name)
    plant.start("sandbox", "api", "janitor", "worker")
    plant.until(
        "nothing is open",
        lambda: plant.one(
            "SELECT (SELECT count(*) FROM job) = 0"
            "   AND (SELECT count(*) FROM attempt WHERE outcome = 'open') = 0"
        ),
    )
    plant.at_most_once()
    taken = {row["body"] for row in plant.received()}
    states = plant.states()
    assert len(states) == 22
    assert states["held before"] == ("in_doubt", "lease_expired", 1, "in_doubt")
    assert states["held after"][:2] in (("in_doubt", "lease_expired"), ("delivered", None))
    for text, (state, *_) in states.items():
        assert state in ("sent", "delivered", "in_doubt")
        assert text in taken or state == "in_doubt"


def test_what_was_answered_202_is_there_after_the_api_is_killed(plant: Plant) -> None:
    """And its key still stands for it: whoever did not hear the answer asks again."""
    plant.start("api")
    told: dict[str, bytes] = {}

    def produce(name: str) -> int:
        """Post until the API is gone."""
        for number in range(10_000):
            key = f"{name}-{number}"
            try:
                answer = plant.post(key)
            except httpx.TransportError:
                return number
            assert answer.status_code == 202
            told[key] = answer.content
        return 10_000

    with ThreadPoolExecutor(8) as producers:
        posting = {name: producers.submit(produce, name) for name in "abcdefgh"}
        plant.until("many were told", lambda: len(told) > 200)
        plant.kill("api")
        cut = {name: posted.result() for name, posted in posting.items()}
    stored = {ids.public_id("ntf", 0, row[0]) for row in plant.rows("SELECT id FROM notification")}
    assert {json.loads(body)["id"] for body in told.values()} <= stored
    assert len(stored) - len(told) <= len(cut)
    plant.start("api")
    for key, body in list(told.items())[::20]:
        again = plant.post(key)
        assert (again.content, again.headers["idempotent-replayed"]) == (body, "true")
    for name, number in cut.items():
        assert plant.post(f"{name}-{number}").status_code == 202
    assert plant.one("SELECT count(*) FROM notification") == len(told) + len(cut)
    assert plant.one("SELECT count(*) FROM job") == len(told) + len(cut)


# ------------------------------------------------------------------------------- SIGTERM


def test_sigterm_lets_a_worker_end_what_it_began_and_exit_0(plant: Plant) -> None:
    plant.start("sandbox", "api", "worker")
    plant.script("hold_before_accept", match={"body_contains": "held"})
    plant.accept("held")
    plant.until("it is held", lambda: plant.held() == 1)
    process = plant.terminate("worker")
    plant.accept("after the signal")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert plant.states()["after the signal"][2] == 0
    plant.release()
    assert process.wait(PATIENCE_S) == 0, plant.logs()
    del plant.running["worker"]
    assert plant.states()["held"][3] == "accepted"
    assert plant.one("SELECT count(*) FROM worker") == 0
    assert plant.one("SELECT count(*) FROM job") == 1
    plant.at_most_once()


def test_sigint_does_the_same(plant: Plant) -> None:
    plant.start("sandbox", "api", "worker")
    process = plant.running["worker"]
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, plant.logs()
    del plant.running["worker"]


@pytest.mark.parametrize("name", ["api", "janitor", "sandbox", "worker"])
def test_sigterm_ends_a_part_with_exit_0(plant: Plant, name: str) -> None:
    plant.start(name)
    if name == "janitor":  # it says nothing and has no port: its second sweep shows that it runs
        plant.until("it sweeps", lambda: _sweeps(plant))
    process = plant.terminate(name)
    assert process.wait(PATIENCE_S) == 0, plant.logs()
    del plant.running[name]
    assert "Traceback" not in plant.logs()


def test_sigterm_lets_the_api_answer_what_it_was_asked(plant: Plant) -> None:
    plant.start("api")
    with psycopg.connect(plant.url) as locker, ThreadPoolExecutor(1) as producer:
        locker.execute("LOCK TABLE notifyq.outbox IN ACCESS EXCLUSIVE MODE")
        posted = producer.submit(plant.post, "asked")
        plant.until(
            "it waits",
            lambda: (
                posted.done()
                or plant.one(
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
            ),
        )
        process = plant.terminate("api")
        locker.rollback()
        answer = posted.result()
    assert answer.status_code in (202, 409, 503)
    process.wait(PATIENCE_S)
    del plant.running["api"]
    stored = plant.one("SELECT count(*) FROM notification")
    assert stored == (1 if answer.status_code == 202 else 0)


def test_sigterm_ends_a_worker_also_while_the_database_is_closed_to_it(
    plant: Plant, server: dict[str, Any]
) -> None:
    """It has nothing on its way, so there is nothing to wait for."""
    plant.start("worker")
    name = plant.one("SELECT current_database()")
    outside = make_conninfo(plant.url, dbname=server["maintenance_dbname"])
    with psycopg.connect(outside, autocommit=True) as conn:
        conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        try:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            process = plant.terminate("worker")
            process.wait(20)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it hangs\n{plant.logs()}")
        finally:
            conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
    del plant.running["worker"]


def _sweeps(plant: Plant) -> bool:
    return bool(
        plant.one(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
            "   AND pid <> pg_backend_pid() AND query LIKE '%settle_window%'"
            "    OR query LIKE '%send_by < now()%' AND pid <> pg_backend_pid()"
        )
    )
