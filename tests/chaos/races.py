"""The races: every order of every two sessions; bin/check runs a sample of them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.options import Options

ROOT = Path(__file__).parents[2]


def run(options: Options) -> tuple[str, bool]:
    """Run all of tests/races; return pytest's last lines and whether they passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/races"]
    chosen = ["-k", " or ".join(options.filters)] if options.filters else []
    done = subprocess.run(
        [*command, *chosen],
        cwd=ROOT,
        env={**os.environ, "NOTIFYQ_TEST_FULL": "1"},
        capture_output=True,
        text=True,
    )
    tail = done.stdout.splitlines()[-15:] if done.returncode else done.stdout.splitlines()[-1:]
    return "races: " + "\n".join(tail), done.returncode == 0
