"""POST /callbacks/{provider name}: what a provider reports. 2xx only after its commit."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.provider import BadCallback, BadSignature, Callback, Provider
from notifyq.entrypoints.api.problems import Problem, unavailable
from notifyq.entrypoints.api.reading import read_body
from notifyq.services.receive import receive
from notifyq.store.db import Pool, Unknown

_log = logging.getLogger("notifyq.receive")


@dataclass(frozen=True, slots=True)
class CallbackRoute:
    """Verifies on the raw bytes, then stores and applies."""

    providers: Mapping[str, Provider]
    public_url: str  # what the provider called, whatever proxies made of it on the way
    pool: Pool
    new_id: Callable[[], UUID]
    dedupe_days: int

    async def post(self, request: Request) -> Response:
        """Take one callback."""
        provider = self.providers.get(request.path_params["provider"])
        if provider is None:
            raise Problem("not_found", "no provider of this name is configured")
        read = provider.read_callback(await self._callback(request))
        if isinstance(read, BadSignature):
            _log.warning("event=callback.refused provider=%s reason=%s", provider.name, read.reason)
            raise Problem("bad_signature", read.reason)
        if isinstance(read, BadCallback):
            _log.warning("event=callback.unread provider=%s reason=%s", provider.name, read.reason)
            raise Problem("invalid_callback", read.reason)
        async with self.pool.connection() as conn:
            done = await receive(
                conn, provider.name, read, new_id=self.new_id, dedupe_days=self.dedupe_days
            )
        if isinstance(done, Unknown):
            raise unavailable("not known to be stored; send it again")
        _log.info(
            "event=receipt.%s provider=%s delivery=%s status=%s state=%s",
            done.applied.value,
            provider.name,
            done.delivery_id,
            read.status,
            done.state,
        )
        return Response("<Response/>", media_type="text/xml")

    async def _callback(self, request: Request) -> Callback:
        query = request.url.query
        url = f"{self.public_url}{request.url.path}" + (f"?{query}" if query else "")
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Callback(url, headers, await read_body(request))
