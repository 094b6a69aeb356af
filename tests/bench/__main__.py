"""The command; `--help` says the rest."""

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

import click

from notifyq.cli.output import show
from tests.bench import (
    backlog,
    clients,
    f1_cycle,
    f2_http,
    f3_accept,
    f3_batch,
    f4_latency,
    f5_wal,
    machine,
    report,
)
from tests.bench.ground import Ground, ground

FIGURES = ("F1", "F2", "F3", "F3B", "F4", "F5", clients.FIGURE)


@click.command()
@click.option("--only", default=",".join(FIGURES), help="Figures, like F1,F3.", show_default=True)
@click.option("--runs", default=3, show_default=True, help="Medians of so many.")
@click.option("--seconds", default=30, show_default=True, help="Of load, where there is load.")
@click.option("--jobs", default=50_000, show_default=True, help="Backlog that F1, F2, F5 drain.")
@click.option("--backlog", "behind", default=100_000, show_default=True, help="In front of F4.")
@click.option("--receiver-ms", default=0.0, show_default=True, help="F4: the provider takes this.")
@click.option("--stretch", "stretch_s", default=0.5, show_default=True, help="CLIENTS: s a load.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Raw numbers go there.")
def main(
    only: str,
    runs: int,
    seconds: int,
    jobs: int,
    behind: int,
    receiver_ms: float,
    stretch_s: float,
    path: Path | None,
) -> None:
    """Measure F1 to F5 on a server of its own, each with its baseline in the same run.

    CLIENTS: what each vendor's client costs beside its transport; it needs no server.
    """
    signal.signal(signal.SIGTERM, _end)
    wanted = only.upper().split(",")
    if unknown := set(wanted) - set(FIGURES):
        raise click.BadParameter(f"unknown: {', '.join(sorted(unknown))}")
    samples: list[report.Sample] = []
    with nullcontext() if wanted == [clients.FIGURE] else ground() as found:
        head = _header(found)
        for number in range(1, runs + 1):
            for figure in wanted:
                click.echo(f"run {number} of {runs}: {figure}", err=True)
                if found is None or figure == clients.FIGURE:
                    samples += clients.run(stretch_s=stretch_s)
                else:
                    samples += measure(figure, found, seconds, jobs, behind, receiver_ms)
    _show(samples)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"header": head, "samples": report.raw(samples)}, indent=1))


def measure(
    figure: str, found: Ground, seconds: int, jobs: int, behind: int, receiver_ms: float
) -> list[report.Sample]:
    """Measure one figure once."""
    samples = []
    if figure in ("F1", "F2", "F5"):
        backlog.empty(found)
        rate = backlog.fill(found, jobs)
        samples = [report.Sample("F3", "services.accept, batches of 500", rate, "/s")]
        day = backlog.keep(found)
    match figure:
        case "F1":
            return samples + f1_cycle.run(found, day=day, jobs=jobs)
        case "F2":
            return f2_http.run(found, jobs=jobs)
        case "F3":
            return f3_accept.run(found, seconds=seconds)
        case "F3B":
            return f3_batch.run(found, seconds=seconds)
        case "F4":
            return f4_latency.run(found, seconds=seconds, behind=behind, receiver_ms=receiver_ms)
    return f5_wal.run(found, jobs=jobs, seconds=seconds)


def _header(found: Ground | None) -> dict[str, str]:
    """Print what is measured on, and return it. found: None where no server is needed."""
    shown = {}
    if found is not None:
        shown = {name: str(found.run(f"SHOW {name}")[0][0]) for name in machine.SHOWN}
    head = machine.header(shown, Path("/var/tmp"))
    for name, value in head.items():
        click.echo(f"{name:32} {value}")
    return head


def _show(samples: Sequence[report.Sample]) -> None:
    of_clients = [sample for sample in samples if sample.figure == clients.FIGURE]
    if others := [sample for sample in samples if sample.figure != clients.FIGURE]:
        show(report.rows(others), as_json=False)
    if of_clients:
        show(clients.rows(of_clients), as_json=False)
        click.echo("\n".join(clients.NOTES))


def _end(_: int, __: FrameType | None) -> None:
    sys.exit(143)  # as an exception, so that every part is ended on the way out


if __name__ == "__main__":
    main()
