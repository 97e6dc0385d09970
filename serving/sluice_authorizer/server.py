"""One uvicorn server in one process, with the bounds of a model pod's own connections, and its polite end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn

from sluice.config import Limits
from sluice_authorizer.door import Entrance
from sluice_runtime.connection import Connection
from sluice_runtime.door import Door

LIMITS = Limits(max_body_bytes=64 * 1024**2, max_buffered_bytes=96 * 1024**2, max_connections=4096)
"""A body is as large as `spec.access.data.maxRequestBytes` allows, which is 64 MiB at most."""

KEEP_ALIVE_SECONDS = 75
"""Above the routers' idle timeout: they close first and never write into a closing connection."""

DRAIN_SECONDS = 10.0
_QUIET_SECONDS = 1.0


class Server(uvicorn.Server):
    """Serves until SIGTERM; then each answer asks its router to connect elsewhere, and the last one ends it."""

    def __init__(self, entrance: Entrance, host: str, port: int, beside: Callable[[], Awaitable[None]]) -> None:
        self._entrance = entrance
        self._beside = beside
        self._door = Door(entrance, LIMITS, KEEP_ALIVE_SECONDS, take=self._take)
        self._draining: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                self._door.app,
                host=host,
                port=port,
                http=self._connect,  # type: ignore[arg-type]  # anything that makes a protocol will do
                loop="uvloop",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            )
        )
        self._door.state = self.server_state

    async def serve(self, sockets: Any = None) -> None:
        """Serve until the process is told to stop. `beside` runs for as long."""
        self._loop = asyncio.get_running_loop()
        beside = asyncio.ensure_future(self._beside())
        try:
            await super().serve(sockets)
        finally:
            beside.cancel()

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if counter % 10 == 0:
            self._door.sweep(self._loop.time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; called by uvicorn in a signal handler. A second signal ends the process at once."""
        if self._entrance.leaving:
            os._exit(128 + sig)
        self._entrance.leaving = True
        self._loop.call_soon_threadsafe(self._start_draining)

    def _connect(self, app_state: dict[str, Any], _loop: Any = None, **_: Any) -> Connection:
        return Connection(self._door, app_state, _loop)

    def _take(self, exchange: Any) -> bool:
        if self._entrance.leaving:
            exchange.keep_alive = False
        return self._entrance.take(exchange)

    def _start_draining(self) -> None:
        self._draining = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Leave when routers have left, at the latest after `DRAIN_SECONDS`."""
        ends = self._loop.time() + DRAIN_SECONDS
        quiet_since = self._loop.time()
        while (now := self._loop.time()) < ends and now - quiet_since < _QUIET_SECONDS:
            if self.server_state.connections:
                quiet_since = now
            await asyncio.sleep(0.05)
        self.should_exit = True
