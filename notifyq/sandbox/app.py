"""The sandbox: the vendors on one HTTP port, and the questions and faults one may put to it.

Owns the routes under /sandbox and the server. It is an aiohttp server, not an ASGI one: only with
the transport at hand can a connection really be broken, and only with `handler_cancellation` does
a held request end when its client dies.
"""

import asyncio
import json
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from notifyq.sandbox.faults import BadScript, Faults, Holds, show
from notifyq.sandbox.record import Acceptance, Record
from notifyq.sandbox.twilio import VENDOR as TWILIO
from notifyq.sandbox.twilio import Twilio
from notifyq.sandbox.twilio_callbacks import DELAY_S, Callbacks
from notifyq.sandbox.twilio_rules import Account

LIMIT, LIMIT_MAX = 100, 1_000  # rows of one page of /sandbox/messages
_MESSAGES_PARAMETERS = frozenset({"vendor", "to", "reference", "limit", "cursor"})


async def serve(
    host: str = "127.0.0.1",
    port: int = 8190,
    *,
    store: Path | None = None,
    accounts: Iterable[Account] = (),
    callback_delay_s: float = DELAY_S,
    ready: Callable[[], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; `ready` is called once the port is open.

    OSError: the port is taken, or the store cannot be read or written.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    record = Record(store)
    app = create_app(record, accounts=accounts, callback_delay_s=callback_delay_s)
    runner = await start(app, host, port)
    try:
        if ready is not None:
            ready()
        await stop.wait()
    finally:
        await runner.cleanup()
        record.close()


def create_app(
    record: Record, *, accounts: Iterable[Account] = (), callback_delay_s: float = DELAY_S
) -> web.Application:
    """Return the application; `start` runs it.

    accounts: beside the built-in one; an Account with the built-in sid replaces it.
    """
    faults, holds = Faults(), Holds()
    callbacks = Callbacks(record, delay_s=callback_delay_s)
    twilio = Twilio(record, faults, holds, callbacks, [Account(), *accounts])
    control = _Control(record, faults, holds)
    app = web.Application()
    app.add_routes(control.routes())
    for route in twilio.routes():
        app.router.add_route(route.method, f"/{TWILIO}{route.path}", route.handler)

    async def close(_: web.Application) -> None:
        holds.release()
        await callbacks.close()

    app.on_shutdown.append(close)
    return app


async def start(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Open the port (0: any free one, see `runner.addresses`) and return what runs it."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


class _Control:
    """The routes that are the sandbox's own."""

    def __init__(self, record: Record, faults: Faults, holds: Holds) -> None:
        self._record, self._faults, self._holds = record, faults, holds

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.health),
            web.get("/sandbox/messages", self.messages),
            web.get("/sandbox/faults", self.list_faults),
            web.post("/sandbox/faults", self.add_fault),
            web.delete("/sandbox/faults", self.clear_faults),
            web.get("/sandbox/held", self.held),
            web.delete("/sandbox/held", self.release),
        ]

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def messages(self, request: web.Request) -> web.Response:
        query = request.query
        unknown = query.keys() - _MESSAGES_PARAMETERS
        if unknown:
            return _unprocessable(min(unknown), "not a parameter")
        limit, cursor = query.get("limit", str(LIMIT)), query.get("cursor", "0")
        if not limit.isdecimal() or not 1 <= int(limit) <= LIMIT_MAX:
            return _unprocessable("limit", f"a whole number from 1 to {LIMIT_MAX}")
        if not cursor.isdecimal():
            return _unprocessable("cursor", "not a cursor")
        wanted = {name: query[name] for name in ("vendor", "to", "reference") if name in query}
        found, following = self._record.page(wanted, start=int(cursor), limit=int(limit))
        next_cursor = None if following is None else str(following)
        return web.json_response({"data": [_row(e) for e in found], "next_cursor": next_cursor})

    async def list_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [show(script) for script in self._faults]})

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            script = self._faults.add(json.loads(await request.read()))
        except BadScript as error:
            return _unprocessable(error.field, str(error))
        except ValueError:
            return _unprocessable("", "not JSON")
        return web.json_response(show(script), status=201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)

    async def held(self, _: web.Request) -> web.Response:
        return web.json_response({"data": list(self._holds)})

    async def release(self, _: web.Request) -> web.Response:
        return web.json_response({"released": self._holds.release()})


def _row(entry: Acceptance) -> Mapping[str, object]:
    row = asdict(entry)
    row["from"] = row.pop("sender")
    del row["account"]
    return row


def _unprocessable(field: str, message: str) -> web.Response:
    return web.json_response({"field": field, "message": message}, status=422)
