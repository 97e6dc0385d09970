"""One HTTP/1.1 connection: parsed by llhttp, bounded in bytes and time, served by an ASGI application.

A server of its own, because what a general one spends on a request (an event, timers and several writes for each)
costs more than a small model, and because every bound of a pod begins here: how many connections, how large and how
slow a request may be. What a connection refuses by itself is answered in the protocol's shape like everything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Any

import httptools

from sluice_runtime.door import Door, Refusal
from sluice_runtime.exchange import PIECE_BYTES, Exchange
from sluice_runtime.heads import Familiar, Head, HeadReader, without_offer
from sluice_runtime.landing import Ground

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128

_HIGH_WATER_BYTES = 4 * PIECE_BYTES
"""So much of a body may wait for the application before reading stops."""

_SPARE_CONNECTIONS = 32
"""Beyond the limit, so that a busy pod still answers its probes and its scrapes."""


class Connection(HeadReader, Ground):
    """Parses requests and runs the application on one after the other."""

    def __init__(self, door: Door, state: dict[str, Any], loop: asyncio.AbstractEventLoop | None = None) -> None:
        HeadReader.__init__(self)
        Ground.__init__(self, door, loop)
        self._state = state
        self._parser = httptools.HttpRequestParser(self)
        self._surplus = False
        # The one that is being answered, and pipelined ones between it and the one whose bytes come in.
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._mid_message = False
        self._received = 0
        self._offered = b""
        # Whole messages in the bytes that came last, and the head of the one that was taken without ASGI.
        self._messages = 0
        self._taken: Head | None = None
        self._familiar: Familiar | None = None
        # A refusal that waits until earlier requests have their answers.
        self._verdict: Refusal | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        super().connection_made(transport)
        self._peer = transport.get_extra_info("peername")
        self._local = transport.get_extra_info("sockname")
        connections = self._door.state.connections
        connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own protocols only
        self._surplus = len(connections) > self._door.limits.max_connections
        if len(connections) > self._door.limits.max_connections + _SPARE_CONNECTIONS:
            self._refuse(Refusal.CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone: nothing more is computed for it."""
        self._door.state.connections.discard(self)
        self._deaf = True
        for exchange in {self._incoming, self._current, *self._waiting} - {None}:
            self._abandon(exchange)  # type: ignore[arg-type]
        self._waiting.clear()
        self._incoming = self._current = self._landing = None
        # Its callbacks are this connection's; without the circle a lost connection is gone at once.
        del self._parser
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._deaf:
            return
        whole = not self._mid_message
        if whole:
            self._since = self.loop.time()
            if self._familiar is not None and self._current is None and self._take_again(self._familiar, data):
                return
            self._mid_message = True
        self._received += len(data)
        self._messages, self._taken = 0, None
        self._parse(data)
        if whole and self._messages == 1 and self._taken is not None:
            self._familiar = Familiar.of(data, self._length, self._taken)
        if self._landing is not None:
            self.divert(self._landing)
        elif self._mid_message and not self._deaf:
            self._bound_received()

    def on_headers_complete(self) -> None:
        """The request's head is complete; headers that still come are trailers of a chunked body, and ignored."""
        self._head_over = True
        parser = self._parser
        if parser.should_upgrade():
            self._offered = parser.get_method()
            if self._offered == b"CONNECT":
                self._refuse(Refusal.MALFORMED)
            return
        version = parser.get_http_version()
        head = Head(parser.get_method(), self._url, version, self._headers, self._peer, self._local, self._state)
        keep_alive = version == "1.1" and not self._surplus and parser.should_keep_alive()
        self._incoming = exchange = Exchange(self, head, keep_alive, self._expects, self._since)
        if len(self._headers) > MAX_HEADERS:
            self._refuse(Refusal.HEAD)
        elif self._surplus and self._url.startswith(b"/v2"):
            self._refuse(Refusal.CONNECTIONS)
        elif self._expects or (self._length >= PIECE_BYTES and not self.land(exchange, self._length)):
            # Worth a look at its head before its body comes.
            self._launch(exchange)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        exchange = self._incoming
        if exchange is None or self._deaf:
            return
        self._door.buffered += len(body)
        if self._landing is not None:
            self._landing.put(body)
            exchange.size += len(body)
            return
        if exchange.size + len(body) > self._door.limits.max_body_bytes:
            # The application refuses it; a caller may wait for that before it sends the rest.
            exchange.piece = 1
        held = exchange.feed(body)
        if self._door.buffered > self._door.limits.max_buffered_bytes:
            self.overfull()
        elif held >= exchange.piece:
            self._launch(exchange)
            if held >= _HIGH_WATER_BYTES:
                self.pause()

    def on_message_complete(self) -> None:
        """The request is complete."""
        exchange = self._incoming
        if exchange is None:
            return
        self._incoming = None
        self._mid_message = False
        self._messages += 1
        self._received = 0
        landing, self._landing = self._landing, None
        if not self._deaf:
            exchange.end(landing.body if landing is not None else None)
            self._launch(exchange)

    def overfull(self) -> None:
        """All requests together hold too many bytes."""
        self._refuse(Refusal.MEMORY)

    def body_landed(self) -> None:
        """The body that landed is complete; the parser that read its head still waits for it."""
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_complete()

    def read_on(self) -> None:
        """The body that had come was taken; more is welcome, unless pipelined requests wait."""
        if not self._waiting:
            super().read_on()

    def answered(self, exchange: Exchange) -> None:
        """The last byte of an answer was written: close, or go on with the next request."""
        door = self._door
        door.state.total_requests += 1
        if door.exchanged is not None:
            door.exchanged(exchange)
        door.buffered -= exchange.size
        exchange.size = 0
        self._current = None
        if exchange is self._incoming or not exchange.keep_alive:
            self.hang_up(self._mid_message)
        elif self._verdict is not None:
            self._pronounce(self._verdict)
        else:
            self._since = self.loop.time()
            if self._waiting:
                self._launch(self._waiting.popleft())
            self.read_on()

    def sweep(self, now: float) -> None:
        """Cut this connection if it is idle, slow or stalled. `now` is the loop's time."""
        if self.is_cut(now):
            return
        waited, limits = now - self._since, self._door.limits
        if self._mid_message:
            allowed = limits.head_seconds if self._incoming is None else limits.deadline_seconds
            if waited > allowed and not self._paused:
                self._refuse(Refusal.SLOW)
        elif self._current is None and waited > self._door.idle_seconds:
            self._transport.close()

    def shutdown(self) -> None:
        """Close as soon as everything that was asked is answered."""
        exchange = self._incoming or (self._waiting[-1] if self._waiting else self._current)
        if exchange is None:
            self._transport.close()
        else:
            exchange.keep_alive = False

    def _take_again(self, familiar: Familiar, data: bytes) -> bool:
        """Take a short request without parsing its head, which came before; False for any other."""
        body, door = familiar.body(data), self._door
        if body is None or len(body) >= min(PIECE_BYTES, door.limits.max_body_bytes):
            return False
        exchange = Exchange(self, familiar.head, keep_alive=True, expects=False, began=self._since)
        exchange.feed(body)
        exchange.end()
        self._current = exchange
        door.buffered += len(body)
        if door.buffered <= door.limits.max_buffered_bytes and door.take(exchange):
            return True
        door.buffered -= len(body)
        self._current = None
        return False

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._deaf:
                return
            self._parser = httptools.HttpRequestParser(self)
            plain = without_offer(self._offered, self._url, self._headers)
            self._parse(plain + data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            log.exception("a request could not be taken")
            self._refuse(Refusal.CRASHED)
        except httptools.HttpParserError:
            self._refuse(Refusal.MALFORMED)

    def _bound_received(self) -> None:
        """Chunk extensions, trailers and a head that never ends are no body, so they are counted as they come."""
        if self._incoming is None:
            if self._received > MAX_HEAD_BYTES:
                self._refuse(Refusal.HEAD)
        elif self._received > 2 * self._door.limits.max_body_bytes + MAX_HEAD_BYTES:
            self._refuse(Refusal.BODY)

    def _launch(self, exchange: Exchange) -> None:
        """Run the application on a request, now or after those before it."""
        if exchange is self._current or exchange in self._waiting:
            return
        if self._current is not None:
            self._waiting.append(exchange)
            self.pause()
            return
        self._current = exchange
        if exchange.complete and self._door.take(exchange):
            self._taken = exchange.head
            return
        app = self._door.app(exchange.head.scope(), exchange.receive, exchange.send)
        task: asyncio.Task[None] = self.loop.create_task(app)  # type: ignore[arg-type]
        self._door.state.tasks.add(task)
        task.add_done_callback(partial(self._finished, exchange))

    def _finished(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._door.state.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the application failed", exc_info=error)
        if exchange.done or exchange.gone:
            return
        if exchange.status:
            self._transport.abort()
        else:
            self._pronounce(Refusal.CRASHED)

    def _refuse(self, refusal: Refusal) -> None:
        self._door.refused(refusal.reason)
        self._deaf = True
        if self._current is not None and self._current is not self._incoming:
            self._verdict = refusal
        else:
            self._pronounce(refusal)

    def _pronounce(self, refusal: Refusal) -> None:
        """Say a refusal as the last thing on this connection."""
        if self._current is not None and self._current.status:
            self._transport.abort()
            return
        for exchange in {self._incoming, self._current, *self._waiting} - {None}:
            self._abandon(exchange)  # type: ignore[arg-type]
        self._waiting.clear()
        self._current = None
        self._transport.write(refusal.answer)
        self.hang_up(self._mid_message)

    def _abandon(self, exchange: Exchange) -> None:
        exchange.leave()
        self._door.buffered -= exchange.size
        exchange.size = 0
