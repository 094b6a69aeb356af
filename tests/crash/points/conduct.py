"""The conductor: servers, the sandbox, slots; which cases there are, and their results on disk.

Two servers. On the one most cases run side by side, each slot in a database of its own: its
commits are local, but a synchronous standby that nobody is stands in its settings, so that one
transaction may ask to wait for it. The other is killed and started again, one case at a time.
"""

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from notifyq.embedded import EmbeddedPostgres
from notifyq.migrate import upgrade
from tests.conftest import in_memory
from tests.crash.points import cover
from tests.crash.points.faults import FAULTS, fits
from tests.crash.points.steps import Step

ROOT = Path(__file__).parents[3]
SETTINGS = {
    # A crash of processes is survived without fsync; only an operating system's is not.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "max_wal_senders": "2",
    "synchronous_standby_names": "nobody",
    "synchronous_commit": "local",
}
SERIALS_EACH = 9_000  # numbers of one slot: more than it has cases
RECORDINGS = 2
TRIES = 3  # of a case whose fault did not strike, before it counts as never struck
TEMPLATE = "template_of_cases"


@dataclass(frozen=True, slots=True)
class Case:
    """One point to try."""

    scenario: str
    step: str
    fault: str

    @property
    def name(self) -> str:
        return f"{self.scenario} | {self.step} | {self.fault}"


class Slot:
    """A slot's process, spoken to in lines."""

    def __init__(self, log: Path, crash: Callable[[], None], **about: Any) -> None:
        self._crash = crash
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.points.slot"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._say(about)
        self._hear()

    def do(self, what: str, **about: Any) -> dict[str, Any]:
        """Have it do one thing, and return what came out."""
        self._say({"do": what, **about})
        answer: dict[str, Any] = self._hear()["answer"]
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError(f"a slot died with {self._process.wait()}; see its log")
            said: dict[str, Any] = json.loads(line)
            if "crash" not in said:
                return said
            self._crash()
            self._say({})


@dataclass(slots=True)
class Stage:
    """Everything that cases need, running."""

    slots: list[Slot]
    crashing: list[Slot]  # slots on servers that may be killed
    recorded: dict[str, list[Step]] = field(default_factory=dict)
    unsound: list[str] = field(default_factory=list)  # scenarios that fail without any fault

    def record(self, scenarios: Sequence[str], *, times: int = RECORDINGS) -> None:
        """Run each scenario without a fault, so often; keep the steps that came every time."""
        todo = queue.SimpleQueue[tuple[Any, ...]]()
        for name in scenarios:
            todo.put((name,))

        def work(slot: Slot, name: str) -> None:
            runs = [slot.do("record", scenario=name) for _ in range(times)]
            for run in runs:
                verdict = run["verdict"]
                found = verdict["duplicates"] + verdict["lost"] + verdict["wrong"]
                if found or run["exit"] != 0:
                    self.unsound.append(f"{name}: exit {run['exit']}, {found}")
            met = [
                {s["kind"] + s["inner"] + s["via"] + str(s["count"]): s for s in r["steps"]}
                for r in runs
            ]
            both = set.intersection(*(set(steps) for steps in met))
            self.recorded[name] = [Step(**s) for key, s in met[0].items() if key in both]

        self._spread(self.slots, todo, work)

    def run(
        self,
        cases: Sequence[Case],
        done: Callable[[dict[str, Any]], None],
        *,
        mistake: str | None = None,
        until_red: bool = False,
    ) -> None:
        """Run cases side by side; `done` is told each result, one at a time.

        mistake: a wrong version that every process runs. until_red: the first bad case is enough.
        """
        lock = threading.Lock()
        red = threading.Event()

        def work(slot: Slot, case: Case) -> None:
            if red.is_set():
                return
            result = _try(slot, case, mistake)
            if until_red and not result_is_clean(result):
                red.set()
            with lock:
                done(result)

        todo, crashing = queue.SimpleQueue[Any](), queue.SimpleQueue[Any]()
        for case in cases:
            (crashing if FAULTS[case.fault].crash else todo).put((case,))
        self._spread_all([(self.slots, todo), (self.crashing, crashing)], work)

    def _spread(self, slots: list[Slot], todo: Any, work: Callable[..., None]) -> None:
        self._spread_all([(slots, todo)], work)

    def _spread_all(self, shares: list[tuple[list[Slot], Any]], work: Callable[..., None]) -> None:
        errors: list[BaseException] = []

        def serve(slot: Slot, todo: Any) -> None:
            try:
                while not errors:
                    work(slot, *todo.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=serve, args=(slot, todo), daemon=True)
            for slots, todo in shares
            for slot in slots
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def _try(slot: Slot, case: Case, mistake: str | None) -> dict[str, Any]:
    """Run a case, again if a poll too few let its fault strike nowhere."""
    about = {"scenario": case.scenario, "step": case.step, "fault": case.fault}
    for _ in range(TRIES):
        result = slot.do("case", **about, mistake=mistake)
        if result["struck"] or not result_is_clean(result):
            break
    return result


def result_is_clean(result: dict[str, Any]) -> bool:
    """Whether a case came out as it must."""
    return not (result["duplicates"] or result["lost"] or result["wrong"])


@contextmanager
def stage(out: Path, *, slots: int, crashing: int) -> Iterator[Stage]:
    """Start the servers, the sandbox and the slots."""
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        outside = _outside(stack, out)
        made: list[Slot] = []
        server = stack.enter_context(EmbeddedPostgres.start(settings=SETTINGS, below=in_memory()))
        _template(server)
        for number in range(slots):
            made.append(_slot(stack, out, server, number, outside))
        fragile = []
        for number in range(crashing):
            its = stack.enter_context(EmbeddedPostgres.start(settings=SETTINGS, below=in_memory()))
            _template(its)
            fragile.append(_slot(stack, out, its, slots + number, outside))
        yield Stage(made, fragile)


def _outside(stack: ExitStack, out: Path) -> dict[str, str]:
    with (out / "outside.log").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.points.outside"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdin is not None
    stack.callback(process.stdout.close)
    stack.callback(process.stdin.close)
    where: dict[str, str] = json.loads(process.stdout.readline())
    return where


def _template(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    upgrade(server.url(TEMPLATE))


def _slot(
    stack: ExitStack,
    out: Path,
    server: EmbeddedPostgres,
    number: int,
    outside: dict[str, str],
) -> Slot:
    name = f"cases_{number}"
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    made = Slot(
        out / f"slot-{number}.log",
        lambda: _crash(server),
        url=server.url(name),
        serials=1 + number * SERIALS_EACH,
        **outside,
    )
    stack.callback(made.close)
    return made


def _crash(server: EmbeddedPostgres) -> None:
    """SIGKILL to the postmaster and everything below it at once, and a new start."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for child in children:
        try:
            os.kill(int(child), 9)
        except ProcessLookupError:
            continue
    server.kill()
    server.restart()


# --------------------------------------------------------------------------------- cases


# Here the ground that every worker and every request walks on is enumerated too: clocks, opened
# sessions, looks at the fence. In the other scenarios it is the same, and only what is theirs is.
WHOLE = frozenset({"accept", "deliver", "receive", "sweep"})
_GROUND = ("store/db.py:prepare_session", "store/fence.py:read")


def _is_ground(step: Step) -> bool:
    return step.kind in ("clock", "rollback") or step.inner in _GROUND


def cases_of(recorded: dict[str, list[Step]]) -> list[Case]:
    """Every case there is, in an order that mixes them and is always the same."""
    found = [
        Case(name, step.name, fault)
        for name in sorted(recorded)
        for step in recorded[name]
        for fault, about in FAULTS.items()
        if fits(about, step) and (name in WHOLE or not _is_ground(step))
    ]
    Random(16).shuffle(found)
    return found


def sample(cases: Sequence[Case], size: int, *, seed: int) -> list[Case]:
    """A fixed choice: every (scenario, fault) as evenly as the size lets it."""
    by_pair: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        by_pair.setdefault((case.scenario, case.fault), []).append(case)
    dice = Random(seed)
    rows = list(by_pair.values())
    dice.shuffle(rows)
    chosen: list[Case] = []
    while rows and len(chosen) < size:
        for row in rows:
            chosen.append(row.pop(dice.randrange(len(row))))
        rows = [row for row in rows if row]
    return chosen[:size]


def missed(recorded: dict[str, list[Step]]) -> list[str]:
    """Commit sites and provider calls that no scenario reaches."""
    return cover.missed([step for steps in recorded.values() for step in steps])


# -------------------------------------------------------------------------------- results


def stamp() -> str:
    """What the results are of: production code, migrations, scenarios."""
    found = hashlib.sha256()
    for folder in ("notifyq", "migrations", "tests/crash/points"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".sql"):
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


class Results:
    """Lines of JSON, one a case; what is there of the same code is not run again."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self._path = path
        self.rows: dict[str, dict[str, Any]] = {}
        self._stamp = stamp()
        if path.exists() and not fresh:
            self._load()
        if not self.rows:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"stamp": self._stamp, "at": time.time()}) + "\n")

    def recorded(self, stage: Stage, scenarios: Sequence[str]) -> None:
        """Have the stage know the steps: the ones on disk, of the same code, or new ones.

        So a run that goes on has the very list of cases that the first one had.
        """
        path = self._path.with_suffix(".steps")
        if self.rows and path.exists():
            known = json.loads(path.read_text())
            stage.recorded = {name: [Step(**s) for s in steps] for name, steps in known.items()}
            return
        stage.record(scenarios)
        known = {name: [asdict(s) for s in steps] for name, steps in stage.recorded.items()}
        path.write_text(json.dumps(known))

    def add(self, row: dict[str, Any]) -> None:
        """Keep a result; it is on disk when this returns."""
        self.rows[row["id"]] = row
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _load(self) -> None:
        head, *lines = self._path.read_text().splitlines() or [""]
        if head and json.loads(head)["stamp"] == self._stamp:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:  # cut off in the middle: that case is run again
                    continue
                self.rows[row["id"]] = row
