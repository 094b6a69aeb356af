"""Child: a provider's other side with nothing in it: every POST gets Twilio's 201 and a sid.

Argument: milliseconds before it answers. Told `count`, `since N` (markers and arrival times of
those after the Nth, by CLOCK_MONOTONIC in ns) or `port`, it says so. Ends with its parent.
"""

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MARKER = re.compile(rb"~(\d+)~")
_BODY = (
    '{"sid": "SM%032x", "account_sid": "AC5a9d0b0c5a9d0b0c5a9d0b0c5a9d0b0c", "status": "queued",'
    ' "direction": "outbound-api", "from": "+15005550006", "to": "+14155550123", "num_segments":'
    ' "1", "num_media": "0", "price": null, "price_unit": "USD", "error_code": null,'
    ' "error_message": null, "api_version": "2010-04-01", "messaging_service_sid": null,'
    ' "date_created": "Sun, 22 Nov 2026 16:00:00 +0000", "date_sent": null}'
)
_HEAD = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
arrivals: list[tuple[int, int]] = []


class Receiver(asyncio.Protocol):
    """One connection; one request at a time."""

    wait_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with an empty buffer."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._bytes = b""

    def data_received(self, data: bytes) -> None:
        """Answer once head and body are there."""
        self._bytes += data
        head, found, rest = self._bytes.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        if length is None or len(rest) < int(length[1]):
            return
        marker = _MARKER.search(rest)
        arrivals.append((int(marker[1]) if marker else -1, time.monotonic_ns()))
        self._bytes = b""
        body = _BODY % len(arrivals)
        answer = (_HEAD % len(body) + body).encode()
        if self.wait_s:
            asyncio.get_running_loop().call_later(self.wait_s, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def main(wait_s: float) -> None:
    """Serve on a free port until stdin ends."""
    loop = asyncio.get_running_loop()
    Receiver.wait_s = wait_s
    server = await loop.create_server(Receiver, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    over = asyncio.Event()

    def heed() -> None:
        word, *numbers = sys.stdin.readline().split() or ["end"]
        match word:
            case "port":
                say(port)
            case "count":
                say(len(arrivals))
            case "since":
                say(arrivals[int(numbers[0]) :])
            case _:
                over.set()

    loop.add_reader(sys.stdin.fileno(), heed)
    await over.wait()


def say(found: object) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]) / 1_000))
