"""The whole plant as processes: started, killed and asked from outside.

Every process dies with its starter, by the kernel's word, whatever becomes of the test.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from notifyq.cli.tenants import SCOPES
from notifyq.domain import ids
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN, SENDER

PATIENCE_S = 60.0
TIMEOUT_S, LEASE_S = 4, 9
KEY = "nq_live_" + "5" * 48
# Dies with the thread that started it: no signal of ours has to find it.
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() != int(sys.argv[1]):
    sys.exit("the test has gone")
os.execv(sys.executable, [sys.executable, "-m", "notifyq", *sys.argv[2:]])
"""
_CONFIG = f"""
[routes]
sms = ["main"]

[providers.main]
vendor = "twilio"
base_url = "{{sandbox}}/twilio"
account_sid = "{ACCOUNT_SID}"
auth_token = {{{{ env = "CRASH_TOKEN" }}}}
{{limits}}

[senders."{SENDER}"]
provider = "main"
brand = "acme"
campaign = "C1"

[categories."order.shipped"]
class = "transactional"
{{categories}}
"""
_LIMITS = f"max_in_flight = 8\ntimeout_s = {TIMEOUT_S}\nlease_s = {LEASE_S}"


class Plant:
    """API, worker, janitor and sandbox as processes, and ways to look at them from outside."""

    def __init__(
        self, url: str, folder: Path, *, limits: str = _LIMITS, categories: str = ""
    ) -> None:
        """limits: of the provider's account; categories: more of them. Lines of the settings."""
        api, sandbox = _free_ports(2)
        self.url, self.folder = url, folder
        self.api_url, self.sandbox_url = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{sandbox}"
        config = folder / "notifyq.toml"
        config.write_text(
            _CONFIG.format(sandbox=self.sandbox_url, limits=limits, categories=categories)
        )
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NOTIFYQ_")},
            "NOTIFYQ_DATABASE_URL": url,
            "NOTIFYQ_CONFIG": str(config),
            "NOTIFYQ_BIND": f"127.0.0.1:{api}",
            "NOTIFYQ_PUBLIC_URL": self.api_url,
            "CRASH_TOKEN": AUTH_TOKEN,
        }
        self.commands = {
            "api": ["api"],
            "worker": ["worker", "--channel", "sms"],
            "janitor": ["janitor"],
            "sandbox": ["sandbox", "--port", str(sandbox), "--store", str(folder / "record")],
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.http = httpx.Client(trust_env=False, timeout=30)
        self.conn = psycopg.connect(url, autocommit=True)
        self.conn.execute("SET search_path = notifyq")

    def open_shop(self) -> None:
        """Make the tenant `acme` with a live key that may do everything."""
        self.conn.execute(
            "INSERT INTO tenant (cell, name, brand, created_by) VALUES (0, 'acme', 'acme', 'test')"
        )
        self.conn.execute(
            "INSERT INTO api_key (cell, key_hash, tenant_id, label, test, scopes, created_by)"
            " SELECT 0, %s, id, 'crash', false, %s, 'test' FROM tenant",
            [hashlib.sha256(KEY.encode()).digest(), list(SCOPES)],
        )

    # ------------------------------------------------------------------------- processes

    def start(self, *names: str) -> None:
        """Start parts and wait until the ones that have a port answer."""
        for name in names:
            self.launch(name)
        for name in names:
            self.until(f"{name} is there", partial(self._is_there, name))

    def launch(self, name: str) -> None:
        """Start a part and wait for nothing."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(os.getpid()), *self.commands[name]],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_there(self, name: str) -> bool:
        health = {"api": f"{self.api_url}/readyz", "sandbox": f"{self.sandbox_url}/healthz"}
        if name == "worker":
            return bool(self.one("SELECT count(*) > 0 FROM worker"))
        if name not in health:
            return True
        try:
            return self.http.get(health[name]).is_success
        except httpx.TransportError:
            return False

    def kill(self, name: str) -> None:
        """kill -9, and wait for its end."""
        process = self.running.pop(name)
        process.kill()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        if name == "worker":  # so that the next one can be waited for
            self.conn.execute("DELETE FROM worker")

    def terminate(self, name: str) -> subprocess.Popen[bytes]:
        """SIGTERM; the caller waits."""
        process = self.running[name]
        process.terminate()
        return process

    def close(self) -> None:
        """End whatever still runs, by its own process object."""
        for process in self.running.values():
            process.kill()
            process.wait(PATIENCE_S)
        self.http.close()
        self.conn.close()

    def logs(self) -> str:
        found = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3_000:]}" for log in found)

    # ---------------------------------------------------------------------------- asking

    def until(self, what: str, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self.states()}\n{self.logs()}")
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} ended by itself\n{self.logs()}"
            time.sleep(0.02)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(text.encode()).fetchall()

    def one(self, text: str) -> Any:
        ((value,),) = self.rows(text)
        return value

    def post(self, text: str, key: str | None = None) -> httpx.Response:
        return self.http.post(
            f"{self.api_url}/v1/notifications",
            json={
                "recipient": {"phone": "+14155550123"},
                "category": "order.shipped",
                "content": {"sms": {"body": text}},
            },
            headers={"Authorization": f"Bearer {KEY}", "Idempotency-Key": key or text},
        )

    def accept(self, text: str) -> None:
        answer = self.post(text)
        assert answer.status_code == 202, answer.text

    def script(self, fault: str, **more: object) -> None:
        script = {"vendor": "twilio", "fault": fault, **more}
        assert self.http.post(f"{self.sandbox_url}/sandbox/faults", json=script).is_success

    def held(self) -> int:
        return len(self.http.get(f"{self.sandbox_url}/sandbox/held").json()["data"])

    def release(self) -> None:
        self.http.delete(f"{self.sandbox_url}/sandbox/held")

    def received(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = "0"
        while cursor is not None:
            query = {"limit": "1000", "cursor": cursor}
            page = self.http.get(f"{self.sandbox_url}/sandbox/messages", params=query).json()
            found, cursor = found + page["data"], page["next_cursor"]
        return found

    def states(self) -> dict[str, tuple[str, str | None, int, str | None]]:
        """Return (state, reason, attempts, the last one's outcome) by text."""
        found = self.rows(
            "SELECT c.body, d.state::text, d.reason, count(a.number), max(a.outcome::text)"
            "  FROM delivery d JOIN content c ON c.delivery_id = d.id"
            "  LEFT JOIN attempt a ON a.delivery_id = d.id GROUP BY 1, 2, 3"
        )
        return {text: tuple(rest) for text, *rest in found}  # type: ignore[misc]

    def rest(self) -> None:
        """Wait until nothing is due, open, or still to be reported."""
        self.until(
            "quiescence",
            lambda: self.one(
                "SELECT (SELECT count(*) FROM job) = 0"
                "   AND (SELECT count(*) FROM attempt WHERE outcome = 'open') = 0"
                "   AND (SELECT count(*) FROM delivery WHERE state IN ('pending', 'sent')) = 0"
            ),
        )

    def at_most_once(self) -> None:
        """Per delivery and per (recipient, body): one acceptance at the most."""
        received = self.received()
        deliveries = Counter(ids.read_reference(row["reference"])[:2] for row in received)
        messages = Counter((row["to"], row["body"]) for row in received)
        assert max([*deliveries.values(), *messages.values()], default=0) <= 1


def _free_ports(count: int) -> list[int]:
    socks = [socket.socket() for _ in range(count)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]
    finally:
        for sock in socks:
            sock.close()
