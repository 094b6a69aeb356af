"""What a soak does: producers that ask for everything there is, and a monkey that breaks it."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from typing import Any

import httpx
import psycopg

from notifyq.embedded import EmbeddedPostgres
from tests.crash.plant import KEY, Plant

PEOPLE = 400
BREAK_S = (1.0, 5.0)  # between two things that break
FAULTS: list[dict[str, Any]] = [
    {"fault": "drop_before_accept"},
    {"fault": "drop_after_accept"},
    {"fault": "error_before_accept", "status": 503},
    {"fault": "error_after_accept", "status": 500},
    {"fault": "throttle", "retry_after_s": 1},
    {"fault": "slow", "delay_s": 1.0},
    {"fault": "slow", "delay_s": 3.0},
    {"fault": "hold_before_accept", "hold_s": 4},
    {"fault": "hold_after_accept", "hold_s": 4},
    {"fault": "no_callbacks"},
    {"fault": "duplicate_callbacks"},
    {"fault": "reordered_callbacks"},
    {"fault": "undelivered", "code": 30003},
    {"fault": "refuse", "code": 21211},
    {"fault": "lookup_error", "status": 500},
    {"fault": "lookup_drop"},
    {"fault": "lookup_lag", "lag_s": 6},
]


@dataclass(frozen=True, slots=True)
class Told:
    """A 202 that a producer got."""

    id: str


class Producer:
    """One producer: posts, lists, batches, replays, cancels and redrives, as its dice fall."""

    def __init__(self, plant: Plant, dice: Random, number: int, stop: Event) -> None:
        self.told: list[Told] = []
        self._plant, self._dice, self._stop = plant, dice, stop
        self._name = f"p{number}"
        self._count = 0
        self._sent: list[tuple[str, dict[str, Any]]] = []
        self._http = httpx.Client(
            base_url=plant.api_url,
            trust_env=False,
            timeout=10,
            headers={"Authorization": f"Bearer {KEY}"},
        )

    def run(self) -> None:
        """Ask until stopped; an API that is away is asked again, under the same key."""
        ways: list[tuple[Callable[[], None], int]] = [
            (self._post, 70),
            (self._list, 3),
            (self._batch, 5),
            (self._replay, 12),
            (self._cancel, 8),
            (self._redrive, 2),
        ]
        does, weights = zip(*ways, strict=True)
        while not self._stop.is_set():
            with suppress(httpx.HTTPError):
                self._dice.choices(does, weights)[0]()
            self._stop.wait(self._dice.expovariate(20))

    def _next(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count}"

    def _person(self) -> dict[str, str]:
        number = self._dice.randrange(PEOPLE)
        return {"phone": f"+1{212 + number // 100}55501{number % 100:02}"}

    def _body(self, key: str) -> dict[str, Any]:
        code = self._dice.random() < 0.2
        body: dict[str, Any] = {
            "recipient": self._person(),
            "category": "login.code" if code else "order.shipped",
            "content": {"sms": {"body": f"text {key}"}},
        }
        now = datetime.now(UTC)
        if self._dice.random() < 0.1:
            later = timedelta(seconds=self._dice.uniform(2, 6))
            body["expires_at"] = (now + later).isoformat()
        elif self._dice.random() < 0.1:
            later = timedelta(seconds=self._dice.uniform(1, 4))
            body["not_before"] = (now + later).isoformat()
        if self._dice.random() < 0.05:
            body["dedupe_key"] = f"{self._name}-{self._dice.randrange(40)}"
        return body

    def _ask(self, key: str, body: dict[str, Any]) -> None:
        headers = {"Idempotency-Key": key}
        if self._dice.random() < 0.05:
            headers["Prefer"] = "wait=2"
        while True:
            try:
                answer = self._http.post("/v1/notifications", json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code in (200, 202):
                self.told.append(Told(answer.json()["id"]))
                return
            if answer is not None and answer.status_code not in (409, 500, 503):
                return  # for good: it expired while it was asked again
            if self._stop.wait(0.3):
                return

    def _post(self) -> None:
        key = self._next()
        body = self._body(key)
        self._sent.append((key, body))
        self._ask(key, body)

    def _list(self) -> None:
        key = self._next()
        count = self._dice.randrange(2, 60)
        people = {person["phone"]: person for person in (self._person() for _ in range(count))}
        content = {"sms": {"body": f"text {key}"}}
        body = {"recipients": [*people.values()], "category": "order.shipped", "content": content}
        self._ask(key, body)

    def _batch(self) -> None:
        items = []
        for _ in range(self._dice.randrange(1, 20)):
            key = self._next()
            body = self._body(key)
            self._sent.append((key, body))
            items.append({"idempotency_key": key, **body})
        answer = self._http.post("/v1/notifications/batch", json={"notifications": items})
        if answer.status_code == 200:
            for result in answer.json()["results"]:
                if result["status"] == 202:
                    self.told.append(Told(result["body"]["id"]))

    def _replay(self) -> None:
        if self._sent:
            self._ask(*self._dice.choice(self._sent))

    def _cancel(self) -> None:
        if self.told:
            self._http.post(f"/v1/notifications/{self.told[-1].id}/cancel", json={})

    def _redrive(self) -> None:
        body = {"cause": "retries_exhausted", "limit": 20, "reason": "soak"}
        self._http.post("/v1/dead-letters/redrive", json=body)


class Monkey:
    """Breaks one thing after another, and mends what has to be mended for the next."""

    def __init__(
        self, plant: Plant, server: EmbeddedPostgres, dice: Random, stop: Event, *, freeze_s: float
    ) -> None:
        self.done: Counter[str] = Counter()
        self._plant, self._server, self._dice, self._stop = plant, server, dice, stop
        self._freeze_s = freeze_s
        self._http = httpx.Client(base_url=plant.sandbox_url, trust_env=False, timeout=5)

    def run(self) -> None:
        """Break until stopped."""
        ways: list[tuple[Callable[[], str], int]] = [
            (self._lie, 50),
            (self._kill, 20),
            (self._cut, 12),
            (self._freeze, 6),
            (self._opt_out, 6),
            (self._crash_the_database, 3),
        ]
        does, weights = zip(*ways, strict=True)
        while not self._stop.is_set():
            with suppress(httpx.HTTPError, psycopg.Error):
                self.done[self._dice.choices(does, weights)[0]()] += 1
            self._stop.wait(self._dice.uniform(*BREAK_S))

    def heal(self) -> None:
        """Let everything run again, and nothing lie."""
        for name in self._plant.commands:
            self._again(name)
        deadline = time.monotonic() + 60
        while True:
            try:
                self._http.delete("/sandbox/faults").raise_for_status()
                self._http.delete("/sandbox/held").raise_for_status()
                return
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _lie(self) -> str:
        fault = self._dice.choice(FAULTS)
        times = self._dice.randrange(1, 25)
        self._http.post("/sandbox/faults", json={"vendor": "twilio", "times": times, **fault})
        return str(fault["fault"])

    def _kill(self) -> str:
        name = self._dice.choice(["worker", "worker2", "api", "janitor", "sandbox"])
        self._plant.running[name].kill()
        self._plant.running[name].wait()
        self._stop.wait(self._dice.uniform(0, 2))
        self._again(name)
        return f"kill {name}"

    def _freeze(self) -> str:
        name = self._dice.choice(["worker", "worker2", "api"])
        process = self._plant.running[name]
        process.send_signal(signal.SIGSTOP)
        self._stop.wait(self._dice.uniform(0.5, self._freeze_s))
        process.send_signal(signal.SIGCONT)
        return f"freeze {name}"

    def _cut(self) -> str:
        with psycopg.connect(self._plant.url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " ORDER BY random() LIMIT %s",
                [self._dice.randrange(1, 6)],
            )
        return "cut connections"

    def _crash_the_database(self) -> str:
        self._server.kill()
        self._server.restart()
        return "crash the database"

    def _opt_out(self) -> str:
        number = self._dice.randrange(PEOPLE)
        phone = f"+1{212 + number // 100}55501{number % 100:02}"
        command = [sys.executable, "-m", "notifyq", "optout", "add", phone]
        more = ["--brand", "acme", "--reason", "soak"]
        subprocess.run([*command, *more], env=self._plant.environ, capture_output=True, check=False)
        return "opt out"

    def _again(self, name: str) -> None:
        # What this thread starts dies with it, by the kernel's word; then heal() starts it anew.
        process = self._plant.running.get(name)
        if process is not None and process.poll() is None:
            return
        self._plant.launch(name)
