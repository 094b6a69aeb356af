"""CPU time per process, as the kernel counts it: who was busy, and whether anybody else was."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal of /proc/stat's first line


@dataclass(frozen=True, slots=True)
class Spent:
    """A stretch of time, and the CPU seconds each part had in it."""

    wall_s: float
    cpu_s: dict[str, float]  # `others`: everything on the machine that is no part

    def cores(self) -> dict[str, float]:
        """Return cores in use, by part."""
        return {part: round(spent / self.wall_s, 2) for part, spent in self.cpu_s.items()}

    def us_each(self, count: int) -> dict[str, float]:
        """Return CPU microseconds for each of `count` things, by part: it feels noise least."""
        ours = {part: spent for part, spent in self.cpu_s.items() if part != "others"}
        return {part: round(spent / count * 1e6, 1) for part, spent in ours.items()}


class Meter:
    """Reads clocks of named processes, each with its children, living and reaped."""

    def __init__(self, **pids: int) -> None:
        """Start now."""
        self._pids: Mapping[str, int] = pids
        self._began = self._read()

    def spent(self) -> Spent:
        """Return what was spent since the start; commands that ended meanwhile are `command`."""
        at_s, busy_s, by_part = self._read()
        began_s, was_busy_s, had = self._began
        cpu_s = {part: by_part[part] - had[part] for part in by_part}
        cpu_s["others"] = max(0.0, busy_s - was_busy_s - sum(cpu_s.values()))
        del cpu_s["bench"]
        if not cpu_s["command"]:
            del cpu_s["command"]
        return Spent(at_s - began_s, cpu_s)

    def _read(self) -> tuple[float, float, dict[str, float]]:
        first = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        busy_s = sum(int(first[n]) for n in _BUSY) / _TICKS_PER_S
        by_part = {part: _family_s(pid) for part, pid in self._pids.items()}
        times = os.times()
        by_part["bench"] = times.user + times.system
        by_part["command"] = times.children_user + times.children_system
        return time.monotonic(), busy_s, by_part


def _family_s(pid: int) -> float:
    """Return CPU seconds of a process, its living children, and those it has reaped.

    Read again when a child came or went meanwhile: its time would count twice, or not at all.
    """
    path = Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        children = path.read_text()
        total_s = _ticks(pid, 4) + sum(_ticks(int(child), 2) for child in children.split())
        if path.read_text() == children:
            return total_s


def _ticks(pid: int, count: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # it ended just now: its parent will have reaped it next time
        return 0.0
    return sum(int(ticks) for ticks in fields[11 : 11 + count]) / _TICKS_PER_S
