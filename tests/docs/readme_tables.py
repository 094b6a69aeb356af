"""The README's tables that are made from the code. `python -m tests.docs.readme_tables` writes
them; test_readme.py fails while they differ.
"""

import re
from collections.abc import Callable
from pathlib import Path

from notifyq.cli.tenants import SCOPES
from notifyq.domain.glossary import REASONS, STATES
from notifyq.domain.states import AT_REST, ATTEMPT, DELIVERY, AttemptOutcome, State
from notifyq.entrypoints.api.problems import KINDS
from notifyq.sandbox.twilio_rules import MAGIC

README = Path(__file__).parents[2] / "README.md"


def problems() -> str:
    """Every error of the API."""
    rows = [
        f"| `{code}` | {kind.status} | {kind.title} | {'yes' if kind.retryable else 'no'} "
        f"| {kind.mend} |"
        for code, kind in KINDS.items()
    ]
    head = (
        "| code | status | meaning | retry with the same key? | what to do |\n|---|---|---|---|---|"
    )
    return "\n".join([head, *rows])


def states() -> str:
    """Every state of a delivery."""
    rows = [
        f"| `{state}` | {meaning} | {'yes' if state in AT_REST else 'no'} |"
        for state, meaning in STATES.items()
    ]
    return "\n".join(["| state | means | at rest |\n|---|---|---|", *rows])


def reasons() -> str:
    """Every reason of a delivery."""
    rows = [f"| `{reason}` | {meaning} |" for reason, meaning in REASONS.items()]
    return "\n".join(["| reason | means |\n|---|---|", *rows])


def magic() -> str:
    """Every magic recipient."""
    rows = [f"| `+1 … 555 {suffix}` | {meaning} |" for suffix, (_, meaning) in MAGIC.items()]
    return "\n".join(["| number | what the sandbox does |\n|---|---|", *rows])


def scopes() -> str:
    """Every scope of an API key."""
    return "Scopes: " + ", ".join(f"`{scope}`" for scope in SCOPES) + "."


def life() -> str:
    """A delivery's life: an arrow for every pair of states that some event joins."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (source, event), target in DELIVERY.items():
        arrows.setdefault((source, target), []).append(event)
    lines = ["    [*] --> pending", "    [*] --> standby"]
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def attempts() -> str:
    """What each outcome of an attempt may still become."""
    rows = []
    for outcome in AttemptOutcome:
        later = [f"`{to}`" for to in AttemptOutcome if to in ATTEMPT.get(outcome, ())]
        rows.append(f"| `{outcome}` | {', '.join(later) or 'closed'} |")
    return "\n".join(["| outcome | may still become |\n|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {
    "problems": problems,
    "states": states,
    "reasons": reasons,
    "life": life,
    "attempts": attempts,
    "magic": magic,
    "scopes": scopes,
}


def filled(text: str) -> str:
    """Return a README text with every table as the code has it."""
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        parts = pattern.split(text)
        if len(parts) != 4:
            raise ValueError(f"README.md has {len(parts) // 3} places for {name}")
        text = parts[0] + parts[1] + table() + parts[2] + parts[3]
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
