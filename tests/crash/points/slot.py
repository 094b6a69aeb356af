"""A slot: one database, one case after another, each in a child forked from here.

Everything is imported before the first fork, and no loop, thread or asynchronous connection ever
lives in this process: a fork is then cheap and safe. Beside forking it plays what is outside of
the child: the operator that ends a backend, the kernel that freezes and thaws, the clock.

Lines of JSON on stdin and stdout; `crash` is asked of the one who started this process, for the
server belongs to it.
"""

import asyncio
import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import psycopg

from notifyq.domain.model import Channel
from notifyq.store import db, lanes, tenants
from tests.crash.points import faults, judge, recover, wrong
from tests.crash.points.parts import hurry
from tests.crash.points.scenarios import SCENARIOS
from tests.crash.points.steps import Step, Steps
from tests.crash.points.wire import Wire
from tests.crash.points.world import LEASE_S, PROVIDER, World, over_http
from tests.store import helpers as h

CHILD_S = 25.0  # a child that takes longer hangs
WAITING_S = 1.5
EVIDENCE = ("prompt", "late", "never", "look_up")
# As the migration leaves it: the ledger refuses changes, those of a replica too.
_LEDGER_SHUT = h.LEDGER_OPEN.replace("DISABLE", "ENABLE ALWAYS").encode()
Body = Callable[[Wire], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Child:
    """A forked child, and what it said."""

    pid: int
    up: int
    down: int
    said: list[dict[str, Any]] = field(default_factory=list)
    unclear: set[tuple[UUID, int]] = field(default_factory=set)
    status: int | None = None

    def heard(self) -> set[int]:
        """The callbacks that it answered 2xx."""
        return {said["callback"] for said in self.of("callback") if said["status"] < 300}

    def of(self, word: str) -> list[dict[str, Any]]:
        return [said for said in self.said if word in said]


class Slot:
    """Runs cases in one database."""

    def __init__(self, url: str, sandbox: str, net: str, serials: int) -> None:
        """serials: the first of the numbers that are this slot's."""
        self._url, self._sandbox, self._net = url, sandbox, net
        self._serial = serials
        self._mistake: str | None = None
        self._conn = self._look()
        self._tenant = self._lane = 0
        self._fork(self._furnish)
        self._find_shop()
        # What a furnished database holds stays; the rest is a case's, and goes with it.
        self._tables = [name for name in self._roots() if not self._has_rows(name)]

    # ---------------------------------------------------------------------------- a case

    def record(self, scenario: str) -> dict[str, Any]:
        """Run a scenario without a fault of its own; return its steps."""
        world = self._fresh(scenario)
        steps: list[Step] = []
        child = self._fork(partial(self._act, world, scenario, None, None))
        steps = [Step(**said["step"]) for said in child.of("step")]
        after = self._recover(world, scenario, "", "prompt", child)
        verdict = self._judge(world, scenario, child, after, None, None, "prompt")
        return {
            "steps": [asdict(step) for step in steps],
            "exit": child.status,
            "verdict": verdict.as_json(),
        }

    def case(
        self, scenario: str, step: str, fault: str, mistake: str | None = None
    ) -> dict[str, Any]:
        """Run one case, with a mistake of wrong.py in every process of it; return its verdict."""
        self._mistake = mistake
        began_s = time.monotonic()
        name = f"{scenario} | {step} | {fault}"
        drawn = EVIDENCE[zlib.crc32(name.encode()) % len(EVIDENCE)]
        evidence = SCENARIOS[scenario].evidence or drawn
        world = self._fresh(scenario)
        child = self._fork(partial(self._act, world, scenario, step, fault))
        self._let_go_waiting(world)
        after = self._recover(world, scenario, fault, evidence, child)
        verdict = self._judge(world, scenario, child, after, step, fault, evidence)
        struck = [said["struck"] for said in child.of("struck")]
        return {
            "id": name,
            "scenario": scenario,
            "step": step,
            "fault": fault,
            "evidence": evidence,
            "struck": step in struck and not child.of("missed"),
            "exit": child.status,
            **verdict.as_json(),
            "seconds": round(time.monotonic() - began_s, 2),
        }

    async def _act(
        self, world: World, scenario: str, step: str | None, fault: str | None, wire: Wire
    ) -> None:
        found = SCENARIOS[scenario]
        first = [faults.plan(at, faults.FAULTS[name], wire) for at, name in found.first]
        last = faults.plan(step, faults.FAULTS[fault], wire) if step and fault else None

        def met(step: Step) -> None:
            wire.tell(step=asdict(step))

        steps = Steps(first, last, None if last else met)
        steps.install()
        hurry()
        if fault and (idle_ms := faults.FAULTS[fault].idle_ms) is not None:
            db._SETTINGS["idle_in_transaction_session_timeout"] = str(idle_ms)
        await found.prepare(world, wire)
        wrong.apply(self._mistake)
        steps.armed = True
        await found.act(world, wire)
        steps.armed = False
        wire.tell(through=True)

    def _recover(
        self, world: World, scenario: str, fault: str, evidence: str, child: Child
    ) -> Child:
        async def work(wire: Wire) -> None:
            hurry()
            wrong.apply(self._mistake)
            await recover.recover(world, wire, scenario, fault, evidence, child.heard())

        return self._fork(work)

    def _judge(
        self,
        world: World,
        scenario: str,
        child: Child,
        after: Child,
        step: str | None,
        fault: str | None,
        evidence: str,
    ) -> judge.Verdict:
        at = next((n for n, said in enumerate(child.said) if said.get("struck") == step), 0)
        unclear = fault is not None and faults.FAULTS[fault].unclear
        told = judge.Told(
            before=child.said[:at],
            after=[said for said in child.said[at:] if "reply" in said or "promised" in said],
            recovery=after.said,
            heard=child.heard() | after.heard(),
            evidence=evidence,
            rested=any(said.get("rested") for said in after.said),
            unclear=frozenset(child.unclear),
            unconfirmed_reply=unclear
            and (step or "").startswith("commit store/db.py:transact < services/accept.py"),
            unharmed=fault is None,
            frozen=bool(child.of("stopping")),
        )
        verdict = judge.judge(self._look(), world, SCENARIOS[scenario], told)
        for said in (*child.of("failed"), *after.of("failed")):
            verdict.wrong.append(said["failed"])
        if child.status == -signal.SIGALRM or after.status == -signal.SIGALRM:
            verdict.lost.append("a process hangs")
        return verdict

    # -------------------------------------------------------------------------- children

    def _fork(self, body: Body) -> Child:
        """Fork, run `body` in the child, serve what it asks for, and reap it."""
        up, said = os.pipe()
        answers, down = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(up)
            os.close(down)
            _be_a_child(parent, body, Wire(said, answers))
        os.close(said)
        os.close(answers)
        child = Child(pid, up, down)
        try:
            self._attend(child)
        finally:
            os.close(up)
            os.close(down)
        return child

    def _attend(self, child: Child) -> None:
        deadline = time.monotonic() + CHILD_S
        raw = b""
        while True:
            ready, _, _ = select.select([child.up], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                child.status = -signal.SIGALRM
                return
            piece = os.read(child.up, 65_536)
            if not piece:
                break
            *lines, raw = (raw + piece).split(b"\n")
            for line in lines:
                said = json.loads(line)
                child.said.append(said)
                self._serve(child, said)
        _, status = os.waitpid(child.pid, 0)
        child.status = os.waitstatus_to_exitcode(status)

    def _serve(self, child: Child, said: dict[str, Any]) -> None:
        if "stopping" in said:
            self._thaw(child)
        if "want" in said:
            answer = self._wants[said["want"]](self, child, said)
            if answer is not None:
                line = json.dumps({"number": said["number"], **answer}).encode() + b"\n"
                with suppress(BrokenPipeError):  # it was killed while it waited
                    os.write(child.down, line)

    def _thaw(self, child: Child) -> None:
        """Let the lease of a frozen child pass and everybody else go on; then let it go on."""
        os.waitpid(child.pid, os.WUNTRACED)
        time.sleep(LEASE_S + 0.1)
        others = self._fork(self._meanwhile)
        child.said += others.of("failed")
        os.kill(child.pid, signal.SIGCONT)

    def _doubt(self, child: Child, _: dict[str, Any]) -> dict[str, Any]:
        """Have a janitor find that every lease is over."""

        async def work(_: Wire) -> None:
            wrong.apply(self._mistake)
            await recover.doubt(self._world)

        child.said += self._fork(work).of("failed")
        return {}

    async def _meanwhile(self, wire: Wire) -> None:
        hurry()
        wrong.apply(self._mistake)
        await recover.meanwhile(self._world, wire)

    # ----------------------------------------------------------------------- what is outside

    def _terminate(self, _: Child, said: dict[str, Any]) -> dict[str, Any]:
        self._look().execute("SELECT pg_terminate_backend(%s, 2000)", [said["pid"]])
        return {}

    def _cancel(self, child: Child, said: dict[str, Any]) -> dict[str, Any]:
        self._until_it_waits(child, said["pid"])
        self._look().execute("SELECT pg_cancel_backend(%s)", [said["pid"]])
        return {}

    def _terminate_wait(self, child: Child, said: dict[str, Any]) -> dict[str, Any]:
        self._until_it_waits(child, said["pid"])
        return self._terminate(child, said)

    def _kill_wait(self, child: Child, said: dict[str, Any]) -> None:
        self._until_it_waits(child, said["pid"])
        os.kill(child.pid, signal.SIGKILL)

    def _until_it_waits(self, child: Child, pid: int) -> None:
        """Wait until a backend waits for the standby; it is noted if it never does."""
        deadline = time.monotonic() + WAITING_S
        while time.monotonic() < deadline:
            row = self._look().execute(
                "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %s", [pid]
            )
            if (found := row.fetchone()) is not None and found[0]:
                return
            time.sleep(0.002)
        child.said.append({"missed": True})

    def _crash(self, _: Child, __: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps({"crash": True}), flush=True)
        sys.stdin.readline()
        return {}

    def _script(self, _: Child, said: dict[str, Any]) -> dict[str, Any]:
        for script in said["scripts"]:
            match = {"body_contains": said["text"]}
            over_http(
                "POST",
                f"{self._sandbox}/sandbox/faults",
                {"vendor": "twilio", "match": match, **script},
            )
        if said["late"]:
            over_http("POST", f"{self._net}/late", {"text": said["text"]})
        return {}

    def _until_accepted(self, _: Child, said: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + WAITING_S
        while time.monotonic() < deadline:
            if any(row["to"] == said["to"] for row in self._world.outside().taken):
                break
            time.sleep(0.005)
        return {}

    def _see_begun(self, child: Child, said: dict[str, Any]) -> dict[str, Any]:
        """Which attempts of an unclear begin are really there."""
        for delivery, number in said["begun"]:
            row = self._look().execute(
                "SELECT FROM attempt WHERE delivery_id = %s AND number = %s", [delivery, number]
            )
            if row.fetchone() is not None:
                child.unclear.add((UUID(delivery), number))
        return {}

    _wants: ClassVar[dict[str, Callable[..., dict[str, Any] | None]]] = {
        "terminate": _terminate,
        "cancel": _cancel,
        "terminate wait": _terminate_wait,
        "kill": _kill_wait,
        "crash": _crash,
        "script": _script,
        "until accepted": _until_accepted,
        "look": _see_begun,
        "doubt": _doubt,
    }

    def _let_go_waiting(self, world: World) -> None:
        """Whoever still waits for the standby on behalf of a dead process is let go, after the
        others had their turn: its commit becomes visible only now."""
        conn = self._look()
        waiting = (
            "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'"
        )
        if conn.execute(f"SELECT {waiting}").fetchone() is None:
            return
        self._fork(self._meanwhile)
        conn.execute(f"SELECT pg_cancel_backend(pid) {waiting}")
        deadline = time.monotonic() + WAITING_S
        while conn.execute(f"SELECT {waiting}").fetchone() and time.monotonic() < deadline:
            time.sleep(0.005)

    # -------------------------------------------------------------------------- the place

    def _fresh(self, scenario: str) -> World:
        conn = self._look()
        conn.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with conn.transaction():
            conn.execute("SET LOCAL session_replication_role = replica")
            conn.execute(h.LEDGER_OPEN)
            for name in self._tables:
                conn.execute(f'DELETE FROM "{name}"'.encode())
            conn.execute(_LEDGER_SHUT)
        self._serial += 1
        label = f"{scenario} {self._serial}"
        self._world = World(
            self._url, self._sandbox, self._net, label, self._serial, self._tenant, self._lane
        )
        return self._world

    def _look(self) -> psycopg.Connection[Any]:
        """The slot's own connection, opened again after a crash of the server."""
        conn: psycopg.Connection[Any] | None = getattr(self, "_conn", None)
        if conn is not None and not conn.closed:
            try:
                conn.execute("SELECT 1")
            except psycopg.OperationalError:
                conn.close()
            else:
                return conn
        self._conn = psycopg.connect(self._url, autocommit=True)
        self._conn.execute("SET search_path = notifyq")
        self._conn.execute("SET synchronous_commit = local")
        return self._conn

    async def _furnish(self, _: Wire) -> None:
        async with await db.connect(self._url) as conn:
            await tenants.create(conn, cell=0, name="acme", brand="acme", actor="test")
            await lanes.ensure(conn, [(Channel.SMS, PROVIDER)], cell=0)
            await conn.commit()

    def _find_shop(self) -> None:
        found = self._look().execute(
            "SELECT (SELECT id FROM tenant), (SELECT id FROM lane WHERE provider = %s)", [PROVIDER]
        )
        self._tenant, self._lane = found.fetchone() or (0, 0)

    def _roots(self) -> list[str]:
        found = self._look().execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'notifyq'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        )
        return [row[0] for row in found.fetchall()]

    def _has_rows(self, name: str) -> bool:
        return self._look().execute(f'SELECT FROM "{name}" LIMIT 1'.encode()).fetchone() is not None


def _be_a_child(parent: int, body: Body, wire: Wire) -> None:
    """Be a process of the case: dies with the slot, and never returns."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(9)
        os.dup2(2, 1)  # stdout belongs to the slot's own words
        asyncio.run(body(wire))
    except BaseException:
        wire.tell(failed=traceback.format_exc()[-1_500:])
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Serve until stdin ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    slot = Slot(**json.loads(sys.stdin.readline()))
    gc.collect()
    gc.freeze()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = getattr(slot, asked.pop("do"))(**asked)
        print(json.dumps({"answer": answer}), flush=True)


if __name__ == "__main__":
    main()
