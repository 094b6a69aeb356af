"""Child processes: started here, tied to this process's life, ended here.

A child of ours speaks lines: it is told one on stdin and answers one on stdout, in JSON.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

STOP_S = 30.0
# Asks to be killed at its parent's death, which outlives exec: nothing is left running.
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Part:
    """A running child."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """process: with pipes for stdin and stdout, line-buffered."""
        self._process = process
        self.pid = process.pid

    def tell(self, word: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """Wait for a line and return what its JSON says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a part of the bench died: {self._process.args!r}")
        return json.loads(line)

    def ask(self, word: str) -> Any:
        """Send a line and return the answer."""
        self.tell(word)
        return self.hear()

    def pin(self, *cores: int) -> None:
        """Let it run on these cores only."""
        os.sched_setaffinity(self.pid, cores)

    def check(self) -> None:
        """RuntimeError if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"a part of the bench ended: {self._process.args!r}")


@contextmanager
def part(
    module: str, *arguments: object, environ: Mapping[str, str] | None = None
) -> Iterator[Part]:
    """Run `python -m module` until the block ends; then SIGTERM, and SIGKILL if it must be."""
    command: Sequence[str] = [sys.executable, "-c", _TIED, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, **(environ or {})},
    )
    try:
        yield Part(process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, child: Part, timeout_s: float = 30.0) -> None:
    """Return once somebody listens; RuntimeError if the child dies before, or time is over."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        child.check()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")
