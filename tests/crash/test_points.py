"""A fixed sample of the crash points (all of them: bin/chaos), over every scenario and fault.

What is claimed about each case is in points/judge.py; that the cases can still find what is
wrong, by running them against wrong versions; that none got lost, by the sites of the code.
"""

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from notifyq.store import db
from tests.crash.points import conduct, table
from tests.crash.points.faults import FAULTS
from tests.crash.points.scenarios import SCENARIOS
from tests.crash.points.steps import Plan, Step, Steps
from tests.crash.points.wrong import WRONG

SIZE, SHARES, SEED = 64, 4, 16
# Words of the names of cases where a wrong version shows, so that a few cases do.
SHOWS = {
    "a lease that ran out makes it due again": ("sweep |",),
    "a commit of unknown fate is taken for a confirmed one": ("begin_due #1 | break_before",),
    "it is sent before the begin is committed": ("deliver |", "begin_due #1 | kill_before"),
    "a lost answer is taken for a refusal": ("deliver |", "reply_lost"),
    "the answer does not wait for the commit": ("accept |", "commit"),
    "what it knows it began is disowned too": ("disown_beside |",),
    "a text to us is thanked for before it is kept": ("written_to_us |", "commit", "break_before"),
    "an answer that is not yes calls the address dead": ("deliver |", "reply_lost"),
    "a redrive leaves the mark on the address": ("redrive |", "kill_after"),
    "a merge is committed before its opt-out": ("keep |", "address_keys", "kill_before"),
    "an opt-out is acknowledged though nobody knows of its commit": (
        "consent |",
        "commit",
        "break_before",
    ),
    "a file of opt-outs is committed line by line": (
        "consent |",
        "commit",
        "optout_import.py",
        "kill_after",
    ),
    "what is capped begins before it is counted, and not with it": (
        "capped |",
        "consents.py:count",
        "kill_before",
    ),
}
CASES_MAX, ROUNDS = 30, 3

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG, /proc")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[conduct.Stage]:
    """Servers and slots, with every scenario recorded."""
    with conduct.stage(tmp_path_factory.mktemp("points"), slots=2, crashing=1) as made:
        made.record(sorted(SCENARIOS), times=1)
        yield made


def test_without_a_fault_every_scenario_comes_to_rest(stage: conduct.Stage) -> None:
    assert stage.unsound == []


def test_every_commit_call_and_statement_is_a_crash_point(stage: conduct.Stage) -> None:
    """Else: add a scenario, or say in cover.ASIDE why none is needed."""
    assert conduct.missed(stage.recorded) == []


def test_every_scenario_and_every_fault_has_its_cases(stage: conduct.Stage) -> None:
    found = conduct.cases_of(stage.recorded)
    assert {case.scenario for case in found} == set(SCENARIOS)
    assert {case.fault for case in found} == {name for name in FAULTS if FAULTS[name].kinds}
    assert len(found) >= 300


async def test_a_fault_of_the_commit_wait_passes_by_what_wrote_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle poll more than in the recording, as on a slow machine, uses no fault up."""
    struck: list[str] = []

    async def strike(step: Step, this: Any, call: Any, about: Any) -> None:
        struck.append(step.name)
        await call()

    plan = Plan("commit store/db.py:transact #1", strike, lambda _: None, writes_only=True)
    steps = Steps([], plan)
    monkeypatch.setattr(db.Conn, "commit", steps._around("commit", db.Conn.commit))
    writing = "UPDATE fence SET epoch = epoch"
    async with await db.connect(database_url) as conn:
        steps.armed = True
        for statement in ("SELECT 1", "SELECT 1", writing, "SELECT 1", writing):
            await db.transact(conn, partial(db.Conn.execute, query=statement))
    assert struck == ["commit store/db.py:transact #3"]


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_sent_twice_or_lost_whatever_dies_where(
    stage: conduct.Stage, share: int
) -> None:
    chosen = conduct.sample(conduct.cases_of(stage.recorded), SIZE, seed=SEED)[share::SHARES]
    rows: list[dict[str, Any]] = []
    stage.run(chosen, rows.append)
    assert not [row for row in rows if not conduct.result_is_clean(row)], table.bad(rows)
    # Loops that poll may come by a place once less than they did when it was recorded, though a
    # case is tried conduct.TRIES times.
    never = [row["id"] for row in rows if not row["struck"]]
    assert len(never) <= len(rows) // 10, never


@pytest.mark.parametrize("mistake", sorted(WRONG))
def test_a_wrong_version_comes_out_red(stage: conduct.Stage, mistake: str) -> None:
    found = [
        case
        for case in conduct.cases_of(stage.recorded)
        if all(word in case.name for word in SHOWS[mistake]) and not FAULTS[case.fault].crash
    ]
    rows: list[dict[str, Any]] = []
    for _ in range(ROUNDS):  # a case of some shows it only when the others are quick enough
        stage.run(found[:CASES_MAX], rows.append, mistake=mistake, until_red=True)
        if any(not conduct.result_is_clean(row) for row in rows):
            return
    pytest.fail(str([row["id"] for row in rows]))
