"""F1: claim, facts, consent lock, decide, begin, send, settle, outbox; the send takes no time.

Baseline: the same statements by pgbench, same server, same rows, same batch.
"""

from tests.bench import backlog, pgbench
from tests.bench.ground import Ground
from tests.bench.meter import Meter
from tests.bench.parts import part
from tests.bench.report import Sample

IN_FLIGHT = 64  # config.MAX_IN_FLIGHT: so many jobs at the most in one claim
RATIO = 0.7


def run(ground: Ground, *, day: str, jobs: int) -> list[Sample]:
    """Drain the kept backlog three times."""
    ours = _ours(ground, jobs)
    samples = [ours]
    for clients in (1, 2):
        backlog.restore(ground)
        meter = Meter(postgres=ground.server.pid)
        rate = pgbench.cycles_per_s(ground, day=day, batch=IN_FLIGHT, clients=clients, jobs=jobs)
        spent = meter.spent()
        what = f"same SQL, pgbench -c {clients}"
        samples.append(Sample("F1", what, rate, "/s", spent.cores(), spent.us_each(jobs)))
        samples.append(
            Sample(
                "F1",
                f"cycle ÷ pgbench -c {clients}",
                ours.value / rate,
                "ratio",
                at_least=RATIO if clients == 1 else None,
            )
        )
    return samples


def _ours(ground: Ground, jobs: int) -> Sample:
    backlog.restore(ground)
    warm = jobs // 10
    with part("tests.bench.drain", ground.url, ground.lane.id, jobs, warm, IN_FLIGHT) as worker:
        worker.hear()
        meter = Meter(worker=worker.pid, postgres=ground.server.pid)
        worker.hear()
        spent = meter.spent()
    rate = (jobs - warm) / spent.wall_s
    return Sample("F1", "full cycle", rate, "/s", spent.cores(), spent.us_each(jobs - warm))
