"""How gRPC says that a call ended: status codes, and the header blocks that carry them.

Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md) and its list of status codes.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from sluice_runtime.errors import Kind
from sluice_runtime.http2.hpack import literal
from sluice_runtime.http2.stream import Block


class Status(IntEnum):
    """The status codes that are sent."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


STATUSES: dict[Kind, Status] = {
    Kind.INVALID: Status.INVALID_ARGUMENT,
    Kind.UNKNOWN: Status.NOT_FOUND,
    Kind.NOT_ALLOWED: Status.UNIMPLEMENTED,
    Kind.TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    Kind.ABANDONED: Status.CANCELLED,
    Kind.FAILED: Status.INTERNAL,
    Kind.NOT_READY: Status.UNAVAILABLE,
    Kind.FEATURES: Status.UNAVAILABLE,
    Kind.STORE: Status.UNAVAILABLE,
    Kind.OVERLOADED: Status.UNAVAILABLE,
    Kind.DEADLINE: Status.DEADLINE_EXCEEDED,
    Kind.STORE_DEADLINE: Status.DEADLINE_EXCEEDED,
}

_MAX_WORDS = 1024
_SUCCESS = b"\x88"
"""`:status: 200`, an entry of the static table."""

_TYPE = literal(b"content-type", b"application/grpc")

ENCODINGS = b"identity, deflate, gzip"

HEAD = Block(_SUCCESS + _TYPE)
TAIL = Block(literal(b"grpc-status", b"0"))
NOT_POST = Block(literal(b":status", b"405") + literal(b"allow", b"POST"))
NOT_GRPC = Block(literal(b":status", b"415"))


def tail(status: Status, words: str = "") -> Block:
    """The trailers of an answer that has begun."""
    return TAIL if status is Status.OK else Block(_outcome(status, words))


@lru_cache(maxsize=256)
def refusal(status: Status, words: str) -> Block:
    """An answer that is nothing but its end."""
    accepted = literal(b"grpc-accept-encoding", ENCODINGS) if status is Status.UNIMPLEMENTED else b""
    return Block(_SUCCESS + _TYPE + _outcome(status, words) + accepted)


def _outcome(status: Status, words: str) -> bytes:
    return literal(b"grpc-status", b"%d" % status) + literal(b"grpc-message", _percent_encoded(words[:_MAX_WORDS]))


def _percent_encoded(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if text.isascii() and text.isprintable() and "%" not in text:
        return encoded
    return b"".join(b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in encoded)
