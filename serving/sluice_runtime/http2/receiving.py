"""What comes in on one HTTP/2 connection: every complete frame of a read at once, each handled by its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sluice_runtime.door import Door
from sluice_runtime.http2 import frames
from sluice_runtime.http2.frames import (
    ACK,
    CONTINUATION,
    FRAME_HEAD,
    FRAME_HEAD_BYTES,
    MAX_FRAME_BYTES,
    MAX_STREAM_ID,
    PREFACE,
    Code,
    Http2Error,
    StreamError,
    long_at,
)
from sluice_runtime.http2.requests import Requests
from sluice_runtime.http2.settings import ACKNOWLEDGED

FAREWELL = b"farewell"
"""The ping behind the announcement of the end: when it comes back, the caller has heard of it."""

_LAST_CALLS_SECONDS = 0.1
"""gRPC's C core writes that answer ahead of requests it had begun before it heard of the end; they still count."""


class Receiving(Requests):
    """The receiving half of a connection: order of frames, and those that concern the connection itself."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(door, loop)
        self._greeted = self._settled = False
        self._handlers: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    def _part(self) -> None:
        """The caller has heard of the end."""
        raise NotImplementedError

    def _dispatch(self, data: bytes) -> int:
        """Handle every complete frame; returns how many bytes they took."""
        at, end = 0, len(data)
        if not self._greeted:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise Http2Error(Code.PROTOCOL_ERROR, "this is not HTTP/2")
            if end < len(PREFACE):
                return 0
            self._greeted, at = True, len(PREFACE)
        unpack, handlers = FRAME_HEAD.unpack_from, self._handlers
        while end - at >= FRAME_HEAD_BYTES and not self._deaf:
            high, low, kind, flags, number = unpack(data, at)
            size = high << 8 | low
            if size > MAX_FRAME_BYTES:
                raise Http2Error(Code.FRAME_SIZE_ERROR, "a frame is too large")
            stop = at + FRAME_HEAD_BYTES + size
            if stop > end:
                break
            if self._block is not None or not self._settled:
                self._check_order(kind, flags)
            try:
                if kind <= CONTINUATION:
                    handlers[kind](flags, number & MAX_STREAM_ID, data[at + FRAME_HEAD_BYTES : stop])
                else:
                    self._annoy()
            except StreamError as fault:
                self._fail_stream(fault)
            at = stop
        return at

    def _check_order(self, kind: int, flags: int) -> None:
        if self._block is not None and kind != CONTINUATION:
            raise Http2Error(Code.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._settled:
            if kind != frames.SETTINGS or flags & ACK:
                raise Http2Error(Code.PROTOCOL_ERROR, "the first frame must be SETTINGS")
            self._settled = True

    def _on_priority(self, flags: int, number: int, payload: bytes) -> None:
        """Priorities are deprecated (RFC 9113, section 5.3.2) and not followed."""
        self._annoy()
        if not number:
            raise Http2Error(Code.PROTOCOL_ERROR, "PRIORITY of the connection")
        if len(payload) != 5:
            raise StreamError(number, Code.FRAME_SIZE_ERROR)
        if long_at(payload) & MAX_STREAM_ID == number:
            raise StreamError(number, Code.PROTOCOL_ERROR)

    def _on_rst_stream(self, flags: int, number: int, payload: bytes) -> None:
        self._annoy()
        self._check_known(number)
        if len(payload) != 4:
            raise Http2Error(Code.FRAME_SIZE_ERROR, "RST_STREAM of an odd length")
        self._cut.pop(number, None)
        stream = self._streams.get(number)
        if stream is not None:
            self._end(stream)
            stream.gone()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Http2Error(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & ACK:
            if payload:
                raise Http2Error(Code.FRAME_SIZE_ERROR, "an acknowledgement says nothing")
            return
        self._annoy()
        self._take_settings(payload, self._streams)
        # Before what the new windows let out: the peer's count of them begins with it.
        self.say(ACKNOWLEDGED)
        self._pump()

    def _on_push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise Http2Error(Code.PROTOCOL_ERROR, "callers push nothing")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Http2Error(Code.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise Http2Error(Code.FRAME_SIZE_ERROR, "PING of an odd length")
        self._annoy()
        if not flags & ACK:
            self.say(frames.frame(frames.PING, ACK, 0, payload))
        elif payload == FAREWELL:
            self.loop.call_later(_LAST_CALLS_SECONDS, self._part)

    def _on_goaway(self, flags: int, number: int, payload: bytes) -> None:
        """The caller opens no more streams; it closes the connection itself."""
        if number:
            raise Http2Error(Code.PROTOCOL_ERROR, "GOAWAY of a stream")
        self._annoy()

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        self._annoy()
        if len(payload) != 4:
            raise Http2Error(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of an odd length")
        more = long_at(payload) & MAX_STREAM_ID
        if not number:
            if not more:
                raise Http2Error(Code.PROTOCOL_ERROR, "a window that opens by nothing")
            self._open_window(more)
            return
        self._check_known(number)
        stream = self._streams.get(number)
        if stream is not None:
            if not more:
                raise StreamError(number, Code.PROTOCOL_ERROR)
            self._open_stream_window(stream, more)
