"""APNs' provider API: HTTP/2 in the clear on a port of its own, known beforehand to speak it.

Owns the port and the answers; what happens to a push at the counter is the same everywhere. There
are no callbacks and no list: what became of a push, APNs tells nobody.
"""

import asyncio
import json
import time
from collections.abc import Mapping

from notifyq.sandbox import magic
from notifyq.sandbox.apns.connection import Connection, Stream
from notifyq.sandbox.apns.rules import (
    MAGIC,
    STATUSES,
    Asked,
    apns_id_of,
    judge,
    wrong_path,
)
from notifyq.sandbox.apns.tokens import Team, Tokens
from notifyq.sandbox.counter import Counter, Taken, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.record import Acceptance

VENDOR = "apns"
_HTML = b"<!doctype html><html><body><h1>Something is between us</h1></body></html>"


magic_of = magic.recipients(magic.of_token, MAGIC)


class Apns:
    """The vendor: its port, its team and its connections."""

    def __init__(
        self, counter: Counter, team: Team | None = None, tokens: Tokens | None = None
    ) -> None:
        """team: None for the built-in one. tokens: None for Apple's times."""
        self._counter = counter
        self._team = team or Team()
        self._tokens = tokens or Tokens(self._team)
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Open the port (0: any free one) and return it. OSError: it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._serve, self._connections), host, port
        )
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def close(self) -> None:
        """Close the port and break every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cut()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _serve(self, stream: Stream) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            await self._answer(stream)
        finally:
            self._busy.discard(task)

    async def _answer(self, stream: Stream) -> None:
        apns_id = apns_id_of(stream.fields)
        wrong = wrong_path(stream.fields) or self._wrong_token(stream)
        if wrong:
            return _refuse(stream, apns_id, wrong)
        stream.connection.trust()
        asked = judge(stream.fields, bytes(stream.body), apns_id, self._team.topics)
        if isinstance(asked, str):
            return _refuse(stream, apns_id, asked)
        wanted = Wanted(self._team.team_id, asked.device, asked.topic, asked.reference, asked.body)
        taken = await self._counter.take(
            wanted, apns_id, status="accepted", is_gone=stream.is_gone, tell=_tell_nobody
        )
        return _say(stream, asked, taken)

    def _wrong_token(self, stream: Stream) -> str | None:
        authorization = dict(stream.fields).get("authorization", "")
        return self._tokens.wrong(authorization, stream.connection.seen)


def _say(stream: Stream, asked: Asked, taken: Taken) -> None:
    """Answer what was at the counter, or do what is to go wrong instead."""
    if taken.dropped:
        stream.connection.cut()
    elif taken.fault is None:
        stream.answer(200, {"apns-id": asked.apns_id}, b"")
    else:
        _do_wrong(stream, asked, taken.fault)


def _do_wrong(stream: Stream, asked: Asked, fault: Fault) -> None:
    connection, named = stream.connection, {"apns-id": asked.apns_id}
    match fault.name:
        case "goaway_before_accept":
            connection.leave_before(stream)
        case "goaway_after_accept":
            connection.leave_after()
        case "goaway_then_answer":
            connection.leave_answering()
            stream.answer(200, named, b"")
        case "reset_before_accept" | "reset_after_accept":
            connection.reset(stream, fault.whole("error"))
        case "malformed":  # what a success says is its id
            stream.answer(200, {"apns-id": asked.apns_id[: len(asked.apns_id) // 2]}, b"")
        case "throttle":
            wait_s = fault.whole("retry_after_s")
            more = {"retry-after": f"{wait_s}"} if wait_s else {}
            stream.answer(429, {**named, **more}, _error("TooManyRequests"))
        case "refuse":
            reason = str(fault.code)
            status = fault.whole("status")
            _refuse(stream, asked.apns_id, reason, STATUSES.get(reason, status))
        case _:
            _say_odd(stream, fault, named)


def _say_odd(stream: Stream, fault: Fault, named: Mapping[str, str]) -> None:
    status = fault.whole("status")
    kind = fault.name.partition("_")[0]
    if kind == "redirect":
        stream.answer(status, {"location": "/elsewhere"}, b"")
    elif kind == "html":
        stream.answer(status, {"content-type": "text/html"}, _HTML)
    else:
        reason = "ServiceUnavailable" if status == 503 else "InternalServerError"
        stream.answer(status, named, _error(reason))


def _refuse(stream: Stream, apns_id: str, reason: str, status: int | None = None) -> None:
    status = status or STATUSES[reason]
    since_ms = {"timestamp": int(time.time() * 1_000)} if status == 410 else {}
    stream.answer(status, {"apns-id": apns_id}, _error(reason, **since_ms))


def _error(reason: str, **more: int) -> bytes:
    return json.dumps({"reason": reason, **more}, separators=(",", ":")).encode()


def _tell_nobody(_: Acceptance, __: Fault | None) -> None:
    """APNs has no callbacks."""
