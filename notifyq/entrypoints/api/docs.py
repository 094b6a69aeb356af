"""GET /docs: the routes and the problems, readable without a script from anywhere.

A problem's `type` points here.
"""

from functools import cache
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from notifyq.entrypoints.api.openapi import document
from notifyq.entrypoints.api.problems import KINDS

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>notifyq API</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #ccc; padding: .4rem; text-align: left; vertical-align: top }}
code {{ font-size: .9em }}
</style></head><body>
<h1>notifyq API</h1>
<p>The whole description: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<h2>Routes</h2><table><tr><th>Route</th><th>Does</th></tr>{routes}</table>
<h2>Problems</h2>
<table><tr><th>Code</th><th>Status</th><th>Meaning</th><th>Retry with the same key?</th>
<th>What to do</th></tr>{problems}</table>
</body></html>
"""


async def serve(_: Request) -> Response:
    """Answer with the page."""
    return HTMLResponse(page())


@cache
def page() -> str:
    """Return the page."""
    routes = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td>"
        f"<td>{escape(operation['summary'])}</td></tr>"
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    )
    problems = "".join(
        f'<tr id="{code}"><td><code>{code}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title)}</td><td>{'yes' if kind.retryable else 'no'}</td>"
        f"<td>{escape(kind.mend)}</td></tr>"
        for code, kind in KINDS.items()
    )
    return _PAGE.format(routes=routes, problems=problems)
