"""What goes out on one HTTP/2 connection: whole answers in one write, large ones as fast as the peer's windows open."""

from __future__ import annotations

import asyncio
import struct
from collections import deque

from sluice_runtime.door import Door
from sluice_runtime.flow import STALLED_SECONDS, Flow
from sluice_runtime.http2.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    FRAME_HEAD,
    HEADERS,
    MAX_FRAME_BYTES,
    MAX_WINDOW,
    Code,
    Http2Error,
    StreamError,
    frame,
    rst_stream,
)
from sluice_runtime.http2.settings import PeerSettings
from sluice_runtime.http2.stream import Block, Stream

_STREAM_ID = struct.Struct(">L")
_EMPTY_TABLE = b"\x20"
"""The dynamic table is empty from here on: what an encoder without one must say once, when the peer shrinks it."""


class Sending(Flow):
    """The sending half of a connection. What is said in one turn of the loop leaves in one write."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(door, loop)
        self.peer = PeerSettings()
        self._out: list[bytes] = []
        self._window = DEFAULT_WINDOW
        self._pending: dict[int, Stream] = {}
        self._moved = self._since
        self._table_shrunk = False
        self._table_told = False

    def answer(self, stream: Stream, head: Block, body: bytes, tail: Block) -> None:
        """Send a whole answer."""
        size = len(body)
        if (
            size > stream.window_out
            or size > self._window
            or size > MAX_FRAME_BYTES
            or self._pending
            or self.blocked
            or self._table_shrunk
        ):
            self.begin(stream, head)
            self.send(stream, body)
            self.finish(stream, tail)
            return
        self._window -= size
        number = _STREAM_ID.pack(stream.id)
        data = FRAME_HEAD.pack(size >> 8, size & 0xFF, DATA, 0, stream.id)
        self.say(b"".join((head.opening, number, head.data, data, body, tail.closing, number, tail.data)))
        self.sent(stream)

    def begin(self, stream: Stream, head: Block) -> None:
        """Send the head of an answer whose body follows."""
        self.say(frame(HEADERS, END_HEADERS, stream.id, self._encoded(head)))

    def send(self, stream: Stream, body: bytes) -> None:
        """Send a part of an answer, now or when the peer's windows open."""
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(memoryview(body))
        self._door.buffered += len(body)
        self._wait(stream)

    def finish(self, stream: Stream, tail: Block) -> None:
        """Send the trailers of an answer, behind what waits."""
        stream.tail = tail
        self._wait(stream)

    def refuse(self, stream: Stream, head: Block) -> None:
        """Send an answer that is nothing but a head."""
        encoded = self._encoded(head)
        if encoded is head.data:
            self.say(head.closing + _STREAM_ID.pack(stream.id) + encoded)
        else:
            self.say(frame(HEADERS, END_HEADERS | 1, stream.id, encoded))
        self.sent(stream)

    def sent(self, stream: Stream) -> None:
        """The last byte of an answer is on its way."""
        raise NotImplementedError

    def say(self, data: bytes) -> None:
        """Send frames at the end of this turn of the loop."""
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(data)

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        self._pump()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and not self._deaf:
            self._transport.write(b"".join(out))

    def _encoded(self, head: Block) -> bytes:
        if not self._table_shrunk:
            return head.data
        self._table_shrunk = False
        self._table_told = True
        return _EMPTY_TABLE + head.data

    def _wait(self, stream: Stream) -> None:
        if not self._pending:
            self._moved = self.loop.time()
        self._pending[stream.id] = stream
        self._pump()

    def _pump(self) -> None:
        """Send what the windows allow, a frame of each stream in turn."""
        moving = True
        while moving and self._pending and not self.blocked:
            moving = False
            for stream in tuple(self._pending.values()):
                moving = self._push(stream) or moving
            if moving:
                self._moved = self.loop.time()
                self._flush()

    def _push(self, stream: Stream) -> bool:
        """Send the next frame of a stream; False when its window, or the connection's, is closed."""
        queue = stream.queue
        if queue:
            size = min(len(queue[0]), MAX_FRAME_BYTES, self._window, stream.window_out)
            if size <= 0 and len(queue[0]):
                return False
            self._take(stream, queue, size)
        if not queue:
            del self._pending[stream.id]
            if stream.tail is not None:
                self.say(stream.tail.closing + _STREAM_ID.pack(stream.id) + stream.tail.data)
                self.sent(stream)
        return True

    def _take(self, stream: Stream, queue: deque[memoryview], size: int) -> None:
        chunk = queue[0]
        self.say(frame(DATA, 0, stream.id, bytes(chunk[:size])))
        self._window -= size
        stream.window_out -= size
        self._door.buffered -= size
        if size == len(chunk):
            queue.popleft()
        else:
            queue[0] = chunk[size:]

    def _forget(self, stream: Stream) -> None:
        """Let go of what waits on a stream that has ended."""
        self._pending.pop(stream.id, None)
        if stream.queue:
            self._door.buffered -= sum(map(len, stream.queue))
            stream.queue.clear()
        self._door.buffered -= stream.cost
        stream.cost = 0
        stream.closed = True

    def _reset(self, number: int, code: Code) -> None:
        self.say(rst_stream(number, code))

    def _open_window(self, more: int) -> None:
        if self._window + more > MAX_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, "the connection's window is too large")
        self._window += more
        self._pump()

    def _open_stream_window(self, stream: Stream, more: int) -> None:
        if stream.window_out + more > MAX_WINDOW:
            raise StreamError(stream.id, Code.FLOW_CONTROL_ERROR)
        stream.window_out += more
        self._pump()

    def _take_settings(self, payload: bytes, streams: dict[int, Stream]) -> None:
        """What the peer allows from now on; its windows change on open streams too."""
        before = self.peer.window
        self.peer.update(payload)
        self._table_shrunk = self.peer.small_table and not self._table_told
        more = self.peer.window - before
        for stream in streams.values() if more else ():
            if stream.window_out + more > MAX_WINDOW:
                raise Http2Error(Code.FLOW_CONTROL_ERROR, "a stream's window is too large")
            stream.window_out += more

    def _is_stalled(self, now: float) -> bool:
        """True when the peer keeps its windows closed in front of an answer for too long."""
        return bool(self._pending) and now - self._moved > STALLED_SECONDS
