"""The runtime's HTTP/2 with the smallest protocol on top: every complete request gets a page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sluice.config import Limits
from sluice_runtime.door import Door
from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.http2.hpack import literal
from sluice_runtime.http2.stream import Block, Stream

HEAD = Block(b"\x88" + literal(b"content-type", b"text/plain"))
TAIL = Block(literal(b"x-end", b"1"))


class Page(Stream):
    """Answers a request when it has come whole."""

    __slots__ = ("body", "head", "lost")

    def __init__(self, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(line, number)
        self.head = head
        self.body = b""
        self.lost = False

    def opened(self) -> None:
        """Answer a request without a body."""
        if self.ended:
            self._answer()

    def received(self, data: bytes) -> None:
        """Answer a request with its body, or with so many bytes as its path says."""
        self.body += data
        if self.ended:
            self._answer()

    def gone(self) -> None:
        """Nobody waits."""
        self.lost = True

    def _answer(self) -> None:
        size = self.head[b":path"].strip(b"/")
        self.line.answer(self, HEAD, b"x" * int(size) if size else self.body or b"a whole page", TAIL)


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("HTTP/2 asks no application")


def door(**limits: Any) -> Door:
    """A door of its own."""
    return Door(_no_app, Limits(**limits), idle_seconds=60)


@asynccontextmanager
async def pages() -> AsyncIterator[int]:
    """The port of a server on loopback that answers with pages."""
    shared = door()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Http2Connection(shared, Page), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(shared.state.connections):
            connection.shutdown()
