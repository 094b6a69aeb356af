"""The server's life: cluster, configuration, start, stop, crash.

Owns: `EmbeddedPostgres`. Refuses: settings that decide who may connect.
Invariant: a server that runs was started by a process that still lives.
"""

import atexit
import os
import pwd
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Literal, Self
from urllib.parse import quote

import psycopg

from notifyq.embedded.binaries import find_binaries, runnable
from notifyq.embedded.folders import (
    EmbeddedPostgresError,
    fresh_run_folder,
    fsync_folder,
    home_below,
    lock_folder,
    make_empty,
    run_as,
    server_account,
    write,
)
from notifyq.embedded.process import STOP_S, Postmaster

START_S = 120.0  # a start may have to replay the WAL of a crash
SUPERUSER = "notifyq"
PORT = 5432  # only a part of the socket's name: there is no TCP
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_DEFAULTS = {"timezone": "UTC", "log_timezone": "UTC", "max_wal_senders": "0"}
_OURS = {"listen_addresses", "unix_socket_directories", "config_file", "hba_file", "ident_file"}


class EmbeddedPostgres:
    """A running server. Made by `start`; a context manager that stops it.

    Attributes: `bin` (the folder of psql and the others), `data`, `log`, `pid` of the postmaster.
    """

    bin: Path
    data: Path
    log: Path
    pid: int

    def __init__(self, below: Path | None = None) -> None:
        self._starter = os.getpid()
        self._account = server_account()
        self._ephemeral = True
        self._postmaster: Postmaster | None = None
        self._run, lock = fresh_run_folder(below)
        self._locks = [lock]

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        major: int | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        below: Path | None = None,
    ) -> Self:
        """A server that answers, on the cluster in `folder`, which the first start makes.

        Without a folder the cluster is gone after `stop`. `settings` are lines of postgresql.conf;
        all is durable unless they say otherwise. An existing cluster keeps its major version.
        `below` is where the socket, the log and a cluster without a folder are: a short path that
        everybody may pass through; /var/tmp if it is not given.
        Raises EmbeddedPostgresError: folder in use, no binaries, or the server's own last words.
        """
        if refused := _OURS & settings.keys():
            raise EmbeddedPostgresError(f"leave {', '.join(sorted(refused))} to notifyq")
        self = cls(below)
        self._ephemeral = folder is None
        try:
            self._open(folder, major, settings)
        except BaseException:
            self.stop("immediate")
            raise
        atexit.register(self.stop)
        return self

    def url(self, dbname: str = "postgres") -> str:
        """libpq's URL of a database through the socket, as the superuser `notifyq`."""
        host = quote(str(self._run / "s"), safe="")
        return f"postgresql:///{quote(dbname, safe='')}?host={host}&port={PORT}&user={SUPERUSER}"

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stops the server and removes what is not to be kept. A second call does nothing."""
        if self._starter != os.getpid() or not self._locks:
            return  # a forked child ends without taking its parent's server along
        atexit.unregister(self.stop)
        try:
            self._end(_SIGNALS[mode])
            if self._ephemeral and self._postmaster and self._postmaster.died_badly:
                self._free_shared_memory()
        finally:
            shutil.rmtree(self._run, ignore_errors=True)
            while self._locks:
                os.close(self._locks.pop())

    def kill(self) -> None:
        """SIGKILL to the postmaster, for crash tests; returns when it is gone."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops the server, if it still runs, and starts it again behind the same URL."""
        self._end(signal.SIGINT)
        self._serve()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _open(self, folder: Path | None, major: int | None, settings: Mapping[str, str]) -> None:
        if folder is None:
            self._home = self._run / "cluster"
        else:
            folder = folder.absolute()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = lock_folder(folder)
            if lock is None:
                raise EmbeddedPostgresError(f"{folder} is in use: stop its other starter first")
            self._locks.append(lock)
            self._home = home_below(folder)
        self._home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        self.data, self.log = self._home / "data", self._home / "log"
        kept = self.data / "PG_VERSION"
        exists = int(kept.read_text()) if kept.exists() else None
        if exists and major not in (None, exists):
            raise EmbeddedPostgresError(f"{folder} is of PostgreSQL {exists}: ask for that one")
        self.bin = runnable(find_binaries(exists or major), self._account)
        if not exists:
            self._initdb()
        self._configure({**_DEFAULTS, **settings})
        self._serve()

    def _initdb(self) -> None:
        half = self._home / "data.new"  # never mistaken for a cluster: renamed when complete
        flags = ["-U", SUPERUSER, "--auth=reject", "-E", "UTF8", "--data-checksums"]
        flags += ["--no-locale"]  # C everywhere, so that every system and major sorts alike
        flags += ["--no-sync"] * self._ephemeral
        lock = self._lock_home()
        try:
            make_empty(half, self._account)
            run_as(self._account, [self.bin / "initdb", *flags, "-D", half], hold=[lock])
            half.rename(self.data)
        finally:
            os.close(lock)
        fsync_folder(self._home)

    def _configure(self, settings: Mapping[str, str]) -> None:
        # Beside the data, not in it: as root these stay out of the server's reach.
        lines = []
        for name, value in settings.items():
            escaped = value.replace("\\", "\\\\").replace("'", "''")
            lines.append(f"{name} = '{escaped}'\n")
        starter = pwd.getpwuid(os.geteuid()).pw_name.replace('"', '""')
        write(self._home / "postgresql.conf", "".join(lines))
        write(self._home / "pg_hba.conf", "local all all peer map=starter\n")
        write(self._home / "pg_ident.conf", f'starter "{starter}" all\n')

    def _arguments(self) -> list[str]:
        # On the command line, where neither postgresql.auto.conf nor a setting outweighs them.
        ours = {
            "config_file": self._home / "postgresql.conf",
            "hba_file": self._home / "pg_hba.conf",
            "ident_file": self._home / "pg_ident.conf",
            "listen_addresses": "",
            "unix_socket_directories": self._run / "s",
        }
        return ["-D", str(self.data), *(f"--{name}={value}" for name, value in ours.items())]

    def _serve(self) -> None:
        lock = self._lock_home()
        try:
            # No server holds the cluster, so whatever process an old postmaster.pid names is not
            # one; PostgreSQL would refuse to start once that number is in use again.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            make_empty(self._run / "s", self._account)
            if self.log.exists():
                self.log.replace(self.log.with_name("log.1"))
            command = [str(self.bin / "postgres"), *self._arguments()]
            self._postmaster = Postmaster(command, self._account, self.log, lock)
        finally:
            os.close(lock)
        self.pid = self._postmaster.pid
        self._await_answer(self._postmaster)

    def _await_answer(self, postmaster: Postmaster) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if not postmaster.alive or time.monotonic() > deadline:
                    tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                    raise EmbeddedPostgresError(f"the server does not answer:\n{tail}") from error
            time.sleep(0.01)

    def _end(self, first: signal.Signals) -> None:
        if self._postmaster is not None:
            self._postmaster.end(first)

    def _free_shared_memory(self) -> None:
        # A killed server leaves its segments to the next start, which this cluster will not have.
        with suppress(EmbeddedPostgresError):
            os.close(self._lock_home())  # its backends are gone
            single = ["--single", *self._arguments(), "postgres"]
            run_as(self._account, [self.bin / "postgres", *single])

    def _lock_home(self) -> int:
        lock = lock_folder(self._home, STOP_S)  # a server outlives a killed starter a little
        if lock is None:
            raise EmbeddedPostgresError(f"the last server of {self._home} hangs: kill it")
        return lock
