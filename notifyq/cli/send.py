"""send: post notifications, one a line, each under a key of its own; to resume, run it again."""

import io
import os
import stat
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from random import Random
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import click
import orjson
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from notifyq.cli.ndjson import Line, Reader
from notifyq.cli.output import Failed, Misused, json_option, running
from notifyq.cli.posting import Accepted, Poster, Rejected, Stopped
from notifyq.entrypoints.api.reading import KEY_PREFIXES

DEFAULT_URL = "http://127.0.0.1:8180"
ANSWER_TIMEOUT_S = 30.0  # longer than the API itself waits for its database


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to, by which key, how many at once and how often."""

    url: str
    key: str
    concurrency: int
    retries: int


@dataclass
class Report:
    """What became of the lines so far; lists are kept only for JSON, a file may be endless."""

    keep: bool
    lines: int = 0
    blank: int = 0
    sent: int = 0
    replayed: int = 0
    refused: int = 0
    failed: int = 0
    stopped: str | None = None
    ends: list[Accepted | Rejected] = field(default_factory=list)

    def add(self, end: Accepted | Rejected | None) -> None:
        """Count a line's end; None is a blank line."""
        self.lines += 1
        match end:
            case None:
                self.blank += 1
            case Accepted(replayed=True):
                self.replayed += 1
            case Accepted():
                self.sent += 1
            case Rejected(failed=True):
                self.failed += 1
            case Rejected():
                self.refused += 1
        if self.keep and end is not None:
            self.ends.append(end)

    @property
    def good(self) -> bool:
        """Whether every line was accepted."""
        return not (self.refused or self.failed or self.stopped)

    def sentence(self) -> str:
        """Return the summary for people."""
        counted = ("sent", "replayed", "refused", "failed", "blank")
        return f"{self.lines} lines: " + ", ".join(f"{getattr(self, n)} {n}" for n in counted)

    def document(self) -> dict[str, Any]:
        """Return the summary for programs: lists in the order of the lines."""
        names = ("lines", "blank", "sent", "replayed", "refused", "failed")
        ends = sorted(self.ends, key=lambda end: end.line)
        rejected = [(end, _shown(end)) for end in ends if isinstance(end, Rejected)]
        return {
            "counts": {name: getattr(self, name) for name in names},
            "accepted": [asdict(end) for end in ends if isinstance(end, Accepted)],
            "refused": [shown for end, shown in rejected if not end.failed],
            "failed": [shown for end, shown in rejected if end.failed],
            "stopped": self.stopped,
        }


@click.command()
@click.argument("source", metavar="FILE.ndjson|-", type=click.File("rb"))
@click.option(
    "--concurrency", default=16, show_default=True, type=click.IntRange(1, 256), help="In flight."
)
@click.option(
    "--retries",
    default=8,
    show_default=True,
    type=click.IntRange(0, 100),
    help="Of one line, each with the same key: no answer, 503, key in use.",
)
@json_option
def send(source: BinaryIO, concurrency: int, retries: int, as_json: bool) -> None:
    """Post notifications to NOTIFYQ_URL with NOTIFYQ_API_KEY, one JSON object a line.

    A line is the body of POST /v1/notifications plus "idempotency_key". Run it again after
    whatever happened: what was accepted before is replayed, not sent again.
    """
    plan = Plan(_url(), _key(), concurrency, retries)
    report = Report(keep=as_json)
    began_s = time.monotonic()
    try:
        running(_send)(source, report, plan)
    except Stopped as error:
        report.stopped = str(error)
    except KeyboardInterrupt:
        report.stopped = "interrupted"
    except OSError as error:
        report.stopped = f"cannot read on: {error}"
    if as_json:
        click.echo(orjson.dumps(report.document(), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo(f"{report.sentence()}; {time.monotonic() - began_s:.1f} s")
    if report.stopped is not None:
        raise Failed(f"{report.stopped}; run it again, what was accepted is then replayed")
    if not report.good:
        click.get_current_context().exit(1)


async def _send(source: BinaryIO, report: Report, plan: Plan) -> None:
    stream = _own(source)
    with _bar(stream) as bar:

        def done(line: Line, end: Accepted | Rejected | None) -> None:
            report.add(end)
            if isinstance(end, Rejected):
                _complain(end, over_bar=bar is not None)
            if bar is not None:
                bar.update(line.size_bytes)

        reader = Reader(stream, close=stream is not source)
        session = ClientSession(
            headers={"Authorization": f"Bearer {plan.key}"},
            timeout=ClientTimeout(total=ANSWER_TIMEOUT_S),
            connector=TCPConnector(limit=plan.concurrency),
            cookie_jar=DummyCookieJar(),
            trust_env=not _here(plan.url),
        )
        async with session:
            route = f"{plan.url}/v1/notifications"
            poster = Poster(session, route, reader, retries=plan.retries, dice=Random(), done=done)
            await poster.run(plan.concurrency)


def _complain(end: Rejected, *, over_bar: bool) -> None:
    """Say which line was not accepted, and why; what came from the file is made printable."""
    word = "failed" if end.failed else "refused"
    where = f" {end.pointer}" if end.pointer else ""
    text = f"line {end.line}: {word}: {end.code}{where}: {end.detail}"
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    click.echo(f"\r\x1b[K{plain}" if over_bar else plain, err=True)


def _shown(end: Rejected) -> dict[str, Any]:
    names = ("line", "status", "code", "pointer", "detail")
    return {name: getattr(end, name) for name in names}


def _own(source: BinaryIO) -> BinaryIO:
    """Return a stream that only the reader's thread touches.

    Closing or finalising a stream waits for whoever reads from it, and a pipe may never end; so
    the thread gets a descriptor of its own, and that is not waited for.
    """
    try:
        return os.fdopen(os.dup(source.fileno()), "rb")
    except io.UnsupportedOperation:
        return source


def _bar(stream: BinaryIO) -> AbstractContextManager[Any]:
    """Return a progress bar over the bytes of a file, or nothing where nobody looks at it."""
    try:
        found = os.fstat(stream.fileno())
    except io.UnsupportedOperation:
        return nullcontext()
    if not (stat.S_ISREG(found.st_mode) and sys.stderr.isatty()):
        return nullcontext()
    return click.progressbar(length=found.st_size, label="sending", file=sys.stderr)


def _url() -> str:
    given = (os.environ.get("NOTIFYQ_URL") or DEFAULT_URL).rstrip("/")
    try:
        found = urlsplit(given)
        usable = found.scheme in ("http", "https") and found.hostname and found.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        usable = False
    if not usable or found.query or found.fragment:
        raise Misused("NOTIFYQ_URL: must be like https://notify.example.com")
    return given


def _key() -> str:
    key = os.environ.get("NOTIFYQ_API_KEY", "").strip()
    if not key:
        raise Misused("NOTIFYQ_API_KEY: is not set; `notifyq key create --tenant NAME` makes one")
    if not (key.isascii() and key.isprintable() and key.startswith(KEY_PREFIXES)):
        raise Misused("NOTIFYQ_API_KEY: is no API key; they begin with nq_live_ or nq_test_")
    return key


def _here(url: str) -> bool:
    """Whether the API is on this machine: then no proxy of the environment leads to it."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
