"""F4: from a request's due time to the provider's door, open loop, one clock for all.

Idle, then codes behind a backlog on the same lane that the worker goes on working off.
"""

import time

from tests.bench import backlog
from tests.bench.f2_http import wait_for_count
from tests.bench.f3_accept import api
from tests.bench.ground import CODES, Ground
from tests.bench.meter import Meter
from tests.bench.parts import Part, part
from tests.bench.report import Sample

RATE = 20.0  # requests a second
WARM_S = 3.0
TARGET_MS = {50: 15.0, 99: 50.0}
BEHIND = 2.0  # x of idle
_LAST_S = 60.0  # for the last one to arrive, once all are accepted
_SETTLED_IN = 500  # sends of the backlog before the first code


def run(ground: Ground, *, seconds: float, behind: int, receiver_ms: float) -> list[Sample]:
    """Measure idle, then behind a backlog."""
    backlog.empty(ground)
    idle = _measure(ground, "idle", seconds, receiver_ms, behind=0)
    backlog.empty(ground)
    backlog.fill(ground, behind)
    late = _measure(ground, f"behind {behind:,} jobs", seconds, receiver_ms, behind=behind)
    ratios = [
        Sample("F4", f"codes behind ÷ idle, p{p}", b.value / a.value, "ratio", at_most=BEHIND)
        for p, a, b in zip(TARGET_MS, idle, late, strict=False)
    ]
    return [*idle, *late, *ratios]


def _measure(
    ground: Ground, where: str, seconds: float, receiver_ms: float, *, behind: int
) -> list[Sample]:
    with (
        part("tests.bench.receiver", receiver_ms) as receiver,
        api(ground, receiver_port=receiver.ask("port")) as (server, port),
        part(
            "notifyq",
            "worker",
            "--channel",
            "sms",
            environ=ground.environ(receiver_port=receiver.ask("port"), api_port=port),
        ) as worker,
    ):
        wait_for_count(receiver, worker, min(behind, _SETTLED_IN))
        arguments = ("open", port, ground.key, RATE, WARM_S, seconds, CODES)
        with part("tests.bench.load", *arguments) as producers:
            meter = Meter(api=server.pid, worker=worker.pid, postgres=ground.server.pid)
            sent: list[tuple[int, int, int]] = producers.hear()
            cores = meter.spent().cores()
        left = ground.run("SELECT count(*) FROM job WHERE criticality > 0")[0][0]
        if behind and not left:
            raise RuntimeError(f"the backlog of {behind} was gone too early: make it longer")
        arrived = _arrivals(receiver, worker, {marker for marker, _, _ in sent})
    whole = sorted((arrived[marker] - due) / 1e6 for marker, due, _ in sent)
    after = sorted((arrived[marker] - answered) / 1e6 for marker, _, answered in sent)
    raw = {"due_to_provider_ms": whole, "answer_to_provider_ms": after, "jobs_left": left}
    found = []
    for p, target_ms in TARGET_MS.items():
        found.append(
            Sample(
                "F4",
                f"POST to provider, {where}, p{p}",
                _percentile(whole, p),
                "ms",
                cores,
                raw=raw,
                at_most=None if behind else target_ms,
            )
        )
    found.append(Sample("F4", f"202 to provider, {where}, p50", _percentile(after, 50), "ms"))
    return found


def _arrivals(receiver: Part, worker: Part, markers: set[int]) -> dict[int, int]:
    """Return when each was first seen; waits for the last."""
    seen: dict[int, int] = {}
    looked = 0
    until_s = time.monotonic() + _LAST_S
    while not markers <= seen.keys():
        worker.check()
        if time.monotonic() > until_s:
            raise RuntimeError(f"{len(markers - seen.keys())} were never sent")
        time.sleep(0.02)
        fresh = receiver.ask(f"since {looked}")
        looked += len(fresh)
        for marker, at_ns in fresh:
            seen.setdefault(marker, at_ns)
    return seen


def _percentile(ordered: list[float], p: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * p // 100)]
