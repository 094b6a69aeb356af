"""A fixed sample of the crash points (all of them: bin/chaos), over every scenario and fault.

What is claimed about each case is in points/judge.py; that the cases can still find what is
wrong, by running them against wrong versions; that none got lost, by the sites of the code.
"""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crash.points import conduct, table
from tests.crash.points.faults import FAULTS
from tests.crash.points.scenarios import SCENARIOS
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
}
CASES_MAX = 30

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


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_sent_twice_or_lost_whatever_dies_where(
    stage: conduct.Stage, share: int
) -> None:
    chosen = conduct.sample(conduct.cases_of(stage.recorded), SIZE, seed=SEED)[share::SHARES]
    rows: list[dict[str, Any]] = []
    stage.run(chosen, rows.append)
    assert not [row for row in rows if not conduct.result_is_clean(row)], table.bad(rows)
    # Loops that poll may come by a place once less than they did when it was recorded.
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
    stage.run(found[:CASES_MAX], rows.append, mistake=mistake, until_red=True)
    bad = [row for row in rows if not conduct.result_is_clean(row)]
    assert bad, [row["id"] for row in rows]
