"""The command; `--help` says the rest."""

import sys

import click
import uvloop

from tests.providers.matrix.report import faults, show
from tests.providers.matrix.run import run
from tests.providers.matrix.wrong import lost_is_never_left


@click.command()
@click.option("--wrong", is_flag=True, help="With clients that read lost answers as never sent.")
def main(*, wrong: bool) -> None:
    """Let every vendor fail in every way, and count what it accepted. Exit 1: a cell is wrong."""
    cells = uvloop.run(run(twist=lost_is_never_left) if wrong else run())
    show(cells)
    sys.exit(1 if faults(cells) else 0)


if __name__ == "__main__":
    main()
