"""One request to a callback URL, what it deserves, and the ways to send it."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from itertools import islice, product
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from starlette.applications import Starlette

PUBLIC_URL = "https://notify.example.org"
_CONTROLS = bytes(n for n in [*range(32), 127] if n != 9)
_NO_CONTROLS = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))
_SPELLINGS_MAX = 64  # of a request with headers that are there twice
_PIECE_BYTES = 700  # of a body that comes in pieces


@dataclass(frozen=True, slots=True)
class Shot:
    """A request as it stands on the wire: the path is escaped, names of headers are as sent."""

    account: str  # who made it, before it was changed
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    how: tuple[str, ...] = ()  # what was changed, in order; empty: nothing
    whole: bool = True  # its signature was made over what is sent
    method: str = "POST"
    in_pieces: bool = False

    def but(self, how: str, **changes: Any) -> "Shot":
        """Return it changed, its signature no longer made for it."""
        return replace(self, how=(*self.how, how), whole=False, **changes)

    def with_header(self, name: str, value: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
        """Return its headers with this one set once; None takes it away."""
        others = [(n, v) for n, v in self.headers if n.lower() != name.lower().encode()]
        return tuple(others if value is None else [*others, (name.encode(), value)])

    def header(self, name: str) -> bytes:
        """Return the last header of this name, or nothing."""
        found = [v for n, v in self.headers if n.lower() == name.lower().encode()]
        return found[-1] if found else b""

    def as_servers_pass_it(self) -> "Shot":
        """Return it without what every HTTP server refuses in a value: control characters."""
        clean = tuple((n, v.translate(_NO_CONTROLS).strip()) for n, v in self.headers)
        return replace(self, headers=clean)


class Stage(IntEnum):
    """How far a receipt says that a message came; a delivery only ever goes up."""

    SENT = 1
    UNDELIVERED = 2
    DELIVERED = 3


class Claim(NamedTuple):
    """A receipt that a request holds."""

    reference: str
    provider_id: str
    status: str
    stage: Stage


class Written(NamedTuple):
    """A message to us that a request holds."""

    provider_id: str
    sender: str
    to: str
    body: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a request deserves."""

    signed: bool = False
    claims: tuple[Claim, ...] = ()
    written: tuple[Written, ...] = ()
    confirms: bool = False  # the vendor is called back, once
    later: bool = False  # nobody can tell today: 503 is right, and has no effect


NOTHING = Judgement()


class Account(Protocol):
    """A provider account, seen from the vendor's side."""

    @property
    def name(self) -> str:
        """The account's name in the settings."""
        ...

    @property
    def channel(self) -> str:
        """What it sends: sms or email."""
        ...

    def genuine(self, dice: random.Random, reference: str) -> Shot:
        """Return a callback as the vendor makes it."""
        ...

    def weird(self, dice: random.Random, reference: str) -> Shot:
        """Return a callback with a signature that holds, over what no vendor would say."""
        ...

    def own_change(self, dice: random.Random, shot: Shot) -> Shot:
        """Return a callback changed where this vendor signs: signature, key, time."""
        ...

    def judge(self, shot: Shot, headers: Mapping[str, str], now: datetime) -> Judgement:
        """Say what a POST to this account deserves. headers: names in lower case, each once."""
        ...


def judged(accounts: Mapping[str, Account], shot: Shot) -> Judgement:
    """Return what a request deserves, by whom it is posted to.

    Of headers that are there twice either may count: which one is the server's choice.
    """
    parent, _, name = unquote(shot.path).rpartition("/")
    account = accounts.get(name)
    if account is None or parent != "/callbacks" or shot.method != "POST":
        return NOTHING
    now = datetime.now(UTC)
    found = [account.judge(shot, headers, now) for headers in _spellings(shot)]
    signed = [one for one in found if one.signed]
    return (signed or found)[0]


def url_of(shot: Shot) -> str | None:
    """Return the URL as the vendor called it; None if its query is no text."""
    try:
        query = shot.query.decode()
    except UnicodeDecodeError:
        return None
    return f"{PUBLIC_URL}{unquote(shot.path)}" + (f"?{query}" if query else "")


def _spellings(shot: Shot) -> Iterator[Mapping[str, str]]:
    found: dict[str, list[str]] = {}
    for name, value in shot.headers:
        found.setdefault(name.lower().decode("latin-1"), []).append(value.decode("latin-1"))
    every = (dict(zip(found, values, strict=True)) for values in product(*found.values()))
    return islice(every, _SPELLINGS_MAX)


# ----------------------------------------------------------------------------------- sending


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. status 0: the server hung up."""

    status: int
    error: str = ""  # what was raised, where the application shows it


async def over_asgi(app: Starlette, shot: Shot) -> Answer:
    """Hand a request to the application as a server does, and return its answer."""
    names = [(name.lower(), value) for name, value in shot.headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": shot.method,
        "scheme": "http",
        "path": unquote(shot.path),
        "raw_path": shot.path.encode(),
        "root_path": "",
        "query_string": shot.query,
        "headers": [*names, (b"content-length", f"{len(shot.body)}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    size = _PIECE_BYTES if shot.in_pieces else len(shot.body) or 1
    pieces = [shot.body[at : at + size] for at in range(0, len(shot.body), size)] or [b""]
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    try:
        await app(scope, receive, send)
    except Exception as error:  # the server would log it, after the 500
        return Answer(status or 500, f"{type(error).__name__}: {str(error)[:200]}")
    return Answer(status)


async def over_tcp(port: int, shot: Shot) -> Answer:
    """Send a request as bytes to a server of its own, and return its answer."""
    target = shot.path.encode() + (b"?" + shot.query if shot.query else b"")
    lines = [shot.method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in shot.headers]
    if not any(name.lower() == b"host" for name, _ in shot.headers):
        lines.append(b"Host: 127.0.0.1")
    lines += [b"Content-Length: %d" % len(shot.body), b"Connection: close", b"", b""]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"\r\n".join(lines) + shot.body)
        first = await asyncio.wait_for(reader.readline(), 20)
        return Answer(int(first.split()[1]) if first else 0)
    except ConnectionError:
        return Answer(0)
    finally:
        writer.close()
