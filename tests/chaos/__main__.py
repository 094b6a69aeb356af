"""The command; `--help` says the rest."""

import importlib
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from tests.chaos.options import Options

PARTS = {
    "crash": "tests.chaos.crash",
    "races": "tests.chaos.races",
    "mutants": "tests.chaos.mutants",
    "soak": "tests.chaos.soak",
}


@click.command()
@click.option("--only", default=",".join(PARTS), help="Parts, with commas.", show_default=True)
@click.option("--out", default=Path("build/chaos"), type=click.Path(path_type=Path))
@click.option("--fresh", is_flag=True, help="Do not go on from the results that are there.")
@click.option("--shard", default="1/1", help="i/n: the i-th of n shares.", show_default=True)
@click.option("--side-by-side", default=4, show_default=True, help="Cases at a time.")
@click.option("--filter", "filters", multiple=True, help="Only names that contain this.")
@click.option("--size", type=int, help="A fixed sample of so many cases.")
@click.option("--wrong", help="Run a wrong version (or 'all'); it has to come out red.")
@click.option("--minutes", default=30.0, show_default=True, help="Of the soak.")
@click.option("--seed", type=int, help="Of the soak; thrown anew, and printed, without it.")
def main(
    *,
    only: str,
    out: Path,
    fresh: bool,
    shard: str,
    side_by_side: int,
    filters: tuple[str, ...],
    size: int | None,
    wrong: str | None,
    minutes: float,
    seed: int | None,
) -> None:
    """Kill, freeze, cut and lie at every point; then count what the providers took."""
    signal.signal(signal.SIGTERM, _end)
    try:
        share, shares = (int(part) for part in shard.split("/"))
    except ValueError:
        raise click.BadParameter("--shard is i/n") from None
    if not 1 <= share <= shares:
        raise click.BadParameter("--shard is i/n with 1 <= i <= n")
    if unknown := set(only.split(",")) - set(PARTS):
        raise click.BadParameter(f"unknown: {', '.join(sorted(unknown))}")
    options = Options(
        out, fresh, (share, shares), side_by_side, filters, size, wrong, minutes, seed
    )
    good = True
    for name in only.split(","):
        table, ok = importlib.import_module(PARTS[name]).run(options)
        click.echo(table)
        good = good and ok
    sys.exit(0 if good else 1)


def _end(_: int, __: FrameType | None) -> None:
    sys.exit(143)  # as an exception, so that every part is ended on the way out


if __name__ == "__main__":
    main()
