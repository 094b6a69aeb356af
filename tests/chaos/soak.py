"""The soak: producers, kills, freezes, cuts and lies for a while, then quiescence and the count.

The seed fixes what is asked for and what is broken, in which order; when each falls is the
machine's. At the end the sandbox's record is held against the rows, and every audit must be silent.
"""

import secrets
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import psycopg

from notifyq import migrate
from notifyq.domain import ids
from notifyq.embedded import EmbeddedPostgres
from notifyq.store.audits import audits_in
from tests.chaos.options import Options
from tests.chaos.soak_work import Monkey, Producer, Told
from tests.crash.plant import Plant

WINDOW_S, TIMEOUT_S, LEASE_S = 25, 2, 7
LIMITS = f"""
max_in_flight = 16
timeout_s = {TIMEOUT_S}
lease_s = {LEASE_S}
settle_window_s = {WINDOW_S}
look_up_s = [1, 3, 8]
"""
CATEGORIES = """
[categories."login.code"]
class = "otp"
in_doubt = "at_least_once"
resend_after_s = 3
"""
PRODUCERS = 3
HEAL_S = 180.0
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}
_UNSETTLED = """
SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM attempt WHERE outcome = 'open')
     + (SELECT count(*) FROM delivery WHERE state = 'in_doubt')
     + (SELECT count(*) FROM unfinished_key)
"""
# The end does not wait for the back-off of what is tried again.
_NO_BACK_OFF = "UPDATE job SET due = now() WHERE due > now() AND attempts > 0"
_WHY = """
SELECT d.state::text, d.reason, j.due - now(), a.outcome::text, a.code FROM delivery d
  LEFT JOIN job j ON j.delivery_id = d.id LEFT JOIN attempt a ON a.delivery_id = d.id
 WHERE d.state IN ('pending', 'in_doubt') ORDER BY d.id, a.number LIMIT 20
"""
_ROWS = """
SELECT d.id, d.state::text, d.reason, d.resend_after_s IS NOT NULL, d.expires_at,
       (SELECT count(*) FROM attempt a WHERE a.delivery_id = d.id AND a.outcome = 'abandoned')
  FROM delivery d
"""
NEVER_SENT = {"expired", "suppressed", "canceled", "dead", "standby"}


def run(options: Options) -> tuple[str, bool]:
    """Soak for `options.minutes`; return the totals and whether nothing was wrong."""
    seed = secrets.randbits(32) if options.seed is None else options.seed
    with (
        tempfile.TemporaryDirectory(prefix="notifyq-soak-") as folder,
        EmbeddedPostgres.start(settings=_SETTINGS) as server,
    ):
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE soak")
        migrate.upgrade(server.url("soak"))
        plant = Plant(server.url("soak"), Path(folder), limits=LIMITS, categories=CATEGORIES)
        try:
            plant.open_shop()
            began_s = time.monotonic()
            told, broken = _soak(plant, server, Random(seed), options.minutes * 60)
            return _judged(plant, told, broken, seed, time.monotonic() - began_s)
        finally:
            plant.close()


def _soak(
    plant: Plant, server: EmbeddedPostgres, dice: Random, seconds: float
) -> tuple[list[Told], Counter[str]]:
    """Produce and break for so many seconds, then heal and wait; return what was told and done."""
    plant.commands["worker2"] = plant.commands["worker"]
    plant.start("sandbox", "api", "janitor", "worker", "worker2")
    stop = Event()
    producers = [Producer(plant, Random(dice.random()), n, stop) for n in range(PRODUCERS)]
    monkey = Monkey(plant, server, Random(dice.random()), stop, freeze_s=LEASE_S + 2)
    threads = [Thread(target=one.run, daemon=True) for one in (*producers, monkey)]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join(HEAL_S)
    time.sleep(0.5)  # what the monkey's thread had started has gone with it
    monkey.heal()
    deadline = time.monotonic() + HEAL_S
    while time.monotonic() < deadline and _ask(plant, _UNSETTLED)[0][0]:
        _ask(plant, _NO_BACK_OFF)
        time.sleep(0.5)
    time.sleep(2)  # the last callbacks
    return [told for producer in producers for told in producer.told], monkey.done


def _judged(
    plant: Plant, told: list[Told], broken: Counter[str], seed: int, took_s: float
) -> tuple[str, bool]:
    taken: Counter[Any] = Counter()
    texts: Counter[tuple[str, str]] = Counter()
    late = 0
    rows = {row[0]: row[1:] for row in _ask(plant, _ROWS)}
    for message in plant.received():
        _, delivery, _ = ids.read_reference(message["reference"])
        taken[delivery] += 1
        texts[message["to"], message["body"]] += 1
        late += delivery in rows and message["accepted_at"] > rows[delivery][3].isoformat()
    wrong: list[str] = []
    repeats = 0
    for delivery, (state, reason, resent, _, abandoned) in rows.items():
        times = taken[delivery]
        repeats += max(0, times - 1) if resent else 0
        if times > 1 and not (resent and times <= 1 + abandoned):
            wrong.append(f"duplicate: {delivery} was taken {times} times; {state} {reason}")
        if times and state in NEVER_SENT:
            wrong.append(f"sent, and the rows say not: {delivery} {state} {reason}")
        if not times and state in ("sent", "delivered", "undelivered"):
            wrong.append(f"not sent, and the rows say sent: {delivery} {state} {reason}")
    wrong += [f"nobody's: {delivery}" for delivery in taken if delivery not in rows]
    there = {ids.public_id("ntf", 0, row[0]) for row in _ask(plant, "SELECT id FROM notification")}
    wrong += [f"lost: {one.id} was answered 202" for one in told if one.id not in there]
    unsettled = _ask(plant, _UNSETTLED)[0][0]
    if unsettled:
        wrong += [f"{unsettled} are not at rest", *map(str, _ask(plant, _WHY))]
    for audit in audits_in(migrate.files("sql") / "audit"):
        found = _ask(plant, audit.statement)
        wrong += [f"audit {audit.name}: {row}" for row in found[:5]]
    states = Counter(row[0] for row in rows.values())
    lines = [
        f"seed {seed}, {took_s:.0f} s",
        f"accepted {len(there)} notifications, {len(rows)} deliveries, {len(told)} answers of 202",
        f"taken by the provider {sum(taken.values())}; in time but for {late} that it held",
        f"states {dict(sorted(states.items()))}",
        f"broken {dict(sorted(broken.items()))}",
        f"repeats that at_least_once asked for: {repeats}",
        f"wrong: {len(wrong)}",
        *wrong[:50],
    ]
    return "\n".join(lines), not wrong


def _ask(plant: Plant, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(plant.url, autocommit=True) as conn, suppress(psycopg.ProgrammingError):
        conn.execute("SET search_path = notifyq")
        return conn.execute(text.encode()).fetchall()
    return []
