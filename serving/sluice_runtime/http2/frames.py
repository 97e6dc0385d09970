"""Frames and error codes of HTTP/2, as they go over the wire. Source: RFC 9113, sections 4 to 7."""

from __future__ import annotations

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

FRAME_HEAD = struct.Struct(">HBBBL")
"""Length (in 16 and 8 bits), type, flags, stream; the stream's highest bit is reserved."""

FRAME_HEAD_BYTES = 9
MAX_FRAME_BYTES = 16384
"""The least that every peer takes, and all that is taken here: larger frames would gain nothing."""

MAX_STREAM_ID = MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65535

_LONG = struct.Struct(">L")
_TWO_LONGS = struct.Struct(">LL")


class Code(IntEnum):
    """Error codes, RFC 9113, section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB


class Http2Error(Exception):
    """The peer broke the protocol in a way that ends the connection."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StreamError(Exception):
    """The peer broke the protocol on one stream, which ends alone."""

    def __init__(self, stream: int, code: Code) -> None:
        super().__init__(f"stream {stream}: {code.name}")
        self.stream = stream
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame; the payload is no longer than a frame may be."""
    size = len(payload)
    return FRAME_HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def rst_stream(stream: int, code: Code) -> bytes:
    """Ends one stream."""
    return frame(RST_STREAM, 0, stream, _LONG.pack(code))


def window_update(stream: int, more: int) -> bytes:
    """Lets the peer send so many bytes more; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _LONG.pack(more))


def goaway(last_stream: int, code: Code, words: str = "") -> bytes:
    """Says that no stream beyond the last one is or will be served."""
    return frame(GOAWAY, 0, 0, _TWO_LONGS.pack(last_stream, code) + words.encode())


def long_at(payload: bytes, at: int = 0) -> int:
    """An unsigned number of 32 bits."""
    number: int = _LONG.unpack_from(payload, at)[0]
    return number


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of a DATA or HEADERS frame without its padding.

    Raises:
        Http2Error: the padding is longer than the frame.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(Code.PROTOCOL_ERROR if payload else Code.FRAME_SIZE_ERROR, "padding beyond the frame")
    return payload[1 : len(payload) - payload[0]]
