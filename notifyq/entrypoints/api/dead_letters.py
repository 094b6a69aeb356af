"""GET of dead letters, POST to redrive them: a tenant's own, and only those of the key's mode."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.ids import notification_of, public_id, read_public_id
from notifyq.domain.interventions import OUTCOME_UNKNOWN, REDRIVEN_CAUSES, WHY, Refusal
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.paging import cut, page_answer, read_page
from notifyq.entrypoints.api.problems import Fault, unavailable
from notifyq.entrypoints.api.reading import Doorkeeper, read_json
from notifyq.entrypoints.api.redriving import REDRIVE_MAX, RedriveBody, read
from notifyq.services.redrive import RATE_PER_S, Errand, Redriven, redrive_each
from notifyq.store import dead_letters
from notifyq.store.db import Pool, Unknown
from notifyq.store.dead_letters import Found, Wanted
from notifyq.store.tenants import Holder

READ = "dead_letters:read"
REDRIVE = "dead_letters:redrive"
PAGE, PAGE_MAX = 100, 1_000


@dataclass(frozen=True, slots=True)
class DeadLetterRoutes:
    """The routes of dead letters."""

    doorkeeper: Doorkeeper
    pool: Pool
    new_id: Callable[[], UUID]

    async def get(self, request: Request) -> Response:
        """Show a page of dead letters."""
        holder = await self.doorkeeper.admit(request, READ)
        page = read_page(request, "dlv", default=PAGE, most=PAGE_MAX)
        cause = request.query_params.get("cause")
        known = (*REDRIVEN_CAUSES, OUTCOME_UNKNOWN)
        if cause is not None and cause not in known:
            raise refused([Fault("/cause", f"must be one of {', '.join(known)}")])
        wanted = Wanted(causes=(cause,) if cause else None, tenant=holder.tenant, test=holder.test)
        found, last = await self._page(wanted, holder.cell, page.after, page.limit)
        return json_response(page_answer([_shown(holder.cell, one) for one in found], last))

    async def redrive(self, request: Request) -> Response:
        """Make dead letters due again, each unless something speaks against it."""
        holder = await self.doorkeeper.admit(request, REDRIVE)
        body = read((await read_json(request)).content, cell=holder.cell)
        ids, last = await self._ids(body, holder)
        errand = Errand(
            holder.cell,
            holder.label,
            body.reason or "",
            RATE_PER_S,
            self.new_id,
            dry_run=body.dry_run,
        )
        results = await self._each(ids, errand)
        told = [_result(holder.cell, one, body.dry_run) for one in results]
        return json_response(page_answer(told, last) | {"dry_run": body.dry_run})

    async def _ids(
        self, body: RedriveBody, holder: Holder
    ) -> tuple[list[tuple[UUID, bool]], str | None]:
        """Return deliveries with whether a dead letter of this key is there, and a cursor."""
        mine = Wanted(tenant=holder.tenant, test=holder.test)
        if body.ids is None:
            wanted = replace(mine, causes=(body.cause or "",))
            after = read_public_id("dlv", body.cursor)[1] if body.cursor else None
            limit = body.limit or REDRIVE_MAX
            page, last = await self._page(wanted, holder.cell, after, limit)
            return [(one.delivery_id, True) for one in page], last
        asked = [read_public_id("dlv", one)[1] for one in body.ids]
        found, _ = await self._page(replace(mine, ids=tuple(asked)), holder.cell, None, len(asked))
        there = {one.delivery_id for one in found}
        return [(one, one in there) for one in asked], None

    async def _each(self, ids: list[tuple[UUID, bool]], errand: Errand) -> list[Redriven]:
        results: dict[UUID, Redriven] = {}
        async with self.pool.connection() as conn:
            async for result in redrive_each(conn, [at for at, there in ids if there], errand):
                if isinstance(result, Unknown):
                    why = f"not known to be stored: {result.reason}; ask again, none is sent twice"
                    raise unavailable(why)
                results[result.delivery_id] = result
        return [results.get(at) or Redriven(at, None, Refusal.NOTHING, None) for at, _ in ids]

    async def _page(
        self, wanted: Wanted, cell: int, after: UUID | None, limit: int
    ) -> tuple[list[Found], str | None]:
        async with self.pool.connection() as conn:
            found = await dead_letters.find(conn, wanted, cell=cell, after=after, limit=limit + 1)
        return cut(found, limit, lambda one: public_id("dlv", cell, one.delivery_id))


def _shown(cell: int, found: Found) -> dict[str, Any]:
    names = ("channel", "state", "cause", "detail", "at", "dedupe_until", "expires_at")
    return {
        "id": public_id("dlv", cell, found.delivery_id),
        "notification": public_id("ntf", cell, notification_of(found.delivery_id)),
    } | {name: getattr(found, name) for name in names}


def _result(cell: int, result: Redriven, dry_run: bool) -> dict[str, Any]:
    word = "would_redrive" if dry_run else "redriven"
    return {
        "id": public_id("dlv", cell, result.delivery_id),
        "result": "refused" if result.refusal else word,
        "reason": result.refusal,
        "detail": WHY[result.refusal] if result.refusal else None,
        "due": result.due,
    }
