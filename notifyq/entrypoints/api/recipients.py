"""PUT, GET and DELETE of recipients, and a POST that merges two. By tenant and mode of the key."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.profile import DEFAULTS, ID_LENGTH_MAX
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.problems import Fault, Problem, unavailable
from notifyq.entrypoints.api.reaching import MergeBody, RecipientBody, read_body, shown
from notifyq.entrypoints.api.reading import Doorkeeper, read_json
from notifyq.services.recipients import (
    Excess,
    Missing,
    Moved,
    Stale,
    erase,
    merge,
    upsert,
)
from notifyq.store import recipients
from notifyq.store.db import Conn, Pool, Unknown
from notifyq.store.recipients import Book
from notifyq.store.tenants import Holder
from notifyq.store.uniting import Merger

READ, WRITE = "recipients:read", "recipients:write"
NOT_THERE = "no such recipient for this key"


@dataclass(frozen=True, slots=True)
class RecipientRoutes:
    """The routes of recipients."""

    doorkeeper: Doorkeeper
    pool: Pool
    new_id: Callable[[], UUID]

    async def one(self, request: Request) -> Response:
        """Save a recipient, show it, or erase it."""
        match request.method:
            case "PUT":
                return await self._put(request)
            case "DELETE":
                return await self._delete(request)
            case _:
                return await self._get(request)

    async def merge(self, request: Request) -> Response:
        """Make another recipient the same as this one."""
        holder = await self.doorkeeper.admit(request, WRITE)
        into = read_person(request)
        body = read_body(MergeBody, (await read_json(request)).content)
        if body.source == into:
            raise refused([Fault("/from", "must be another recipient than the one in the path")])
        by = Merger(holder.scope, holder.label, self.new_id)
        async with changing(self.pool) as conn:
            found = await merge(conn, book_of(holder), body.source, into, by=by)
        if isinstance(found, Unknown):
            raise unsure(found)
        if isinstance(found, Missing):
            which = "from names" if found.id == body.source else "the path names"
            raise Problem("not_found", f"{which} no recipient of this key")
        if isinstance(found, Excess):
            rules = [f"makes {rule}: remove some first" for rule in found.rules]
            raise refused([Fault("/from", rule) for rule in rules])
        told = {"id": found.id, "version": found.version, "opted_out": found.opted_out}
        return json_response(told)

    async def _put(self, request: Request) -> Response:
        holder = await self.doorkeeper.admit(request, WRITE)
        id = read_person(request)
        body = read_body(RecipientBody, (await read_json(request)).content)
        async with changing(self.pool) as conn:
            saved = await upsert(
                conn,
                book_of(holder),
                id,
                body.profile,
                keep_quiet="quiet_hours" not in body.model_fields_set,
                replaces=body.replaces,
                actor=holder.label,
            )
        if isinstance(saved, Unknown):
            raise unsure(saved)
        if isinstance(saved, Stale):
            raise Problem("version_conflict", f"the newest version is {saved.version}")
        if isinstance(saved, Moved):
            raise Problem("merged", f"it was merged into {saved.into!r}")
        return json_response({"id": id, "version": saved.version, "changed": saved.changed})

    async def _get(self, request: Request) -> Response:
        holder = await self.doorkeeper.admit(request, READ)
        id = read_person(request)
        async with self.pool.connection() as conn:
            found = await recipients.find(conn, book_of(holder), id)
        if found is None:
            raise Problem("not_found", NOT_THERE)
        return json_response(shown(found))

    async def _delete(self, request: Request) -> Response:
        holder = await self.doorkeeper.admit(request, WRITE)
        id = read_person(request)
        async with changing(self.pool) as conn:
            gone = await erase(conn, book_of(holder), id, actor=holder.label)
        if isinstance(gone, Unknown):
            raise unsure(gone)
        if isinstance(gone, Missing):
            raise Problem("not_found", NOT_THERE)
        return Response(status_code=204)


@asynccontextmanager
async def changing(pool: Pool) -> AsyncIterator[Conn]:
    """Yield a connection to change recipients with; Problem if somebody holds them for long."""
    try:
        async with pool.connection() as conn:
            yield conn
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        raise unavailable("somebody else is changing it; ask again") from None


def unsure(fate: Unknown) -> Problem:
    """Return the problem of a change that may or may not be there; again, it does no more."""
    return unavailable(f"not known to be stored: {fate.reason}; ask again")


def book_of(holder: Holder) -> Book:
    """Return whose recipients a key sees."""
    return Book(holder.cell, holder.tenant_id, holder.test)


def read_person(request: Request) -> str:
    """Return the id in the path; Problem if it is none, or the tenant's defaults."""
    id = read_id(request)
    if id == DEFAULTS:
        rule = f"names the tenant's defaults: {DEFAULTS} has /preferences and nothing else"
        raise refused([Fault("/id", rule)])
    return id


def read_id(request: Request) -> str:
    """Return the id in the path, which may be that of the defaults; Problem if it is none."""
    id: str = request.path_params["id"]
    if len(id) > ID_LENGTH_MAX:
        rule = f"must have at most {ID_LENGTH_MAX} characters, has {len(id)}"
        raise refused([Fault("/id", rule)])
    if "\0" in id or any("\ud800" <= character <= "\udfff" for character in id):
        raise refused([Fault("/id", "must be UTF-8, percent-encoded, without the NUL character")])
    return id
