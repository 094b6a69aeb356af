"""Child: the same request by aiohttp's own session, as anybody would write it. Argument: port."""

import asyncio
import sys
import time

import aiohttp
import uvloop

from tests.bench.clients_parts.loading import IN_FLIGHT, Request, obey

_ITS_OWN = ("host", "content-length")


class BareAiohttp:
    """One session."""

    def __init__(self, port: int) -> None:
        """Open nothing yet."""
        self._origin = f"http://127.0.0.1:{port}"
        self._url, self._body = self._origin, b""
        self._headers: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    def take(self, request: Request) -> None:
        """Post this, with these fields and no others."""
        [first], *fields, _, [body] = request
        self._url = self._origin + first.split(" ")[1]
        pairs = (line.split(": ", 1) for [line] in fields)
        self._headers = {name: value for name, value in pairs if name.lower() not in _ITS_OWN}
        self._body = body.encode("latin-1")

    async def run(self, until_s: float) -> int:
        """Post until then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=IN_FLIGHT),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        posting = (self._post_until(self._session, until_s) for _ in range(IN_FLIGHT))
        return sum(await asyncio.gather(*posting))

    async def _post_until(self, session: aiohttp.ClientSession, until_s: float) -> int:
        count = 0
        while time.perf_counter() < until_s:
            async with session.post(self._url, data=self._body, headers=self._headers) as answer:
                await answer.read()
            count += 1
        return count


if __name__ == "__main__":
    uvloop.run(obey(BareAiohttp(int(sys.argv[1]))))
