"""Hearing: callbacks of the provider, through the API's own route, in whatever state they find."""

import asyncio
from collections.abc import Collection
from random import Random
from typing import Any

import psycopg
from starlette.requests import Request

from notifyq.domain.listening import Line
from notifyq.entrypoints import janitor
from notifyq.entrypoints.api.callbacks import CallbackRoute
from notifyq.entrypoints.api.problems import KINDS, Problem
from notifyq.services.hear import Ear
from notifyq.store import db
from tests.crash.points.box import CAPPED, statuses
from tests.crash.points.parts import (
    accepted,
    answered_with,
    left_open,
    run_worker,
    sweep_to_rest,
    two,
)
from tests.crash.points.registry import scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import PROVIDER, Look, World, duties, worker
from tests.store import helpers as h

# The sandbox has told what it accepted long before these are over.
TELLING_S, TELLING_MAX = 0.01, 100


async def receive_all(world: World, wire: Wire, *, heard: Collection[int] = ()) -> list[int]:
    """Take every callback as the API does, but for the ones heard; return those answered 2xx."""
    box = await _all_told(world)
    new = [number for number in range(len(box)) if number not in heard]
    if not new:
        return []
    clock = db.DatabaseClock()
    _, provider = worker(world, clock)
    done = []
    async with db.Pool(world.url, size_max=2) as pool:
        line = Line((world.shop.brand,), "default", False, world.shop.lane.id, None)
        ear = Ear(0, clock.now, h.new_id, Random(1).getrandbits)
        route = CallbackRoute(
            {PROVIDER: provider},
            world.net,
            pool,
            0,
            h.new_id,
            h.DEDUPE_DAYS,
            lambda provider, number: line,
            ear,
        )
        for number in new:
            status = await _posted(route, box[number])
            wire.tell(callback=number, status=status)
            if status < 300:
                done.append(number)
    await provider.close()
    return done


async def _posted(route: CallbackRoute, raw: dict[str, Any]) -> int:
    path, _, query = raw["path"].partition("?")
    body = raw["body"].encode("latin-1")
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "server": ("127.0.0.1", int(route.public_url.rpartition(":")[2])),
        "headers": [(k.encode(), v.encode()) for k, v in raw["headers"].items()],
        "path_params": {"provider": PROVIDER},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        return (await route.post(Request(scope, receive))).status_code
    except Problem as problem:
        return KINDS[problem.code].status
    except psycopg.Error:
        return 500


async def _all_told(world: World) -> list[dict[str, Any]]:
    """Wait until the sandbox has told all that it took; return the callbacks."""
    for _ in range(TELLING_MAX):
        found = world.outside()
        if len(statuses(found.box)) >= 2 * len(found.taken):
            break
        await asyncio.sleep(TELLING_S)
    return found.box


# ----------------------------------------------------------------------------- scenarios


async def _receive(world: World, wire: Wire) -> None:
    """What is told about messages is believed once, and 2xx comes only after the commit."""
    await receive_all(world, wire)


async def _sent(world: World, wire: Wire) -> None:
    await two(world, wire)
    await run_worker(world)


async def _in_doubt(world: World, wire: Wire) -> None:
    await left_open(world, wire)
    async with await db.connect(world.url) as conn:
        await janitor._sweep(conn, duties())


async def _unknown(world: World, wire: Wire) -> None:
    await left_open(world, wire)
    await sweep_to_rest(world)


async def _open(world: World, wire: Wire) -> None:
    await two(world, wire)
    await run_worker(world, settled=False)


for _name, _prepare in {
    "receive": _sent,
    "receive_open": _open,
    "receive_in_doubt": _in_doubt,
    "receive_unknown": _unknown,
}.items():
    scenario(_name, _prepare)(_receive)


async def _refuted(world: World, wire: Wire) -> None:
    """Closed as not sent, due again, and yet the provider has it: we were wrong about it."""
    await _open(world, wire)
    look = Look(world)
    await look.one(
        "WITH closed AS (UPDATE notifyq.attempt SET outcome = 'not_sent', ended_at = now()"
        " WHERE outcome = 'open' RETURNING cell, delivery_id, number, lane)"
        " INSERT INTO notifyq.job (cell, criticality, lane, due, delivery_id, channel,"
        " attempts, tries) SELECT cell, 1, lane, now() + interval '1 hour', delivery_id,"
        " 'sms', number, 0 FROM closed"
    )
    await look.close()


scenario("receive_late", _refuted, evidence="prompt")(_receive)


async def _capped(world: World, wire: Wire) -> None:
    """Taken, and then stopped by a carrier's cap for the day."""
    await accepted(world, 1, 2, lifetime_s=2 * 86_400)  # the cap lifts at some midnight before
    for n in (1, 2):
        answered_with(world, n, fault="undelivered", code=int(CAPPED))
    await run_worker(world)


# It is due again then, once, and goes through.
scenario("receive_capped", _capped, evidence="prompt")(_receive)


async def _written_to_us(world: World, wire: Wire) -> None:
    """Two people write the same, and one of them writes it again; that is three texts."""
    for n in (1, 2, 1):
        world.write_to_us(n, world.text(1))


@scenario("written_to_us", _written_to_us, evidence="prompt")
async def _hear(world: World, wire: Wire) -> None:
    """Each is kept once, though the provider tells the last of them again."""
    for heard in ((), (0, 1)):
        await receive_all(world, wire, heard=heard)
