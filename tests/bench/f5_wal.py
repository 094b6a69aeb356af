"""F5: bytes of WAL for each delivery: accept, the cycle, a receipt.

Away from checkpoints and after a warm-up. Full-page images are counted apart: the target is
about the records; how many images there are depends on how often checkpoints come.
"""

import asyncio
from typing import Any
from uuid import UUID

from notifyq.bootstrap.accounts import CELL, NewId
from notifyq.domain.ids import reference
from notifyq.domain.model import Receipt
from notifyq.services.receive import receive
from notifyq.store import db
from tests.bench import backlog
from tests.bench.f1_cycle import IN_FLIGHT
from tests.bench.f3_accept import CONNECTIONS, api, load
from tests.bench.ground import Ground
from tests.bench.parts import part
from tests.bench.report import Sample

TARGETS_KB = {"accept": 2.0, "cycle": 2.0, "receipt": 0.8}
_RECEIPTS = 2_000


def run(ground: Ground, *, jobs: int, seconds: float) -> list[Sample]:
    """Measure accept by single POSTs, the cycle, and receipts for what it sent."""
    backlog.empty(ground)
    samples = []
    with api(ground) as (_, port):
        for connections in (CONNECTIONS, 1):
            found = _accepts(ground, port, connections, min(seconds, 10.0))
            samples += _samples("accept", f"accept, {connections} connections", found)
    samples += _samples("cycle", "cycle", _cycle(ground, jobs))
    for status, rank in (("sent", 3), ("delivered", 5)):
        found = asyncio.run(_receipts(ground, status, rank))
        samples += _samples("receipt", f"receipt: {status}", found)
    return samples


def _samples(target: str, what: str, found: dict[str, Any]) -> list[Sample]:
    kb = found["bytes"] / 1_000
    return [
        Sample("F5", what, kb, "KB", raw=found, at_most=TARGETS_KB[target]),
        Sample("F5", f"{what}: full pages besides", found["full_pages"] / 1_000, "KB"),
    ]


def _accepts(ground: Ground, port: int, connections: int, seconds: float) -> dict[str, Any]:
    with load(ground, port, connections=connections, seconds=seconds) as producers:
        start = ground.lsn()
        had = _count(ground)
        producers.hear()
    return ground.wal(start, _count(ground) - had)


def _count(ground: Ground) -> int:
    return int(ground.run("SELECT count(*) FROM delivery")[0][0])


def _cycle(ground: Ground, jobs: int) -> dict[str, Any]:
    backlog.restore(ground)
    warm = jobs // 10
    with part("tests.bench.drain", ground.url, ground.lane.id, jobs, warm, IN_FLIGHT) as worker:
        worker.hear()
        start = ground.lsn()
        worker.hear()
    return ground.wal(start, jobs - warm)


async def _receipts(ground: Ground, status: str, rank: int) -> dict[str, Any]:
    """Tell of attempts that the cycle made, one commit each, as callbacks come."""
    half = _RECEIPTS // 2
    attempts = ground.run(
        "SELECT delivery_id, provider_id FROM attempt WHERE outcome = 'accepted' "
        "ORDER BY delivery_id LIMIT %(count)s::int4",
        count=_RECEIPTS,
    )
    new_id = NewId(db.DatabaseClock())
    start = ""
    async with await db.connect(ground.url) as conn:
        for number, (delivery_id, provider_id) in enumerate(attempts):
            if number == half:
                start = ground.lsn()
            told = Receipt(_named(delivery_id), provider_id, status, rank, None)
            await receive(conn, "sandbox-sms", told, new_id=new_id, dedupe_days=40)
    return ground.wal(start, half)


def _named(delivery_id: UUID) -> str:
    return reference(CELL, delivery_id, 1)
