"""Child: producers who POST, each request under a key of its own, over keep-alive connections.

    closed PORT API_KEY CONNECTIONS WARM_S SECONDS   the next as soon as the last is answered
    open   PORT API_KEY RATE WARM_S SECONDS CATEGORY at a fixed rate, whatever the answers take

Closed says "warm", then counts and latencies. Open says [marker, due, answered] of each request,
times by CLOCK_MONOTONIC in ns: a request that had to wait for its turn is as late as it was.
"""

import asyncio
import json
import secrets
import sys
import time
from typing import cast

import uvloop

_RUN = secrets.token_hex(6)
_POOL = 32  # connections of the open loop
_TEXT = "Your order 8123 has shipped and arrives tomorrow between 9 and 12. Ref ~%08d~"
_BODY = (
    '{"recipient": {"id": "customer-%d", "phone": "+1415%07d"}, "category": "%s",'
    ' "content": {"sms": {"body": "' + _TEXT + '"}}, "metadata": {"order": "8123"}}'
)
_HEAD = (
    "POST /v1/notifications HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
    'Content-Type: application/json\r\nIdempotency-Key: "%s-%08d"\r\nContent-Length: %d\r\n\r\n'
)


def request(number: int, key: str, category: str) -> bytes:
    """Return a whole request; its text carries its number."""
    body = _BODY % (number, 2_000_000 + number % 7_000_000, category, number)
    return (_HEAD % (key, _RUN, number, len(body)) + body).encode()


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request on its way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start idle."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._bytes = b""
        self._waiting: asyncio.Future[bool] | None = None

    async def post(self, raw: bytes) -> bool:
        """Send a request; return whether the answer was 202."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        """Wait for head and body."""
        self._bytes += data
        head, found, rest = self._bytes.partition(b"\r\n\r\n")
        if not found or self._waiting is None:
            return
        at = head.lower().index(b"content-length:") + 15
        if len(rest) < int(head[at:].split(b"\r\n", 1)[0]):
            return
        self._bytes = b""
        self._waiting.set_result(head.startswith(b"HTTP/1.1 202"))

    def connection_lost(self, error: Exception | None) -> None:
        """Say so to who waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionError("closed"))


async def connections(port: int, count: int) -> list[Connection]:
    """Open connections to the API."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(count)]


async def closed(port: int, key: str, count: int, warm_s: float, seconds: float) -> None:
    """Keep `count` requests on their way."""
    took_ns: list[int] = []
    bad = number = 0
    warm_ns = time.monotonic_ns() + int(warm_s * 1e9)
    end_ns = warm_ns + int(seconds * 1e9)

    async def produce(connection: Connection) -> None:
        nonlocal bad, number
        while (began_ns := time.monotonic_ns()) < end_ns:
            number += 1
            good = await connection.post(request(number, key, "order.shipped"))
            now_ns = time.monotonic_ns()
            if began_ns >= warm_ns and now_ns <= end_ns:
                took_ns.append(now_ns - began_ns)
                bad += not good

    tasks = [asyncio.create_task(produce(c)) for c in await connections(port, count)]
    await asyncio.sleep(warm_s)
    say("warm")
    await asyncio.sleep((end_ns - time.monotonic_ns()) / 1e9)
    took_ns.sort()
    found = {f"p{p}_ms": took_ns[len(took_ns) * p // 100] / 1e6 for p in (50, 99)}
    say({"count": len(took_ns), "bad": bad, **found})
    await asyncio.gather(*tasks)


async def open_loop(
    port: int, key: str, rate: float, warm_s: float, seconds: float, category: str
) -> None:
    """Send at a fixed rate; the warm-up's requests are not told."""
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in await connections(port, _POOL):
        idle.put_nowait(connection)
    found: list[tuple[int, int, int]] = []
    base = secrets.randbelow(90_000_000)  # numbers of several runs at one receiver are told apart

    async def one(number: int, due_ns: int) -> None:
        connection = await idle.get()
        if not await connection.post(request(base + number, key, category)):
            raise RuntimeError("a request was not accepted")
        found.append((base + number, due_ns, time.monotonic_ns()))
        idle.put_nowait(connection)

    began_ns = time.monotonic_ns()
    warm = int(warm_s * rate)
    tasks = []
    for number in range(warm + int(seconds * rate)):
        due_ns = began_ns + int(number * 1e9 / rate)
        await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        tasks.append(asyncio.create_task(one(number, due_ns)))
    await asyncio.gather(*tasks)
    say([row for row in found if row[0] >= base + warm])


def say(found: object) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    mode, port_, key_, *rest_ = sys.argv[1:]
    if mode == "closed":
        uvloop.run(closed(int(port_), key_, int(rest_[0]), float(rest_[1]), float(rest_[2])))
    else:
        rate_, warm_, seconds_ = map(float, rest_[:3])
        uvloop.run(open_loop(int(port_), key_, rate_, warm_, seconds_, rest_[3]))
