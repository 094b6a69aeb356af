"""One HTTP/2 connection of a client: its streams, and the ways in which it ends.

Owns the frames and the promises of GOAWAY: the id it names is never below a stream whose push may
have been accepted, nor does one above it get to the counter later. h2 closes itself at a GOAWAY, so
that one is written past it: what was promised is still answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from notifyq.sandbox.apns.tokens import Seen

STREAMS_MAX = 1_000  # Apple names no number; before a good token it is 1
KEPT_BYTES = 8_192  # of a request's body; more than a payload may have is only counted as more
LINGER_S = 1.0  # for the client to close, once everything is said
_SETTINGS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: 1,
    SettingCodes.MAX_HEADER_LIST_SIZE: 8_000,  # what Apple's servers have said
}


class Stream:
    """One request, and how it is answered."""

    def __init__(
        self, connection: "Connection", stream_id: int, fields: list[tuple[str, str]]
    ) -> None:
        self.connection, self.id, self.fields = connection, stream_id, fields
        self.body = bytearray()
        self.rest = b""  # of the answer, for want of window
        self.passed = False  # it was at the counter with its client there: it may be accepted
        self.task: asyncio.Task[None] | None = None

    def is_gone(self) -> bool:
        """Say whether its client is. If not, it counts as accepted from now on."""
        self.passed = not self.connection.has_left(self)
        return not self.passed

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer, whole."""
        self.connection.answer(self, status, headers, body)


class Connection(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(
        self, serve: Callable[[Stream], Awaitable[None]], everyone: set["Connection"]
    ) -> None:
        """serve: sees to one complete request. everyone: where it stands while it is open."""
        self.seen = Seen()
        self._serve, self._everyone = serve, everyone
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._h2.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._passed_id = 0  # the highest of the streams that passed the counter and are over
        self._last_id: int | None = None  # what our GOAWAY names
        self._is_over = False  # nothing is written any more

    # What a request's handler does.

    def trust(self) -> None:
        """Let many streams in: a request with a good token came."""
        if self._h2.local_settings.max_concurrent_streams == 1:
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX})
            self._flush()

    def has_left(self, stream: Stream) -> bool:
        """Say whether nobody waits for a stream: reset, above our GOAWAY, or hung up."""
        return stream.id not in self._streams or self._is_closing()

    def answer(self, stream: Stream, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer a stream, if anybody waits for it."""
        if self.has_left(stream):
            return
        fields = [(":status", f"{status}"), *headers.items()]
        self._h2.send_headers(stream.id, fields, end_stream=not body)
        stream.rest = body
        self._write_rest(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream without an answer."""
        if not self.has_left(stream):
            self._h2.reset_stream(stream.id, code)
            self._done(stream)

    def leave_before(self, stream: Stream) -> None:
        """Leave without having begun with a stream; what came before it is still answered."""
        stream.passed = False  # the counter did not take it
        passed_id = self._highest_passed()
        if passed_id > stream.id:  # its id cannot be left out: it alone is refused
            self.reset(stream, ErrorCodes.REFUSED_STREAM)
        self._goaway(max(stream.id - 2, passed_id, 0))

    def leave_after(self) -> None:
        """Leave, and answer nobody any more."""
        self._goaway(self._highest_passed())
        for stream in list(self._streams.values()):
            self._forget(stream)
        self._end_if_done()

    def leave_answering(self) -> None:
        """Take no more streams; those that may be accepted are still answered."""
        self._goaway(self._highest_passed())

    def cut(self) -> None:
        """Break the connection: what was not written yet never is."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say our settings."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no subclass
        self._everyone.add(self)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hear what a client says; one that is not HTTP/2 is told so, and cut off."""
        try:
            for event in self._h2.receive_data(data):
                self._hear(event)
        except ProtocolError:
            self._flush()
            if self._transport is not None:
                self._transport.close()
        else:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything that is not at the counter's far side."""
        self._everyone.discard(self)
        for stream in list(self._streams.values()):
            self._forget(stream)

    def _hear(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived():
                self._hear_request(event)
            case events.DataReceived(stream_id=int(stream_id), data=data):
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
                stream = self._streams.get(stream_id)
                if stream is not None and len(stream.body) < KEPT_BYTES:
                    stream.body += data
            case events.StreamEnded(stream_id=int(stream_id)):
                if stream := self._streams.get(stream_id):
                    stream.task = asyncio.ensure_future(self._serve(stream))
            case events.StreamReset(stream_id=int(stream_id)):
                if stream := self._streams.get(stream_id):
                    self._forget(stream)
            case events.WindowUpdated():
                for stream in [each for each in self._streams.values() if each.rest]:
                    self._write_rest(stream)

    def _hear_request(self, event: events.RequestReceived) -> None:
        if self._last_id is None or event.stream_id <= self._last_id:
            fields = [(str(name), str(value)) for name, value in event.headers]
            self._streams[event.stream_id] = Stream(self, event.stream_id, fields)

    def _goaway(self, last_id: int) -> None:
        """Write GOAWAY, as Apple does: with a reason. Nothing above it goes to the counter."""
        if self._is_closing() or self._transport is None:
            return
        self._last_id = last_id
        for stream in [each for each in self._streams.values() if each.id > last_id]:
            self._forget(stream)
        reason = b'{"reason":"Shutdown"}'
        frame = GoAwayFrame(0, last_stream_id=last_id, error_code=0, additional_data=reason)
        self._transport.write(self._h2.data_to_send() + frame.serialize())
        self._end_if_done()

    def _highest_passed(self) -> int:
        return max([self._passed_id, *(each.id for each in self._streams.values() if each.passed)])

    def _forget(self, stream: Stream) -> None:
        self._over(stream)
        if stream.task is not None and stream.task is not asyncio.current_task():
            stream.task.cancel()

    def _over(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        if stream.passed:
            self._passed_id = max(self._passed_id, stream.id)

    def _done(self, stream: Stream) -> None:
        self._over(stream)
        self._flush()
        self._end_if_done()

    def _end_if_done(self) -> None:
        """Hang up after a GOAWAY once all is said.

        Half of it: a close with requests unread would be a reset, which may overtake answers.
        """
        if self._last_id is not None and not self._streams and not self._is_closing():
            self._is_over = True
            if self._transport is not None:
                self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self.cut)

    def _write_rest(self, stream: Stream) -> None:
        while stream.rest:
            window = self._h2.local_flow_control_window(stream.id)
            size = min(len(stream.rest), window, self._h2.max_outbound_frame_size)
            if size <= 0:
                self._flush()
                return
            piece, stream.rest = stream.rest[:size], stream.rest[size:]
            self._h2.send_data(stream.id, piece, end_stream=not stream.rest)
        self._done(stream)

    def _flush(self) -> None:
        if self._transport is not None and not self._is_closing():
            self._transport.write(self._h2.data_to_send())

    def _is_closing(self) -> bool:
        return self._is_over or self._transport is None or self._transport.is_closing()
