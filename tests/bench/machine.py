"""What the numbers were measured on."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
    "data_checksums",
)
_PACKAGES = ("psycopg", "aiohttp", "httpx", "starlette", "uvicorn", "uvloop", "pydantic")


def header(shown: dict[str, str], folder: Path) -> dict[str, str]:
    """Return command, commit, date, machine and settings, as they go above the table.

    shown: SHOW of the server, for SHOWN. folder: on the disk that holds the database.
    """
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [
        line.partition(":")[2].strip() for line in cpuinfo.splitlines() if "model name" in line
    ]
    memory = next(m for m in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in m)
    return {
        "command": " ".join(["bin/bench", *sys.argv[1:]]),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": f"{models[0] if models else 'unknown'}, {os.cpu_count()} cores",
        "memory_gb": f"{int(memory.split()[1]) / 1_048_576:.0f}",
        "kernel": platform.release(),
        "load_before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "fdatasync_ms": f"{_fdatasync_s(folder) * 1_000:.2f}",
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        **{f"postgres.{name}": value for name, value in shown.items()},
    }


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = len(git("status", "--porcelain").splitlines())
    return (git("rev-parse", "--short", "HEAD") or "none") + (
        f" +{changed} files" if changed else ""
    )


def _fdatasync_s(folder: Path, count: int = 100) -> float:
    """Return the median time to make 8 KB durable, in seconds: what a lone commit waits for."""
    with tempfile.TemporaryFile(dir=folder) as file:
        took_s = []
        for _ in range(count):
            file.write(bytes(8_192))
            file.flush()
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            took_s.append(time.perf_counter() - began_s)
    return sorted(took_s)[count // 2]
