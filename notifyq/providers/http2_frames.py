"""Bytes of HTTP/2 as frames, and a request's fields as HPACK should encode them.

Owns our settings, the cut into frames, GOAWAY, and which field the peer's table keeps.
Refuses frames longer than we said we take, which is also how an answer in HTTP/1.1 looks.

h2 takes a GOAWAY for the end of the connection. It is not: streams up to its last id are still
answered (RFC 9113, 6.8). So it is read here, and h2 never sees one. h2 also forgets what it
read of a chunk when something bad follows in it: frames are handed to it one by one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import HeaderTuple, NeverIndexedHeaderTuple

from notifyq.providers.answers import read_object

Fields = Sequence[tuple[bytes, bytes]]

FRAME_BYTES_MAX = 16_384  # of what we take: the default, RFC 9113, 6.5.2
STREAM_ID_MAX = 2**31 - 1
_HEAD_BYTES = 9
_GOAWAY = 7
_REASON = re.compile(r"[A-Za-z]{1,40}")
_NEVER_INDEXED = frozenset((b":path", b"authorization"))  # an address, a secret


_SETTINGS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES_MAX,
    SettingCodes.MAX_HEADER_LIST_SIZE: 65_536,
}
# Fields come checked and in lower case from `fields_of`.
_CONFIG = H2Configuration(
    client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
)


@dataclass(frozen=True, slots=True)
class Goaway:
    """The peer takes no more streams, and will not begin with those above `last_id`."""

    last_id: int
    code: str


class Frames:
    """Cuts what comes in; an iterator over what is complete so far."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._received = bytearray()

    def cut(self, data: bytes) -> Iterator[bytes | Goaway]:
        """Yield each frame that `data` completes; ProtocolError for one that cannot be."""
        self._received += data
        while len(self._received) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(self._received[:3], "big")
            if end > _HEAD_BYTES + FRAME_BYTES_MAX:
                raise ProtocolError("frame too large")
            if len(self._received) < end:
                return
            frame = bytes(self._received[:end])
            del self._received[:end]
            yield _goaway(frame) if frame[3] == _GOAWAY else frame


class FieldTable:
    """Knows which fields the peer's HPACK table should keep."""

    def __init__(self) -> None:
        """Know of none."""
        self._first: dict[bytes, bytes] = {}

    def encodable(self, fields: Fields) -> list[HeaderTuple]:
        """Return fields for h2: the first value of a name may be kept, so it costs a byte later.

        A value that differs from it would only push others out of a small table: Apple asks for
        just that. A path or an authorization is kept by nobody on the way.
        """
        return [
            NeverIndexedHeaderTuple(name, value)
            if name in _NEVER_INDEXED or self._first.setdefault(name, value) != value
            else HeaderTuple(name, value)
            for name, value in fields
        ]


def new_h2() -> H2Connection:
    """Return h2 for a client that wants no pushes, its preface ready to be written."""
    found = H2Connection(_CONFIG)
    found.local_settings = Settings(client=True, initial_values=_SETTINGS)
    del found.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]  # newer than some servers
    found.initiate_connection()
    return found


def _goaway(frame: bytes) -> Goaway:
    if len(frame) < _HEAD_BYTES + 8 or _id(frame[5:9]):
        raise ProtocolError("not a GOAWAY")
    error_code, debug_data = int.from_bytes(frame[13:17], "big"), frame[17:]
    reason = read_object(debug_data).get("reason")  # APNs' own
    named = isinstance(reason, str) and _REASON.fullmatch(reason)
    return Goaway(_id(frame[9:13]), f"goaway_{reason if named else error_code}")


def _id(raw: bytes) -> int:
    return int.from_bytes(raw, "big") & STREAM_ID_MAX  # the bit above is reserved
