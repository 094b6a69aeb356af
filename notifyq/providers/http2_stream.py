"""One exchange over HTTP/2: what is to be written, what came back, and how it ended.

Owns the deadline and the form of a request's fields. Refuses fields that cannot be sent before
anything is encoded: an error in the middle would leave the two sides' HPACK tables different.

Invariant: a stream has its id before its first byte is handed to a transport, and ends once.
"""

import asyncio
import re
from typing import Protocol

import httpx

from notifyq.boottime import Deadline
from notifyq.providers import sockets
from notifyq.providers.http2_frames import Fields
from notifyq.providers.once import Failed
from notifyq.providers.wire import BODY_BYTES_MAX, Answer, Lost, NeverLeft, NotProcessed

Result = Answer | NeverLeft | NotProcessed | Lost

# Ours to write, or only HTTP/1.1's: RFC 9113, 8.2.2.
_NOT_SENT = {
    *(b"host", b"content-length", b"connection", b"keep-alive", b"proxy-connection"),
    *(b"transfer-encoding", b"upgrade", b"te"),
}
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")
_STATUS = re.compile(r"[2-9][0-9][0-9]")  # 1xx come as another event


class Drops(Protocol):
    """A connection, as its streams know it."""

    def drop(self, stream: "Stream") -> None:
        """Cancel the stream."""


class Stream:
    """One exchange; `result` is done when it has ended."""

    __slots__ = (
        *("body", "connection", "deadline", "fields", "headers", "id", "mark", "rest"),
        *("result", "status", "timeout_s"),
    )

    def __init__(self, fields: Fields, body: bytes, timeout_s: float) -> None:
        """timeout_s: from now to its deadline, above 0."""
        self.fields = fields
        self.rest = memoryview(body)  # of the request's body, not written yet
        self.timeout_s = timeout_s
        self.deadline = Deadline(timeout_s)
        self.connection: Drops | None = None  # where it began
        self.id = 0  # until it begins
        self.mark = 0  # how much the connection had written when this stream's last byte was
        self.status = 0  # until its answer's head came
        self.headers: dict[str, str] = {}
        self.body = bytearray()  # of the answer
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def left_s(self) -> float:
        """Return the seconds to its deadline; below 0 after it."""
        return self.deadline.left_s()

    def end(self, result: Result) -> None:
        """Say how it ended, unless that is known."""
        if not self.result.done():
            self.result.set_result(result)

    def take_head(self, fields: Fields) -> bool:
        """Keep status and headers (of several with one name, the first); say whether it is one."""
        for name, value in fields:
            self.headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        status = self.headers.pop(":status", "")
        if not _STATUS.fullmatch(status):
            return False
        self.status = int(status)
        return True

    def take_body(self, data: bytes) -> bool:
        """Keep a piece of the answer's body; say whether it is still short enough."""
        self.body += data
        return len(self.body) <= BODY_BYTES_MAX

    def answer(self) -> Answer:
        """Return the answer, which is complete."""
        return Answer(self.status, self.headers, bytes(self.body))

    def unprocessed(self, code: str) -> NotProcessed | Lost:
        """Return what it means that the peer says it did not begin with it.

        It is not believed of one whose answer had already begun.
        """
        return Lost(code) if self.status else NotProcessed(code)


def fields_of(request: httpx.Request, body: bytes) -> Fields:
    """Return a request's fields as HTTP/2 has them; ValueError for one that cannot be sent."""
    url = request.url
    fields = [
        (b":method", request.method.encode("ascii")),
        (b":scheme", url.raw_scheme),
        (b":authority", url.netloc),
        (b":path", url.raw_path),
    ]
    for raw_name, raw_value in request.headers.raw:
        name, value = raw_name.lower(), raw_value.strip(b" \t")
        if name in _NOT_SENT:
            continue
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} cannot be sent")
        fields.append((name, value))
    return [*fields, (b"content-length", b"%d" % len(body))] if body else fields


def fields_bytes(fields: Fields) -> int:
    """Return the size of fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def code_of(error: Exception | None) -> str:
    """Return a short name for why a connection ended or did not open; nothing is decided by it."""
    return str(error) if isinstance(error, Failed) else sockets.code_of(error, otherwise="closed")
