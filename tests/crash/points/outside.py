"""What outlives every worker: the sandbox, the network before it, and the box callbacks end in.

The network passes requests on, answers and broken connections back. A request whose text was
named is held until it is released, whatever becomes of its client: so it arrives late, as one
does that a router kept. Callbacks are kept here as they came, byte for byte; no API runs during
a fault, and recovery hands them to production code when it is their turn.
"""

import asyncio
import json
import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

from notifyq.sandbox.app import create_app, start
from notifyq.sandbox.record import Record
from notifyq.sandbox.twilio.rules import SENDER

CALLBACK_DELAY_S = 0.01
NAME = "main"  # the provider's, in the URL of its callbacks
CASE_DIGITS = 10  # of a number: all but the last two are the case's own


class Net:
    """The network and the box."""

    def __init__(self, sandbox: str, record: Record) -> None:
        self._sandbox = sandbox
        self._record = record
        self._read = 0  # entries of the record that are in _taken
        self._taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._late: set[str] = set()
        self._slow: dict[str, float] = {}
        self._held: dict[str, tuple[asyncio.Event, asyncio.Task[web.Response | None]]] = {}
        self._box: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._session = aiohttp.ClientSession()

    def app(self) -> web.Application:
        made = web.Application()
        made.router.add_route("*", "/twilio/{path:.*}", self.pass_on)
        made.router.add_post("/callbacks/{name}", self.keep)
        made.router.add_get("/case", self.show)
        made.router.add_post("/late", self.make_late)
        made.router.add_post("/slow", self.make_slow)
        made.router.add_post("/release", self.release)
        return made

    async def pass_on(self, request: web.Request) -> web.Response:
        raw = await request.read()
        text = parse_qs(raw.decode()).get("Body", [""])[0]
        headers = {
            name: request.headers[name]
            for name in ("Authorization", "Content-Type", "Accept")
            if name in request.headers
        }
        call = self._forward(request.method, request.path_qs, headers, raw)
        if text in self._late:
            self._late.discard(text)
            gate = asyncio.Event()
            task = asyncio.create_task(self._after(gate, call))
            self._held[text] = (gate, task)
            answer = await asyncio.shield(task)
        else:
            answer = await call
        await asyncio.sleep(self._slow.pop(text, 0.0))
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return answer

    async def keep(self, request: web.Request) -> web.Response:
        raw = await request.read()
        form = parse_qs(raw.decode())
        to = form["From" if form["To"] == [SENDER] else "To"][0]
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._box[to[:CASE_DIGITS]].append(
            {"path": request.path_qs, "headers": headers, "body": raw.decode("latin-1")}
        )
        return web.Response(status=204)

    async def show(self, request: web.Request) -> web.Response:
        """What was taken for a case's numbers, and the callbacks about it, in their order."""
        entries, _ = self._record.page({}, start=self._read, limit=1_000_000)
        self._read += len(entries)
        for entry in entries:
            self._taken[entry.to[:CASE_DIGITS]].append(asdict(entry))
        case = f"+{request.query['case']}"
        return web.json_response(
            {"taken": self._taken.get(case, []), "box": self._box.get(case, [])}
        )

    async def make_late(self, request: web.Request) -> web.Response:
        self._late.add((await request.json())["text"])
        return web.json_response({})

    async def make_slow(self, request: web.Request) -> web.Response:
        about = await request.json()
        self._slow[about["text"]] = about["delay_s"]
        return web.json_response({})

    async def release(self, request: web.Request) -> web.Response:
        """Let held requests arrive, of those that are named; answered once they have."""
        named = (await request.json())["texts"]
        held = [self._held.pop(text) for text in named if text in self._held]
        for gate, task in held:
            gate.set()
            await asyncio.wait([task])
        return web.json_response({"released": len(held)})

    async def _after(self, gate: asyncio.Event, call: Any) -> web.Response | None:
        await gate.wait()
        answered: web.Response | None = await call
        return answered

    async def _forward(
        self, method: str, path: str, headers: dict[str, str], raw: bytes
    ) -> web.Response | None:
        """Return the vendor's answer; None if it broke the connection."""
        with suppress(aiohttp.ClientError):
            async with self._session.request(
                method, self._sandbox + path, headers=headers, data=raw or None
            ) as found:
                kept = {k: v for k, v in found.headers.items() if k == "Retry-After"}
                return web.Response(
                    status=found.status,
                    body=await found.read(),
                    headers=kept,
                    content_type=found.content_type,
                )
        return None


async def serve() -> None:
    """Open both ports, say which on stdout, and run until stdin ends."""
    record = Record()
    sandbox = await start(create_app(record, callback_delay_s=CALLBACK_DELAY_S), "127.0.0.1", 0)
    where = f"http://127.0.0.1:{sandbox.addresses[0][1]}"
    net = await start(Net(where, record).app(), "127.0.0.1", 0)
    there = f"http://127.0.0.1:{net.addresses[0][1]}"
    await _texts_to(where, f"{there}/callbacks/{NAME}")
    print(json.dumps({"sandbox": where, "net": there}))
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _texts_to(sandbox: str, url: str) -> None:
    """Have the vendor call there when somebody writes to one of our numbers."""
    webhook = {"vendor": "twilio", "url": url}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox}/sandbox/webhooks", json=webhook) as answer,
    ):
        answer.raise_for_status()


if __name__ == "__main__":
    asyncio.run(serve())
