"""The parts that run: api, worker, janitor, sandbox. SIGTERM drains each."""

import signal
from pathlib import Path

import click
import uvicorn

from notifyq.bootstrap import loops
from notifyq.bootstrap.accounts import database_url
from notifyq.bootstrap.api import api_parts
from notifyq.cli.output import Misused, log_to_stderr, running, settings
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.app import create_app
from notifyq.errors import BadSettings
from notifyq.sandbox import app as sandbox_app
from notifyq.sandbox.webhooks import BadWebhook

# How long a request that is being answered may still take after SIGTERM.
DRAIN_S = 20


@click.command()
def api() -> None:
    """Serve HTTP on NOTIFYQ_BIND."""
    found = settings()
    log_to_stderr(found.log_level)
    try:
        database_url(found)
    except BadSettings as error:
        raise Misused(str(error)) from None
    host, _, port = found.bind.rpartition(":")
    # uvicorn drains on SIGTERM and then raises it once more, for whoever listened before: nobody.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        create_app(api_parts(found)),
        host=host,
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )


@click.command()
@click.option(
    "--channel",
    type=click.Choice(["sms", "email", "push", "all"]),
    required=True,
    help="Whose lanes this process serves.",
)
def worker(channel: str) -> None:
    """Send what is due, until told to stop."""
    found = settings()
    log_to_stderr(found.log_level)
    channels = frozenset(Channel) if channel == "all" else frozenset({Channel(channel)})
    running(loops.run_worker)(found, channels)


@click.command()
def janitor() -> None:
    """Do what has to happen because time passed: leases, windows, partitions."""
    found = settings()
    log_to_stderr(found.log_level)
    running(loops.run_janitor)(found)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8190, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--store", type=click.Path(path_type=Path, dir_okay=False), help="Keep the record.")
@click.option(
    "--webhook",
    "webhooks",
    multiple=True,
    metavar="VENDOR=URL",
    help="Where a vendor sends the events of an account, and texts to its numbers. Repeatable.",
)
def sandbox(host: str, port: int, store: Path | None, webhooks: tuple[str, ...]) -> None:
    """Be the providers' other side: speak their protocols, record what they accept."""
    log_to_stderr("INFO")
    told = dict((vendor, url) for vendor, _, url in (one.partition("=") for one in webhooks))
    try:
        running(sandbox_app.serve)(host, port, store=store, webhooks=told)
    except BadWebhook as error:
        raise Misused(f"--webhook: {error}") from None
