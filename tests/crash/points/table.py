"""What came out, as text."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.crash.points.faults import FAULTS
from tests.crash.points.steps import Step

# `repeats` are those that a category asks for; `arrived` is sent and delivered; `unsent` is at
# rest for a reason: expired, suppressed, dead …
_COLUMNS = (
    "cases",
    "duplicates",
    "lost",
    "wrong",
    "repeats",
    "arrived",
    "unknown",
    "unsent",
    "seconds",
)
_ENDS = {"sent": "arrived", "delivered": "arrived", "unknown": "unknown"}


def by_fault(rows: Sequence[dict[str, Any]]) -> str:
    """A line per kind of fault; `arrived`, `unknown` and `unsent` count deliveries at rest."""
    lines = [f"{'fault':38}" + "".join(f"{name:>11}" for name in _COLUMNS)]
    total: Counter[str] = Counter()
    for fault, about in FAULTS.items():
        numbers = _numbers([row for row in rows if row["fault"] == fault])
        total += numbers
        if numbers["cases"]:
            lines.append(f"{about.title:38}" + _row(numbers))
    return "\n".join([*lines, f"{'all':38}" + _row(total)])


def by_scenario(rows: Sequence[dict[str, Any]], recorded: dict[str, list[Step]]) -> str:
    """A line per scenario: its steps and its cases."""
    lines = [f"{'scenario':38}{'steps':>11}" + "".join(f"{name:>11}" for name in _COLUMNS)]
    for name, steps in sorted(recorded.items()):
        numbers = _numbers([row for row in rows if row["scenario"] == name])
        lines.append(f"{name:38}{len(steps):>11}" + _row(numbers))
    return "\n".join(lines)


def left(rows: Iterable[dict[str, Any]]) -> str:
    """What rests as unknown, why, and what the provider says."""
    found = Counter(
        (
            why,
            "no evidence was given"
            if row["evidence"] == "never"
            else f"evidence {row['evidence']}",
        )
        for row in rows
        for why in row["left"]
    )
    return "\n".join(f"{n:6}  {why} ({evidence})" for (why, evidence), n in found.most_common())


def bad(rows: Iterable[dict[str, Any]]) -> str:
    """The cases that came out wrong, with what is wrong."""
    lines = []
    for row in rows:
        for kind in ("duplicates", "lost", "wrong"):
            lines += [f"{kind}: {row['id']} ({row['evidence']})\n    {text}" for text in row[kind]]
    return "\n".join(lines)


def _numbers(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter(cases=len(rows))
    for row in rows:
        for kind in ("duplicates", "lost", "wrong"):
            found[kind] += len(row[kind])
        for state, count in row["ends"].items():
            found[_ENDS.get(state, "unsent")] += count
        found["seconds"] += row["seconds"]
        found["repeats"] += row["repeats"]
    return found


def _row(numbers: Counter[str]) -> str:
    return "".join(f"{round(numbers[name]):>11}" for name in _COLUMNS)
