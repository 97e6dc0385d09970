"""One uvicorn server in one process, on this runtime's own connections, and its end: no request may be lost by it.

On SIGTERM the server goes on answering for a while, each answer asking its caller to close the connection: callers that
still hold keep-alive connections, or a stale DNS answer, move elsewhere without an error.
"""

from __future__ import annotations

import asyncio
import os
from types import FrameType
from typing import Any, Literal

import uvicorn

from sluice_runtime.connection import Connection
from sluice_runtime.door import Door

KEEP_ALIVE_SECONDS = 75
"""Above the routers' idle timeout of 60 s: they close first and never write into a closing connection."""

_QUIET_SECONDS = 1.0
"""Drained means: no connection for this long. New ones may come while callers' DNS answers are stale."""


class DrainingServer(uvicorn.Server):
    """Serves until SIGTERM, and then until callers have left. A second SIGTERM ends the process at once."""

    def __init__(
        self,
        door: Door,
        address: tuple[str, int],
        *,
        lifespan: Literal["on", "off"],
        drain_seconds: float,
        answer_seconds: int,
    ) -> None:
        """`drain_seconds`: what callers have to leave; `answer_seconds`: what calls then under way still get."""
        self._door = door
        self._drain_seconds = drain_seconds
        self._leaving = False
        self._draining: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                door.app,
                host=address[0],
                port=address[1],
                http=self._connect,  # type: ignore[arg-type]  # anything that makes a protocol will do
                loop="uvloop",
                ws="none",
                lifespan=lifespan,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=answer_seconds,
            )
        )
        door.state = self.server_state

    def announce(self) -> None:
        """From now on no one new is to come, and answers are to ask their callers to go; called in a signal handler."""
        raise NotImplementedError

    async def serve(self, sockets: Any = None) -> None:
        """Serve until the process is told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if counter % 10 == 0:
            self._door.sweep(self._loop.time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; called by uvicorn in a signal handler."""
        if self._leaving:
            os._exit(128 + sig)
        self._leaving = True
        self.announce()
        self._loop.call_soon_threadsafe(self._start_draining)

    def _connect(self, app_state: dict[str, Any], _loop: Any = None, **_: Any) -> Connection:
        return Connection(self._door, app_state, _loop)

    def _start_draining(self) -> None:
        self._draining = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Leave when callers have left, at the latest after `drain_seconds`."""
        ends = self._loop.time() + self._drain_seconds
        quiet_since = self._loop.time()
        while (now := self._loop.time()) < ends and now - quiet_since < _QUIET_SECONDS:
            if self.server_state.connections:
                quiet_since = now
            await asyncio.sleep(0.05)
        self.should_exit = True
