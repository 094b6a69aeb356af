"""One HTTP/2 connection, driven by h2: its streams, and what the end of each tells.

Owns the streams, the windows, and the moment after which a request may have been carried out.
Refuses a new stream while the peer has no place for it, is leaving, was quiet for long, or has not
taken what was written before.

Invariant: from `begin` on a stream ends with a complete answer; or NotProcessed, where the peer
says so and had not begun to answer; or Lost.
"""

import asyncio
from collections.abc import Callable

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from notifyq.providers.http2_frames import STREAM_ID_MAX, FieldTable, Frames, Goaway, new_h2
from notifyq.providers.http2_pipe import Pipe, Pulse
from notifyq.providers.http2_stream import Result, Stream, code_of
from notifyq.providers.wire import Lost

WRITE_BYTES = 65_536  # of bodies at the most before they are written, and the kernel may say: wait
PENDING_BYTES_MAX = 1_048_576  # that a peer may leave untaken: it makes us answer, and never reads

_OfStream = events.ResponseReceived | events.DataReceived | events.StreamEnded | events.StreamReset


class Connection(asyncio.Protocol):
    """One connection; `on_change` is called when there may be room again, or none any more."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Write nothing yet: `attach` gives it a transport."""
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[str | None] = loop.create_future()  # None, or why it is not
        self.closed: asyncio.Future[None] = loop.create_future()
        self.draining = False  # no stream begins any more; it closes with the last one
        self.proven = False  # the peer has answered something else than who we are
        self._on_change = on_change
        self._streams: dict[int, Stream] = {}
        self._pipe, self._pulse, self._frames, self._table = Pipe(), Pulse(), Frames(), FieldTable()
        self._h2 = new_h2()
        self._unflushed = 0  # bytes of bodies that are taken and not written
        self._farewell: str | None = None  # why it ends, as far as that is known

    def attach(self, *transports: asyncio.Transport) -> None:
        """Take TLS above TCP, or TCP alone, and write what is waiting."""
        self._pipe.attach(*transports)
        self.flush()

    @property
    def in_flight(self) -> int:
        """How many streams have begun and not ended."""
        return len(self._streams)

    @property
    def fields_bytes_max(self) -> int | None:
        """The most that the peer takes of a request's fields; None: it does not say."""
        return self._h2.remote_settings.max_header_list_size

    def has_room(self) -> bool:
        """Say whether a stream may begin now. A peer that was quiet for long is asked first."""
        if (
            self.draining
            or self._pulse.is_asked
            or not self._pipe.writable
            or self._pipe.is_closing()
        ):
            return False
        if self._pulse.is_quiet():
            self._ask()
            return False
        # Apple: one stream until a request with a valid token came; others do not mind.
        places = self._h2.remote_settings.max_concurrent_streams if self.proven else 1
        return len(self._streams) < places

    def begin(self, stream: Stream) -> None:
        """Take the request, as far as windows allow; only where `has_room` has just said so.

        `flush` must follow before the loop turns; it may serve several.
        """
        stream.id = self._h2.get_next_available_stream_id()
        self.draining = stream.id >= STREAM_ID_MAX
        self._streams[stream.id] = stream
        self._pipe.bound_silence(stream.left_s())
        self._h2.send_headers(stream.id, self._table.encodable(stream.fields), not stream.rest)
        self._write_body(stream)

    def flush(self) -> None:
        """Write what was taken."""
        if self._pipe.is_closing():
            return
        self._unflushed = 0
        if data := self._h2.data_to_send():
            self._pipe.write(data)
            if self._pipe.pending_bytes() > PENDING_BYTES_MAX:
                self.give_up("flooded")

    def drop(self, stream: Stream) -> None:
        """Cancel a stream that nobody waits for any more; the others go on."""
        if self._streams.pop(stream.id, None) is None:
            return
        if self._pipe.has_left(stream.mark):
            self._h2.reset_stream(stream.id, ErrorCodes.CANCEL)
            self.flush()
        else:
            self.give_up("stuck")  # its bytes are still here, and would leave after its deadline
        if stream.left_s() <= 0 and self._pulse.heard_s < stream.deadline.at_s - stream.timeout_s:
            self._ask()
        self._changed()

    def retire(self) -> None:
        """Begin no more streams; what is in flight is still answered."""
        self.draining = True
        self._changed()

    def give_up(self, code: str) -> None:
        """Reset the connection: bytes still queued never leave, what is in flight is lost."""
        self.draining = True
        self._farewell = self._farewell or code
        self._end_all(Lost(self._farewell))
        self._pipe.abort()

    # What the loop calls.

    def data_received(self, data: bytes) -> None:
        """Read what came, frame by frame: what was whole before a bad one holds."""
        self._pulse.heard()
        try:
            for frame in self._frames.cut(data):
                if isinstance(frame, Goaway):
                    self._hear_goaway(frame)
                    continue
                for event in self._h2.receive_data(frame):
                    self._hear(event)
        except ProtocolError:
            self.give_up("not_http2")
        self.flush()
        self._changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """End every stream; those that a GOAWAY said were never begun have ended before."""
        self.draining = True
        self._pulse.stop()
        code = self._farewell or code_of(exc)
        self._end_all(Lost(code))
        if not self.opened.done():
            self.opened.set_result(code)
        self.closed.set_result(None)
        self._on_change()

    def pause_writing(self) -> None:
        """The kernel did not take everything: begin nothing more."""
        self._pipe.writable = False

    def resume_writing(self) -> None:
        """The kernel took everything."""
        self._pipe.writable = True
        self._write_bodies()
        self.flush()
        self._changed()

    # Hearing.

    def _hear_goaway(self, goaway: Goaway) -> None:
        self.draining = True
        self._farewell = goaway.code
        for stream in [each for each in self._streams.values() if each.id > goaway.last_id]:
            self._end(stream, stream.unprocessed(goaway.code))

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, _OfStream):
            if isinstance(event, events.DataReceived):
                size = event.flow_controlled_length
                self._h2.acknowledge_received_data(size, event.stream_id)
            if event.stream_id in self._streams:
                self._hear_stream(self._streams[event.stream_id], event)
        elif isinstance(event, events.RemoteSettingsChanged | events.WindowUpdated):
            if isinstance(event, events.RemoteSettingsChanged) and not self.opened.done():
                self.opened.set_result(None)
            self._write_bodies()

    def _hear_stream(self, stream: Stream, event: _OfStream) -> None:
        match event:
            case events.ResponseReceived(headers=fields):
                if not stream.take_head(fields):
                    raise ProtocolError("no status")
            case events.DataReceived(data=data, stream_ended=ended):
                if not stream.take_body(data):
                    self._end(stream, Lost("body_too_large"), cancel=ended is None)
            case events.StreamEnded():
                self.proven |= stream.status not in (401, 403)
                # Answered before all of the request was written: it needs no more.
                self._end(stream, stream.answer(), cancel=bool(stream.rest))
            case events.StreamReset(error_code=ErrorCodes.REFUSED_STREAM, remote_reset=True):
                self._end(stream, stream.unprocessed("refused_stream"))
            case events.StreamReset(error_code=code):
                self._end(stream, Lost(f"rst_{int(code)}"))

    def _end(self, stream: Stream, result: Result, *, cancel: bool = False) -> None:
        del self._streams[stream.id]
        if cancel:
            self._h2.reset_stream(stream.id, ErrorCodes.CANCEL)
        stream.end(result)

    def _end_all(self, result: Lost) -> None:
        for stream in list(self._streams.values()):
            self._end(stream, result)

    def _changed(self) -> None:
        if self.draining and not self._streams and not self._pipe.is_closing():
            self.give_up("drained")
        self._on_change()

    # Writing.

    def _write_bodies(self) -> None:
        for stream in [each for each in self._streams.values() if each.rest]:
            self._write_body(stream)

    def _write_body(self, stream: Stream) -> None:
        stream.mark = self._pipe.mark + 1  # in the next write
        while stream.rest and self._pipe.writable and stream.left_s() > 0:
            window = self._h2.local_flow_control_window(stream.id)
            size = min(len(stream.rest), window, self._h2.max_outbound_frame_size)
            if size <= 0:
                break
            piece, stream.rest = stream.rest[:size], stream.rest[size:]
            self._h2.send_data(stream.id, piece, end_stream=not stream.rest)
            stream.mark = self._pipe.mark + 1
            self._unflushed += size
            if self._unflushed >= WRITE_BYTES:
                self.flush()

    def _ask(self) -> None:
        if not self._pulse.is_asked and not self._pipe.is_closing():
            self._pulse.ask(lambda: self.give_up("silent"))
            self._h2.ping(b"notifyq?")
            self.flush()
