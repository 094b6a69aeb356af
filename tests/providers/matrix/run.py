"""All cells, on one sandbox."""

import asyncio
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.providers.matrix.accounts import Office
from tests.providers.matrix.cell import Bench, Cell, Twist
from tests.providers.matrix.failures import FAILURES, TIMEOUT_S, VENDORS, Failure, Way
from tests.providers.matrix.ground import open_ground

SIDE_BY_SIDE = 8  # cells at once, of those that do not wait for a time-out

_Task = tuple[Failure, str, Way]


async def run(
    failures: Sequence[Failure] = FAILURES, *, twist: Twist = lambda provider: provider
) -> list[Cell]:
    """Return every cell that can exist, row by row. twist: what is done to each client.

    ExceptionGroup of ValueErrors: a vendor accepted what nobody sent, or took no script.
    """
    ways = [(failure, vendor, failure.ways[vendor]) for failure in failures for vendor in VENDORS]
    tasks = [(failure, vendor, way) for failure, vendor, way in ways if isinstance(way, Way)]
    with tempfile.TemporaryDirectory(prefix="notifyq-matrix-") as folder:
        async with open_ground() as ground:
            bench = Bench(ground, Office(Path(folder), ground.http_port), twist)
            # Calls that are to time out are made last and all at once: nothing keeps them from
            # reaching the sandbox in time, and they wait together.
            quick = [task for task in tasks if task[2].timeout_s >= TIMEOUT_S]
            slow = [task for task in tasks if task[2].timeout_s < TIMEOUT_S]
            found = await _side_by_side(bench, quick, SIDE_BY_SIDE)
            found += await _side_by_side(bench, slow, len(slow))
            found = [bench.counted_again(cell) for cell in found]
    places = {(failure.name, vendor): place for place, (failure, vendor, _) in enumerate(ways)}
    return sorted(found, key=lambda cell: places[cell.failure.name, cell.vendor])


async def _side_by_side(bench: Bench, tasks: Iterable[_Task], places: int) -> list[Cell]:
    free = asyncio.Semaphore(places)

    async def one(task: _Task) -> Cell:
        async with free:
            return await bench.run(*task)

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(task)) for task in tasks]
    return [each.result() for each in running]
