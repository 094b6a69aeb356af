"""The API: its parts, built when its server starts."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from uuid import UUID

import psycopg

from notifyq.bootstrap.accounts import (
    CELL,
    NewId,
    accounts,
    database_url,
    outlets,
    provider_of,
    sender_of,
    wanted_lanes,
)
from notifyq.bootstrap.lines import lines
from notifyq.config.settings import SANDBOX, Settings
from notifyq.domain import routing
from notifyq.domain.asking import Planned
from notifyq.domain.content import Content
from notifyq.domain.model import Category, Channel, Lane
from notifyq.domain.provider import Provider
from notifyq.domain.routing import Outlet
from notifyq.entrypoints.api.app import Parts
from notifyq.entrypoints.api.asks import Rules, render_accepted
from notifyq.entrypoints.api.batch import BatchRoute
from notifyq.entrypoints.api.bulk import AT_ONCE, Bulk
from notifyq.entrypoints.api.callbacks import CallbackRoute
from notifyq.entrypoints.api.cancel import CancelRoute
from notifyq.entrypoints.api.consents import ConsentRoutes
from notifyq.entrypoints.api.dead_letters import DeadLetterRoutes
from notifyq.entrypoints.api.gather import Gatherer
from notifyq.entrypoints.api.knowing import Knower
from notifyq.entrypoints.api.notifications import NotificationRoutes
from notifyq.entrypoints.api.parts import Ways
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
    url = database_url(settings)
    clock = db.DatabaseClock()
    async with AsyncExitStack() as stack:
        built = {account.name: provider_of(account) for account in accounts(settings)}
        for provider in built.values():
            stack.push_async_callback(provider.close)
        pool = await stack.enter_async_context(db.Pool(url, size_max=READ_POOL))
        async with await db.connect(url, autocommit=True) as conn:
            await clock.set_by(conn)
            found = await lanes.ensure(conn, wanted_lanes(settings), cell=CELL)
            durability = await _durability(conn)
        hints = wakeup.Hints()
        connect = partial(db.connect, url, autocommit=True)
        send_hints = keep_running_on("hints", connect, hints.send_forever, pause_s=RECONNECT_S)
        stack.callback(asyncio.create_task(send_hints).cancel)
        how = _How(clock, partial(render_accepted, durability=durability), hints)
        gatherer, bulk = await _accepting(stack, url, how)
        waiting = WaitingRoom(partial(_settled, pool))
        waiting.start()
        stack.push_async_callback(waiting.stop)
        stack.callback(asyncio.create_task(_set_clock_forever(clock, pool)).cancel)
        doorkeeper = Doorkeeper(partial(_holder, pool))
        rules = _rules(settings, found, built)
        library = Library()
        knower = Knower(pool, library)
        new_id, dedupe_days = NewId(clock), settings.retention.dedupe_memory_days
        ear = Ear(CELL, clock.now, new_id, Random(secrets.randbits(128)).getrandbits)
        heard = lines(settings, found), ear
        yield Parts(
            notifications=NotificationRoutes(
                doorkeeper=doorkeeper,
                gatherer=gatherer,
                bulk=bulk,
                waiting=waiting,
                pool=pool,
                now=clock.now,
                rules=rules,
                knower=knower,
            ),
            batch=BatchRoute(doorkeeper, bulk, pool, clock.now, rules, knower),
            cancel=CancelRoute(doorkeeper, pool, dedupe_days, new_id),
            dead_letters=DeadLetterRoutes(doorkeeper, pool, new_id),
            templates=TemplateRoutes(doorkeeper, pool, library, partial(_refusal, built)),
            recipients=RecipientRoutes(doorkeeper, pool, new_id),
            preferences=PreferenceRoutes(doorkeeper, pool),
            consents=ConsentRoutes(doorkeeper, pool, clock.now, new_id, _programs(settings)),
            callbacks=CallbackRoute(
                built, settings.public_url, pool, CELL, new_id, dedupe_days, *heard
            ),
            unsubscribe=UnsubscribeRoute(pool, new_id),
            ready=partial(_why_not_ready, pool, settings.region),
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


def _rules(
    settings: Settings, found: dict[tuple[Channel, str], Lane], built: Mapping[str, Provider]
) -> Rules:
    by_name = outlets(settings, found)

    def route(channel: Channel, address: str, category: Category, test: bool) -> Outlet | None:
        of_all = settings.routes.get(channel, [])
        names = SANDBOX.get(channel, ()) if test else category.routes.get(channel, of_all)
        return routing.first([by_name[name] for name in names if name in by_name], address)

    def speaks(provider: str, brand: str) -> bool:
        return sender_of(settings, provider, brand, "") is not None

    def refusal(provider: str, content: Content) -> str | None:
        return built[provider].refusal(content)

    kept = settings.retention
    return Rules(
        settings.categories,
        Ways(route, cache(speaks), refusal),
        kept.longest_hold_days,
        kept.dedupe_window_hours * 3_600,
    )


def _refusal(built: Mapping[str, Provider], content: Content) -> str | None:
    """Return why some account would never send a content; None: each would."""
    return next(filter(None, (one.refusal(content) for one in built.values())), None)


def _programs(settings: Settings) -> frozenset[str]:
    named = [category.program for category in settings.categories.values()]
    named += [sender.program for sender in settings.senders.values()]
    return frozenset([*settings.programs, *named])


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
