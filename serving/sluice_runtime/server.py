"""One uvicorn server in one process, and its end: no request may be lost when a pod is taken away.

On SIGTERM readiness goes off, and for a while the server goes on answering, each answer asking its caller to close the
connection: callers that still hold keep-alive connections, or a stale DNS answer, move elsewhere without an error.
"""

from __future__ import annotations

import asyncio
import os
from types import FrameType
from typing import Any

import uvicorn

from sluice_runtime.access_log import log_call, log_exchange
from sluice_runtime.connection import Connection
from sluice_runtime.door import Door
from sluice_runtime.protocol.calls import Site
from sluice_runtime.protocol.grpc import GrpcServer
from sluice_runtime.runtime import Runtime
from sluice_runtime.service import Gate
from sluice_runtime.tracing import Spans, Traced, exporter_from

KEEP_ALIVE_SECONDS = 75
"""Above the router's idle timeout of 60 s: the router closes first and never writes into a closing connection."""

_QUIET_SECONDS = 1.0
"""Drained means: no connection for this long. New ones may come while callers' DNS answers are stale."""


class Server(uvicorn.Server):
    """uvicorn's server with a polite end. A second SIGTERM ends the process at once."""

    def __init__(self, app: Gate, runtime: Runtime) -> None:
        config = runtime.config
        exporter = exporter_from()
        spans = None if exporter is None else Spans(exporter, config.name, config.revision)
        self._door = _door(app, runtime, spans)
        self._grpc = _grpc(runtime, self._door, spans)
        super().__init__(
            uvicorn.Config(
                self._door.app,
                host=config.host,
                port=config.port,
                http=self._connect,  # type: ignore[arg-type]  # anything that makes a protocol will do
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(config.limits.deadline_seconds) + 1,
            )
        )
        self._door.state = self.server_state
        runtime.metrics.watch_connections(lambda: len(self.server_state.connections))
        self._runtime = runtime
        self._draining: asyncio.Task[None] | None = None
        runtime.on_failure = self._stop_now

    async def serve(self, sockets: Any = None) -> None:
        """Serve until the process is told to stop."""
        self._loop = asyncio.get_running_loop()
        if self._grpc is not None:
            await self._grpc.start()
        await super().serve(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        """Called by uvicorn when it is time to go: no more connections, and the calls under way are answered."""
        if self._grpc is not None:
            self._grpc.close()
        await super().shutdown(sockets)

    def _connect(self, app_state: dict[str, Any], _loop: Any = None, **_: Any) -> Connection:
        return Connection(self._door, app_state, _loop)

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if counter % 10 == 0:
            self._door.sweep(self._loop.time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; called by uvicorn in a signal handler."""
        if self._runtime.plane.draining:
            os._exit(128 + sig)
        self._runtime.plane.draining = True
        self._loop.call_soon_threadsafe(self._start_draining)

    def _start_draining(self) -> None:
        if self._grpc is not None:
            self._grpc.leave()
        self._draining = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Leave when callers have left, at the latest after the configured time."""
        ends = self._loop.time() + self._runtime.config.drain_seconds
        quiet_since = self._loop.time()
        while (now := self._loop.time()) < ends and now - quiet_since < _QUIET_SECONDS:
            if self.server_state.connections:
                quiet_since = now
            await asyncio.sleep(0.05)
        self.should_exit = True

    def _stop_now(self) -> None:
        self.should_exit = True


def _door(app: Gate, runtime: Runtime, spans: Spans | None) -> Door:
    config = runtime.config
    door = Door(
        app if spans is None else Traced(app, spans),
        config.limits,
        KEEP_ALIVE_SECONDS,
        refused=runtime.metrics.refused,
        exchanged=log_exchange if config.access_log else None,
    )
    if spans is None:
        # The short way knows no spans.
        door.take, door.awaits = app.take, app.awaits
    return door


def _grpc(runtime: Runtime, door: Door, spans: Spans | None) -> GrpcServer | None:
    """The server for gRPC, where the settings name a port for it."""
    config = runtime.config
    if config.grpc_port is None:
        return None
    return GrpcServer(Site(runtime.plane, door, spans, log_call if config.access_log else None), config)
