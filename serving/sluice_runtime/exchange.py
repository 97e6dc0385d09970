"""One HTTP request and its answer, as ASGI sees them.

The answer leaves in one write, and a body that came in one piece is handed on without a copy: for a small model these
few microseconds are a good part of a request.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Protocol

from sluice_runtime.heads import Head, Header

Message = MutableMapping[str, Any]

PIECE_BYTES = 64 * 1024
"""A longer body reaches the application in pieces of at least this size, so that it can refuse before the end."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}
_DISCONNECT = {"type": "http.disconnect"}


class Line(Protocol):
    """What an exchange needs of its connection."""

    loop: asyncio.AbstractEventLoop
    blocked: bool

    def write(self, data: bytes) -> None:
        """Send bytes to the caller."""

    async def drain(self) -> None:
        """Wait until the caller has read; called while `blocked`."""

    def read_on(self) -> None:
        """The body that had come was taken; more is welcome."""

    def common_headers(self) -> bytes:
        """Headers of every answer, encoded."""
        ...

    def answered(self, exchange: Exchange) -> None:
        """The last byte of the answer was written."""


class Exchange:
    """`receive` and `send` of one request. The connection feeds it; the application drives it."""

    __slots__ = (
        "_began",
        "_chunks",
        "_held",
        "_left",
        "_line",
        "_start",
        "_taken",
        "_waiter",
        "complete",
        "done",
        "expects",
        "gone",
        "head",
        "keep_alive",
        "on_gone",
        "piece",
        "size",
        "status",
        "written",
    )

    def __init__(self, line: Line, head: Head, keep_alive: bool, expects: bool, began: float) -> None:
        self._line = line
        self.head = head
        self.keep_alive = keep_alive
        self.expects = expects
        self._began = began
        self.size = 0
        self.piece = PIECE_BYTES
        self.written = 0
        self.status = 0
        self.complete = False
        self.gone = False
        self.on_gone: Callable[[], None] | None = None
        self.done = False
        self._chunks: list[bytes | memoryview] = []
        self._held = 0
        self._taken = False
        self._waiter: asyncio.Future[None] | None = None
        self._start: Message | None = None
        self._left: int | None = 0

    def feed(self, data: bytes) -> int:
        """Take a part of the body; returns how many bytes wait for the application."""
        self._chunks.append(data)
        self.size += len(data)
        self._held += len(data)
        if self._held >= self.piece:
            self._wake()
        return self._held

    def seconds(self) -> float:
        """Time since the first byte of the request, in the loop's whole milliseconds."""
        return self._line.loop.time() - self._began

    def end(self, landed: memoryview | None = None) -> None:
        """The body is complete: what was fed, or what has landed."""
        if landed is not None:
            self._chunks.append(landed)
        self.complete = True
        self._wake()

    def leave(self) -> None:
        """The caller is gone, or was refused: whatever the application still says is not sent."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()
            self.on_gone = None
        self._chunks.clear()
        self._wake()

    async def receive(self) -> Message:
        """ASGI: the next piece of the body, then `http.disconnect` when the caller leaves or has its answer."""
        if self.expects and not self.complete and not self.gone:
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.expects = False
        while not self._something_to_tell():
            self._waiter = self._line.loop.create_future()
            await self._waiter
        if self.gone or self.done:
            return dict(_DISCONNECT)
        body = b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        self._taken = self.complete
        self._line.read_on()
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    async def send(self, message: Message) -> None:
        """ASGI: the head of the answer is kept back until its first piece of body, and leaves with it.

        Raises:
            RuntimeError: the application does not keep to ASGI or to the length it announced.
        """
        if self.done:
            raise RuntimeError("the answer is complete already")
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._line.blocked:
            await self._line.drain()
        if not self.gone:
            self._send_body(message.get("body", b""), bool(message.get("more_body", False)))

    def body(self) -> bytes | memoryview:
        """The whole body of a complete request, taken at once."""
        self._taken = True
        self._held = 0
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send a whole answer at once; `headers` are encoded, each with its line break, without the content length."""
        self.status = status
        self.written = len(body)
        closing = b"" if self.keep_alive else b"connection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self._write(b"".join((_STATUS_LINES[status], self._line.common_headers(), headers, closing, length)), body)
        self.done = True
        # It refers to this exchange; without the circle an answered request is gone at once.
        self.on_gone = None
        self._line.answered(self)

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._start is not None:
            head = self._head(self._start)
            self._start = None
        elif self.status:
            head = b""
        else:
            raise RuntimeError("the answer has no head")
        self.written += len(body)
        self._write(head, self._framed(body, more))
        if not more:
            if self._left:
                raise RuntimeError(f"the answer is {self._left} bytes shorter than announced")
            self.done = True
            self._wake()
            self._line.answered(self)

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) > PIECE_BYTES:
            self._line.write(head)
            self._line.write(body)
        else:
            self._line.write(head + body)

    def _head(self, start: Message) -> bytes:
        self.status = start["status"]
        headers: Iterable[Header] = start.get("headers", ())
        parts = [_STATUS_LINES.get(self.status) or b"HTTP/1.1 %d \r\n" % self.status, self._line.common_headers()]
        self._left = None
        closing = False
        for name, value in headers:
            if b"\n" in value or b"\r" in value or b"\n" in name:
                raise RuntimeError(f"line break in header {name!r}")
            lower = name.lower()
            if lower == b"content-length":
                self._left = int(value)
            elif lower == b"connection" and b"close" in value.lower():
                closing = True
                self.keep_alive = False
            elif lower == b"transfer-encoding":
                continue
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive and not closing:
            parts.append(b"connection: close\r\n")
        self._choose_framing(parts)
        parts.append(b"\r\n")
        return b"".join(parts)

    def _choose_framing(self, parts: list[bytes]) -> None:
        if self.head.method == b"HEAD" or self.status in (204, 304):
            self._left = -1
        elif self._left is None:
            parts.append(b"transfer-encoding: chunked\r\n")

    def _framed(self, body: bytes, more: bool) -> bytes:
        """The body as it goes over the wire: `_left` is None for chunks, and -1 where an answer has no body."""
        if self._left is None:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._left < 0:
            if not more:
                self._left = 0
            return b""
        self._left -= len(body)
        if self._left < 0:
            raise RuntimeError("the answer is longer than announced")
        return body

    def _something_to_tell(self) -> bool:
        if self.gone or self.done:
            return True
        return not self._taken and (self.complete or self._held >= self.piece)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
