"""GET and POST /u/{token}: one-click unsubscribe (RFC 8058).

GET shows a page with a button and changes nothing: scanners fetch every link of a mail. POST acts
when its body is the one of the RFC, which mail programs send, and the page's button too. No login,
no cookie, no redirect; a token is good for ever.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from notifyq.domain.consent import brand_of
from notifyq.entrypoints.api.problems import Problem, unavailable
from notifyq.entrypoints.api.reading import Limit, read_body
from notifyq.services.unsubscribe import find, leave
from notifyq.store.db import Pool, Unknown
from notifyq.store.unsubscribe import Token

_LIMIT = Limit(4_096)  # the body has 26 bytes, or a few hundred as a form of several parts
_ONE_CLICK = ("List-Unsubscribe", "One-Click")
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<body style="font: 1.1rem/1.5 system-ui; max-width: 30rem; margin: 4rem auto; padding: 0 1rem">
<h1>{title}</h1><p>{text}</p>{more}</body></html>
"""
_BUTTON = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button style="font: inherit; padding: .5rem 1rem">Unsubscribe</button></form>'
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the token is in the address
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class UnsubscribeRoute:
    """Needs no key: who has the token has the mail."""

    pool: Pool
    new_id: Callable[[], UUID]

    async def one(self, request: Request) -> Response:
        """Show the page, or unsubscribe."""
        return await (self._post if request.method == "POST" else self._get)(request)

    async def _get(self, request: Request) -> Response:
        """Show what a POST would do."""
        token = await self._token(request)
        what = html.escape(f"{brand_of(token.person.brand)} ({token.program})")
        text = f"You will get no more mail of this kind from <b>{what}</b>."
        return _page("Unsubscribe?", text, _BUTTON)

    async def _post(self, request: Request) -> Response:
        """Unsubscribe; doing it again changes nothing."""
        token = await self._token(request)
        if not await _is_one_click(request):
            raise Problem("invalid_request", "the body must be List-Unsubscribe=One-Click")
        async with self.pool.connection() as conn:
            left = await leave(conn, token, self.new_id)
        if isinstance(left, Unknown):
            raise unavailable("not known to be stored; send it again")
        return _page("Unsubscribed", "You will get no more mail of this kind.", "")

    async def _token(self, request: Request) -> Token:
        async with self.pool.connection() as conn:
            token = await find(conn, request.path_params["token"])
        if token is None:
            raise Problem("not_found", "this link is none of ours: copy all of it")
        return token


async def _is_one_click(request: Request) -> bool:
    body = (await read_body(request, _LIMIT)).decode("utf-8", "replace")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":  # RFC 8058 section 3.1 allows both
        squeezed = body.replace("\r\n", "\n")
        return 'name="List-Unsubscribe"\n\nOne-Click\n' in squeezed
    return _ONE_CLICK in parse_qsl(body.strip())


def _page(title: str, text: str, more: str) -> Response:
    return HTMLResponse(_PAGE.format(title=title, text=text, more=more), headers=_HEADERS)
