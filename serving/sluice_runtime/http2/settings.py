"""SETTINGS of HTTP/2: what this server announces, and what a peer may say. Source: RFC 9113, section 6.5.2."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sluice_runtime.http2.frames import (
    ACK,
    DEFAULT_WINDOW,
    MAX_FRAME_BYTES,
    MAX_WINDOW,
    SETTINGS,
    Code,
    Http2Error,
    frame,
)
from sluice_runtime.http2.hpack import TABLE_BYTES

MAX_STREAMS = 1024
"""At once on a connection; what all connections may ask for together is bounded by the queue."""

MAX_HEAD_BYTES = 64 * 1024

STREAM_WINDOW = 512 * 1024
CONNECTION_WINDOW = 1024 * 1024
"""Bytes that may be on their way. What has arrived is bounded by the size of a message and by what all may hold."""

_HEADER_TABLE, _ENABLE_PUSH, _STREAMS, _WINDOW, _FRAME, _HEAD = range(1, 7)
_SETTING = struct.Struct(">HL")
_MAX_FRAME = 2**24 - 1

ACKNOWLEDGED = frame(SETTINGS, ACK, 0)
ANNOUNCED = frame(
    SETTINGS,
    0,
    0,
    b"".join(
        _SETTING.pack(*setting)
        for setting in ((_STREAMS, MAX_STREAMS), (_WINDOW, STREAM_WINDOW), (_HEAD, MAX_HEAD_BYTES))
    ),
)


@dataclass(slots=True)
class PeerSettings:
    """What the peer allows: bytes on their way on a new stream, and whether it has shrunk its header table.

    Its longest frame is checked and left alone: longer ones than all peers take would only keep other streams waiting.
    """

    window: int = DEFAULT_WINDOW
    small_table: bool = False

    def update(self, payload: bytes) -> None:
        """Take a SETTINGS frame in; unknown settings are ignored.

        Raises:
            Http2Error: a value that no peer may send.
        """
        if len(payload) % _SETTING.size:
            raise Http2Error(Code.FRAME_SIZE_ERROR, "SETTINGS of an odd length")
        for name, value in _SETTING.iter_unpack(payload):
            if name == _ENABLE_PUSH and value > 1:
                raise Http2Error(Code.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
            if name == _WINDOW:
                self._set_window(value)
            elif name == _FRAME and not MAX_FRAME_BYTES <= value <= _MAX_FRAME:
                raise Http2Error(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range")
            elif name == _HEADER_TABLE and value < TABLE_BYTES:
                self.small_table = True

    def _set_window(self, value: int) -> None:
        if value > MAX_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
        self.window = value
