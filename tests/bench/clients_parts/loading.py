"""What every load is told, on stdin: `take REQUEST` (a baseline), `go SECONDS WARM_UP_SECONDS`.

A `go` is answered twice: "warm", then what was spent. Requests that are under way at the end are
waited for and counted, so that the next stretch finds every connection idle.
"""

import asyncio
import json
import sys
import time
from typing import Protocol

from tests.bench.clients_parts.answering import say

IN_FLIGHT = 16
Request = list[list[str]]  # what a receiver said of it


class Load(Protocol):
    """Something that makes requests."""

    def take(self, request: Request) -> None:
        """Make requests like this one."""
        ...

    async def run(self, until_s: float) -> int:
        """Make requests, IN_FLIGHT at once, until then (perf_counter); return how many."""
        ...


async def obey(load: Load) -> None:
    """Do what the parent says until stdin ends."""
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, _, rest = line.partition(" ")
        if word == "take":
            load.take(json.loads(rest))
            say("taken")
            continue
        stretch_s, warm_s = map(float, rest.split())
        await load.run(time.perf_counter() + warm_s)
        say("warm")
        cpu_s, began_s = time.process_time(), time.perf_counter()
        count = await load.run(began_s + stretch_s)
        wall_s = time.perf_counter() - began_s
        say({"count": count, "wall_s": wall_s, "cpu_s": time.process_time() - cpu_s})
