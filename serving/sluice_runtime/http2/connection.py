"""The life of one HTTP/2 connection: its place among all connections, its bounds in time, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sluice_runtime.door import Door
from sluice_runtime.flow import LINGER_SECONDS
from sluice_runtime.http2 import frames
from sluice_runtime.http2.frames import DEFAULT_WINDOW, MAX_STREAM_ID, Code, Http2Error
from sluice_runtime.http2.head import Fields
from sluice_runtime.http2.receiving import FAREWELL, Receiving
from sluice_runtime.http2.settings import ANNOUNCED, CONNECTION_WINDOW
from sluice_runtime.http2.stream import Stream

_SPARE_CONNECTIONS = 32
"""Beyond the limit, so that a busy pod still answers its probes."""

_GREETING = ANNOUNCED + frames.window_update(0, CONNECTION_WINDOW - DEFAULT_WINDOW)

Opener = Callable[["Http2Connection", int, Fields], Stream]
"""Makes the stream of a request from its head; called before its body comes."""


class Http2Connection(Receiving):
    """An HTTP/2 server's side of a connection.

    `surplus`: it is beyond the limit of connections, so only probes are answered. `now`: the loop's time of the last
    read.
    """

    def __init__(self, door: Door, opener: Opener, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(door, loop)
        self.now = self._since
        self.surplus = False
        self.client: Any = None
        self._opener = opener
        self._rest = b""
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        super().connection_made(transport)
        self.client = transport.get_extra_info("peername")
        connections = self._door.state.connections
        connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own protocols only
        limit = self._door.limits.max_connections
        self.surplus = len(connections) > limit
        self.say(_GREETING)
        if len(connections) > limit + _SPARE_CONNECTIONS:
            self._give_up("connections", Code.ENHANCE_YOUR_CALM, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone: nothing more is computed for it."""
        self._door.state.connections.discard(self)
        self._deaf = True
        self._abandon_all()
        # They are this connection's; without the circle a lost connection is gone at once.
        del self._handlers
        super().resume_writing()

    def pause_writing(self) -> None:
        """The caller reads slower than it is written to: it is not listened to either."""
        super().pause_writing()
        self.pause()

    def resume_writing(self) -> None:
        """The caller has read."""
        super().resume_writing()
        if not self.blocked:
            self.read_on()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._deaf:
            return
        self.now = self.loop.time()
        if self._rest:
            data = self._rest + data
        try:
            taken = self._dispatch(data)
        except Http2Error as fault:
            reason = "flood" if fault.code is Code.ENHANCE_YOUR_CALM else "malformed"
            self._give_up(reason, fault.code, fault.message)
            return
        if taken:
            self._since = self.now
        self._rest = data[taken:]

    def sweep(self, now: float) -> None:
        """Cut this connection if it is idle, slow or stalled. `now` is the loop's time."""
        self._nuisances = 0
        if self.is_cut(now):
            return
        limits, waited = self._door.limits, now - self._since
        if self._is_stalled(now):
            self._transport.abort()
        elif (self._rest or self._block or not self._settled) and waited > limits.head_seconds:
            self._give_up("slow_client", Code.PROTOCOL_ERROR, "the request took too long to arrive")
        elif not self._streams and waited > self._door.idle_seconds:
            self.leave()
        for stream in tuple(self._streams.values()):
            if not stream.ended and not stream.closed and now - stream.since > limits.deadline_seconds:
                stream.overdue()

    def leave(self) -> None:
        """Ask the caller to go elsewhere; what it has asked and still asks on its way is answered."""
        if not self._leaving and not self._deaf:
            self._leaving = True
            self.say(frames.goaway(MAX_STREAM_ID, Code.NO_ERROR) + frames.frame(frames.PING, 0, 0, FAREWELL))
            self.loop.call_later(LINGER_SECONDS, self._part)

    def shutdown(self) -> None:
        """Close as soon as everything that was asked is answered."""
        self.leave()
        for stream in tuple(self._streams.values()):
            stream.farewell()
        self._take_leave()

    def _open(self, number: int, head: Fields) -> Stream:
        return self._opener(self, number, head)

    def _part(self) -> None:
        """Name the last stream that is served, and close when all are answered."""
        if self._left or self._deaf:
            return
        self._left = True
        self.say(frames.goaway(self._last, Code.NO_ERROR))
        self._take_leave()

    def _take_leave(self) -> None:
        if self._left and not self._deaf and not self._streams:
            self._close(mid_message=False)

    def _give_up(self, reason: str, code: Code, words: str) -> None:
        """Refuse the caller as a whole: say why, and close."""
        self._door.refused(reason)
        self._abandon_all()
        self.say(frames.goaway(self._last, code, words))
        self._close(mid_message=True)

    def _close(self, mid_message: bool) -> None:
        self._flush()
        self.hang_up(mid_message)

    def _abandon_all(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._forget(stream)
            stream.gone()
