"""Child: a client loop with nothing in it: the worker's bytes, posted by aiohttp's own session.

Arguments: URL, requests, warm-up, in flight. Says "warm", then "done".
"""

import asyncio
import json
import sys

import aiohttp

_FORM = (
    b"To=%2B14155550123&From=%2B15005550006&Body=Your+order+8123+has+shipped+and+arrives+tomorrow"
    b"+between+9+and+12.+Track%3A+nq.example%2F8123&StatusCallback=http%3A%2F%2F127.0.0.1%3A8180%2F"
    b"callbacks%2Fsandbox-sms%3Freference%3D0000cem5vcc6prpkl7fbb6urh5400480002&ValidityPeriod=900"
)
_HEADERS = {
    "Authorization": "Basic QUM1YTlkMGIwYzVhOWQwYjBjNWE5ZDBiMGM1YTlkMGIwYzpzYW5kYm94LXRva2Vu",
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
}


async def main(url: str, count: int, warm: int, in_flight: int) -> None:
    """Post `count` times."""
    begun = 0

    async def post_again(session: aiohttp.ClientSession) -> None:
        nonlocal begun
        while begun < count:
            begun += 1
            if begun == warm:
                say("warm")
            async with session.post(url, data=_FORM, headers=_HEADERS) as answer:
                json.loads(await answer.read())

    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(post_again(session) for _ in range(in_flight)))
    say("done")


def say(word: str) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
