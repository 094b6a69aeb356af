"""The postmaster as a process: its birth under another account, its signals, its end.

Owns: the fork, and the thread that stays beside it. Refuses: to outlive the starter.
Invariant: `pid` is ours to signal as long as `alive` is true, for only our thread reaps it.
"""

import os
import pwd
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from notifyq.embedded.folders import SERVER_ENV

STOP_S = 60.0  # a fast stop writes a checkpoint; then the next harder signal

# Drops root, then asks for the signal (a change of uid clears it), then becomes the server. A
# program and not a preexec_fn: Python code between fork and exec can deadlock beside threads.
_BECOME = """
import ctypes, os, signal, sys
parent, uid, gid = map(int, sys.argv[1:4])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGINT), 0, 0, 0)  # PR_SET_PDEATHSIG: a fast stop
    if os.getppid() != parent:
        sys.exit("the starter has gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


class Postmaster:
    """A started server process; it may not answer yet.

    `lock` is an open descriptor which the server and its backends inherit and so hold on.
    """

    def __init__(
        self, command: list[str], account: pwd.struct_passwd, log: Path, lock: int
    ) -> None:
        who = [str(number) for number in (os.getpid(), account.pw_uid, account.pw_gid)]
        started: Future[subprocess.Popen[bytes]] = Future()

        def keep(output: int) -> None:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _BECOME, *who, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    env=SERVER_ENV,
                    pass_fds=[lock],
                    start_new_session=True,  # a Ctrl-C in the terminal is not for the server
                )
            except BaseException as error:
                started.set_exception(error)
            else:
                started.set_result(process)
                process.wait()

        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it quotes statements
        # The kernel sends the signal when the *thread* that forked ends, so one that does nothing
        # else stays as long as the server. It also reaps a server that dies by itself.
        self._keeper = threading.Thread(target=keep, args=[output], name="postgres", daemon=True)
        self._keeper.start()
        try:
            self._process = started.result()
        finally:
            os.close(output)
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        return self._keeper.is_alive()

    @property
    def died_badly(self) -> bool:
        """It ended without its own shutdown, so its shared memory may still be there."""
        return not self.alive and self._process.returncode != 0

    def end(self, first: signal.Signals) -> None:
        """Sends `first`, and harder signals after STOP_S each; returns when it is reaped."""
        for sign in (first, signal.SIGQUIT, signal.SIGKILL):
            if self.alive:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, sign)
                self._keeper.join(STOP_S)
