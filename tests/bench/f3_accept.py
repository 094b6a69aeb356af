"""F3: single POSTs, each answered after its durable commit, by `notifyq api` as it is.

Baseline: a bare Starlette endpoint on the same server with the same settings and load.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import backlog
from tests.bench.ground import Ground
from tests.bench.meter import Meter
from tests.bench.parts import Part, free_port, part, wait_for_port
from tests.bench.report import Sample

CONNECTIONS = 64
RATIO = 0.35
WARM_S = 3.0


def run(ground: Ground, *, seconds: float) -> list[Sample]:
    """Load the API, then the bare endpoint."""
    backlog.empty(ground)
    with api(ground) as (server, port):
        ours = _loaded("single POSTs, committed", server, port, ground, seconds)
    port = free_port()
    with part("tests.bench.bare_api", port) as server:
        wait_for_port(port, server)
        bare = _loaded("bare Starlette endpoint", server, port, ground, seconds)
    ratio = Sample("F3", "POSTs ÷ bare endpoint", ours.value / bare.value, "ratio", at_least=RATIO)
    return [ours, bare, ratio]


@contextmanager
def api(ground: Ground, *, receiver_port: int = 1) -> Iterator[tuple[Part, int]]:
    """Run `notifyq api`; yield it and its port once it listens."""
    port = free_port()
    environ = ground.environ(receiver_port=receiver_port, api_port=port)
    with part("notifyq", "api", environ=environ) as server:
        wait_for_port(port, server)
        yield server, port


@contextmanager
def load(ground: Ground, port: int, *, connections: int, seconds: float) -> Iterator[Part]:
    """Start producers; the part says "warm", then what it saw."""
    arguments = ("closed", port, ground.key, connections, WARM_S, seconds)
    with part("tests.bench.load", *arguments) as producers:
        producers.hear()
        yield producers


def _loaded(what: str, server: Part, port: int, ground: Ground, seconds: float) -> Sample:
    with load(ground, port, connections=CONNECTIONS, seconds=seconds) as producers:
        meter = Meter(api=server.pid, postgres=ground.server.pid, load=producers.pid)
        found: dict[str, Any] = producers.hear()
        spent = meter.spent()
    if found["bad"]:
        raise RuntimeError(f"{found['bad']} of {found['count']} requests were not accepted")
    us_each = spent.us_each(found["count"])
    return Sample("F3", what, found["count"] / seconds, "/s", spent.cores(), us_each, found)
