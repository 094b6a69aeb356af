"""The lanes of one process: started together, told to stop together, kept informed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from notifyq.domain.model import Channel
from notifyq.entrypoints.worker.lane import LaneWorker
from notifyq.running import keep_running_on
from notifyq.store import lanes, wakeup
from notifyq.store.db import Conn, DatabaseClock

HEARTBEAT_S = 5.0
BROKEN_S = 0.5

_log = logging.getLogger("notifyq.worker")


async def serve(
    workers: Sequence[LaneWorker],
    *,
    worker_id: UUID,
    connect: Callable[[], Awaitable[Conn]],
    clock: DatabaseClock,
    stop: asyncio.Event,
) -> None:
    """Run lane workers until `stop`; returns when everything on its way has ended.

    connect: gives autocommit connections, for the heartbeat and for hints.
    """
    background = [
        asyncio.create_task(keep_running_on(name, connect, work, pause_s=BROKEN_S))
        for name, work in (
            ("heartbeat", partial(_beat, workers=workers, worker_id=worker_id, clock=clock)),
            ("hints", partial(_listen, workers=workers)),
        )
    ]
    _log.info("event=worker.started worker=%s lanes=%d", worker_id, len(workers))
    await asyncio.gather(*(worker.run(stop) for worker in workers))
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    async with await connect() as conn:
        for cell in {worker.post.cell for worker in workers}:
            await lanes.leave(conn, cell=cell, worker=worker_id)
    _log.info("event=worker.stopped worker=%s", worker_id)


async def _beat(
    conn: Conn, workers: Sequence[LaneWorker], worker_id: UUID, clock: DatabaseClock
) -> None:
    while True:
        await clock.set_by(conn)
        for channel, post in {w.post.lane.channel: w.post for w in workers}.items():
            await lanes.beat(
                conn,
                cell=post.cell,
                worker=worker_id,
                channel=channel,
                region=post.region,
                epoch=post.epoch,
            )
        await asyncio.sleep(HEARTBEAT_S)


async def _listen(conn: Conn, workers: Sequence[LaneWorker]) -> None:
    by_channel: dict[Channel, list[LaneWorker]] = {}
    for worker in workers:
        by_channel.setdefault(worker.post.lane.channel, []).append(worker)
    async for channel in wakeup.hints(conn):
        for worker in by_channel.get(channel, ()):
            worker.wake.set()
