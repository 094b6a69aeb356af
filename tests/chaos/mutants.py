"""The mutants: wrong versions of the code as patches, each caught by the test that its head names.

A patch is applied to a copy of the tree; the named test must then fail, and for the named reason.
A patch that no longer applies is red, and so is one that nothing catches.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from notifyq.embedded import EmbeddedPostgres
from tests.chaos.options import Options, in_shard
from tests.conftest import SETTINGS, in_memory

ROOT = Path(__file__).parents[2]
PATCHES = ROOT / "tests" / "mutants"
TEST_S = 300.0
SIDE_BY_SIDE = 2  # each is a pytest of its own


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong version: what is wrong, the test that catches it, and the words of its failure."""

    name: str
    wrong: str
    caught_by: str
    because: str
    patch: Path


def mutants(folder: Path = PATCHES) -> list[Mutant]:
    """Return every mutant, by name; ValueError if a head is not complete."""
    return [_read(file) for file in sorted(folder.glob("*.patch"))]


def run(options: Options) -> tuple[str, bool]:
    """Run the named tests on the code as it is, then on its mutants; return table and verdict."""
    chosen = [m for m in mutants() if in_shard(m.name, options.shard)]
    if options.filters:
        chosen = [m for m in chosen if any(part in m.name for part in options.filters)]
    with (
        EmbeddedPostgres.start(settings=SETTINGS, below=in_memory()) as server,
        _copies(SIDE_BY_SIDE) as copies,
    ):
        environ = {**os.environ, "NOTIFYQ_TEST_DATABASE_URL": server.url()}
        first = copies.get()
        right = _pytest(first, sorted({m.caught_by for m in chosen}), environ)
        copies.put(first)
        if right.returncode:
            return (
                f"the code as it is does not pass:\n{(right.stdout + right.stderr)[-4_000:]}",
                False,
            )

        def judged(mutant: Mutant) -> tuple[Mutant, str]:
            tree = copies.get()
            try:
                return mutant, _fault(mutant, tree, environ)
            finally:
                copies.put(tree)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            found = list(pool.map(judged, chosen))
    return _table(found), all(not fault for _, fault in found)


def applies(mutant: Mutant) -> bool:
    """Whether the patch still applies to the tree."""
    command = ["git", "apply", "--check", str(mutant.patch)]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def _read(file: Path) -> Mutant:
    head, _, _ = file.read_text(encoding="utf-8").partition("\n\n")
    told = dict(line.split(": ", 1) for line in head.splitlines())
    try:
        return Mutant(file.stem, told["Wrong"], told["Caught by"], told["Because"], file)
    except KeyError as error:
        raise ValueError(f"{file.name}: its head does not say {error}") from None


def _fault(mutant: Mutant, tree: Path, environ: dict[str, str]) -> str:
    """Return what is wrong with a mutant: empty when its test fails as it should."""
    apply = ["git", "apply", "--unsafe-paths", f"--directory={tree}", str(mutant.patch)]
    if subprocess.run(apply, cwd="/", capture_output=True).returncode:
        return "the patch does not apply"
    try:
        done = _pytest(tree, [mutant.caught_by], environ)
    except subprocess.TimeoutExpired:
        return f"its test did not end within {TEST_S:.0f} s"
    finally:
        subprocess.run([*apply, "-R"], cwd="/", capture_output=True, check=True)
    if done.returncode == 0:
        return "NOT CAUGHT: the test passes"
    if done.returncode != 1 or not re.search(r"^FAILED ", done.stdout, re.MULTILINE):
        return f"the test did not run: {done.stdout[-300:]}"
    failures = "\n".join(re.findall(r"^E +(.*)$", done.stdout, re.MULTILINE))
    return "" if re.search(mutant.because, failures) else f"another reason: {failures[:300]}"


def _pytest(
    tree: Path, tests: list[str], environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "-rf"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,  # first on the path: the copy is what is imported
        env=environ,
        capture_output=True,
        text=True,
        timeout=TEST_S,
    )


@contextmanager
def _copies(count: int) -> Iterator["Queue[Path]"]:
    """Make copies of the tree: what git knows, and what it would take in."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    free: Queue[Path] = Queue()
    with tempfile.TemporaryDirectory(prefix="notifyq-mutants-") as folder:
        for number in range(count):
            tree = Path(folder) / str(number)
            for name in filter(None, names.split("\0")):
                if (ROOT / name).is_file():
                    (tree / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, tree / name)
            free.put(tree)
        yield free


def _table(found: list[tuple[Mutant, str]]) -> str:
    lines = ["| wrong version | caught by | |", "|---|---|---|"]
    for mutant, fault in found:
        test = mutant.caught_by.rpartition("/")[2]
        lines.append(f"| {mutant.wrong} | `{test}` | {fault or 'caught'} |")
    caught = sum(not fault for _, fault in found)
    return "\n".join([*lines, "", f"{len(found)} wrong versions, {caught} caught"])
