"""Lines of NDJSON: read as they come, one at a time, and made into requests.

A bad line is refused here with the problem that the API would answer.
"""

import asyncio
import codecs
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from notifyq.entrypoints.api.problems import Fault, Problem
from notifyq.entrypoints.api.reading import BODY_BYTES_MAX, check_key

LINE_BYTES_MAX = BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read; one that is too long is cut after LINE_BYTES_MAX + 1 bytes."""

    number: int
    text: bytes
    size_bytes: int  # in the file, with its end


@dataclass(frozen=True, slots=True)
class Post:
    """A line that may be sent."""

    line: int
    key: str
    body: bytes


def lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a stream, holding one at a time, and never more than a line's limit."""
    piece_bytes = LINE_BYTES_MAX + 3  # the limit, its end, and one byte that is too many
    number = 0
    while piece := stream.readline(piece_bytes):
        number += 1
        rest, size_bytes = piece, len(piece)
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(piece_bytes)
            size_bytes += len(rest)
        text = piece.removeprefix(codecs.BOM_UTF8) if number == 1 else piece
        yield Line(number, text.rstrip(b"\r\n"), size_bytes)


def prepare(line: Line) -> Post:
    """Take the key out of a line; Problem, as the API would answer it, for a bad line."""
    if len(line.text) > LINE_BYTES_MAX:
        raise Problem("body_too_large", f"the line is longer than {LINE_BYTES_MAX} bytes")
    try:
        content = orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        raise Problem("not_json", f"column {error.colno}: {error.msg}") from None
    if not isinstance(content, dict):
        raise Problem("invalid_request", "", faults=[Fault("", "must be one JSON object")])
    key = content.pop("idempotency_key", None)
    if key is None:
        fault = Fault("/idempotency_key", "is required: one, made once per notification")
        raise Problem("missing_idempotency_key", "", faults=[fault])
    if not isinstance(key, str):
        fault = Fault("/idempotency_key", "must be a string")
        raise Problem("invalid_idempotency_key", "", faults=[fault])
    try:
        return Post(line.number, check_key(key), orjson.dumps(content))
    except orjson.JSONEncodeError as error:
        raise Problem("not_json", str(error)) from None


class Reader:
    """Reads lines in a thread of its own.

    A read that waits for a pipe must hold up neither the event loop nor the end of the program,
    which would wait for the threads of a pool.
    """

    def __init__(self, stream: BinaryIO, *, close: bool) -> None:
        """stream: read here only. close: whether it is ours to close when we are done with it."""
        self._stream = stream
        self._to_be_closed = close
        self._asked: queue.SimpleQueue[asyncio.Future[Line | None] | None] = queue.SimpleQueue()
        self._lines = lines(stream)
        threading.Thread(target=self._serve, daemon=True).start()

    async def next(self) -> Line | None:
        """Return the next line, in the order of asking; None at the end. OSError: unreadable."""
        asked: asyncio.Future[Line | None] = asyncio.get_running_loop().create_future()
        self._asked.put(asked)
        return await asked

    def close(self) -> None:
        """End the thread once it is not reading."""
        self._asked.put(None)

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            found: Line | OSError | None
            try:
                found = next(self._lines, None)
            except OSError as error:
                found = error
            with suppress(RuntimeError):  # the loop has ended: nobody wants to know
                asked.get_loop().call_soon_threadsafe(_tell, asked, found)
        if self._to_be_closed:
            self._stream.close()


def _tell(asked: "asyncio.Future[Line | None]", found: Line | OSError | None) -> None:
    if asked.done():  # whoever asked was cancelled
        return
    if isinstance(found, OSError):
        asked.set_exception(found)
    else:
        asked.set_result(found)
