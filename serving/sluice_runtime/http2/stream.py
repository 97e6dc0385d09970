"""One request and its answer on an HTTP/2 connection: the state that frames change, and what is told of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sluice_runtime.http2.frames import END_HEADERS, END_STREAM, FRAME_HEAD, HEADERS, MAX_FRAME_BYTES
from sluice_runtime.http2.settings import STREAM_WINDOW

if TYPE_CHECKING:
    from sluice_runtime.http2.connection import Http2Connection


class Block:
    """A header block for answers, encoded without a table, with the heads of the frames that carry it."""

    __slots__ = ("closing", "data", "opening")

    def __init__(self, data: bytes) -> None:
        if len(data) >= MAX_FRAME_BYTES:
            raise ValueError("a header block for an answer must fit one frame")
        self.data = data
        self.opening, self.closing = (
            FRAME_HEAD.pack(len(data) >> 8, len(data) & 0xFF, HEADERS, flags, 0)[:-4]
            for flags in (END_HEADERS, END_HEADERS | END_STREAM)
        )


class Stream:
    """What the connection knows of a stream. A protocol's own class overrides the methods.

    `ended`: the peer has said everything. `closed`: the answer has left, or nobody waits for it. `left`: bytes of the
    body that were announced and have not come. `since`: the loop's time of its head. `cost`: bytes held while open.
    """

    __slots__ = ("closed", "cost", "ended", "id", "left", "line", "queue", "since", "tail", "window_in", "window_out")

    def __init__(self, line: Http2Connection, number: int) -> None:
        self.line = line
        self.id = number
        self.since = line.now
        self.window_in = STREAM_WINDOW
        self.window_out = line.peer.window
        self.ended = False
        self.closed = False
        self.cost = 0
        self.left: int | None = None
        # What waits for the peer's windows, and the trailers behind it.
        self.queue: deque[memoryview] | None = None
        self.tail: Block | None = None

    def opened(self) -> None:
        """The head has come; the whole request if `ended`."""

    def received(self, data: bytes) -> None:
        """A part of the body came, the last one if `ended`."""

    def gone(self) -> None:
        """The peer waits no longer; nothing more may be sent."""

    def overdue(self) -> None:
        """The whole request did not arrive in the time given."""

    def farewell(self) -> None:
        """The server ends: an answer without an end should end now."""
