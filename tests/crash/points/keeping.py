"""Keeping: who recipients are and what templates say, as producers save them.

A producer that heard nothing says the same again. Each errand has an actor of its own, so that the
versions tell which errand wrote them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import time, timedelta
from functools import partial
from typing import Any, LiteralString

import psycopg

from notifyq.domain.hours import Quiet
from notifyq.domain.model import Channel
from notifyq.domain.profile import KnownDevice, Profile
from notifyq.domain.template import Template
from notifyq.services import recipients, templates
from notifyq.store import db, ledger
from notifyq.store.recipients import Book
from notifyq.store.templates import Shelf
from notifyq.store.uniting import Merger
from tests.crash.points.accepting import ASKING_MAX
from tests.crash.points.registry import scenario
from tests.crash.points.wire import Wire
from tests.crash.points.world import World
from tests.store import helpers as h

Errand = Callable[[db.Conn], Awaitable[Any]]
DEVICE = KnownDevice("web", "org.a", "t")
TEMPLATE = Template("welcome", 0, "en", {"en": {Channel.SMS: {"body": "Welcome."}}})

# Versions of one thing that are not 1, 2, 3 … up to the one that its row names, or that one errand
# wrote twice.
_GAPS: LiteralString = """
SELECT 'recipient ' || r.id FROM notifyq.recipient r
  LEFT JOIN notifyq.recipient_version v USING (cell, tenant_id, test, id)
 GROUP BY r.cell, r.tenant_id, r.test, r.id, r.version
HAVING (count(v.version), coalesce(max(v.version), 0)) <> (r.version, r.version)
    OR count(DISTINCT v.actor) <> count(v.actor)
UNION ALL
SELECT 'template ' || t.name FROM notifyq.template t
  LEFT JOIN notifyq.template_version v USING (cell, tenant_id, test, name)
 GROUP BY t.cell, t.tenant_id, t.test, t.name, t.version
HAVING (count(v.version), coalesce(max(v.version), 0)) <> (t.version, t.version)
    OR count(DISTINCT v.created_by) <> count(v.created_by)
"""
# Who has a phone by the index, and who by what is written of each.
_PHONES: LiteralString = """
SELECT coalesce(written.id, kept.id)
  FROM (SELECT r.id, notifyq.address_key(p.phone) AS address_key
          FROM notifyq.recipient r,
               jsonb_array_elements_text(r.profile::jsonb -> 'phones') AS p (phone)) AS written
  FULL JOIN (SELECT id, address_key FROM notifyq.recipient_address WHERE channel = 'sms') AS kept
    USING (id, address_key)
 WHERE written.id IS NULL OR kept.id IS NULL
"""
_ACTORS: LiteralString = """
SELECT actor FROM notifyq.recipient_version
UNION SELECT created_by FROM notifyq.template_version
"""
_HALF_MERGED: LiteralString = """
SELECT 1 FROM notifyq.recipient_version WHERE actor = 'merge'
HAVING count(*) > 0 AND (SELECT count(*) FROM notifyq.consent WHERE blocked) <> 2
"""
_LEFT: LiteralString = """
SELECT id FROM notifyq.recipient_version WHERE profile <> '{}'
   AND EXISTS (SELECT 1 FROM notifyq.recipient_version WHERE actor = 'erase')
"""


async def _one_opted_out(world: World, wire: Wire) -> None:
    async with await db.connect(world.url) as conn:
        await ledger.opt_out(
            conn,
            cell=0,
            brand=world.shop.brand,
            channel=Channel.SMS,
            address=world.phone(1),
            actor="test",
            reason="asked us to",
            event_id=h.new_id(),
        )
        await conn.commit()


@scenario("keep", _one_opted_out)
async def _keep(world: World, wire: Wire) -> None:
    """Saved, seen again, changed, merged and erased; and a template."""
    for name, errand in _errands(world).items():
        for _ in range(ASKING_MAX):
            fate = await _run(world, errand)
            if not isinstance(fate, db.Unknown):
                wire.tell(kept=name)
                break
            await asyncio.sleep(0.05)


def _errands(world: World) -> dict[str, Errand]:
    """Each with the name that it writes as its actor; `seen` only moves a time on."""
    book, shelf = Book(0, world.tenant_id, False), Shelf(0, world.tenant_id, False)
    seen = h.database_now() - timedelta(days=1)
    ann = Profile(phones=(world.phone(1),), devices=(replace(DEVICE, last_seen=seen),))
    later = replace(ann, devices=(replace(DEVICE, last_seen=seen + timedelta(hours=1)),))
    bob = Profile(phones=(world.phone(2),))
    by = Merger(world.shop.brand, "merge", h.new_id)
    return {
        "ann": partial(recipients.upsert, book=book, id="ann", given=ann, actor="ann"),
        "seen": partial(
            recipients.upsert, book=book, id="ann", given=later, keep_quiet=True, actor="seen"
        ),
        "bob": partial(recipients.upsert, book=book, id="bob", given=bob, actor="bob"),
        "revise": partial(recipients.revise, book=book, id="bob", change=_quiet, actor="revise"),
        "merge": partial(recipients.merge, book=book, source="ann", into="bob", by=by),
        "erase": partial(recipients.erase, book=book, id="ann", actor="erase"),
        "template": partial(
            templates.save, shelf=shelf, template=TEMPLATE, replaces=None, actor="template"
        ),
    }


def _quiet(before: Profile) -> Profile:
    return replace(before, quiet=Quiet(time(22), time(7)))


async def _run(world: World, errand: Errand) -> Any:
    with suppress(psycopg.Error):  # the API's answer to that is an error, and promises nothing
        async with await db.connect(world.url) as conn:
            return await errand(conn)
    return db.Unknown("an error")


def broken(
    conn: psycopg.Connection[Any], told: Collection[dict[str, Any]]
) -> tuple[list[str], list[str]]:
    """Return (what is lost, what is wrong) of recipients and templates."""
    actors = {row[0] for row in conn.execute(_ACTORS).fetchall()} | {"seen"}
    promised = {said["kept"] for said in told if "kept" in said}
    lost = [f"{name}: said to be saved, and not there" for name in promised - actors]
    wrong = [f"{row[0]}: versions" for row in conn.execute(_GAPS).fetchall()]
    wrong += [f"{row[0]}: its phones" for row in conn.execute(_PHONES).fetchall()]
    wrong += ["merged, but for the opt-out" for _ in conn.execute(_HALF_MERGED).fetchall()]
    wrong += [f"{row[0]}: erased, but for a version" for row in conn.execute(_LEFT).fetchall()]
    return lost, wrong
