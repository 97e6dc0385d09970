"""The standard health service of gRPC: readiness, under the empty name and the protocol's service."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2 as pb

from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.plane import Plane
from sluice_runtime.protocol.calls import Site
from sluice_runtime.protocol.methods import Unary, parse
from sluice_runtime.protocol.status import Status

NAME = "grpc.health.v1.Health"

_LOOK_SECONDS = 0.5
"""How late those who watch may hear of a change; those who ask hear the truth at once."""

_States = pb.HealthCheckResponse


class Health:
    """Knows the state, and who watches it."""

    def __init__(self, plane: Plane, services: frozenset[str]) -> None:
        self._plane = plane
        self._services = services
        self._watchers: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    def check(self, request: Any) -> Any:
        """The state right now.

        Raises:
            RequestError: UNKNOWN.
        """
        if request.service not in self._services:
            raise RequestError(Kind.UNKNOWN, f"unknown service {request.service!r}")
        return _States(status=self.state(request.service))

    def state(self, service: str) -> int:
        """The state of a service as those who watch hear it."""
        if service not in self._services:
            return int(_States.SERVICE_UNKNOWN)
        return int(_States.SERVING if self._plane.ready else _States.NOT_SERVING)

    def add(self, watcher: Watch) -> None:
        """Tell a watcher from now on."""
        self._watchers.add(watcher)
        watcher.tell()
        if self._timer is None:
            self._timer = watcher.line.loop.call_later(_LOOK_SECONDS, self._look, watcher.line.loop)

    def discard(self, watcher: Watch) -> None:
        """Tell a watcher no more."""
        self._watchers.discard(watcher)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, loop) if self._watchers else None
        for watcher in self._watchers:
            watcher.tell()


class Watch(Unary):
    """Health's Watch: the state now, and each change until the caller leaves or the server ends."""

    __slots__ = ("_health", "_service", "_told")

    def __init__(self, health: Health, site: Site, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(site, line, number, head)
        self._health = health
        self._service = ""
        self._told: int | None = None

    def handle(self, data: bytes) -> None:
        """Begin to watch."""
        self._service = parse(pb.HealthCheckRequest, data).service
        self._health.add(self)

    def tell(self) -> None:
        """Send the state if it has changed, and the caller has taken what was said before."""
        state = self._health.state(self._service)
        if state != self._told and not self.queue:
            self._told = state
            self.push(_States(status=state).SerializeToString())

    def gone(self) -> None:
        """Nobody watches any longer."""
        self._health.discard(self)
        super().gone()

    def farewell(self) -> None:
        """The server ends, and the watch with it."""
        self._health.discard(self)
        if self.status is None:
            self.finish(Status.UNAVAILABLE, "the server is stopping")
