"""The matrix as a table for people: a row per failure, a column per vendor."""

import sys
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notifyq.domain.outcome import Outcome, Refused
from tests.providers.matrix.cell import Cell
from tests.providers.matrix.failures import FAILURES, VENDORS, Failure

WIDTH = 150  # where nothing says how wide it may be: a pipe, a file

_LEGEND = """\
Of each cell: what the client said; the delivery's next state; what the vendor has accepted,
n by the first call, or n+m by the first and by the second, which was made where that state is
pending. A cell that cannot exist says why."""


def show(cells: Sequence[Cell]) -> None:
    """Print the table, what its words mean, what is wrong, and the count."""
    console = Console(
        width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False, soft_wrap=False
    )
    console.print(_table(cells))
    console.print(_LEGEND)
    steps = dict(sorted((str(cell.decision.state), cell.decision.next.value) for cell in cells))
    for state, what in steps.items():
        console.print(f"  {state:<12}{what}")
    for line in faults(cells):
        console.print(Text(line, "bold red"))
    console.print(last_line(cells))


def faults(cells: Iterable[Cell]) -> list[str]:
    """Return what is wrong, one line a cell."""
    return [
        f"WRONG: {cell.vendor}, {cell.failure.name}: {'; '.join(found)}"
        for cell in cells
        if (found := cell.faults())
    ]


def last_line(cells: Sequence[Cell]) -> str:
    """Return how many cells there are, and how many of them are wrong in the worst way."""
    twice = sum(cell.total > 1 for cell in cells)
    return f"{len(cells)} cells, cells with two acceptances: {twice}"


def word_of(outcome: Outcome) -> str:
    """Return an outcome in a word: its class, of a refusal whom it is about."""
    if isinstance(outcome, Refused):
        return str(outcome.refusal)
    name = type(outcome).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _table(cells: Iterable[Cell]) -> Table:
    found = {(cell.failure.name, cell.vendor): cell for cell in cells}
    table = Table(box=SIMPLE, show_lines=True, pad_edge=False)
    for name in ("failure of the first call", *VENDORS):
        table.add_column(name)
    for failure in FAILURES:
        row = [_cell(failure, vendor, found.get((failure.name, vendor))) for vendor in VENDORS]
        table.add_row(failure.name, *row)
    return table


def _cell(failure: Failure, vendor: str, cell: Cell | None) -> Text:
    if cell is None:
        why = failure.ways[vendor]
        return Text(why if isinstance(why, str) else "not run", "dim")
    second = "" if cell.again is None else f"+{cell.total - cell.first}"
    said = f"{word_of(cell.outcome)}\n{cell.decision.state} {cell.first}{second}"
    return Text(said, "bold red" if cell.faults() else "")
