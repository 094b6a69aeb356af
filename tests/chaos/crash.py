"""The enumeration of crash points, in full, in shares, or with a wrong version."""

import sys
import time
from dataclasses import replace
from typing import Any

from tests.chaos.options import Options, in_shard
from tests.crash.points import conduct, table
from tests.crash.points.faults import FAULTS
from tests.crash.points.scenarios import SCENARIOS
from tests.crash.points.wrong import WRONG

# Enough of a wrong version; the first case that it loses or doubles would do.
WRONG_SIZE = 150
# On a loaded machine a loop may come by a place once less than when it was recorded: one case in
# fifty may miss its fault in every try, and is listed; more would be an enumeration that shrinks.
NEVER_SHARE = 50
HINT = "no scenario reaches these: add one (or say in cover.ASIDE why none is needed)\n"


def run(options: Options) -> tuple[str, bool]:
    """Run what has no result yet; return the tables and whether all is well."""
    if options.wrong is not None:
        return _run_wrong(options)
    began_s = time.monotonic()
    share = "" if options.shard == (1, 1) else f"-{options.shard[0]}-of-{options.shard[1]}"
    results = conduct.Results(options.out / f"points{share}.jsonl", fresh=options.fresh)
    with conduct.stage(options.out, slots=options.side_by_side, crashing=1) as stage:
        results.recorded(stage, sorted(SCENARIOS))
        found = conduct.cases_of(stage.recorded)
        ours = _ours(found, options)
        todo = [case for case in ours if case.name not in results.rows]
        _say(f"{len(found)} cases, {len(ours)} of them here, {len(todo)} to run")
        progress = _Progress(len(todo), results)
        stage.run(todo, progress.add)
    rows = [results.rows[case.name] for case in ours if case.name in results.rows]
    never = [row["id"] for row in rows if not row["struck"]]
    good = all(conduct.result_is_clean(row) for row in rows)
    missed = conduct.missed(stage.recorded)
    parts = [
        table.by_fault(rows),
        table.by_scenario(rows, stage.recorded),
        "left unknown, by attempts and by the provider's record:\n" + table.left(rows),
        "never struck:\n" + "\n".join(never) if never else "every fault struck",
        "without a fault:\n" + "\n".join(stage.unsound) if stage.unsound else "",
        HINT + "\n".join(missed) if missed else "every commit site, call and statement is reached",
        table.bad(rows),
        f"{len(rows)} cases, {time.monotonic() - began_s:.0f} s for {len(todo)} of them",
    ]
    ok = good and not missed and not stage.unsound and len(never) <= len(rows) // NEVER_SHARE
    return "\n\n".join(part for part in parts if part), ok


def _run_wrong(options: Options) -> tuple[str, bool]:
    """Run wrong versions on a sample each; well is what comes out red."""
    names = list(WRONG) if options.wrong == "all" else [str(options.wrong)]
    lines, ok = [], True
    with conduct.stage(options.out, slots=options.side_by_side, crashing=0) as stage:
        stage.record(sorted(SCENARIOS))
        found = [c for c in conduct.cases_of(stage.recorded) if not FAULTS[c.fault].crash]
        chosen = _ours(found, replace(options, size=options.size or WRONG_SIZE))
        for name in names:
            rows: list[dict[str, Any]] = []
            stage.run(chosen, rows.append, mistake=name)
            bad = [row for row in rows if not conduct.result_is_clean(row)]
            ok = ok and bool(bad)
            lines.append(f"{'red' if bad else 'NOT FOUND'}: {name}: {_summary(bad, rows)}")
            lines += table.bad(bad[:1]).splitlines()[:2]
    return "\n".join(lines), ok


def _summary(bad: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    counts = {kind: sum(len(r[kind]) for r in rows) for kind in ("duplicates", "lost", "wrong")}
    return f"{len(bad)} of {len(rows)} cases, {counts}"


def _ours(found: list[conduct.Case], options: Options) -> list[conduct.Case]:
    if options.filters:
        found = [case for case in found if any(part in case.name for part in options.filters)]
    found = [case for case in found if in_shard(case.name, options.shard)]
    return conduct.sample(found, options.size, seed=16) if options.size else found


class _Progress:
    """Keeps results and says how far it is."""

    def __init__(self, total: int, results: conduct.Results) -> None:
        self._total, self._results, self._count = total, results, 0
        self._began_s = time.monotonic()

    def add(self, row: dict[str, Any]) -> None:
        self._results.add(row)
        self._count += 1
        if not conduct.result_is_clean(row):
            _say(table.bad([row]))
        if self._count % 50 == 0:
            _say(f"{self._count} of {self._total}, {time.monotonic() - self._began_s:.0f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
