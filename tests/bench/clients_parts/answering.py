"""What every receiver is asked, on stdin: `port` and `request` (the last one)."""

import asyncio
import json
import sys
from collections.abc import Callable


async def answer(
    protocol: Callable[[], asyncio.Protocol], request: Callable[[], list[list[str]]]
) -> None:
    """Serve on a free port until stdin ends. request: the last one's lines or fields."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    over = asyncio.Event()

    def heed() -> None:
        match sys.stdin.readline().strip():
            case "port":
                say(port)
            case "request":
                say(request())
            case _:
                over.set()

    loop.add_reader(sys.stdin.fileno(), heed)
    await over.wait()


def say(found: object) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
