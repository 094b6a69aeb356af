"""F3, the other half: batches of notifications, by `notifyq api` as it is.

The aim is a rate, not a ratio: what one process of the API takes on this machine.
"""

from typing import Any

from tests.bench import backlog
from tests.bench.f3_accept import WARM_S, api
from tests.bench.ground import Ground
from tests.bench.meter import Meter
from tests.bench.parts import part
from tests.bench.report import Sample

CONNECTIONS = 4
ITEMS = 500
AT_LEAST = 6_000.0  # notifications a second


def run(ground: Ground, *, seconds: float) -> list[Sample]:
    """Load the API with batches."""
    backlog.empty(ground)
    with api(ground) as (server, port):
        arguments = (port, ground.key, CONNECTIONS, ITEMS, WARM_S, seconds)
        with part("tests.bench.batch_load", *arguments) as producers:
            producers.hear()
            meter = Meter(api=server.pid, postgres=ground.server.pid, load=producers.pid)
            found: dict[str, Any] = producers.hear()
            spent = meter.spent()
    if found["bad"]:
        raise RuntimeError(f"{found['bad']} items were not accepted")
    rate, each = found["count"] / seconds, spent.us_each(found["count"])
    what = f"batches of {ITEMS}"
    return [Sample("F3B", what, rate, "/s", spent.cores(), each, found, at_least=AT_LEAST)]
