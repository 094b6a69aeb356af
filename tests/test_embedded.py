"""The launcher of PostgreSQL from wheels: what it keeps, what it refuses, what it leaves."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifyq.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    binaries,
    find_binaries,
    folders,
)

FAST = {"fsync": "off"}
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can act as two users")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")


@pytest.fixture(scope="module", autouse=True)
def _state() -> Iterator[None]:
    """Root's clusters of these tests: gone after them, and not below a closed folder."""
    state = Path(f"/var/tmp/notifyq-state-{os.getpid()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTIFYQ_STATE", str(state))
        yield
    shutil.rmtree(state, ignore_errors=True)


def ask(server: EmbeddedPostgres, question: str) -> object:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        return row[0] if row else None


def tell(server: EmbeddedPostgres, command: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(command)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Ended; a zombie has, too: who reaps an orphan is the machine's matter."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def starter(code: str, folder: Path | None) -> subprocess.Popen[str]:
    """Another process that starts a server, prints its pid and url, then does `code`."""
    start = (
        "import pathlib, sys, time\n"
        "from notifyq.embedded import EmbeddedPostgres\n"
        f"folder = {str(folder)!r}\n"
        "folder = None if folder == 'None' else pathlib.Path(folder)\n"
        "server = EmbeddedPostgres.start(folder, settings={'fsync': 'off'})\n"
        "print(server.pid, server.url(), server.data, flush=True)\n"
    )
    root = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", start + code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        start_new_session=True,
    )


def kill_starter_of(folder: Path | None) -> tuple[int, str, Path]:
    with starter("time.sleep(600)", folder) as process:
        assert process.stdout is not None
        pid, url, data = process.stdout.readline().split()
        process.kill()
    return int(pid), url, Path(data)


@pytest.mark.parametrize("major", [16, 18])
def test_both_majors_start_and_a_second_start_finds_the_data(tmp_path: Path, major: int) -> None:
    with EmbeddedPostgres.start(tmp_path / "pg", major, FAST) as server:
        tell(server, "CREATE TABLE kept AS SELECT 1 AS n")
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        assert ask(server, "SELECT n FROM kept") == 1
        assert str(ask(server, "SHOW server_version")).startswith(f"{major}.")


@pytest.mark.parametrize("major", [16, 18])
def test_a_second_start_recovers_after_kill_9(tmp_path: Path, major: int) -> None:
    with EmbeddedPostgres.start(tmp_path / "pg", major, FAST) as server:
        tell(server, "CREATE TABLE kept AS SELECT 1 AS n")
        server.kill()
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        assert ask(server, "SELECT n FROM kept") == 1
        assert "was interrupted" in server.log.read_text()


def test_restart_keeps_the_url() -> None:
    with EmbeddedPostgres.start(settings=FAST) as server:
        before, pid = server.url(), server.pid
        server.kill()
        assert gone(pid)
        server.restart()
        assert server.url() == before
        assert ask(server, "SELECT 1") == 1


def test_it_is_durable_checked_and_utf8_unless_told_otherwise() -> None:
    with EmbeddedPostgres.start() as server:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
            "max_wal_senders": "0",
        }.items():
            assert ask(server, f"SHOW {setting}") == value
        assert ask(server, "SELECT current_user::text") == "notifyq"


@needs_root
@pytest.mark.parametrize("major", [16, 18])
@pytest.mark.parametrize("stranger", ["daemon", "nobody", "postgres"])
def test_it_trusts_nobody_but_the_starter(stranger: str, major: int) -> None:
    try:
        pwd.getpwnam(stranger)
    except KeyError:
        pytest.skip(f"this machine has no {stranger}")
    with EmbeddedPostgres.start(major=major, settings=FAST) as server:
        # Not even with the socket's folder open, so that the server itself is asked.
        sockets = next(Path(server.data.parents[1]).glob("s"))
        sockets.chmod(0o755)
        command = [server.bin / "psql", server.url(), "-c", "SELECT 1"]
        asked = subprocess.run(
            command, capture_output=True, text=True, user=stranger, extra_groups=[], cwd="/"
        )
        assert asked.returncode != 0
        assert "Peer authentication failed" in asked.stderr
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_starter_is_every_role_but_not_a_replica() -> None:
    with EmbeddedPostgres.start(settings={**FAST, "max_wal_senders": "2"}) as server:
        tell(server, "CREATE ROLE app LOGIN")
        with psycopg.connect(server.url(), user="app") as connection:
            assert connection.execute("SELECT current_user::text").fetchone() == ("app",)
        with pytest.raises(
            psycopg.OperationalError, match=r"no pg_hba\.conf entry for replication"
        ):
            psycopg.connect(server.url() + "&replication=true")


def test_who_may_connect_is_no_setting() -> None:
    with pytest.raises(EmbeddedPostgresError, match="leave listen_addresses to notifyq"):
        EmbeddedPostgres.start(settings={"listen_addresses": "*"})


def test_a_path_longer_than_107_bytes_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long " * 20) / ("longer'%" * 12)
    with EmbeddedPostgres.start(folder, settings=FAST) as server:
        assert ask(server, "SELECT 1") == 1


def test_two_starters_of_one_folder_one_is_refused(tmp_path: Path) -> None:
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        with pytest.raises(EmbeddedPostgresError, match="is in use"):
            EmbeddedPostgres.start(tmp_path / "pg")
        assert ask(server, "SELECT 1") == 1


@linux_only
def test_the_server_dies_with_its_starter_even_after_kill_9(tmp_path: Path) -> None:
    pid, _, data = kill_starter_of(tmp_path / "pg")
    until(lambda: gone(pid))
    until(lambda: not (data / "postmaster.pid").exists())


@linux_only
def test_a_start_right_after_kill_9_waits_for_the_last_server(tmp_path: Path) -> None:
    with starter("time.sleep(600)", tmp_path / "pg") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline().split()[0])
        os.kill(pid, signal.SIGSTOP)  # a server that takes its time to end
        process.kill()
    try:
        assert folders.lock_folder(tmp_path / "pg" / "cluster", wait_s=0.1) is None
    finally:
        os.kill(pid, signal.SIGCONT)
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        assert gone(pid)
        assert ask(server, "SELECT 1") == 1


@pytest.mark.parametrize("alone", [True, False], ids=["initdb goes on", "initdb dies too"])
def test_a_starter_killed_during_initdb_is_made_good(tmp_path: Path, alone: bool) -> None:
    with starter("time.sleep(600)", tmp_path / "pg") as process:
        cluster = tmp_path / "pg" / "cluster"
        until(lambda: bool(list(cluster.glob("data*/PG_VERSION"))))
        process.kill() if alone else os.killpg(process.pid, signal.SIGKILL)
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        assert ask(server, "SELECT count(*) FROM pg_database") == 3


@linux_only
def test_the_next_start_sweeps_what_kill_9_left() -> None:
    pid, _, data = kill_starter_of(None)
    until(lambda: gone(pid))
    assert data.exists()
    with EmbeddedPostgres.start(settings=FAST):
        assert not data.parents[1].exists()


@pytest.mark.parametrize("when", ["before it is opened", "before it is locked"])
def test_a_run_folder_that_another_start_sweeps_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Two starts at once: one may see the other's folder before that one holds it."""
    swept: list[Path] = []
    make, lock = tempfile.mkdtemp, folders.lock_folder

    def made(**where: Any) -> str:
        folder = make(**where)
        if not swept:
            swept.append(Path(folder))
            if when == "before it is opened":
                swept[0].rmdir()
        return folder

    def locked(folder: Path, wait_s: float = 0.0) -> int | None:
        held = lock(folder, wait_s)
        if swept == [folder] and folder.is_dir():
            folder.rmdir()
        return held

    monkeypatch.setattr(folders.tempfile, "mkdtemp", made)
    monkeypatch.setattr(folders, "lock_folder", locked)
    run, held = folders.fresh_run_folder()
    try:
        assert run.is_dir()
        assert [run] != swept
        assert not swept[0].exists()
    finally:
        os.close(held)
        run.rmdir()


def test_a_thread_that_starts_it_may_end() -> None:
    servers: list[EmbeddedPostgres] = []
    thread = threading.Thread(target=lambda: servers.append(EmbeddedPostgres.start(settings=FAST)))
    thread.start()
    thread.join()
    with servers[0] as server:
        assert ask(server, "SELECT 1") == 1
        assert not gone(server.pid)


def test_an_exit_without_stop_leaves_nothing() -> None:
    with starter("", None) as process:
        out, _ = process.communicate()
    pid, _, data = out.split()
    assert gone(int(pid))
    assert not Path(data).parents[1].exists()


def test_a_forked_child_does_not_stop_its_parents_server() -> None:
    code = (
        "import os, psycopg\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait()\n"
        "print(psycopg.connect(server.url()).execute('SELECT 42').fetchone()[0])"
    )
    with starter(code, None) as process:
        out, _ = process.communicate()
    assert out.split()[-1] == "42"


def test_a_stale_pid_file_that_names_a_living_process_is_no_hindrance(tmp_path: Path) -> None:
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        data = server.data
        owner = data.stat()
    whose = {"user": owner.st_uid, "group": owner.st_gid} if AS_ROOT else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **whose) as other:  # type: ignore[call-overload]
        pid_file = data / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{data}\n1\n5432\n/tmp\n\n  1 1\nready\n")
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        try:
            with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
                assert ask(server, "SELECT 1") == 1
        finally:
            other.kill()


def test_half_initdb_is_repaired(tmp_path: Path) -> None:
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        data = server.data
    half = data.with_name("data.new")
    data.rename(half)
    shutil.rmtree(half / "global")
    with EmbeddedPostgres.start(tmp_path / "pg", settings=FAST) as server:
        assert ask(server, "SELECT 1") == 1
        assert not half.exists()


def test_a_cluster_keeps_its_major(tmp_path: Path) -> None:
    EmbeddedPostgres.start(tmp_path / "pg", 16, FAST).stop()
    with pytest.raises(EmbeddedPostgresError, match="is of PostgreSQL 16"):
        EmbeddedPostgres.start(tmp_path / "pg", 18)


def test_a_broken_setting_tells_the_servers_own_words() -> None:
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "shade"'):
        EmbeddedPostgres.start(settings={"shade": "blue"})


def test_settings_are_quoted() -> None:
    odd = r"it's \a 'setting'"
    with EmbeddedPostgres.start(settings={**FAST, "cluster_name": odd}) as server:
        assert ask(server, "SHOW cluster_name") == odd


def test_no_modes_or_users_change(tmp_path: Path) -> None:
    users = Path("/etc/passwd").read_text()
    parents = [tmp_path, *tmp_path.parents, find_binaries(), *find_binaries().parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in parents]
    EmbeddedPostgres.start(tmp_path / "pg", settings=FAST).stop()
    assert [(path.stat().st_mode, path.stat().st_uid) for path in parents] == before
    assert Path("/etc/passwd").read_text() == users


@needs_root
def test_root_runs_binaries_from_a_closed_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = find_binaries(16).parent
    package = tree.parent
    shutil.copytree(tree, tmp_path / package.name / tree.name, symlinks=True)
    libs = package.with_name(f"{package.name}.libs")
    shutil.copytree(libs, tmp_path / libs.name)
    tmp_path.chmod(0o700)
    closed = tmp_path / package.name / tree.name / "bin"
    monkeypatch.setattr(binaries, "_wheel_folders", lambda: iter([closed]))
    for _ in range(2):
        with EmbeddedPostgres.start(settings=FAST) as server:
            assert server.bin.is_relative_to(os.environ["NOTIFYQ_STATE"])
            assert ask(server, "SELECT 1") == 1
            ran = subprocess.run([server.bin / "psql", server.url(), "-c", "SELECT 1"], cwd="/")
            assert ran.returncode == 0
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_no_binaries_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFYQ_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(EmbeddedPostgresError, match=r"install notifyq\[embedded\] or set NOTIFYQ_"):
        find_binaries()
    monkeypatch.delenv("NOTIFYQ_POSTGRES_BIN")
    with pytest.raises(EmbeddedPostgresError, match="no PostgreSQL 9 in this Python"):
        find_binaries(9)


@linux_only
def test_a_killed_ephemeral_server_leaves_no_shared_memory() -> None:
    def segments() -> set[str]:
        lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        return {line.split()[1] for line in lines}

    with EmbeddedPostgres.start(settings=FAST) as server:
        ids = (server.data / "postmaster.pid").read_text().splitlines()[6].split()
        assert ids[1] in segments()
        server.kill()
    assert ids[1] not in segments()


def test_a_server_that_dies_by_itself_is_reaped() -> None:
    with EmbeddedPostgres.start(settings=FAST) as server:
        os.kill(server.pid, signal.SIGQUIT)
        until(lambda: not Path(f"/proc/{server.pid}").exists())
