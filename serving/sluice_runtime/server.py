"""The server of a model pod: HTTP and gRPC on one data plane. On SIGTERM readiness goes off, and callers are let go."""

from __future__ import annotations

from typing import Any

from sluice_runtime.access_log import log_call, log_exchange
from sluice_runtime.door import Door
from sluice_runtime.draining import KEEP_ALIVE_SECONDS, DrainingServer
from sluice_runtime.protocol.calls import Site
from sluice_runtime.protocol.grpc import GrpcServer
from sluice_runtime.runtime import Runtime
from sluice_runtime.service import Gate
from sluice_runtime.tracing import Spans, Traced, exporter_from


class Server(DrainingServer):
    """Serves one model until SIGTERM, or until the runtime fails."""

    def __init__(self, app: Gate, runtime: Runtime) -> None:
        config = runtime.config
        exporter = exporter_from()
        spans = None if exporter is None else Spans(exporter, config.name, config.revision)
        door = _door(app, runtime, spans)
        self._grpc = _grpc(runtime, door, spans)
        super().__init__(
            door,
            (config.host, config.port),
            lifespan="on",
            drain_seconds=config.drain_seconds,
            answer_seconds=int(config.limits.deadline_seconds) + 1,
        )
        runtime.metrics.watch_connections(lambda: len(self.server_state.connections))
        self._runtime = runtime
        runtime.on_failure = self._stop_now

    def announce(self) -> None:
        """Not ready any more."""
        self._runtime.plane.draining = True

    async def serve(self, sockets: Any = None) -> None:
        """Serve until the process is told to stop."""
        if self._grpc is not None:
            await self._grpc.start()
        await super().serve(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        """Called by uvicorn when it is time to go: no more connections, and the calls under way are answered."""
        if self._grpc is not None:
            self._grpc.close()
        await super().shutdown(sockets)

    def _start_draining(self) -> None:
        if self._grpc is not None:
            self._grpc.leave()
        super()._start_draining()

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
