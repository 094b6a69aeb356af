"""The README's tables that are made from the code. `python -m tests.docs.readme_tables` writes
them; test_readme.py fails while they differ.
"""

import re
from collections.abc import Callable
from pathlib import Path

from pydantic.fields import FieldInfo

from notifyq.cli.tenants import SCOPES
from notifyq.config.account import AccountSettings
from notifyq.config.vendors import VENDORS
from notifyq.domain.glossary import REASONS, STATES
from notifyq.domain.states import AT_REST, ATTEMPT, DELIVERY, AttemptOutcome, State
from notifyq.entrypoints.api.problems import KINDS
from notifyq.sandbox.magic import KINDS as MAGIC_KINDS
from notifyq.sandbox.magic import SUFFIXES

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
    rows = [f"| `555 {n}` | `{kind}` | {MAGIC_KINDS[kind]} |" for n, kind in SUFFIXES.items()]
    return "\n".join(["| number | mail | what the sandbox does |\n|---|---|---|", *rows])


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


def vendors() -> str:
    """What an account at each vendor needs, and what it may set beside what all may."""
    rows = []
    for name, kind in VENDORS.items():
        fields = {n: f for n, f in kind.model_fields.items() if n != "vendor"}
        needs = [f"`{n}`" for n, field in fields.items() if field.is_required()]
        own = [n for n in fields if n not in AccountSettings.model_fields]
        may = [_may(n, fields[n]) for n in own if not fields[n].is_required()]
        row = (f"`{name}`", kind.CHANNEL, ", ".join(needs), ", ".join(may))
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join(["| vendor | channel | needs | may set (default) |\n|---|---|---|---|", *rows])


def _may(name: str, field: FieldInfo) -> str:
    shown = field.get_default(call_default_factory=True)
    return f"`{name}`" + (f" (`{shown}`)" if isinstance(shown, str | float) else "")


TABLES: dict[str, Callable[[], str]] = {
    "problems": problems,
    "states": states,
    "reasons": reasons,
    "life": life,
    "attempts": attempts,
    "magic": magic,
    "scopes": scopes,
    "vendors": vendors,
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
