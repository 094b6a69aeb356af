"""up: everything on this machine, for a first try: database, API, workers, janitor, sandbox.

Each part is a process of its own in this process's group, as in production; this one starts
them, starts again what dies, and ends with all of them.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import httpx

from notifyq import migrate
from notifyq.bootstrap.loops import stop_signal
from notifyq.cli.output import Failed, actor, running, settings
from notifyq.cli.tenants import SCOPES, make_key
from notifyq.embedded import EmbeddedPostgres, EmbeddedPostgresError
from notifyq.errors import DatabaseAway
from notifyq.store import db, tenants

READY_S = 30.0
POLL_S = 0.1
STOP_S = 25.0  # more than a part needs to drain
RESTART_S = 1.0
DEMO_TENANT = "demo"
_PARTS = {
    "api": ["api"],
    "worker": ["worker", "--channel", "all"],
    "janitor": ["janitor"],
}


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the embedded database in this folder; without it, it is gone at the end.",
)
@click.option("--port", default=8180, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--sandbox-port", default=8190, show_default=True, type=click.IntRange(1, 65_535))
def up(data: Path | None, port: int, sandbox_port: int) -> None:
    """Run everything here; Ctrl-C ends it. Uses NOTIFYQ_DATABASE_URL if it is set."""
    found = settings()
    for wanted in (port, sandbox_port):
        _refuse_taken(wanted)
    try:
        with _database(found.database_url, data) as url:
            migrate.upgrade(url, region=found.region, actor=actor())
            environ = _environ(url, port, sandbox_port)
            running(_up)(url, environ, port, sandbox_port)
    except (EmbeddedPostgresError, DatabaseAway) as error:
        raise Failed(str(error)) from None


@contextmanager
def _database(given: str | None, data: Path | None) -> Iterator[str]:
    if given is not None:
        with nullcontext(given) as url:
            yield url
        return
    click.echo("starting an embedded PostgreSQL")
    with EmbeddedPostgres.start(data) as server:
        yield server.url()


def _environ(url: str, port: int, sandbox_port: int) -> dict[str, str]:
    return {
        **os.environ,
        "NOTIFYQ_DATABASE_URL": url,
        "NOTIFYQ_BIND": f"127.0.0.1:{port}",
        "NOTIFYQ_PUBLIC_URL": os.environ.get("NOTIFYQ_PUBLIC_URL", f"http://127.0.0.1:{port}"),
        "NOTIFYQ_SANDBOX_URL": f"http://127.0.0.1:{sandbox_port}",
    }


async def _up(url: str, environ: Mapping[str, str], port: int, sandbox_port: int) -> None:
    stop = stop_signal()
    parts = {"sandbox": _sandbox(port, sandbox_port), **_PARTS}
    keepers = [asyncio.create_task(_keep(part, environ, stop)) for part in parts.values()]
    try:
        await _answering(f"http://127.0.0.1:{port}/readyz", stop)
        await _answering(f"http://127.0.0.1:{sandbox_port}/healthz", stop)
        if not stop.is_set():
            key = await _demo_key(url)
            _say_hello(port, sandbox_port, key, url)
        await stop.wait()
    finally:
        stop.set()
        await asyncio.gather(*keepers)


def _sandbox(port: int, sandbox_port: int) -> list[str]:
    """Return the sandbox's command: what its vendors tell goes to the accounts of test keys."""
    command = ["sandbox", "--port", str(sandbox_port)]
    for vendor, account in (("twilio", "sandbox-sms"), ("sendgrid", "sandbox-email")):
        command += ["--webhook", f"{vendor}=http://127.0.0.1:{port}/callbacks/{account}"]
    return command


async def _keep(command: list[str], environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Run a part, again when it dies, until `stop`; then end it by SIGTERM."""
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifyq", *command, env=dict(environ)
        )
        exited = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([exited, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not exited.done():
            await _end(process, exited)
        elif not stop.is_set():
            click.echo(f"{command[0]} ended with {process.returncode}; starting it again", err=True)
            await asyncio.sleep(RESTART_S)


async def _end(process: asyncio.subprocess.Process, exited: "asyncio.Task[int]") -> None:
    process.send_signal(signal.SIGTERM)
    await asyncio.wait([exited], timeout=STOP_S)
    if not exited.done():
        process.kill()
        await exited


async def _answering(url: str, stop: asyncio.Event) -> None:
    """Return once a part answers, or the end was asked for."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(int(READY_S / POLL_S)):
            if stop.is_set() or await _answers(client, url):
                return
            await asyncio.sleep(POLL_S)
    raise Failed(f"{url} did not answer within {READY_S:g} s")


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


async def _demo_key(url: str) -> str:
    async with await db.connect(url, autocommit=True) as conn:
        await tenants.create(conn, cell=0, name=DEMO_TENANT, brand=DEMO_TENANT, actor=actor())
    return await make_key(url, tenant=DEMO_TENANT, test=True, scopes=SCOPES, by=actor())


def _say_hello(port: int, sandbox_port: int, key: str, url: str) -> None:
    psql = shutil.which("psql")
    click.echo(f"""
API       http://127.0.0.1:{port}        docs: /docs
Sandbox   http://127.0.0.1:{sandbox_port}/sandbox/messages   what its providers received
Database  {url}{"" if psql else "   (psql is not installed)"}
Test key  {key}

curl -i http://127.0.0.1:{port}/v1/notifications \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Idempotency-Key: "order-8123-shipped"' -H 'Content-Type: application/json' \\
  -d '{{"recipient": {{"phone": "+14155550123"}}, "category": "order.shipped",
       "content": {{"sms": {{"body": "Your order 8123 has shipped."}}}}}}'

Ctrl-C ends it all.""")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Failed(f"port {port} is in use; choose another with --port") from None
