"""POST /callbacks/{provider name}: what a provider reports. 2xx only after its commit."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.listening import Line
from notifyq.domain.model import Inbound, Receipt
from notifyq.domain.provider import (
    BadCallback,
    BadSignature,
    Callback,
    Provider,
    Reading,
    Reported,
    Unverified,
)
from notifyq.entrypoints.api.problems import Problem, unavailable
from notifyq.entrypoints.api.reading import Limit, read_body
from notifyq.services import bounces
from notifyq.services.hear import Ear, hear
from notifyq.services.receive import receive
from notifyq.store.db import Conn, Pool, Unknown

# SendGrid gathers events up to 768 KB into one request; the others' are a few KB.
_LIMIT = Limit(1_048_576)
_AGAIN = "not known to be stored; send it again"

_log = logging.getLogger("notifyq.receive")


@dataclass(frozen=True, slots=True)
class CallbackRoute:
    """Verifies on the raw bytes, then stores and applies."""

    providers: Mapping[str, Provider]
    public_url: str  # what the provider called, whatever proxies made of it on the way
    pool: Pool
    cell: int
    new_id: Callable[[], UUID]
    dedupe_days: int
    line: Callable[[str, str], Line]  # (provider, our number) -> whose number it is
    ear: Ear

    async def post(self, request: Request) -> Response:
        """Take one callback."""
        provider = self.providers.get(request.path_params["provider"])
        if provider is None:
            raise Problem("not_found", "no provider of this name is configured")
        reading = await provider.read_callback(await self._callback(request))
        reported = _believed(provider.name, reading)
        async with self.pool.connection() as conn:
            for receipt in reported.receipts:
                await self._receive(conn, provider.name, receipt)
            for inbound in reported.inbound:
                await self._hear(conn, provider.name, inbound)
        media_type = "text/xml" if reported.thanks else None
        return Response(reported.thanks, media_type=media_type)

    async def _receive(self, conn: Conn, provider: str, receipt: Receipt) -> None:
        done = await receive(
            conn, provider, receipt, new_id=self.new_id, dedupe_days=self.dedupe_days
        )
        if isinstance(done, Unknown):
            raise unavailable(_AGAIN)
        news = done.delivery_id and bounces.of_receipt(done.delivery_id, receipt)
        # Whatever its rank: mail bounces after it was delivered, too. An objection with every copy:
        # whether the first one's was written, the receipt that is kept does not tell.
        if news and (done.fresh or bounces.is_objection(news)):
            kept = await bounces.keep(conn, [news], cell=self.cell, new_id=self.new_id)
            if isinstance(kept, Unknown):
                raise unavailable(_AGAIN)
        _log.info(
            "event=receipt.%s provider=%s delivery=%s status=%s state=%s",
            done.applied.value,
            provider,
            done.delivery_id,
            receipt.status,
            done.state,
        )

    async def _hear(self, conn: Conn, provider: str, inbound: Inbound) -> None:
        heard = await hear(conn, provider, inbound, self.line(provider, inbound.to), self.ear)
        if isinstance(heard, Unknown):
            raise unavailable(_AGAIN)
        _log.info(
            "event=inbound.%s provider=%s id=%s intent=%s rule=%s reply=%s",
            "heard" if heard.fresh else "known",
            provider,
            inbound.provider_id,
            heard.intent.value,
            heard.rule,
            heard.reply,
        )

    async def _callback(self, request: Request) -> Callback:
        query = request.url.query
        url = f"{self.public_url}{request.url.path}" + (f"?{query}" if query else "")
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Callback(url, headers, await read_body(request, _LIMIT))


def _believed(provider: str, reading: Reading) -> Reported:
    """Return what a callback reports; Problem if it cannot be believed or read."""
    match reading:
        case Reported():
            return reading
        case BadSignature(reason):
            _log.warning("event=callback.refused provider=%s reason=%s", provider, reason)
            raise Problem("bad_signature", reason)
        case BadCallback(reason):
            _log.warning("event=callback.unread provider=%s reason=%s", provider, reason)
            raise Problem("invalid_callback", reason)
        case Unverified(reason):
            _log.warning("event=callback.unverified provider=%s reason=%s", provider, reason)
            raise unavailable(f"not verified: {reason}; send it again")
        case never:
            assert_never(never)
