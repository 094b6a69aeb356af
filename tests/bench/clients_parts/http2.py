"""Child: APNs, which is spoken to over HTTP/2. Every push is answered 200 with its apns-id.

Frames are cut and written by hand, for h2 would cost as much here as at the client; fields are read
by hpack, because an id can be found in no other way.
"""

import asyncio
import struct
from typing import cast

import uvloop
from hpack import Decoder, NeverIndexedHeaderTuple
from hpack.struct import HeaderTuple

from tests.bench.clients_parts.answering import answer

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW = 0, 1, 4, 6, 8
_ACK = _END_STREAM = 1
_WHOLE = 4  # END_HEADERS; without priority or padding, which no client here sends
_MAX_STREAMS = (3, 1_000)  # the setting, and more than any load here has in flight
_ROOM_BYTES = 32_768  # of bodies between two updates of the connection's window


class Receiver(asyncio.Protocol):
    """One connection."""

    fields: tuple[HeaderTuple, ...] = ()  # of the last request
    body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what we take."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._bytes = bytearray()
        self._transport.write(_frame(_SETTINGS, 0, 0, struct.pack(">HI", *_MAX_STREAMS)))
        self._decoder = Decoder()
        self._ids: dict[int, bytes] = {}
        self._taken_bytes = 0
        self._met = False

    def data_received(self, data: bytes) -> None:
        """Answer what is complete, each request by itself: its client goes on meanwhile."""
        self._bytes += data
        if not self._met:
            if len(self._bytes) < len(_PREFACE):
                return
            assert self._bytes.startswith(_PREFACE)
            del self._bytes[: len(_PREFACE)]
            self._met = True
        while len(self._bytes) >= 9:
            end = 9 + int.from_bytes(self._bytes[:3], "big")
            if len(self._bytes) < end:
                break
            stream = int.from_bytes(self._bytes[5:9], "big")
            self._hear(self._bytes[3], self._bytes[4], stream, bytes(self._bytes[9:end]))
            del self._bytes[:end]

    def _hear(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _HEADERS:
            assert flags & ~_END_STREAM == _WHOLE, "padding, priority or a continuation"
            fields = tuple(self._decoder.decode(payload, raw=True))
            self._ids[stream] = next(value for name, value in fields if name == b"apns-id")
            Receiver.fields = fields
        elif kind == _DATA:
            Receiver.body = payload
            self._taken_bytes += len(payload)
            if self._taken_bytes >= _ROOM_BYTES:
                self._transport.write(_frame(_WINDOW, 0, 0, struct.pack(">I", self._taken_bytes)))
                self._taken_bytes = 0
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._transport.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        if kind in (_HEADERS, _DATA) and flags & _END_STREAM:
            apns_id = self._ids.pop(stream)
            # Status 200 from the static table; apns-id as text that no table keeps.
            block = b"\x88\x00\x07apns-id" + bytes([len(apns_id)]) + apns_id
            self._transport.write(_frame(_HEADERS, _WHOLE | _END_STREAM, stream, block))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _request() -> list[list[str]]:
    """Return name, value and whether tables may keep it, of each field; the body by no name."""
    fields = [
        [name.decode(), value.decode(), "" if _is_secret(field) else "kept"]
        for field in Receiver.fields
        for name, value in [field]
    ]
    return [*fields, ["", Receiver.body.decode("latin-1"), ""]]


def _is_secret(field: HeaderTuple) -> bool:
    return isinstance(field, NeverIndexedHeaderTuple)


if __name__ == "__main__":
    uvloop.run(answer(Receiver, _request))
