"""A long body lands in the place where the model reads it.

Between the socket and a tensor a body would be copied four times: into the loop's buffer, out of the parser, when its
pieces are joined, and where its numbers do not lie on their boundaries. A body whose length was declared is received
into one buffer instead, in which what follows its JSON begins on a boundary of every datatype.
"""

from __future__ import annotations

import asyncio

import numpy as np

from sluice_runtime.door import Door
from sluice_runtime.exchange import Exchange
from sluice_runtime.flow import Flow

_ALIGNMENT = 64
"""A cache line, and what numpy and ONNX Runtime would choose themselves."""


class Landing(asyncio.BufferedProtocol):
    """A body of `length` bytes that is being received; `boundary` is the place in it that is aligned in memory.

    While it is its transport's protocol, everything else that the transport says goes on to the connection.
    """

    def __init__(self, ground: Ground, length: int, boundary: int) -> None:
        # Not touched before bytes come: a promise of many bytes costs no memory.
        room = np.empty(length + _ALIGNMENT, np.uint8)
        start = -(room.ctypes.data + boundary) % _ALIGNMENT
        self.body = room.data[start : start + length]
        self._ground = ground
        self._at = 0

    @property
    def complete(self) -> bool:
        """True when the last byte has come."""
        return self._at == len(self.body)

    def put(self, data: bytes) -> None:
        """Take a part that came together with the head."""
        self.body[self._at : self._at + len(data)] = data
        self._at += len(data)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the next bytes go; never beyond the end, so that the next request is left to the parser."""
        return self.body[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._at += nbytes
        self._ground.landed(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        self._ground.connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller reads slower than it is written to."""
        self._ground.pause_writing()

    def resume_writing(self) -> None:
        """The caller has read."""
        self._ground.resume_writing()


class Ground(Flow):
    """A connection on which bodies land; `_incoming` is the request whose bytes come in."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(door, loop)
        self._incoming: Exchange | None = None
        self._landing: Landing | None = None

    def overfull(self) -> None:
        """All requests together hold too many bytes."""
        raise NotImplementedError

    def body_landed(self) -> None:
        """The last byte has come."""
        raise NotImplementedError

    def land(self, exchange: Exchange, length: int) -> bool:
        """Receive a request's body in one place; False for one that the application gets in pieces."""
        boundary = self._door.awaits(exchange)
        if boundary is None:
            return False
        self._landing = Landing(self, length, boundary)
        return True

    def landed(self, count: int) -> None:
        """So many bytes more have come; called by the landing."""
        exchange, landing = self._incoming, self._landing
        if exchange is None or landing is None or self._deaf:
            self.divert(self)
            return
        self._door.buffered += count
        exchange.size += count
        if self._door.buffered > self._door.limits.max_buffered_bytes:
            self.divert(self)
            self.overfull()
        elif landing.complete:
            self.divert(self)
            self.body_landed()
