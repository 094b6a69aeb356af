"""What one may ask the sandbox and tell it: messages, faults, holds, webhooks, texts to us.

Owns the routes under /sandbox.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict

from aiohttp import web

from notifyq.sandbox.record import Acceptance
from notifyq.sandbox.scripts import BadScript, show
from notifyq.sandbox.vendors import HEARD, Floor
from notifyq.sandbox.webhooks import BadWebhook

LIMIT, LIMIT_MAX = 100, 1_000  # rows of one page of /sandbox/messages
_MESSAGES_PARAMETERS = frozenset({"vendor", "to", "reference", "limit", "cursor"})


class Control:
    """The routes that are the sandbox's own."""

    def __init__(self, floor: Floor) -> None:
        self._record, self._faults, self._holds = floor.record, floor.faults, floor.holds
        self._webhooks, self._teller = floor.webhooks, floor.teller

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.health),
            web.get("/sandbox/messages", self.messages),
            web.get("/sandbox/faults", self.list_faults),
            web.post("/sandbox/faults", self.add_fault),
            web.delete("/sandbox/faults", self.clear_faults),
            web.get("/sandbox/webhooks", self.list_webhooks),
            web.post("/sandbox/webhooks", self.set_webhook),
            web.post("/sandbox/inbound", self.write_to_us),
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

    async def list_webhooks(self, _: web.Request) -> web.Response:
        return web.json_response({"data": self._webhooks.all()})

    async def set_webhook(self, request: web.Request) -> web.Response:
        try:
            data = json.loads(await request.read())
            self._webhooks.set(str(data["vendor"]), str(data["url"]))
        except BadWebhook as error:
            field, _, message = str(error).partition(": ")
            return _unprocessable(field, message)
        except (ValueError, TypeError, KeyError):
            return _unprocessable("", "a JSON object with vendor and url")
        return web.json_response(data, status=201)

    async def write_to_us(self, request: web.Request) -> web.Response:
        """Let somebody send a text to one of an account's numbers."""
        try:
            data = json.loads(await request.read())
            vendor, sender, to, body = (str(data[n]) for n in ("vendor", "from", "to", "body"))
        except (ValueError, TypeError, KeyError):
            return _unprocessable("", "a JSON object with vendor, from, to and body")
        if vendor not in HEARD:
            return _unprocessable("vendor", f"one of {', '.join(HEARD)}")
        url = self._webhooks.url_of(vendor)
        if url is None:
            return _unprocessable("vendor", "has no webhook: POST one to /sandbox/webhooks")
        status = await self._teller.post(HEARD[vendor](url, sender=sender, to=to, body=body))
        return web.json_response({"answered": status}, status=201)

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
