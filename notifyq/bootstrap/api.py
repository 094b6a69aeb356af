"""The API: its parts, built when its server starts."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from uuid import UUID

import psycopg

from notifyq.bootstrap.accounts import (
    CELL,
    NewId,
    accounts,
    database_url,
    provider_of,
    wanted_lanes,
)
from notifyq.bootstrap.lines import lines
from notifyq.bootstrap.rules import programs, refusal_by_any, rules
from notifyq.config.settings import Settings
from notifyq.domain.asking import Planned
from notifyq.domain.model import Channel, Lane
from notifyq.domain.provider import Provider
from notifyq.entrypoints.api.app import Parts
from notifyq.entrypoints.api.asks import render_accepted
from notifyq.entrypoints.api.batch import BatchRoute
from notifyq.entrypoints.api.bulk import AT_ONCE, Bulk
from notifyq.entrypoints.api.callbacks import CallbackRoute
from notifyq.entrypoints.api.cancel import CancelRoute
from notifyq.entrypoints.api.consents import ConsentRoutes
from notifyq.entrypoints.api.dead_letters import DeadLetterRoutes
from notifyq.entrypoints.api.explaining import ExplainRoute
from notifyq.entrypoints.api.gather import Gatherer
from notifyq.entrypoints.api.knowing import Knower
from notifyq.entrypoints.api.notifications import NotificationRoutes
from notifyq.entrypoints.api.preferences import PreferenceRoutes
from notifyq.entrypoints.api.reading import Doorkeeper
from notifyq.entrypoints.api.recipients import RecipientRoutes
from notifyq.entrypoints.api.templates import TemplateRoutes
from notifyq.entrypoints.api.unsubscribe import UnsubscribeRoute
from notifyq.entrypoints.api.waiting import WaitingRoom
from notifyq.running import keep_running, keep_running_on
from notifyq.services.accept import LOCK_TIMEOUT_MS
from notifyq.services.hear import Ear
from notifyq.services.templates import Library
from notifyq.store import db, fence, lanes, settling, tenants, wakeup

READ_POOL = 4  # connections for GETs and callbacks, in one process
READY_TIMEOUT_S = 2.0
RECONNECT_S = 0.5
CLOCK_S = 30.0  # between two looks at the database's clock


def api_parts(settings: Settings) -> Callable[[], AbstractAsyncContextManager[Parts]]:
    """Return what opens the API's parts when its server starts."""
    return partial(_api_parts, settings)


@asynccontextmanager
async def _api_parts(settings: Settings) -> AsyncIterator[Parts]:
    async with AsyncExitStack() as stack:
        ground = await _ground(stack, settings)
        doorkeeper, pool = Doorkeeper(partial(_holder, ground.pool)), ground.pool
        now, new_id = ground.clock.now, NewId(ground.clock)
        library = Library()
        notifications = await _notifications(stack, settings, ground, doorkeeper, library)
        asking = notifications.rules, notifications.knower
        dedupe_days = settings.retention.dedupe_memory_days
        refusal = partial(refusal_by_any, ground.built)
        yield Parts(
            notifications=notifications,
            batch=BatchRoute(doorkeeper, notifications.bulk, pool, now, *asking),
            cancel=CancelRoute(doorkeeper, pool, dedupe_days, new_id),
            dead_letters=DeadLetterRoutes(doorkeeper, pool, new_id),
            templates=TemplateRoutes(doorkeeper, pool, library, refusal),
            recipients=RecipientRoutes(doorkeeper, pool, new_id),
            preferences=PreferenceRoutes(doorkeeper, pool),
            consents=ConsentRoutes(doorkeeper, pool, now, new_id, programs(settings)),
            explain=ExplainRoute(doorkeeper, pool, now, settings.categories),
            callbacks=_callbacks(settings, ground, new_id),
            unsubscribe=UnsubscribeRoute(pool, new_id),
            ready=partial(_why_not_ready, pool, settings.region),
        )


@dataclass(frozen=True, slots=True)
class _Ground:
    """What every route stands on."""

    url: str
    clock: db.DatabaseClock
    pool: db.Pool  # for what is read, and for what is written by hand
    built: Mapping[str, Provider]
    lanes: dict[tuple[Channel, str], Lane]
    durability: str


async def _ground(stack: AsyncExitStack, settings: Settings) -> _Ground:
    url, clock = database_url(settings), db.DatabaseClock()
    built = {account.name: provider_of(account) for account in accounts(settings)}
    for provider in built.values():
        stack.push_async_callback(provider.close)
    pool = await stack.enter_async_context(db.Pool(url, size_max=READ_POOL))
    async with await db.connect(url, autocommit=True) as conn:
        await clock.set_by(conn)
        found = await lanes.ensure(conn, wanted_lanes(settings), cell=CELL)
        durability = await _durability(conn)
    stack.callback(asyncio.create_task(_set_clock_forever(clock, pool)).cancel)
    return _Ground(url, clock, pool, built, found, durability)


async def _notifications(
    stack: AsyncExitStack,
    settings: Settings,
    ground: _Ground,
    doorkeeper: Doorkeeper,
    library: Library,
) -> NotificationRoutes:
    hints = wakeup.Hints()
    connect = partial(db.connect, ground.url, autocommit=True)
    send_hints = keep_running_on("hints", connect, hints.send_forever, pause_s=RECONNECT_S)
    stack.callback(asyncio.create_task(send_hints).cancel)
    render = partial(render_accepted, durability=ground.durability)
    gatherer, bulk = await _accepting(stack, ground.url, _How(ground.clock, render, hints))
    waiting = WaitingRoom(partial(_settled, ground.pool))
    waiting.start()
    stack.push_async_callback(waiting.stop)
    return NotificationRoutes(
        doorkeeper=doorkeeper,
        gatherer=gatherer,
        bulk=bulk,
        waiting=waiting,
        pool=ground.pool,
        now=ground.clock.now,
        rules=rules(settings, ground.lanes, ground.built),
        knower=Knower(ground.pool, library),
    )


def _callbacks(settings: Settings, ground: _Ground, new_id: NewId) -> CallbackRoute:
    dice = Random(secrets.randbits(128)).getrandbits
    return CallbackRoute(
        ground.built,
        settings.public_url,
        ground.pool,
        CELL,
        new_id,
        settings.retention.dedupe_memory_days,
        lines(settings, ground.lanes),
        Ear(CELL, ground.clock.now, new_id, dice),
    )


@dataclass(frozen=True, slots=True)
class _How:
    """How requests are accepted, one by one or in bulk."""

    clock: db.DatabaseClock
    render: Callable[[Planned], bytes]
    hints: wakeup.Hints


async def _accepting(stack: AsyncExitStack, url: str, how: _How) -> tuple[Gatherer, Bulk]:
    gatherer = Gatherer(
        partial(db.connect, url, hot=True, lock_timeout_ms=LOCK_TIMEOUT_MS),
        now=how.clock.now,
        dice=Random(secrets.randbits(128)).getrandbits,
        render=how.render,
        accepted=how.hints.add,
    )
    gatherer.start()
    stack.push_async_callback(gatherer.stop)
    pool = db.Pool(url, size_max=AT_ONCE, hot=True, lock_timeout_ms=LOCK_TIMEOUT_MS)
    bulk = Bulk(
        await stack.enter_async_context(pool),
        now=how.clock.now,
        dice=Random(secrets.randbits(128)).getrandbits,
        new_token=NewId(how.clock),
        render=how.render,
        accepted=how.hints.add,
    )
    return gatherer, bulk


async def _settled(pool: db.Pool, notification_ids: list[UUID]) -> set[UUID]:
    async with pool.connection() as conn:
        return await settling.settled(conn, notification_ids, cell=CELL)


async def _holder(pool: db.Pool, key_hash: bytes) -> tenants.Holder | None:
    async with pool.connection() as conn:
        return await tenants.holder(conn, cell=CELL, key_hash=key_hash)


async def _durability(conn: db.Conn) -> str:
    return "cross-region" if await fence.waits_for_standby(conn) else "local"


async def _why_not_ready(pool: db.Pool, region: str) -> str | None:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S), pool.connection() as conn:
            found = await fence.read(conn, cell=CELL)
    except (psycopg.Error, TimeoutError) as error:
        return f"the database does not answer: {type(error).__name__}"
    if found is None:
        return "the database was never migrated: notifyq db migrate"
    return None if found.lets(region) else f"region {found.region} is {found.phase}, not {region}"


async def _set_clock_forever(clock: db.DatabaseClock, pool: db.Pool) -> None:
    async def once() -> None:
        while True:
            await asyncio.sleep(CLOCK_S)
            async with pool.connection() as conn:
                await clock.set_by(conn)

    await keep_running("clock", once, pause_s=RECONNECT_S)
