"""Child: producers who POST batches, each item under a key of its own, by kept connections.

    PORT API_KEY CONNECTIONS ITEMS WARM_S SECONDS

Says "warm", then how many notifications were accepted, how many items were not, and latencies.
"""

import asyncio
import sys
import time

import orjson
import uvloop

from tests.bench.load import say

_HEAD = (
    "POST /v1/notifications/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_TEXT = "Your order 8123 has shipped and arrives tomorrow between 9 and 12. Ref ~%08d~"


def request(number: int, key: str, items: int, run: str) -> bytes:
    """Return a whole request."""
    first = number * items
    notifications = [
        {
            "idempotency_key": f"{run}-{n:08d}",
            "recipient": {"id": f"customer-{n}", "phone": f"+1415{2_000_000 + n % 7_000_000}"},
            "category": "order.shipped",
            "content": {"sms": {"body": _TEXT % n}},
            "metadata": {"order": "8123"},
        }
        for n in range(first, first + items)
    ]
    body = orjson.dumps({"notifications": notifications})
    return (_HEAD % (key, len(body))).encode() + body


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes
) -> tuple[int, int]:
    """Send a request; return how many items were accepted, and how many not."""
    writer.write(raw)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.index(b"content-length:") + 15
    body = await reader.readexactly(int(head[at:].split(b"\r\n", 1)[0]))
    if not head.startswith(b"http/1.1 200"):
        return 0, 1
    good = body.count(b'"status":202')
    return good, body.count(b'"index":') - good


async def main(port: int, key: str, count: int, items: int, warm_s: float, seconds: float) -> None:
    """Keep `count` batches on their way."""
    run = f"{time.time_ns():x}"
    took_ns: list[int] = []
    accepted = bad = number = 0
    warm_ns = time.monotonic_ns() + int(warm_s * 1e9)
    end_ns = warm_ns + int(seconds * 1e9)

    async def produce() -> None:
        nonlocal accepted, bad, number
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        while time.monotonic_ns() < end_ns:
            number += 1
            raw = request(number, key, items, run)
            began_ns = time.monotonic_ns()
            good, not_good = await exchange(reader, writer, raw)
            now_ns = time.monotonic_ns()
            if warm_ns <= now_ns <= end_ns:
                took_ns.append(now_ns - began_ns)
                accepted, bad = accepted + good, bad + not_good
        writer.close()

    tasks = [asyncio.create_task(produce()) for _ in range(count)]
    await asyncio.sleep(warm_s)
    say("warm")
    await asyncio.sleep((end_ns - time.monotonic_ns()) / 1e9)
    took_ns.sort()
    found = {f"p{p}_ms": took_ns[len(took_ns) * p // 100] / 1e6 for p in (50, 99) if took_ns}
    say({"count": accepted, "bad": bad, **found})
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    port_, key_, connections_, items_, *times_ = sys.argv[1:]
    warm_, seconds_ = map(float, times_)
    uvloop.run(main(int(port_), key_, int(connections_), int(items_), warm_, seconds_))
