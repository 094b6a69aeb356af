"""Workers and the janitor: built, and run until a signal."""

import asyncio
import secrets
import signal
from functools import cache, partial
from random import Random
from uuid import uuid4

from notifyq.bootstrap.accounts import (
    CELL,
    Account,
    NewId,
    accounts,
    database_url,
    provider_of,
    sender_of,
    wanted_lanes,
)
from notifyq.config.settings import SANDBOX_SETTLE_WINDOW_S, Settings
from notifyq.domain.model import Channel, DoubtRules, Post
from notifyq.entrypoints import janitor
from notifyq.entrypoints.worker.lane import LaneWorker
from notifyq.entrypoints.worker.process import serve as serve_workers
from notifyq.entrypoints.worker.rules import LaneRules
from notifyq.entrypoints.worker.sending import SendRules
from notifyq.errors import BadSettings
from notifyq.services import maintain, reap
from notifyq.services.settle import SettleRules
from notifyq.store import db, lanes


async def run_worker(settings: Settings, channels: frozenset[Channel]) -> None:
    """Serve every lane of these channels until SIGTERM or SIGINT, then drain."""
    url = database_url(settings)
    clock = db.DatabaseClock()
    dice = Random(secrets.randbits(128))
    worker_id = uuid4()
    async with await db.connect(url, autocommit=True) as conn:
        await clock.set_by(conn)
        found = await lanes.ensure(conn, wanted_lanes(settings), cell=CELL)
    workers = []
    served = []
    for account in accounts(settings):
        if account.channel not in channels:
            continue
        provider = provider_of(account)
        served.append(provider)
        lane = found[account.channel, account.name]
        post = Post(CELL, lane, worker_id, settings.region, 0, account.lease_s)
        connect = partial(db.connect, url, hot=True)
        rules = _lane_rules(settings, account)
        workers.append(LaneWorker(post, provider, rules, connect=connect, clock=clock, dice=dice))
    if not workers:
        raise BadSettings("worker: no provider of these channels is configured: add [providers]")
    await serve_workers(
        workers,
        worker_id=worker_id,
        connect=partial(db.connect, url, autocommit=True),
        clock=clock,
        stop=stop_signal(),
    )
    for provider in served:
        await provider.close()


def _lane_rules(settings: Settings, account: Account) -> LaneRules:
    return LaneRules(
        SendRules(
            account.channel,
            account.timeout_s,
            f"{settings.public_url}/callbacks/{account.name}",
            cache(partial(sender_of, settings, account.name)),
            f"{settings.public_url}/u",
        ),
        SettleRules(account.doubt, settings.retention.dedupe_memory_days),
        account.max_in_flight,
        account.pace,
    )


async def run_janitor(settings: Settings) -> None:
    """Look after leases, windows and leaves until SIGTERM or SIGINT."""
    url = database_url(settings)
    clock = db.DatabaseClock()
    doubts = {account.name: account.doubt for account in accounts(settings)}
    longest_s = max([d.settle_window_s for d in doubts.values()], default=SANDBOX_SETTLE_WINDOW_S)
    rules = maintain.Rules(doubts, DoubtRules(longest_s), settings.retention.dedupe_memory_days)
    duties = janitor.Duties(
        CELL, settings.retention, rules, NewId(clock), reap.Walk(secrets.randbits)
    )

    async def connect(autocommit: bool) -> db.Conn:
        return await db.connect(url, autocommit=autocommit)

    async with await connect(True) as conn:
        await clock.set_by(conn)
    await janitor.serve(duties, connect=connect, clock=clock, stop=stop_signal())


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; for the running loop's own process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
