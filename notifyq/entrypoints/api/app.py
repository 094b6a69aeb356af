"""The HTTP side: routes, health, and the one place where an error becomes an answer."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from notifyq.entrypoints.api import docs, openapi
from notifyq.entrypoints.api.batch import BatchRoute
from notifyq.entrypoints.api.callbacks import CallbackRoute
from notifyq.entrypoints.api.cancel import CancelRoute
from notifyq.entrypoints.api.consents import ConsentRoutes
from notifyq.entrypoints.api.dead_letters import DeadLetterRoutes
from notifyq.entrypoints.api.encoded import EncodedRoute
from notifyq.entrypoints.api.explaining import ExplainRoute
from notifyq.entrypoints.api.notifications import NotificationRoutes
from notifyq.entrypoints.api.preferences import PreferenceRoutes
from notifyq.entrypoints.api.problems import Problem, answer, unavailable
from notifyq.entrypoints.api.recipients import RecipientRoutes
from notifyq.entrypoints.api.templates import TemplateRoutes
from notifyq.entrypoints.api.unsubscribe import UnsubscribeRoute

_log = logging.getLogger("notifyq.api")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of, once there is an event loop."""

    notifications: NotificationRoutes
    batch: BatchRoute
    cancel: CancelRoute
    dead_letters: DeadLetterRoutes
    templates: TemplateRoutes
    consents: ConsentRoutes
    explain: ExplainRoute
    recipients: RecipientRoutes
    preferences: PreferenceRoutes
    callbacks: CallbackRoute
    unsubscribe: UnsubscribeRoute
    ready: Callable[[], Awaitable[str | None]]  # None, or why this process should get no requests


Build = Callable[[], AbstractAsyncContextManager[Parts]]


def create_app(build: Build) -> Starlette:
    """Return the application; `build` opens what it needs when the server starts."""
    parts: list[Parts] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with build() as built:
            parts.append(built)
            yield
            parts.clear()

    def through(pick: Callable[[Parts], Handler]) -> Handler:
        async def handler(request: Request) -> Response:
            return await pick(parts[0])(request)

        return handler

    async def readyz(_: Request) -> Response:
        why_not = await parts[0].ready()
        status = {"status": "ready"} if why_not is None else {"status": "passive", "why": why_not}
        return JSONResponse(status, 200 if why_not is None else 503)

    routes = [
        *_v1(through),
        _route("/callbacks/{provider}", through(lambda p: p.callbacks.post), "POST"),
        _route("/u/{token}", through(lambda p: p.unsubscribe.one), "GET", "POST"),
        _route("/healthz", _healthz, "GET"),
        _route("/readyz", readyz, "GET"),
        _route("/openapi.json", openapi.serve, "GET"),
        _route("/docs", docs.serve, "GET"),
    ]
    handlers = {HTTPException: _http_error, Exception: _http_error}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    # A redirect would go to whatever scheme and host a proxy made of the request, key and all.
    app.router.redirect_slashes = False
    return app


def _v1(through: Callable[[Callable[[Parts], Handler]], Handler]) -> list[Route]:
    """Return what producers use."""
    return [
        _route("/v1/notifications", through(lambda p: p.notifications.post), "POST"),
        _route("/v1/notifications/batch", through(lambda p: p.batch.post), "POST"),
        _route("/v1/notifications/{id}", through(lambda p: p.notifications.get), "GET"),
        _route(
            "/v1/notifications/{id}/deliveries",
            through(lambda p: p.notifications.deliveries),
            "GET",
        ),
        _route(
            "/v1/notifications/{id}/timeline", through(lambda p: p.notifications.timeline), "GET"
        ),
        _route("/v1/notifications/{id}/cancel", through(lambda p: p.cancel.post), "POST"),
        _route("/v1/dead-letters", through(lambda p: p.dead_letters.get), "GET"),
        _route("/v1/dead-letters/redrive", through(lambda p: p.dead_letters.redrive), "POST"),
        _route("/v1/templates/{name}", through(lambda p: p.templates.one), "GET", "PUT"),
        _route("/v1/templates/{name}/render", through(lambda p: p.templates.render), "POST"),
        _route("/v1/consents", through(lambda p: p.consents.post), "POST"),
        _route("/v1/suppressions/lookup", through(lambda p: p.consents.look_up), "POST"),
        _route("/v1/explain", through(lambda p: p.explain.get), "GET"),
        _person("", through(lambda p: p.recipients.one), "PUT", "GET", "DELETE"),
        _person("/merge", through(lambda p: p.recipients.merge), "POST"),
        _person("/preferences", through(lambda p: p.preferences.one), "GET", "PATCH"),
    ]


def _route(path: str, handler: Handler, *methods: str) -> Route:
    return Route(path, _answering(handler), methods=list(methods))


def _person(what: str, handler: Handler, *methods: str) -> Route:
    path = "/v1/recipients/{id}" + what
    return EncodedRoute(path, _answering(handler), methods=list(methods))


# A session that froze in a transaction was ended by the server: an InternalError to psycopg.
_AWAY = (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout)


def _answering(handler: Handler) -> Handler:
    """Turn what is raised below into a problem, in one place."""

    async def answering(request: Request) -> Response:
        request_id = request.state.request_id = _request_id(request)
        try:
            response = await handler(request)
        except Problem as problem:
            return answer(problem, request_id)
        except (*_AWAY, PoolTimeout) as error:
            _log.error("event=request.failed request_id=%s error=%s", request_id, error)
            return answer(unavailable("the database does not answer"), request_id)
        response.headers["X-Request-Id"] = request_id
        return response

    return answering


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return (
        given if given.isascii() and given.isprintable() and 0 < len(given) <= 64 else uuid4().hex
    )


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "internal")
    detail = f"{request.method} {request.url.path}"
    response = answer(Problem(code, detail), _request_id(request))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response
