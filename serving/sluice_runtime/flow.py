"""Flow control of one HTTP connection: what is written and read no faster than the other side takes it."""

from __future__ import annotations

import asyncio
from typing import cast

from sluice_runtime.door import Door

LINGER_SECONDS = 2.0
"""A caller that still sends when it is refused would lose the answer if its connection were closed at once."""

STALLED_SECONDS = 30.0
"""A caller that does not read its answer for so long has its connection cut."""


class Flow(asyncio.Protocol):
    """The transport's side of a connection. `since`: the loop's time of its last step, from which timeouts count."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self.blocked = False
        self._door = door
        self._transport: asyncio.Transport
        self._since = self.loop.time()
        self._deaf = False
        self._paused = False
        self._unsent = 0
        self._writable: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """The caller reads slower than it is written to."""
        self.blocked = True
        self._since = self.loop.time()
        self._unsent = self._transport.get_write_buffer_size()
        self._door.buffered += self._unsent

    def resume_writing(self) -> None:
        """The caller has read."""
        self.blocked = False
        self._door.buffered -= self._unsent
        self._unsent = 0
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def write(self, data: bytes) -> None:
        """Send bytes to the caller."""
        self._transport.write(data)

    def common_headers(self) -> bytes:
        """Headers of every answer, encoded."""
        return self._door.common_headers()

    async def drain(self) -> None:
        """Wait until the caller has read."""
        if self._writable is None:
            self._writable = self.loop.create_future()
        await asyncio.shield(self._writable)

    def pause(self) -> None:
        """Read no more until `read_on`."""
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def read_on(self) -> None:
        """What had come was taken; more is welcome."""
        if self._paused:
            self._paused = False
            self._since = self.loop.time()
            self._transport.resume_reading()

    def divert(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take what comes next; the loop looks how one reads only when reading begins."""
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        if not self._paused:
            self._transport.resume_reading()

    def hang_up(self, mid_message: bool) -> None:
        """Close after the last answer; a caller that is still sending is let speak to its end, for a moment."""
        self._deaf = True
        self._since = self.loop.time()
        if mid_message and self._transport.can_write_eof():
            self._transport.write_eof()
            self.read_on()
        else:
            self._transport.close()

    def is_cut(self, now: float) -> bool:
        """Abort a connection that is ending or blocked and does not get anywhere; True for every such connection."""
        ending = self._deaf or self._transport.is_closing()
        if not (ending or self.blocked):
            return False
        if now - self._since > (STALLED_SECONDS if self.blocked else LINGER_SECONDS):
            self._transport.abort()
        return True
