"""Compressed request bodies, bounded by what comes out: a few kilobytes can hold gigabytes of zeros."""

from __future__ import annotations

import asyncio
import zlib

from sluice_runtime.errors import Kind, RequestError

IDENTITY = b"identity"

WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""zlib's names for the formats of RFC 9110, 8.4.1: `deflate` is zlib's format, not the bare stream."""

INLINE_BYTES = 2048
"""At most a thousand times as much comes out: a millisecond or two. Longer bodies go to a thread."""


async def decompress(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """The plain body, from a thread where it takes long.

    Raises:
        RequestError: as `inflate`.
    """
    if len(body) <= INLINE_BYTES:
        return inflate(body, encoding, max_bytes)
    return await asyncio.to_thread(inflate, body, encoding, max_bytes)


def inflate(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """The plain body, or message.

    Raises:
        RequestError: TOO_LARGE beyond `max_bytes`; INVALID for an unknown encoding or broken data.
    """
    bits = WINDOW_BITS.get(encoding)
    if bits is None:
        raise RequestError(Kind.INVALID, "Content-Encoding must be gzip, deflate or identity")
    stream = zlib.decompressobj(bits)
    try:
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise RequestError(Kind.INVALID, f"the body does not fit its Content-Encoding: {error}") from error
    if len(plain) > max_bytes:
        raise RequestError(Kind.TOO_LARGE, f"the body is larger than {max_bytes} bytes once decompressed")
    # One member only: a body of a million empty ones would take quadratic time.
    if not stream.eof or stream.unused_data:
        raise RequestError(Kind.INVALID, "the compressed body must be one complete stream")
    return plain
