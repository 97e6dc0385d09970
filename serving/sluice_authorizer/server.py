"""The authorizer's server: the bounds of a model pod's own connections, its polite end, and what runs beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sluice.config import Limits
from sluice_authorizer.door import Entrance
from sluice_runtime.door import Door
from sluice_runtime.draining import KEEP_ALIVE_SECONDS, DrainingServer

LIMITS = Limits(max_body_bytes=64 * 1024**2, max_buffered_bytes=96 * 1024**2, max_connections=4096)
"""A body is as large as `spec.access.data.maxRequestBytes` allows, which is 64 MiB at most."""

DRAIN_SECONDS = 10.0
_ANSWER_SECONDS = 5


class Server(DrainingServer):
    """Serves until SIGTERM; then each answer asks its router to connect elsewhere, and the last one ends it."""

    def __init__(self, entrance: Entrance, host: str, port: int, beside: Callable[[], Awaitable[None]]) -> None:
        self._entrance = entrance
        self._beside = beside
        super().__init__(
            Door(entrance, LIMITS, KEEP_ALIVE_SECONDS, take=self._take),
            (host, port),
            lifespan="off",
            drain_seconds=DRAIN_SECONDS,
            answer_seconds=_ANSWER_SECONDS,
        )

    def announce(self) -> None:
        """Not ready any more."""
        self._entrance.leaving = True

    async def serve(self, sockets: Any = None) -> None:
        """Serve until the process is told to stop. `beside` runs for as long."""
        beside = asyncio.ensure_future(self._beside())
        try:
            await super().serve(sockets)
        finally:
            beside.cancel()

    def _take(self, exchange: Any) -> bool:
        if self._entrance.leaving:
            exchange.keep_alive = False
        return self._entrance.take(exchange)
