"""POST of consent and of opt-outs with their evidence, and of a question: may these be told?

Addresses travel in bodies, never in URLs. A test key writes and reads what counts for test sends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.consent import SKEW, Kind, Source
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.consenting import ConsentBody, read_consent, read_lookup
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.problems import Fault, Problem, unavailable
from notifyq.entrypoints.api.reading import BATCH, Doorkeeper, read_json
from notifyq.services.consents import WHY, Answer, By, Refusal, Status, Whom, Wish, record, status
from notifyq.store.db import Pool, Unknown
from notifyq.store.tenants import Holder

READ, WRITE = "consents:read", "consents:write"


@dataclass(frozen=True, slots=True)
class ConsentRoutes:
    """The routes of consent."""

    doorkeeper: Doorkeeper
    pool: Pool
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    programs: frozenset[str]  # that the settings know

    async def post(self, request: Request) -> Response:
        """Write a record down. The same record again adds nothing."""
        holder = await self.doorkeeper.admit(request, WRITE)
        body = read_consent((await read_json(request)).content)
        self._check(body)
        channel, address = body.address
        wish = Wish(Kind(body.kind), body.record(), body.program, body.lifts_opt_out)
        answer = await self._record(holder, Whom(holder.scope, channel, address), wish)
        told = {"address": address, "channel": channel, "kind": body.kind}
        return json_response(told | _standing(answer))

    async def look_up(self, request: Request) -> Response:
        """Say what stands for each address, and why."""
        holder = await self.doorkeeper.admit(request, READ)
        content = (await read_json(request, BATCH)).content
        asked = await asyncio.to_thread(read_lookup, content)  # others are answered meanwhile
        async with self.pool.connection() as conn:
            found = await status(conn, asked, cell=holder.cell, scope=holder.scope)
        return json_response(
            {"data": [_shown(at, one) for (_, at), one in zip(asked, found, strict=True)]}
        )

    def _check(self, body: ConsentBody) -> None:
        """Refuse a time that has not come, and a program that nothing is sent in."""
        faults = []
        # An opt-out of a clock that is ahead counts from now; it is not lost for that.
        if body.kind != "opt_out" and body.at > self.now() + SKEW:
            faults.append(Fault("/at", "must not be in the future: check your clock"))
        if body.program is not None and body.program not in self.programs:
            known = ", ".join(sorted(self.programs))
            faults.append(Fault("/program", f"must be a program that is set up: {known}"))
        if faults:
            raise refused(faults)

    async def _record(self, holder: Holder, whom: Whom, wish: Wish) -> Answer:
        version = f", wording {wish.record.wording_version}" if wish.record.wording_version else ""
        by = By(
            holder.label, f"recorded by the producer: {wish.record.medium}{version}", Source.WEB
        )
        async with self.pool.connection() as conn:
            answer = await record(conn, whom, wish, by, cell=holder.cell, new_id=self.new_id)
        if isinstance(answer, Unknown):
            raise unavailable(f"not known to be stored: {answer.reason}; send it again")
        if answer.refusal is Refusal.INCOMPLETE:
            rule = f"is required, by {wish.record.medium}, to take an opt-out back"
            raise refused([Fault(f"/{name}", rule) for name in wish.record.missing()])
        if answer.refusal is Refusal.PROVIDER_BLOCKS:
            raise Problem("provider_blocks", f"{WHY[answer.refusal]}; nothing was stored")
        if answer.refusal is Refusal.OPT_OUT_STANDS:
            raise Problem("opt_out_stands", f"{WHY[answer.refusal]}; nothing was stored")
        return answer


def _standing(answer: Answer) -> dict[str, object]:
    standing = answer.standing
    return {
        "added": answer.added,
        "lifted": answer.lifted,
        "blocked": standing.blocked,
        "programs": standing.programs,
        "held": standing.held,
        "consented": standing.consented,
    }


def _shown(address: str, found: Status) -> dict[str, object]:
    row = found.row
    why = [
        {"kind": said.kind, "program": said.program, "source": said.source, "at": said.at}
        for said in [*found.stops, *found.holds]
    ]
    if row.dead_at is not None:
        why.append({"kind": "dead", "program": None, "source": "provider", "at": row.dead_at})
    return {
        "address": address,
        "channel": row.person.channel,
        "blocked": row.standing.blocked,
        "programs": row.standing.programs,
        "held": row.standing.held,
        "consented": row.standing.consented,
        "dead": row.dead_at is not None,
        "changed_at": row.changed_at,
        "why": why,
    }
