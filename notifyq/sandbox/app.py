"""The sandbox: the vendors on one HTTP port, and what one may ask it and tell it (`control`).

Owns the server. It is an aiohttp server, not an ASGI one: only with
the transport at hand can a connection really be broken, and only with `handler_cancellation` does
a held request end when its client dies.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from aiohttp import web

from notifyq.sandbox.control import Control
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.telling import DELAY_S, Teller
from notifyq.sandbox.twilio.rules import Account
from notifyq.sandbox.vendors import Floor, listeners, vendors
from notifyq.sandbox.webhooks import Webhooks

PORTS = web.AppKey("ports", dict[str, int])  # of the vendors with a port of their own


async def serve(
    host: str = "127.0.0.1",
    port: int = 8190,
    *,
    store: Path | None = None,
    accounts: Iterable[Account] = (),
    webhooks: Mapping[str, str] | None = None,
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
    app = create_app(
        record,
        accounts=accounts,
        webhooks=webhooks,
        callback_delay_s=callback_delay_s,
        listen=(host, (port + 1, port + 2)),
    )
    runner = await start(app, host, port)
    try:
        if ready is not None:
            ready()
        await stop.wait()
    finally:
        await runner.cleanup()
        record.close()


def create_app(
    record: Record,
    *,
    accounts: Iterable[Account] = (),
    webhooks: Mapping[str, str] | None = None,
    callback_delay_s: float = DELAY_S,
    listen: tuple[str, tuple[int, int]] | None = None,
) -> web.Application:
    """Return the application; `start` runs it.

    accounts: of Twilio, beside the built-in one; an Account with the built-in sid replaces it.
    webhooks: where vendors send the events of an account: BadWebhook. listen: a host, and ports
    for APNs and SMTP (0: any free one, see app[PORTS]); None: neither is there.
    """
    teller = Teller(record, delay_s=callback_delay_s)
    floor = Floor(record, Faults(), Holds(), teller, Webhooks())
    for vendor, url in (webhooks or {}).items():
        floor.webhooks.set(vendor, url)
    app = web.Application()
    app.add_routes(Control(floor).routes())
    for prefix, served in vendors(floor, [Account(), *accounts]).items():
        for route in served.routes():
            app.router.add_route(route.method, f"/{prefix}{route.path}", route.handler)

    async def close(_: web.Application) -> None:
        floor.holds.release()
        await teller.close()

    app.on_shutdown.append(close)
    app[PORTS] = {}
    if listen is not None:
        app.cleanup_ctx.append(partial(_listening, floor=floor, listen=listen))
    return app


async def _listening(
    app: web.Application, floor: Floor, listen: tuple[str, tuple[int, int]]
) -> AsyncIterator[None]:
    """Open the ports of the vendors that speak no HTTP/1.1, and close them at the end."""
    host, ports = listen
    async with AsyncExitStack() as stack:
        for (name, listener), port in zip(listeners(floor).items(), ports, strict=True):
            app[PORTS][name] = await listener.start(host, port)
            stack.push_async_callback(listener.close)
        yield


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
