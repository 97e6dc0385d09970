"""The requests of one HTTP/2 connection: streams from their head to the end of their body, and what each may hold.

What a peer may make this process do without being served is counted: streams it cancels (CVE-2023-44487), pings,
settings, empty and unknown frames.
"""

from __future__ import annotations

import asyncio

from sluice_runtime.door import Door
from sluice_runtime.http2 import frames
from sluice_runtime.http2.frames import (
    END_HEADERS,
    END_STREAM,
    MAX_STREAM_ID,
    WITH_PRIORITY,
    Code,
    Http2Error,
    StreamError,
    long_at,
    unpadded,
)
from sluice_runtime.http2.head import Fields, Heads, MalformedError
from sluice_runtime.http2.hpack import TooManyFieldsError
from sluice_runtime.http2.sending import Sending
from sluice_runtime.http2.settings import CONNECTION_WINDOW, MAX_HEAD_BYTES, MAX_STREAMS, STREAM_WINDOW
from sluice_runtime.http2.stream import Stream

MAX_NUISANCES = 4096
"""Frames a peer may send in about a second for which nothing was served. Every stream that is served makes up for
some, so a busy caller that pings, opens windows or gives up on calls stays far below."""

_CREDIT = 4
_MAX_CONTINUATIONS = 64
_STREAM_BYTES = 1024
"""What an open stream holds beside its head and its body."""

_CUT_STREAMS = 2 * MAX_STREAMS


class Requests(Sending):
    """The streams, and the frames that bring requests."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(door, loop)
        self._heads = Heads()
        # A header block that is continued: its stream, whether that ends with it, and its parts.
        self._block: tuple[int, bool, list[bytes]] | None = None
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._receivable = CONNECTION_WINDOW
        # Streams that were answered or reset before the peer had ended them: what still comes on them is ignored.
        self._cut: dict[int, None] = {}
        self._nuisances = 0
        self._left = False

    def sent(self, stream: Stream) -> None:
        """The last byte of an answer is on its way."""
        self._nuisances = max(0, self._nuisances - _CREDIT)
        if not stream.ended:
            self._cut_off(stream.id, Code.NO_ERROR)
        self._end(stream)

    def reset(self, stream: Stream, code: Code) -> None:
        """End a stream without an answer."""
        self._cut_off(stream.id, code)
        self._end(stream)

    def _open(self, number: int, head: Fields) -> Stream:
        """Make the stream of a request."""
        raise NotImplementedError

    def _take_leave(self) -> None:
        """Close if the caller has heard of the end and nothing is left to do."""
        raise NotImplementedError

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._receivable -= size
        if self._receivable < CONNECTION_WINDOW // 2:
            if self._receivable < 0:
                raise Http2Error(Code.FLOW_CONTROL_ERROR, "more than the connection's window")
            self.say(frames.window_update(0, CONNECTION_WINDOW - self._receivable))
            self._receivable = CONNECTION_WINDOW
        stream = self._streams.get(number)
        if stream is None or stream.ended:
            self._on_stray(flags, number)
            return
        stream.window_in -= size
        if stream.window_in < 0:
            raise StreamError(number, Code.FLOW_CONTROL_ERROR)
        body = unpadded(flags, payload)
        stream.ended = bool(flags & END_STREAM)
        if stream.left is not None:
            self._count_down(stream, len(body))
        if not body and not stream.ended:
            self._annoy()
        stream.received(body)
        if stream.window_in < STREAM_WINDOW // 2 and not stream.ended and not stream.closed:
            self.say(frames.window_update(number, STREAM_WINDOW - stream.window_in))
            stream.window_in = STREAM_WINDOW

    def _on_stray(self, flags: int, number: int) -> None:
        """DATA on a stream that is not open."""
        self._annoy()
        self._check_known(number)
        if number not in self._cut:
            raise StreamError(number, Code.STREAM_CLOSED)
        if flags & END_STREAM:
            del self._cut[number]

    def _count_down(self, stream: Stream, size: int) -> None:
        """Hold a body to the length that was announced for it."""
        stream.left = (stream.left or 0) - size
        if stream.left < 0 or (stream.ended and stream.left):
            raise StreamError(stream.id, Code.PROTOCOL_ERROR)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number & 1:
            raise Http2Error(Code.PROTOCOL_ERROR, "callers' streams are odd")
        block = unpadded(flags, payload)
        if flags & WITH_PRIORITY:
            if len(block) < 5:
                raise Http2Error(Code.FRAME_SIZE_ERROR, "HEADERS without its priority")
            if long_at(block) & MAX_STREAM_ID == number:
                raise Http2Error(Code.PROTOCOL_ERROR, "a stream depends on itself")
            block = block[5:]
        if flags & END_HEADERS:
            self._take_head(number, bool(flags & END_STREAM), block)
        else:
            self._block = (number, bool(flags & END_STREAM), [block])

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Http2Error(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, ended, parts = self._block
        parts.append(payload)
        if len(parts) > _MAX_CONTINUATIONS or sum(map(len, parts)) > MAX_HEAD_BYTES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "the request's headers are too large")
        if flags & END_HEADERS:
            self._block = None
            self._take_head(number, ended, b"".join(parts))

    def _take_head(self, number: int, ended: bool, block: bytes) -> None:
        if number <= self._last:
            self._take_trailers(number, ended, block)
            return
        self._last = number
        try:
            head = self._heads.read(block)
        except TooManyFieldsError as error:
            raise StreamError(number, Code.ENHANCE_YOUR_CALM) from error
        except MalformedError as error:
            raise StreamError(number, Code.PROTOCOL_ERROR) from error
        if self._left:
            # The caller was told that nothing new is served, and will ask another.
            return
        if len(self._streams) >= MAX_STREAMS:
            raise StreamError(number, Code.REFUSED_STREAM)
        cost = len(block) + _STREAM_BYTES
        if self._door.buffered + cost > self._door.limits.max_buffered_bytes:
            self._door.refused("memory")
            raise StreamError(number, Code.REFUSED_STREAM)
        stream = self._open(number, head)
        self._streams[number] = stream
        stream.cost = cost
        self._door.buffered += cost
        if b"content-length" in head:
            stream.left = _length(number, head[b"content-length"])
        stream.ended = ended
        if ended and stream.left is not None:
            self._count_down(stream, 0)
        stream.opened()

    def _take_trailers(self, number: int, ended: bool, block: bytes) -> None:
        stream = self._streams.get(number)
        well = ended
        try:
            self._heads.read_trailers(block)
        except (TooManyFieldsError, MalformedError):
            well = False
        if stream is None or stream.ended:
            if number not in self._cut:
                raise Http2Error(Code.STREAM_CLOSED, "HEADERS on a stream that has ended")
            self._annoy()
            return
        if not well:
            raise StreamError(number, Code.PROTOCOL_ERROR)
        stream.ended = True
        if stream.left is not None:
            self._count_down(stream, 0)
        stream.received(b"")

    def _check_known(self, number: int) -> None:
        """Only HEADERS and PRIORITY may name a stream that was never opened."""
        if not number or number > self._last or not number & 1:
            raise Http2Error(Code.PROTOCOL_ERROR, "a frame of a stream that was never opened")

    def _annoy(self) -> None:
        self._nuisances += 1
        if self._nuisances > MAX_NUISANCES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def _fail_stream(self, fault: StreamError) -> None:
        self._annoy()
        stream = self._streams.get(fault.stream)
        self._cut_off(fault.stream, fault.code)
        if stream is not None:
            self._end(stream)
            stream.gone()

    def _cut_off(self, number: int, code: Code) -> None:
        """Reset a stream on which more may come."""
        self._reset(number, code)
        self._cut[number] = None
        if len(self._cut) > _CUT_STREAMS:
            del self._cut[next(iter(self._cut))]

    def _end(self, stream: Stream) -> None:
        self._forget(stream)
        self._streams.pop(stream.id, None)
        if self._left and not self._streams:
            self._take_leave()


def _length(number: int, value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise StreamError(number, Code.PROTOCOL_ERROR)
    return int(value)
