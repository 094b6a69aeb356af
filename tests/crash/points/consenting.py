"""Consenting: what producers, people and operators write down of who does not want what, and caps.

Each errand is said again while nobody knows what became of it, and has an actor of its own in the
ledger. What was acknowledged is there once, and nothing begins there afterwards.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, LiteralString

import psycopg

from notifyq.domain.consent import Kind, Said, Source, standing
from notifyq.domain.consent_record import Medium, Record
from notifyq.domain.model import Channel
from notifyq.domain.terms import Terms
from notifyq.services import consents, optout_import, reviews, unsubscribe
from notifyq.services.consents import By, Whom, Wish
from notifyq.services.optout_import import Line
from notifyq.services.reviews import Reader
from notifyq.store import db, ledger
from tests.crash.points.accepting import ASKING_MAX
from tests.crash.points.parts import accepted, answered_with, run_worker, until
from tests.crash.points.registry import SENT, scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import Look, World
from tests.store import helpers as h

Errand = Callable[[db.Conn], Awaitable[Any]]
LIST = "ann@example.org", "news"  # a mail address, and the list that it leaves
TOKEN: LiteralString = """
SELECT notifyq.unsubscribe_token(0::int2, 'acme', 'news', notifyq.address_key('ann@example.org'))
"""
# Errands by the actor that they write, with the deliveries that nothing may begin of afterwards.
STOPPED = {"told": (1,), "import": (2, 4), "review": (3,), "lift": (), "recipient": ()}
EVENTS = {"told": 2, "import": 2, "review": 1, "lift": 2, "recipient": 1}
MAY_STOP = SENT | {"suppressed"}

_EVENTS: LiteralString = """
SELECT brand, channel::text, address_key, kind, happened_at, source, program, actor
  FROM notifyq.consent_event ORDER BY revision
"""
_NO_JOBS: LiteralString = """
    SELECT (SELECT count(*) FROM notifyq.job)
         + (SELECT count(*) FROM notifyq.attempt WHERE outcome = 'open') = 0
"""
_BLOCKED: LiteralString = "SELECT count(*) > 0 FROM notifyq.consent WHERE blocked"
BLOCKED_S = 0.5  # so long the second waits for what the first one's refusal says, and then goes
CAP = 2
# Of each number that is capped: what began, what was counted of it, and what may begin.
_COUNTED: LiteralString = """
SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM notifyq.attempt a WHERE a.delivery_id = d.id)),
       max(cardinality(c.begun_at)), least(min(d.cap), count(*))
  FROM notifyq.delivery d JOIN notifyq.consent c USING (cell, brand, channel, address_key)
 WHERE d.cap IS NOT NULL
 GROUP BY d.brand, d.address_key
"""
_ROWS: LiteralString = """
SELECT brand, channel::text, address_key, blocked, programs, held, consented, revision
  FROM notifyq.consent
"""


async def _four_due(world: World, wire: Wire) -> None:
    """Four are due; the third person wrote what only a person can read."""
    await accepted(world, 1, 2, 3, 4)

    async def hold(conn: db.Conn) -> None:
        who = ledger.Person("acme", Channel.SMS, await ledger.address_key(conn, world.phone(3)))
        entry = ledger.Entry(Kind.HOLD, Source.SMS, "provider:twilio", "a text")
        await ledger.note(conn, who, entry, cell=0, event_id=h.new_id())

    async with await db.connect(world.url) as conn:
        await db.transact(conn, hold)


@scenario("consent", _four_due, ends=dict.fromkeys(range(1, 5), MAY_STOP))
async def _consent(world: World, wire: Wire) -> None:
    """An opt-out by telephone, one taken back, a file of them, a text that is read, one click."""
    for name, errand in _errands(world).items():
        for _ in range(ASKING_MAX):
            fate = await _run(world, errand)
            if fate is not None and not isinstance(fate, db.Unknown):
                wire.tell(stopped=name)
                for n in STOPPED[name]:
                    wire.tell(promised=world.text(n), ends=["suppressed"], unless_frozen=True)
                break
            await asyncio.sleep(0.05)
    await run_worker(world)


async def _one_opted_out_there(world: World, wire: Wire) -> None:
    """Two to one number, which the provider refuses as opted out; the second is due later."""
    await accepted(world, 1)
    await accepted(world, 2, to=world.phone(1))
    for n in (1, 2):
        answered_with(world, n, fault="refuse", code=21_610)
    look = Look(world)
    await look.one(
        "UPDATE notifyq.job SET due = now() + interval '1 hour' WHERE delivery_id ="
        " (SELECT id FROM notifyq.delivery ORDER BY id DESC LIMIT 1)"
    )
    await look.close()


_STOPPED = frozenset({"suppressed"})


@scenario("refused_as_opted_out", _one_opted_out_there, ends={1: _STOPPED, 2: _STOPPED})
async def _refused_as_opted_out(world: World, wire: Wire) -> None:
    """The provider knows of a STOP that we never heard: it is ours from then on."""
    making = asyncio.create_task(_due_once_blocked(world))
    await run_worker(world, idle=_NO_JOBS, limit_s=2.0)
    making.cancel()


async def _due_once_blocked(world: World) -> None:
    look = Look(world)
    await until(look, _BLOCKED, limit_s=BLOCKED_S)
    await look.one("UPDATE notifyq.job SET due = now()")
    await look.close()


async def _four_capped(world: World, wire: Wire) -> None:
    for n in range(1, 5):
        (part,) = world.ask(n, to=world.phone(1)).parts
        await accepted(world, n, parts=(replace(part, terms=Terms(cap=CAP)),))


@scenario("capped", _four_capped, ends=dict.fromkeys(range(1, 5), MAY_STOP))
async def _capped(world: World, wire: Wire) -> None:
    """Four to one number, and so many of them as its cap allows."""
    await run_worker(world)


def _errands(world: World) -> dict[str, Errand]:
    """Each with the actor that it writes."""
    now = h.database_now()
    first, later = _record(now - timedelta(hours=2)), _record(now - timedelta(hours=1))
    told = By("told", "they rang us", Source.OPERATOR)
    lift = By("lift", "they signed again", Source.WEB)

    async def opt_outs(conn: db.Conn) -> object:
        fate: object = None
        for n in (1, 5):
            stop = Wish(Kind.OPT_OUT, first)
            fate = await _record_of(conn, world.phone(n), stop, told)
            if isinstance(fate, db.Unknown):
                break
        return fate

    async def taken_back(conn: db.Conn) -> object:
        return await _record_of(conn, world.phone(5), Wish(Kind.CONSENT, later, lifts=True), lift)

    async def reading(conn: db.Conn) -> object:
        held = await reviews.waiting(conn, cell=0, scope="acme", test=False, limit=9)
        await conn.rollback()
        fate: object = True  # it was read before
        for text in held:
            reader = Reader("review", "it says so")
            fate = await reviews.resolve(
                conn, text.id, Kind.OPT_OUT, reader, cell=0, new_id=h.new_id
            )
        return fate

    async def leaving(conn: db.Conn) -> object:
        look = Look(world)
        found = await unsubscribe.find(conn, await look.one(TOKEN) or "")
        await look.close()
        return None if found is None else await unsubscribe.leave(conn, found, h.new_id)

    lines = [Line(n, "acme", Channel.SMS, world.phone(n), None, "asked them") for n in (2, 4)]
    return {
        "told": opt_outs,
        "lift": taken_back,
        "import": partial(
            optout_import.store, lines=lines, actor="import", cell=0, new_id=h.new_id
        ),
        "review": reading,
        "recipient": leaving,
    }


def _record(at: datetime) -> Record:
    return Record(
        at, "Yes.", Medium.WEB, "v1", "https://a.example", "192.0.2.1", "Firefox", None, "c 42"
    )


async def _record_of(conn: db.Conn, phone: str, wish: Wish, by: By) -> object:
    whom = Whom("acme", Channel.SMS, phone)
    return await consents.record(conn, whom, wish, by, cell=0, new_id=h.new_id)


async def _run(world: World, errand: Errand) -> Any:
    with suppress(psycopg.Error):  # the API's answer to that is an error, and promises nothing
        async with await db.connect(world.url) as conn:
            return await errand(conn)
    return db.Unknown("an error")


def broken(
    conn: psycopg.Connection[Any], told: Collection[dict[str, Any]]
) -> tuple[list[str], list[str]]:
    """Return (what is lost, what is wrong) of the ledger and of the rows that it adds up to."""
    events = conn.execute(_EVENTS).fetchall()
    acknowledged = {said["stopped"] for said in told if "stopped" in said}
    lost, wrong = [], []
    for actor, count in EVENTS.items():
        its = [event[:4] for event in events if event[-1] == actor]
        if len(set(its)) != len(its):
            wrong.append(f"{actor}: there twice")
        if actor in acknowledged and len(its) < count:
            lost.append(f"{actor}: acknowledged, and {len(its)} of {count} events are there")
        if actor in ("import", "lift") and len(its) not in (0, count):
            wrong.append(f"{actor}: {len(its)} of {count} events are there")
    wrong += _apart(events, conn.execute(_ROWS).fetchall())
    for begun, counted, may in conn.execute(_COUNTED).fetchall():
        if not begun == counted == may:
            wrong.append(f"{begun} began, {counted} are counted, and the cap lets {may}")
    return lost, wrong


def _apart(events: Sequence[Any], rows: Sequence[Any]) -> list[str]:
    """Return the consent rows that are not what their events add up to."""
    found = []
    for brand, channel, key, blocked, programs, held, consented, revision in rows:
        its = [event for event in events if event[:3] == (brand, channel, key)]
        stands = standing(
            Said(Kind(kind), at, Source(source), program)
            for _, _, _, kind, at, source, program, _ in its
        )
        kept = (blocked, tuple(programs), held, consented)
        summed = (stands.blocked, stands.programs, stands.held, stands.consented)
        if kept != summed or revision != len(its):
            found.append(f"a consent row says {kept}, revision {revision}; its events {summed}")
    return found
