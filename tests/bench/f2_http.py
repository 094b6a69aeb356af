"""F2: the full cycle over HTTP, by `notifyq worker` as it is, to a bare receiver.

Baseline: a bare client loop. Both clients have the first core to themselves, the receiver and
PostgreSQL the second, so the ratio is about one core's work.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import backlog
from tests.bench.f1_cycle import IN_FLIGHT
from tests.bench.ground import Ground
from tests.bench.meter import Meter
from tests.bench.parts import Part, part
from tests.bench.report import Sample

RATIO = 0.6
_POLL_S = 0.02
_STALL_S = 20.0


def run(ground: Ground, *, jobs: int) -> list[Sample]:
    """Drain the kept backlog over HTTP, then post as often without it."""
    with part("tests.bench.receiver", 0) as receiver, pinned(ground, receiver):
        ours = _ours(ground, receiver, jobs)
        bare = _bare(receiver, jobs)
    ratio = Sample(
        "F2", "over HTTP ÷ bare client", ours.value / bare.value, "ratio", at_least=RATIO
    )
    return [ours, bare, ratio]


def _ours(ground: Ground, receiver: Part, jobs: int) -> Sample:
    backlog.restore(ground)
    warm = jobs // 10
    environ = ground.environ(receiver_port=receiver.ask("port"))
    with part("notifyq", "worker", "--channel", "sms", environ=environ) as worker:
        worker.pin(0)
        wait_for_count(receiver, worker, warm)
        had = receiver.ask("count")
        meter = Meter(worker=worker.pid, postgres=ground.server.pid, receiver=receiver.pid)
        wait_for_count(receiver, worker, jobs)
        spent = meter.spent()
    rate = (jobs - had) / spent.wall_s
    us_each = spent.us_each(jobs - had)
    return Sample("F2", "full cycle over HTTP", rate, "/s", spent.cores(), us_each)


def _bare(receiver: Part, jobs: int) -> Sample:
    url = f"http://127.0.0.1:{receiver.ask('port')}/twilio/2010-04-01/Accounts/AC/Messages.json"
    warm = jobs // 10
    with part("tests.bench.bare_client", url, jobs, warm, IN_FLIGHT) as client:
        client.pin(0)
        client.hear()
        meter = Meter(client=client.pid, receiver=receiver.pid)
        client.hear()
        spent = meter.spent()
    rate = (jobs - warm) / spent.wall_s
    us_each = spent.us_each(jobs - warm)
    return Sample("F2", "bare client loop (aiohttp)", rate, "/s", spent.cores(), us_each)


def wait_for_count(receiver: Part, worker: Part, count: int) -> None:
    """Return once the receiver was called so often; RuntimeError when that stands still."""
    had, until_s = -1, 0.0
    while (now := receiver.ask("count")) < count:
        worker.check()
        if now > had:
            had, until_s = now, time.monotonic() + _STALL_S
        elif time.monotonic() > until_s:
            raise RuntimeError(f"{now} of {count} sends, and no more for {_STALL_S:g} s")
        time.sleep(_POLL_S)


@contextmanager
def pinned(ground: Ground, receiver: Part) -> Iterator[None]:
    """Keep the receiver, the server and its future backends on the second core."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(ground.server.pid, {1})
    receiver.pin(1)
    try:
        yield
    finally:
        os.sched_setaffinity(ground.server.pid, everywhere)
