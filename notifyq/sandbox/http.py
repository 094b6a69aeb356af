"""What the vendors that speak HTTP/1.1 have in common: breaking a connection, odd answers."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from notifyq.sandbox.counter import Taken
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.record import Acceptance

_HTML = "<!doctype html><html><body><h1>Something is between us</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Shapes:
    """How a vendor says things: each makes an answer."""

    accepted: Callable[[Acceptance], web.Response]
    refused: Callable[[Fault], web.Response]  # `refuse` and `throttle`
    failed: Callable[[int], web.Response]  # a 5xx status


def answer(request: web.Request, taken: Taken, shapes: Shapes) -> web.Response:
    """Return the answer to a message that was at the counter."""
    fault, entry = taken.fault, taken.entry
    if taken.dropped:
        return drop(request)
    if fault is None or entry is None:
        return _unaccepted(fault, shapes) if entry is None else shapes.accepted(entry)
    if fault.name == "malformed":
        good = shapes.accepted(entry)
        cut = bytes(good.body[: len(good.body) // 2]) if isinstance(good.body, bytes) else b"{"
        return web.Response(status=good.status, body=cut, content_type="application/json")
    return _odd(fault) or shapes.failed(fault.whole("status"))


def is_gone(request: web.Request) -> bool:
    """Whether the client has hung up."""
    # The cancellation that a lost connection brings comes one turn of the loop later.
    return request.transport is None or request.transport.is_closing()


def drop(request: web.Request) -> web.Response:
    """Break the connection under the server; the answer goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _unaccepted(fault: Fault | None, shapes: Shapes) -> web.Response:
    if fault is None:
        raise ValueError("nothing was accepted and nothing went wrong")
    if fault.name in ("refuse", "throttle"):
        return shapes.refused(fault)
    return _odd(fault) or shapes.failed(fault.whole("status"))


def _odd(fault: Fault) -> web.Response | None:
    """Return an answer that no vendor gives; None if the fault is another one."""
    kind = fault.name.partition("_")[0]
    if kind == "redirect":
        return web.Response(status=fault.whole("status"), headers={"Location": "/elsewhere"})
    if kind == "html":
        return web.Response(status=fault.whole("status"), text=_HTML, content_type="text/html")
    return None
