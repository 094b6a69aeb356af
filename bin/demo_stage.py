"""The demo's stage: a database, the parts as processes of their own, and what can be asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import httpx
import psycopg

from notifyq import migrate
from notifyq.embedded import EmbeddedPostgres
from notifyq.sandbox.ses import rules as ses
from notifyq.sandbox.sinch import rules as sinch

HTTP = httpx.Client(trust_env=False, timeout=30)  # loopback goes by no proxy
WAIT_S = 45.0  # longer than a lease: what is late by more is stuck


class DemoFailed(Exception):
    """Something is not as it should be; the sentence says what."""


@dataclass
class Stage:
    """Everything that runs, and how to reach it."""

    url: str
    api: str
    sandbox: str
    environ: dict[str, str]
    logs: Path
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, part: str, *arguments: str) -> None:
        """Start a part of notifyq as a process of its own."""
        with (self.logs / f"{part}.log").open("ab") as log:
            command = [sys.executable, "-m", "notifyq", *arguments]
            self.parts[part] = subprocess.Popen(
                command, env=self.environ, stdout=log, stderr=log, cwd=self.logs
            )

    def kill(self, part: str) -> int:
        """kill -9 a part; return its pid."""
        process = self.parts.pop(part)
        process.kill()
        process.wait()
        return process.pid

    def notifyq(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of notifyq to its end."""
        return subprocess.run(
            [sys.executable, "-m", "notifyq", *arguments],
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self, delivery: str) -> str:
        """Return where a delivery stands: its state, and the reason if there is one."""
        shown = json.loads(self.notifyq("show", delivery, "--json").stdout)
        found = next(d for d in shown[0]["deliveries"] if d["id"] == delivery)
        return found["state"] + (f" ({found['reason']})" if found["reason"] else "")

    def fault(self, number: str, fault: str, **more: object) -> None:
        """Let the sandbox's provider do this to the next message to a number."""
        script = {"vendor": "twilio", "match": {"to": number}, "fault": fault, **more}
        HTTP.post(f"{self.sandbox}/sandbox/faults", json=script).raise_for_status()

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            return conn.execute(statement.encode(), parameters).fetchall()

    def received(self) -> list[dict[str, Any]]:
        """Return what the sandbox's providers really accepted, all of it."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = HTTP.get(f"{self.sandbox}/sandbox/messages?limit=1000{cursor}").json()
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def last_words(self) -> str:
        """Return the end of every part's log."""
        logs = {log.stem: log.read_text(errors="replace") for log in self.logs.glob("*.log")}
        return "\n".join(f"--- {part}\n{text[-1_000:]}" for part, text in sorted(logs.items()))

    def stop(self) -> None:
        """End all parts, those that provide last."""
        for process in self.parts.values():
            process.send_signal(signal.SIGTERM)
        for process in self.parts.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield a running stage; at the end nothing of it is left."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="notifyq-demo-")))
        server = stack.enter_context(EmbeddedPostgres.start())
        migrate.upgrade(server.url(), actor="demo")
        api_port, sandbox_port = _free_port(), _free_port(in_a_row=3)
        config = _settings(logs, sandbox_port)
        made = Stage(
            url=server.url(),
            api=f"http://127.0.0.1:{api_port}",
            sandbox=f"http://127.0.0.1:{sandbox_port}",
            environ=os.environ
            | {
                "NOTIFYQ_DATABASE_URL": server.url(),
                "NOTIFYQ_BIND": f"127.0.0.1:{api_port}",
                "NOTIFYQ_PUBLIC_URL": f"http://127.0.0.1:{api_port}",
                "NOTIFYQ_SANDBOX_URL": f"http://127.0.0.1:{sandbox_port}",
                "NOTIFYQ_URL": f"http://127.0.0.1:{api_port}",
                "NOTIFYQ_CONFIG": str(config),
                "NOTIFYQ_ACTOR": "demo",
                "DEMO_SINCH_TOKEN": sinch.API_TOKEN,
                "DEMO_SINCH_SECRET": sinch.CALLBACK_SECRET,
                "DEMO_SES_KEY_ID": ses.ACCESS_KEY_ID,
                "DEMO_SES_SECRET": ses.SECRET_ACCESS_KEY,
            },
            logs=logs,
        )
        stack.callback(made.stop)
        told = {"twilio": "sandbox-sms", "sendgrid": "sandbox-email", "ses": "ses-main"}
        webhooks = (f"--webhook={v}={made.api}/callbacks/{name}" for v, name in told.items())
        made.start("sandbox", "sandbox", "--port", str(sandbox_port), *webhooks)
        made.start("api", "api")
        made.start("janitor", "janitor")
        made.start("worker", "worker", "--channel", "all")
        try:
            until(lambda: _answers(f"{made.sandbox}/healthz"), "the sandbox answers")
            until(lambda: _answers(f"{made.api}/readyz"), "the API answers")
            yield made
        except DemoFailed as error:
            raise DemoFailed(f"{error}\n{made.last_words()}") from None


def until(true: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> float:
    """Wait until `true()`; return the seconds it took, DemoFailed if it never came."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > wait_s:
            raise DemoFailed(f"waited {wait_s:g} s for this in vain: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def post(
    running: Stage,
    key: str,
    idempotency_key: str,
    number: str,
    text: str,
    *,
    not_before: datetime | None = None,
    **headers: str,
) -> httpx.Response:
    """Post one notification; it has to be accepted."""
    content: dict[str, Any] = {
        "recipient": {"phone": number},
        "category": "order.shipped",
        "content": {"sms": {"body": text}},
    }
    if not_before is not None:
        content["not_before"] = not_before.isoformat()
    named = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key, **headers}
    answer = HTTP.post(f"{running.api}/v1/notifications", json=content, headers=named)
    must(answer.status_code in (200, 202), f"{answer.status_code}: {answer.text}")
    return answer


def must(holds: bool, otherwise: str) -> None:
    """DemoFailed with this sentence unless it holds."""
    if not holds:
        raise DemoFailed(otherwise)


def say(text: str) -> None:
    """Print a line of the story."""
    click.echo(text)


def expected() -> dict[str, Any]:
    """Return what the samples' own file says must become of them."""
    return json.loads((samples() / "expected.json").read_text(encoding="utf-8"))


def samples() -> Path:
    """Return the folder of the samples."""
    return Path(migrate.__file__).with_name("samples")


def _answers(url: str) -> bool:
    try:
        return HTTP.get(url).is_success
    except httpx.TransportError:
        return False


def _settings(folder: Path, sandbox_port: int) -> Path:
    """Write the settings with the ports filled in; return where."""
    files = (Path(__file__).with_name(name) for name in ("demo.toml", "demo_accounts.toml"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    text = text.replace("$sandbox", f"http://127.0.0.1:{sandbox_port}")
    made = folder / "demo.toml"
    made.write_text(text.replace("$relay", f"127.0.0.1:{sandbox_port + 2}"), encoding="utf-8")
    return made


def _free_port(in_a_row: int = 1) -> int:
    """Return a port that is free, with those after it."""
    while True:
        with ExitStack() as probes:
            first = 0
            with suppress(OSError):
                for n in range(in_a_row):
                    probe = probes.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", first + n if first else 0))
                    first = first or probe.getsockname()[1]
                return first
