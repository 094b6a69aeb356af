"""Where the parts of a cluster live, who owns them, who holds them.

Owns: locks, the run folder, root's folders, the server's account. Refuses: modes and owners of
anything that it did not make. Invariant: a lock is gone when the last process that holds it is.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_RUN_PREFIX = "notifyq-pg-"
SERVER_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}  # nothing of the caller's


class EmbeddedPostgresError(RuntimeError):
    """No server can be had here; the message says what to do about it."""


def lock_folder(folder: Path, wait_s: float = 0.0) -> int | None:
    """An open descriptor that locks the folder for as long as any process holds it, or None."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
        time.sleep(0.01)


def fresh_run_folder(below: Path | None = None) -> tuple[Path, int]:
    """A new locked folder below `below` or /var/tmp; sweeps those whose starter was killed."""
    base = below or Path("/var/tmp" if os.access("/var/tmp", os.W_OK) else "/tmp")
    for old in base.glob(f"{_RUN_PREFIX}*"):
        with suppress(OSError):
            if old.lstat().st_uid == os.geteuid() and (lock := lock_folder(old)) is not None:
                shutil.rmtree(old, ignore_errors=True)
                os.close(lock)
    while True:
        run = Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=base))
        # Somebody else's sweep may come before we hold it, and take it for a dead starter's.
        with suppress(FileNotFoundError):
            lock = lock_folder(run)
            if lock is not None and run.is_dir():
                run.chmod(0o711)  # only to pass through; what lies in it is closed by itself
                return run, lock
            if lock is not None:
                os.close(lock)


def server_account() -> pwd.struct_passwd:
    """Whom the server runs as: the starter, or for root an account without rights."""
    names = ["postgres", "nobody"] if os.geteuid() == 0 else []
    for name in names:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    try:
        if not names:
            return pwd.getpwuid(os.geteuid())
    except KeyError:
        pass
    raise EmbeddedPostgresError("no OS user for the server: give this user id a name in passwd")


def run_as(
    account: pwd.struct_passwd, command: Sequence[str | Path], hold: Sequence[int] = ()
) -> None:
    """Runs a program of PostgreSQL to its end; its output goes into the error, if it fails.

    It holds the locks `hold` too, for it goes on when the starter is killed.
    """
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_whom = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=SERVER_ENV,
        pass_fds=hold,
        **as_whom,
    )
    if ran.returncode:
        said = ran.stdout.decode(errors="replace")
        raise EmbeddedPostgresError(f"{Path(command[0]).name} failed:\n{said}")


def state_folder(name: str) -> Path:
    """A folder that root shares with the server's account."""
    state = Path(os.environ.get("NOTIFYQ_STATE", "/var/lib/notifyq"))
    for path in (state, state / name):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)  # whatever the umask
        if path.stat().st_uid != 0:
            raise EmbeddedPostgresError(f"{path} is not root's: set NOTIFYQ_STATE to another one")
    return state / name


def home_below(folder: Path) -> Path:
    """The home of the cluster of a folder; as root a link leads out of closed homes."""
    link = folder / "cluster"
    if os.geteuid() != 0:
        return link
    if link.exists() and not link.is_symlink():
        raise EmbeddedPostgresError(f"{link} is an ordinary user's: start it as that user")
    clusters = state_folder("clusters")
    if not link.is_symlink():
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        made = tempfile.mkdtemp(prefix=f"{name}-", dir=clusters)
        os.chmod(made, 0o711)  # the server's account passes through, and reads only what is its own
        link.symlink_to(made)
    home = Path(os.readlink(link))
    if home.parent != clusters or not home.is_dir():
        raise EmbeddedPostgresError(f"{link} leads to no cluster of ours: remove it")
    return home


def write(path: Path, text: str) -> None:
    """A file of configuration that the server's account can read, whatever the umask."""
    path.write_text(text)
    path.chmod(0o644)


def fsync_folder(folder: Path) -> None:
    """Makes a rename in the folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def make_empty(folder: Path, account: pwd.struct_passwd) -> None:
    """An empty folder, closed to all but `account`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.chown(folder, account.pw_uid, account.pw_gid)
